//! This machine: its cache, Debian's archive, and what is told to the user.

pub mod cache;
pub mod debian;
pub mod digest;
pub(crate) mod sorted;
pub mod tools;
pub mod ui;
