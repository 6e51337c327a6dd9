//! What a module is made of: its tables, how it is entered, and what it calls of the kernel.

pub mod abi;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod mirror;
// The kernel's own crate has one.
#[cfg(all(target_os = "none", not(klp_kernel_crate)))]
mod panic;
pub mod selection;
pub(crate) mod sys;
#[cfg(any(feature = "sim", target_os = "none"))]
pub(crate) mod sys_kernel;
#[cfg(any(feature = "sim", target_os = "none"))]
pub(crate) mod table_copies;
#[cfg(not(target_os = "none"))]
pub mod tables;
pub(crate) mod wrappers;
