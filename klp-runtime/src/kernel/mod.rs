//! What a patch calls: the kernel's primitives.

pub mod alloc;
pub mod bits;
pub mod bug;
pub mod byteorder;
pub mod error;
pub mod interop;
pub mod jump_label;
pub mod list;
pub mod log;
pub mod percpu;
pub mod sync;
pub mod sysfs;
pub mod task;
pub mod time;
pub mod uaccess;
pub mod work;
