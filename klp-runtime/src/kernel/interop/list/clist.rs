//! Lists of `struct list_head`.

use core::iter::FusedIterator;
use core::marker::PhantomData;

use super::list_empty;
use crate::sync::{rcu, read_once};
use crate::types::{Is, list_head};

/// A list of the kernel as `clist_create!(head, T, field)` makes it: structures `T`, linked by a `list_head` each, at an
/// offset. Copying it copies no list.
pub struct CList<T, const OFFSET: usize> {
    head: *mut list_head,
    entries: PhantomData<*mut T>,
}

/// The list of structures that are linked to a head by a field: `clist_create!(head, Structure, field)` is a
/// [`CList`](crate::interop::list::CList). A pointer to anything but a `list_head` does not compile, nor another field.
///
/// It must stand in an `unsafe` block: see [`CList::from_raw`](crate::interop::list::CList::from_raw).
#[macro_export]
macro_rules! clist_create {
    ($head:expr, $structure:ty, $($field:tt)+) => {{
        let list = $crate::interop::list::CList::<$structure, {
            ::core::mem::offset_of!($structure, $($field)+)
        }>::from_raw($head);
        list.assert_field(|entry: *mut $structure| &raw mut (*entry).$($field)+);
        list
    }};
}

impl<T, const OFFSET: usize> CList<T, OFFSET> {
    /// The list with this head; behind [`clist_create!`](crate::clist_create).
    ///
    /// # Safety
    ///
    /// The head is initialised, and each entry of the list is a `list_head` at this offset of a `T`. As long as the list
    /// or an iterator is used, no one else changes it: the caller has what protects it; for
    /// [`iter_rcu`](Self::iter_rcu), others change it by RCU alone.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_raw<H: Is<list_head>>(head: *mut H) -> Self {
        Self { head: head.cast(), entries: PhantomData }
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn assert_field<N: Is<list_head>>(&self, _field: fn(*mut T) -> *mut N) {}

    /// Whether it has no entry (`list_empty`).
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // SAFETY: Who made it has the head.
        unsafe { list_empty(self.head) }
    }

    /// The entries, from the first on (`list_for_each_entry`). The entry that was given last stays in the list until the
    /// next one is asked for.
    #[inline(always)]
    #[must_use]
    pub fn iter(&self) -> Iter<'static, T, OFFSET, Forward> {
        Iter::new(self.head)
    }

    /// The entries, from the last on (`list_for_each_entry_reverse`); else as [`iter`](Self::iter).
    #[inline(always)]
    #[must_use]
    pub fn iter_reverse(&self) -> Iter<'static, T, OFFSET, Backward> {
        Iter::new(self.head)
    }

    /// The entries, each of which the caller may take out and free once it is given (`list_for_each_entry_safe`).
    #[inline(always)]
    #[must_use]
    pub fn iter_safe(&self) -> IterSafe<T, OFFSET> {
        // SAFETY: Who made it has the head.
        IterSafe { head: self.head, next: unsafe { (*self.head).next }, entries: PhantomData }
    }

    /// The entries, while others change the list by RCU (`list_for_each_entry_rcu`).
    #[inline(always)]
    #[must_use]
    pub fn iter_rcu<'a>(&self, _read: &'a rcu::Guard) -> Iter<'a, T, OFFSET, Rcu> {
        Iter::new(self.head)
    }
}

/// Which link an iterator follows.
pub trait Way: sealed::Way {}

mod sealed {
    use super::list_head;

    /// As the public one.
    pub trait Way {
        /// The entry behind, on this way.
        ///
        /// # Safety
        ///
        /// `node` is of a list.
        unsafe fn step(node: *mut list_head) -> *mut list_head;
    }
}

macro_rules! ways {
    ($($(#[$docs:meta])* $name:ident = |$node:ident| $step:expr;)*) => {$(
        $(#[$docs])*
        #[derive(Debug)]
        pub enum $name {}

        impl Way for $name {}

        impl sealed::Way for $name {
            #[inline(always)]
            unsafe fn step($node: *mut list_head) -> *mut list_head {
                // SAFETY: The caller has an entry of a list.
                unsafe { $step }
            }
        }
    )*};
}

ways! {
    /// From the first entry on.
    Forward = |node| (*node).next;
    /// From the last entry on.
    Backward = |node| (*node).prev;
    /// From the first entry on, while others change the list by RCU.
    Rcu = |node| read_once(&raw const (*node).next);
}

/// The entries of a [`CList`].
pub struct Iter<'a, T, const OFFSET: usize, W: Way> {
    head: *mut list_head,
    /// What was given last.
    last: *mut list_head,
    entries: PhantomData<(*mut T, &'a rcu::Guard, W)>,
}

impl<T, const OFFSET: usize, W: Way> Iter<'_, T, OFFSET, W> {
    #[inline(always)]
    fn new(head: *mut list_head) -> Self {
        Self { head, last: head, entries: PhantomData }
    }
}

impl<T, const OFFSET: usize, W: Way> Iterator for Iter<'_, T, OFFSET, W> {
    type Item = *mut T;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut T> {
        // SAFETY: Who made the list keeps the entries in it, among them the last one.
        let node = unsafe { W::step(self.last) };
        if node == self.head {
            return None;
        }
        self.last = node;
        // SAFETY: An entry is at this offset of a `T`.
        Some(unsafe { node.byte_sub(OFFSET) }.cast())
    }
}

/// The entries of a [`CList`], of which each may be taken out once it is given.
pub struct IterSafe<T, const OFFSET: usize> {
    head: *mut list_head,
    next: *mut list_head,
    entries: PhantomData<*mut T>,
}

impl<T, const OFFSET: usize> Iterator for IterSafe<T, OFFSET> {
    type Item = *mut T;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut T> {
        let node = self.next;
        if node == self.head {
            return None;
        }
        // SAFETY: Who made the list keeps the next entry in it.
        self.next = unsafe { (*node).next };
        // SAFETY: An entry is at this offset of a `T`.
        Some(unsafe { node.byte_sub(OFFSET) }.cast())
    }
}

impl<T, const OFFSET: usize> FusedIterator for IterSafe<T, OFFSET> {}
