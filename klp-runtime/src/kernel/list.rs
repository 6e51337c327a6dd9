//! A list that owns its values.

use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::alloc::{Gfp, KBox};
use crate::error::Result;

/// A doubly linked list of values, each in memory of its own from `kmalloc`.
///
/// A list in a `static` must be in a [`Mutex`](crate::sync::Mutex). A static is never dropped: values that are in the
/// list when the module is unloaded are leaked, unless [`clear`](Self::clear) is called before.
///
/// ```
/// use klp_runtime::prelude::*;
/// use klp_runtime::list::List;
/// use klp_runtime::sync::Mutex;
///
/// static SEEN: Mutex<List<c_int>> = Mutex::new(List::new());
///
/// fn see(pid: c_int) -> Result {
///     SEEN.lock().push_back(pid, GFP_KERNEL)
/// }
///
/// see(1)?;
/// see(7)?;
/// assert!(SEEN.lock().iter().eq(&[1, 7]));
/// SEEN.lock().clear();
/// # Ok::<(), Error>(())
/// ```
pub struct List<T> {
    ends: Option<Ends<T>>,
    owns: PhantomData<KBox<Node<T>>>,
}

/// The first and the last node: one and the same where there is one.
struct Ends<T> {
    first: NonNull<Node<T>>,
    last: NonNull<Node<T>>,
}

struct Node<T> {
    next: Option<NonNull<Node<T>>>,
    previous: Option<NonNull<Node<T>>>,
    value: T,
}

// SAFETY: A list owns its values.
unsafe impl<T: Send> Send for List<T> {}
// SAFETY: A shared list gives shared references to its values, and changes nothing.
unsafe impl<T: Sync> Sync for List<T> {}

impl<T> List<T> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { ends: None, owns: PhantomData }
    }

    /// Whether the list has no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Adds a value at the front.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the value is dropped.
    pub fn push_front(&mut self, value: T, gfp: Gfp) -> Result {
        let next = self.ends.as_ref().map(|ends| ends.first);
        let node = new_node(Node { next, previous: None, value }, gfp)?;
        match &mut self.ends {
            Some(ends) => {
                // SAFETY: A node of this list, which is borrowed for writing.
                unsafe { ends.first.as_mut().previous = Some(node) };
                ends.first = node;
            }
            None => self.ends = Some(Ends { first: node, last: node }),
        }
        Ok(())
    }

    /// Adds a value at the back.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the value is dropped.
    pub fn push_back(&mut self, value: T, gfp: Gfp) -> Result {
        let previous = self.ends.as_ref().map(|ends| ends.last);
        let node = new_node(Node { next: None, previous, value }, gfp)?;
        match &mut self.ends {
            Some(ends) => {
                // SAFETY: A node of this list, which is borrowed for writing.
                unsafe { ends.last.as_mut().next = Some(node) };
                ends.last = node;
            }
            None => self.ends = Some(Ends { first: node, last: node }),
        }
        Ok(())
    }

    /// Takes the first value out.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.ends.as_ref()?.first;
        // SAFETY: A node of this list.
        Some(unsafe { self.take(first) })
    }

    /// Takes the last value out.
    pub fn pop_back(&mut self) -> Option<T> {
        let last = self.ends.as_ref()?.last;
        // SAFETY: A node of this list.
        Some(unsafe { self.take(last) })
    }

    /// Drops the values for which `keep` returns false. It is called once for each value, from the first on.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut next = self.ends.as_ref().map(|ends| ends.first);
        while let Some(mut node) = next {
            // SAFETY: A node of this list, which is borrowed for writing; it is not used once it is taken out.
            unsafe {
                next = node.as_ref().next;
                if !keep(&mut node.as_mut().value) {
                    drop(self.take(node));
                }
            }
        }
    }

    /// Drops all values.
    pub fn clear(&mut self) {
        while self.pop_front().is_some() {}
    }

    /// The values, from the first on; from the last on with `rev`.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { rest: self.rest(), list: PhantomData }
    }

    /// The values, to be changed.
    #[must_use]
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        IterMut { rest: self.rest(), list: PhantomData }
    }

    fn rest(&self) -> Rest<T> {
        Rest(self.ends.as_ref().map(|ends| Ends { first: ends.first, last: ends.last }))
    }

    /// Takes a node out of the list and frees it.
    ///
    /// # Safety
    ///
    /// It is one of this list.
    unsafe fn take(&mut self, node: NonNull<Node<T>>) -> T {
        // SAFETY: Each node is from `new_node`, and is given back once, here.
        let node = unsafe { KBox::from_raw(node.as_ptr()) };
        match (node.previous, node.next, &mut self.ends) {
            // SAFETY: Neighbours of a node of this list are nodes of it, and the list is borrowed for writing.
            (Some(mut previous), Some(mut next), _) => unsafe {
                previous.as_mut().next = Some(next);
                next.as_mut().previous = Some(previous);
            },
            // SAFETY: The node before is of this list, too.
            (Some(mut previous), None, Some(ends)) => unsafe {
                previous.as_mut().next = None;
                ends.last = previous;
            },
            // SAFETY: The node behind is of this list, too.
            (None, Some(mut next), Some(ends)) => unsafe {
                next.as_mut().previous = None;
                ends.first = next;
            },
            _ => self.ends = None,
        }
        KBox::into_inner(node).value
    }
}

