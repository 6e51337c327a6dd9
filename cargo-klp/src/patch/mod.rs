//! Patches: what the macros emit, and how that fits a kernel.

pub mod check;
pub mod explain;
pub mod inspect;
pub mod manifest;
pub(crate) mod resolve;
