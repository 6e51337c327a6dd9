//! Patches: what the macros emit, and whether it fits a kernel.

pub mod check;
pub mod conditions;
pub mod explain;
pub mod inspect;
pub mod manifest;
pub mod meaning;
pub(crate) mod modelled;
pub mod package;
pub mod resolve;
pub mod sign;
pub mod succession;
pub mod tables;
pub mod timeline;
pub mod verify;
pub mod vocabulary;
