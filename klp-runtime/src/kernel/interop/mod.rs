//! Structures that the kernel's C shares with a patch: its lists, and what stands around a field.
//!
//! [`container_of!`](crate::container_of) and [`list`].

pub mod list;

/// The structure around a field: `container_of!(pointer, Structure, field)`. Any context.
///
/// A pointer to `*const` gives one to `*const`, one to `*mut` gives one to `*mut`. A pointer to another type than the
/// field has does not compile. It must stand in an `unsafe` block: the pointer is to that field of such a structure.
///
/// ```
/// use klp_runtime::prelude::*;
///
/// #[repr(C)]
/// struct Timer {
///     owner: u32,
///     expires: u64,
/// }
///
/// let mut timer = Timer { owner: 7, expires: 0 };
/// let expires = &raw mut timer.expires;
/// // SAFETY: It is a field of a `Timer`.
/// let timer: *mut Timer = unsafe { container_of!(expires, Timer, expires) };
/// // SAFETY: The timer is here.
/// assert_eq!(unsafe { (*timer).owner }, 7);
/// ```
#[macro_export]
macro_rules! container_of {
    ($pointer:expr, $structure:ty, $($field:tt)+) => {{
        let pointer = $pointer;
        let container = pointer.byte_sub(::core::mem::offset_of!($structure, $($field)+)).cast::<$structure>();
        $crate::__private::assert_same_target(pointer, &raw const (*container).$($field)+);
        container
    }};
}
