//! The kernel's lists: `struct list_head`, `struct hlist_head`, `struct hlist_nulls_head`, and what RCU keeps of them.
//!
//! | in C | here |
//! | --- | --- |
//! | `list_for_each_entry(x, head, field)` | `for x in unsafe { clist_create!(head, T, field) }.iter()` |
//! | `list_for_each_entry_safe`, `_reverse`, `_rcu` | [`iter_safe`](CList::iter_safe), [`iter_reverse`](CList::iter_reverse), [`iter_rcu`](CList::iter_rcu) |
//! | `hlist_for_each_entry`, `_safe`, `_rcu` | the same of `chlist_create!` ([`CHlist`]) |
//! | `hlist_nulls_for_each_entry`, `_rcu` | the same of `chlist_nulls_create!` ([`CHlistNulls`]); `get_nulls_value` is [`end`](HlistNullsIter::end) |
//! | `list_add`, `list_del`, `list_empty`, … | functions of this module, by the same names |
//!
//! An iterator gives raw pointers, to structures that others may use at the same time. A [`List`](crate::list::List) is
//! for values of the patch's own.
//!
//! ```
//! # #[cfg(any())] mod with_a_kernel {
//! use klp_runtime::prelude::*;
//! use klp_runtime::sync::rcu;
//!
//! kernel_types! {
//!     struct task_struct { children, sibling, pid }
//! }
//!
//! unsafe fn is_parent_of(parent: *mut task_struct, pid: c_int) -> bool {
//!     let rcu = rcu::read_lock();
//!     // SAFETY: The caller keeps the parent; its children are linked by their siblings, and freed by RCU.
//!     let children = unsafe { clist_create!(&raw mut (*parent).children, task_struct, sibling) };
//!     // SAFETY: Until the read side ends, children stay.
//!     children.iter_rcu(&rcu).any(|child| unsafe { (*child).pid } == pid)
//! }
//! # }
//! ```

mod chlist;
mod clist;
mod nulls;

use core::ptr;

use crate::module::wrappers;
use crate::sync::{read_once, write_once};
use crate::types::{Is, hlist_head, hlist_node, list_head};

pub use chlist::{CHlist, HlistIter, HlistIterSafe};
pub use clist::{Backward, CList, Forward, Iter, IterSafe, Rcu, Way};
pub use nulls::{CHlistNulls, HlistNullsIter};

/// Makes a head an empty list, or an entry one that is in none (`INIT_LIST_HEAD`). Any context.
///
/// # Safety
///
/// `head` is memory for it, which nobody else writes to.
#[inline(always)]
pub unsafe fn init_list_head<H: Is<list_head>>(head: *mut H) {
    let head = head.cast::<list_head>();
    // SAFETY: The caller has the memory.
    unsafe {
        write_once(&raw mut (*head).next, head);
        write_once(&raw mut (*head).prev, head);
    }
}

/// Whether a list has no entry (`list_empty`). Any context.
///
/// # Safety
///
/// `head` is initialised.
#[inline(always)]
#[must_use]
pub unsafe fn list_empty<H: Is<list_head>>(head: *const H) -> bool {
    let head = head.cast::<list_head>();
    // SAFETY: The caller has the head.
    let next = unsafe { read_once(&raw const (*head).next) };
    ptr::eq(next, head)
}

macro_rules! adds {
    ($($(#[$docs:meta])* $name:ident($node:ty, $head:ty) = $wrapper:ident;)*) => {$(
        $(#[$docs])*
        ///
        /// # Safety
        ///
        /// `new` is in no list, and stays in memory as long as it is in this one. `head` is initialised, and the caller
        /// has what keeps others from changing the list.
        #[inline(always)]
        pub unsafe fn $name<N: Is<$node>, H: Is<$head>>(new: *mut N, head: *mut H) {
            // SAFETY: The caller has a new entry, and a list that it may change.
            unsafe { wrappers::$wrapper(new.cast(), head.cast()) }
        }
    )*};
}

adds! {
    /// Adds an entry as the first (`list_add`). Any context.
    list_add(list_head, list_head) = klp_glue_list_add;
    /// Adds an entry as the last (`list_add_tail`). Any context.
    list_add_tail(list_head, list_head) = klp_glue_list_add_tail;
    /// Adds an entry as the first, while others read the list by RCU (`list_add_rcu`). Any context.
    list_add_rcu(list_head, list_head) = klp_glue_list_add_rcu;
    /// Adds an entry as the last, while others read the list by RCU (`list_add_tail_rcu`). Any context.
    list_add_tail_rcu(list_head, list_head) = klp_glue_list_add_tail_rcu;
    /// Adds an entry as the first (`hlist_add_head`). Any context.
    hlist_add_head(hlist_node, hlist_head) = klp_glue_hlist_add_head;
    /// Adds an entry as the first, while others read the chain by RCU (`hlist_add_head_rcu`). Any context.
    hlist_add_head_rcu(hlist_node, hlist_head) = klp_glue_hlist_add_head_rcu;
}

macro_rules! dels {
    ($($(#[$docs:meta])* $name:ident($node:ty) = $wrapper:ident;)*) => {$(
        $(#[$docs])*
        ///
        /// # Safety
        ///
        /// `entry` is in a list, and the caller has what keeps others from changing it.
        #[inline(always)]
        pub unsafe fn $name<N: Is<$node>>(entry: *mut N) {
            // SAFETY: The caller has an entry of a list that it may change.
            unsafe { wrappers::$wrapper(entry.cast()) }
        }
    )*};
}

dels! {
    /// Takes an entry out (`list_del`); its links are poisoned. Any context.
    list_del(list_head) = klp_glue_list_del;
    /// Takes an entry out, which is in no list then (`list_del_init`). Any context.
    list_del_init(list_head) = klp_glue_list_del_init;
    /// Takes an entry out, while others read the list by RCU (`list_del_rcu`). It stays in memory until no read side
    /// that may have begun before is left. Any context.
    list_del_rcu(list_head) = klp_glue_list_del_rcu;
    /// Takes an entry out (`hlist_del`); its links are poisoned. Any context.
    hlist_del(hlist_node) = klp_glue_hlist_del;
    /// Takes an entry out, which is in no chain then; one that is in none stays so (`hlist_del_init`). Any context.
    hlist_del_init(hlist_node) = klp_glue_hlist_del_init;
    /// Takes an entry out, while others read the chain by RCU (`hlist_del_rcu`). It stays in memory until no read side
    /// that may have begun before is left. Any context.
    hlist_del_rcu(hlist_node) = klp_glue_hlist_del_rcu;
}
