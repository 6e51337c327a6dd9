//! Kernels: finds them, and reads their images and modules.

pub mod arch;
pub mod btf;
mod build_dir;
pub mod debug_info;
#[cfg(test)]
pub(crate) mod example;
pub mod headers;
pub mod image;
mod installed;
pub mod kernel_crate;
pub(crate) mod options;
mod packages;
mod places;
mod programs;
mod release;
pub mod signing;
pub mod source;
pub mod symbols;
mod target;
mod toolchain;
pub mod version;

pub use arch::Arch;
pub use installed::{DEFAULT_SERIES, Kernel, KernelParts, KernelQuery, TESTED, available};
pub use packages::fetch;
pub use release::matches;
pub use target::Target;
pub use toolchain::Toolchain;
