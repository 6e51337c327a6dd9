//! Kernels: where they are, and what their images and modules say of themselves.

pub mod btf;
pub mod debug_info;
pub mod image;
mod installed;
pub mod symbols;
mod target;

pub use installed::{DEFAULT_SERIES, Kernel, KernelParts, KernelQuery, TESTED, available, fetch, matches};
pub use target::Target;