fn new_node<T>(node: Node<T>, gfp: Gfp) -> Result<NonNull<Node<T>>> {
    let node = KBox::new(node, gfp)?.into_raw();
    // SAFETY: `into_raw` gives no null pointer.
    Ok(unsafe { NonNull::new_unchecked(node) })
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// The nodes that an iterator has yet to give.
struct Rest<T>(Option<Ends<T>>);

impl<T> Rest<T> {
    /// The next node from the front.
    ///
    /// # Safety
    ///
    /// The list is borrowed, by the iterator alone if that changes values.
    unsafe fn next(&mut self) -> Option<NonNull<Node<T>>> {
        let ends = self.0.as_mut()?;
        let node = ends.first;
        // SAFETY: While the list is borrowed its nodes stay.
        match unsafe { node.as_ref().next } {
            Some(next) if node != ends.last => ends.first = next,
            _ => self.0 = None,
        }
        Some(node)
    }

    /// The next node from the back.
    ///
    /// # Safety
    ///
    /// As for [`next`](Self::next).
    unsafe fn next_back(&mut self) -> Option<NonNull<Node<T>>> {
        let ends = self.0.as_mut()?;
        let node = ends.last;
        // SAFETY: While the list is borrowed its nodes stay.
        match unsafe { node.as_ref().previous } {
            Some(previous) if node != ends.first => ends.last = previous,
            _ => self.0 = None,
        }
        Some(node)
    }
}

/// The values of a [`List`].
pub struct Iter<'a, T> {
    rest: Rest<T>,
    list: PhantomData<&'a List<T>>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        // SAFETY: The list is borrowed for 'a.
        unsafe { self.rest.next().map(|node| &(*node.as_ptr()).value) }
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        // SAFETY: The list is borrowed for 'a.
        unsafe { self.rest.next_back().map(|node| &(*node.as_ptr()).value) }
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// The values of a [`List`], to be changed.
pub struct IterMut<'a, T> {
    rest: Rest<T>,
    list: PhantomData<&'a mut List<T>>,
}

impl<'a, T> Iterator for IterMut<'a, T> {
    type Item = &'a mut T;

    fn next(&mut self) -> Option<&'a mut T> {
        // SAFETY: The list is borrowed for 'a by this alone, and each node is given once.
        unsafe { self.rest.next().map(|node| &mut (*node.as_ptr()).value) }
    }
}

impl<T> DoubleEndedIterator for IterMut<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        // SAFETY: The list is borrowed for 'a by this alone, and each node is given once.
        unsafe { self.rest.next_back().map(|node| &mut (*node.as_ptr()).value) }
    }
}

impl<T> FusedIterator for IterMut<'_, T> {}

impl<T> fmt::Debug for IterMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterMut").finish_non_exhaustive()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut List<T> {
    type Item = &'a mut T;
    type IntoIter = IterMut<'a, T>;

    fn into_iter(self) -> IterMut<'a, T> {
        self.iter_mut()
    }
}
