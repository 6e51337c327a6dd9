//! Chains of `struct hlist_nulls_node`.

use core::marker::PhantomData;

use crate::sync::{rcu, read_once};
use crate::types::{Is, hlist_nulls_head, hlist_nulls_node};

/// A chain of the kernel that ends in a number, as hash tables have them whose entries may move to another chain while
/// others read: `chlist_nulls_create!(head, T, field)` makes it: structures `T`, linked by an `hlist_nulls_node` each, at
/// an offset. Copying it copies no chain.
pub struct CHlistNulls<T, const OFFSET: usize> {
    head: *mut hlist_nulls_head,
    entries: PhantomData<*mut T>,
}

/// The chain of structures that are linked to a head by a field: `chlist_nulls_create!(head, Structure, field)` is a
/// [`CHlistNulls`](crate::interop::list::CHlistNulls). A pointer to anything but an `hlist_nulls_head` does not compile,
/// nor another field.
///
/// It must stand in an `unsafe` block: see [`CHlistNulls::from_raw`](crate::interop::list::CHlistNulls::from_raw).
#[macro_export]
macro_rules! chlist_nulls_create {
    ($head:expr, $structure:ty, $($field:tt)+) => {{
        let list = $crate::interop::list::CHlistNulls::<$structure, {
            ::core::mem::offset_of!($structure, $($field)+)
        }>::from_raw($head);
        list.assert_field(|entry: *mut $structure| &raw mut (*entry).$($field)+);
        list
    }};
}

impl<T, const OFFSET: usize> CHlistNulls<T, OFFSET> {
    /// The chain with this head; behind [`chlist_nulls_create!`](crate::chlist_nulls_create).
    ///
    /// # Safety
    ///
    /// As for [`CList::from_raw`](super::CList::from_raw), with an `hlist_nulls_node` in each `T`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_raw<H: Is<hlist_nulls_head>>(head: *mut H) -> Self {
        Self { head: head.cast(), entries: PhantomData }
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn assert_field<N: Is<hlist_nulls_node>>(&self, _field: fn(*mut T) -> *mut N) {}

    /// Whether it has no entry (`hlist_nulls_empty`).
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // SAFETY: Who made it has the head.
        number(unsafe { read_once(&raw const (*self.head).first) }).is_some()
    }

    /// The entries (`hlist_nulls_for_each_entry`). The entry that was given last stays in the chain until the next one is
    /// asked for.
    #[inline(always)]
    #[must_use]
    pub fn iter(&self) -> HlistNullsIter<'static, T, OFFSET, false> {
        // SAFETY: Who made it has the head, which is laid out as the link of a node.
        HlistNullsIter { link: unsafe { &raw const (*self.head).first }, end: None, entries: PhantomData }
    }

    /// The entries, while others change the chain by RCU (`hlist_nulls_for_each_entry_rcu`).
    ///
    /// An entry may be freed and used anew in another chain meanwhile: take a reference to it, then compare its key
    /// again. Where none was found, [`HlistNullsIter::end`] tells whether it was this chain that was read to its end.
    #[inline(always)]
    #[must_use]
    pub fn iter_rcu<'a>(&self, _read: &'a rcu::Guard) -> HlistNullsIter<'a, T, OFFSET, true> {
        // SAFETY: Who made it has the head.
        HlistNullsIter { link: unsafe { &raw const (*self.head).first }, end: None, entries: PhantomData }
    }
}

/// The number that a link is, unless it is to an entry (`is_a_nulls`, `get_nulls_value`).
#[inline(always)]
fn number(link: *mut hlist_nulls_node) -> Option<usize> {
    let address = link.addr();
    (address & 1 == 1).then_some(address >> 1)
}

/// The entries of a [`CHlistNulls`]; `RCU` where others change it at the same time.
pub struct HlistNullsIter<'a, T, const OFFSET: usize, const RCU: bool> {
    /// The link to the next entry, in what was given last or the head.
    link: *const *mut hlist_nulls_node,
    end: Option<usize>,
    entries: PhantomData<(*mut T, &'a rcu::Guard)>,
}

impl<T, const OFFSET: usize, const RCU: bool> HlistNullsIter<'_, T, OFFSET, RCU> {
    /// The number in which the chain ended (`get_nulls_value`); `None` as long as there may be another entry.
    ///
    /// In a hash table it is the number of the chain. Where it is another one, an entry has moved to that chain while it
    /// was read, and what was looked for may be in the rest of the first: begin again.
    #[inline(always)]
    #[must_use]
    pub fn end(&self) -> Option<usize> {
        self.end
    }
}

impl<T, const OFFSET: usize, const RCU: bool> Iterator for HlistNullsIter<'_, T, OFFSET, RCU> {
    type Item = *mut T;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut T> {
        // SAFETY: Who made the chain keeps the entries in it, among them the last one.
        let node = unsafe { if RCU { read_once(self.link) } else { *self.link } };
        self.end = number(node);
        if self.end.is_some() {
            return None;
        }
        // SAFETY: An entry of the chain.
        self.link = unsafe { &raw const (*node).next };
        // SAFETY: An entry is at this offset of a `T`.
        Some(unsafe { node.byte_sub(OFFSET) }.cast())
    }
}
