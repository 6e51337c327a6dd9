//! The kernel's lists, as the host has them: nobody else is there, so RCU changes nothing.

use core::ptr;

use crate::types::{hlist_head, hlist_node, list_head};

/// # Safety
///
/// As the kernel's `list_add`.
pub(crate) unsafe fn klp_glue_list_add(new: *mut list_head, head: *mut list_head) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        let next = (*head).next;
        (*new).next = next;
        (*new).prev = head;
        (*next).prev = new;
        (*head).next = new;
    }
}

/// # Safety
///
/// As the kernel's `list_add_tail`.
pub(crate) unsafe fn klp_glue_list_add_tail(new: *mut list_head, head: *mut list_head) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        // Behind the last one is before the head.
        klp_glue_list_add(new, (*head).prev);
    }
}

/// # Safety
///
/// As the kernel's `list_del`.
pub(crate) unsafe fn klp_glue_list_del(entry: *mut list_head) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        let list_head { next, prev } = *entry;
        (*next).prev = prev;
        (*prev).next = next;
        *entry = list_head { next: ptr::null_mut(), prev: ptr::null_mut() };
    }
}

/// # Safety
///
/// As the kernel's `list_del_init`.
pub(crate) unsafe fn klp_glue_list_del_init(entry: *mut list_head) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        klp_glue_list_del(entry);
        *entry = list_head { next: entry, prev: entry };
    }
}

/// # Safety
///
/// As the kernel's `list_del_rcu`.
pub(crate) unsafe fn klp_glue_list_del_rcu(entry: *mut list_head) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        // Who reads it goes on behind it.
        let next = (*entry).next;
        klp_glue_list_del(entry);
        (*entry).next = next;
    }
}

/// # Safety
///
/// As the kernel's `hlist_add_head`.
pub(crate) unsafe fn klp_glue_hlist_add_head(new: *mut hlist_node, head: *mut hlist_head) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        let first = (*head).first;
        (*new).next = first;
        (*new).pprev = &raw mut (*head).first;
        if !first.is_null() {
            (*first).pprev = &raw mut (*new).next;
        }
        (*head).first = new;
    }
}

/// # Safety
///
/// As the kernel's `hlist_del_rcu`.
pub(crate) unsafe fn klp_glue_hlist_del_rcu(entry: *mut hlist_node) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        let hlist_node { next, pprev } = *entry;
        *pprev = next;
        if !next.is_null() {
            (*next).pprev = pprev;
        }
        // Who reads it goes on behind it.
        (*entry).pprev = ptr::null_mut();
    }
}

/// # Safety
///
/// As the kernel's `hlist_del_init`.
pub(crate) unsafe fn klp_glue_hlist_del_init(entry: *mut hlist_node) {
    // SAFETY: The caller has a list that it may change.
    unsafe {
        if !(*entry).pprev.is_null() {
            klp_glue_hlist_del_rcu(entry);
            (*entry).next = ptr::null_mut();
        }
    }
}

pub(crate) use {
    klp_glue_hlist_add_head as klp_glue_hlist_add_head_rcu, klp_glue_hlist_del_init as klp_glue_hlist_del,
    klp_glue_list_add as klp_glue_list_add_rcu, klp_glue_list_add_tail as klp_glue_list_add_tail_rcu,
};
