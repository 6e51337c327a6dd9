//! This machine: its cache, its programs, Debian's archive, and the reports to its user.

pub mod cache;
pub mod debian;
pub mod digest;
pub mod disk;
pub mod distribution;
pub mod identity;
pub mod package;
pub mod report;
pub(crate) mod sorted;
pub mod tools;

/// How many processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
