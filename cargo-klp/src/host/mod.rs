//! This machine: its cache, its programs, Debian's archive, and who is told what goes on.

pub mod cache;
pub mod debian;
pub mod digest;
pub mod report;
pub(crate) mod sorted;
pub mod tools;
