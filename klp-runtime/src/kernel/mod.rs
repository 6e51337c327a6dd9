//! What a patch calls: the kernel's primitives.

pub mod alloc;
pub mod error;
pub mod list;
pub mod log;
pub mod sync;
pub mod sysfs;
pub mod task;
pub mod time;
pub mod work;
