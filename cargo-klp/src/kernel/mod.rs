//! Kernels: where they are, and what their images and modules say of themselves.

pub mod btf;
pub mod debug_info;
pub mod image;
mod installed;
pub mod symbols;

pub use installed::{DEFAULT_SERIES, Kernel, KernelArgs, Need, TESTED, available, fetch, matches};
