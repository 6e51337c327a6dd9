//! Static keys: switches of the kernel for which it patches its code.
//!
//! The code of a patch is not patched for a key: the kernel would have to know each place before it knows where the
//! key of a module, or one that is not exported, is. So a patch reads the key itself, one load and a branch, which is
//! right for every key that it can name: an exported one, one of `#[klp_symbols]`, one of a module.
//!
//! | in C | here |
//! | --- | --- |
//! | `static_branch_likely(&key)`, `static_branch_unlikely(&key)`, `static_key_enabled(&key)` | [`static_key_enabled`] |

use core::ffi::c_int;

use crate::sync::read_once;
use crate::types::{Is, static_key};

/// Whether a key is enabled: `static_key`, `static_key_true` or `static_key_false`. Any context.
///
/// ```
/// # #[cfg(any())] mod with_a_kernel {
/// use klp_runtime::jump_label::static_key_enabled;
/// use klp_runtime::prelude::*;
///
/// kernel_types! {
///     struct static_key_false;
/// }
///
/// #[klp_symbols]
/// unsafe extern "C" {
///     static memcg_sockets_enabled_key: static_key_false;
/// }
///
/// fn are_sockets_counted() -> bool {
///     // SAFETY: It is the kernel's own key.
///     unsafe { static_key_enabled(&raw const memcg_sockets_enabled_key) }
/// }
/// # }
/// ```
///
/// # Safety
///
/// `key` is initialised; one of a module is read only while the module is loaded.
#[inline(always)]
#[must_use]
pub unsafe fn static_key_enabled<K: Is<static_key>>(key: *const K) -> bool {
    // A key starts with an `atomic_t`: how many enabled it, or -1 while the first one does.
    // SAFETY: The caller has a key.
    unsafe { read_once(key.cast::<c_int>()) != 0 }
}
