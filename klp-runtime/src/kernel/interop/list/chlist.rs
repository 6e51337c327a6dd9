//! Chains of `struct hlist_node`.

use core::marker::PhantomData;

use crate::sync::{rcu, read_once};
use crate::types::{Is, hlist_head, hlist_node};

/// A chain of the kernel, as its hash tables have them; `chlist_create!(head, T, field)` makes it: structures `T`,
/// linked by an `hlist_node` each, at an offset. Copying it copies no chain.
pub struct CHlist<T, const OFFSET: usize> {
    head: *mut hlist_head,
    entries: PhantomData<*mut T>,
}

/// The chain of structures that are linked to a head by a field: `chlist_create!(head, Structure, field)` is a
/// [`CHlist`](crate::interop::list::CHlist). A pointer to anything but an `hlist_head` does not compile, nor another
/// field.
///
/// It must stand in an `unsafe` block: see [`CHlist::from_raw`](crate::interop::list::CHlist::from_raw).
#[macro_export]
macro_rules! chlist_create {
    ($head:expr, $structure:ty, $($field:tt)+) => {{
        let list = $crate::interop::list::CHlist::<$structure, {
            ::core::mem::offset_of!($structure, $($field)+)
        }>::from_raw($head);
        list.assert_field(|entry: *mut $structure| &raw mut (*entry).$($field)+);
        list
    }};
}

impl<T, const OFFSET: usize> CHlist<T, OFFSET> {
    /// The chain with this head; behind [`chlist_create!`](crate::chlist_create).
    ///
    /// # Safety
    ///
    /// As for [`CList::from_raw`](super::CList::from_raw), with an `hlist_node` in each `T`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_raw<H: Is<hlist_head>>(head: *mut H) -> Self {
        Self { head: head.cast(), entries: PhantomData }
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn assert_field<N: Is<hlist_node>>(&self, _field: fn(*mut T) -> *mut N) {}

    /// Whether it has no entry (`hlist_empty`).
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // SAFETY: Who made it has the head.
        unsafe { read_once(&raw const (*self.head).first) }.is_null()
    }

    /// The entries (`hlist_for_each_entry`). The entry that was given last stays in the chain until the next one is
    /// asked for.
    #[inline(always)]
    #[must_use]
    pub fn iter(&self) -> HlistIter<'static, T, OFFSET, false> {
        // SAFETY: Who made it has the head, which is laid out as the link of a node.
        HlistIter { link: unsafe { &raw const (*self.head).first }, entries: PhantomData }
    }

    /// The entries, each of which the caller may take out and free once it is given (`hlist_for_each_entry_safe`).
    #[inline(always)]
    #[must_use]
    pub fn iter_safe(&self) -> HlistIterSafe<T, OFFSET> {
        // SAFETY: Who made it has the head.
        HlistIterSafe { next: unsafe { (*self.head).first }, entries: PhantomData }
    }

    /// The entries, while others change the chain by RCU (`hlist_for_each_entry_rcu`).
    #[inline(always)]
    #[must_use]
    pub fn iter_rcu<'a>(&self, _read: &'a rcu::Guard) -> HlistIter<'a, T, OFFSET, true> {
        // SAFETY: Who made it has the head.
        HlistIter { link: unsafe { &raw const (*self.head).first }, entries: PhantomData }
    }
}

/// The entries of a [`CHlist`]; `RCU` where others change it at the same time.
pub struct HlistIter<'a, T, const OFFSET: usize, const RCU: bool> {
    /// The link to the next entry, in what was given last or the head.
    link: *const *mut hlist_node,
    entries: PhantomData<(*mut T, &'a rcu::Guard)>,
}

impl<T, const OFFSET: usize, const RCU: bool> Iterator for HlistIter<'_, T, OFFSET, RCU> {
    type Item = *mut T;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut T> {
        // SAFETY: Who made the chain keeps the entries in it, among them the last one.
        let node = unsafe { if RCU { read_once(self.link) } else { *self.link } };
        if node.is_null() {
            return None;
        }
        // SAFETY: An entry of the chain.
        self.link = unsafe { &raw const (*node).next };
        // SAFETY: An entry is at this offset of a `T`.
        Some(unsafe { node.byte_sub(OFFSET) }.cast())
    }
}

/// The entries of a [`CHlist`], of which each may be taken out once it is given.
pub struct HlistIterSafe<T, const OFFSET: usize> {
    next: *mut hlist_node,
    entries: PhantomData<*mut T>,
}

impl<T, const OFFSET: usize> Iterator for HlistIterSafe<T, OFFSET> {
    type Item = *mut T;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut T> {
        let node = self.next;
        if node.is_null() {
            return None;
        }
        // SAFETY: An entry of the chain.
        self.next = unsafe { (*node).next };
        // SAFETY: An entry is at this offset of a `T`.
        Some(unsafe { node.byte_sub(OFFSET) }.cast())
    }
}
