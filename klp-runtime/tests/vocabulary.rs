//! What works on the kernel's own structures, on the host.

use std::mem::MaybeUninit;
use std::ptr;

use klp_runtime::alloc::Zeroable;
use klp_runtime::bits::{clear_bit, set_bit, test_and_clear_bit, test_and_set_bit, test_bit};
use klp_runtime::byteorder::{be32, get_unaligned, le16, put_unaligned};
use klp_runtime::interop::list::*;
use klp_runtime::jump_label::static_key_enabled;
use klp_runtime::prelude::*;
use klp_runtime::sync::{Refcount, atomic, rcu};
use klp_runtime::types::{
    atomic_t, callback_head, hlist_head, hlist_node, hlist_nulls_head, hlist_nulls_node, kref, list_head,
    refcount_struct, static_key,
};
use klp_runtime::uaccess::{UserPtr, UserSlice};

/// As a structure of the kernel.
#[repr(C)]
struct Entry {
    number: u32,
    link: list_head,
    hash: hlist_node,
}

fn entries() -> [Box<Entry>; 3] {
    // SAFETY: Null pointers and an integer.
    [1, 2, 3].map(|number| Box::new(Entry { number, ..unsafe { MaybeUninit::zeroed().assume_init() } }))
}

/// The numbers of entries.
///
/// # Safety
///
/// They are there.
unsafe fn numbers(entries: impl Iterator<Item = *mut Entry>) -> Vec<u32> {
    // SAFETY: The caller's word.
    entries.map(|entry| unsafe { (*entry).number }).collect()
}

#[test]
fn a_list_is_walked_both_ways_and_changed_meanwhile() {
    let mut entries = entries().map(Box::into_raw);
    let mut head = list_head { next: ptr::null_mut(), prev: ptr::null_mut() };
    let head = &raw mut head;
    // SAFETY: The head and the entries are here, and nobody else has them.
    unsafe {
        init_list_head(head);
        assert!(list_empty(head));
        let list = clist_create!(head, Entry, link);
        assert_eq!(list.iter().count() + list.iter_safe().count(), 0);
        let [one, two, three] = entries;
        list_add(&raw mut (*two).link, head);
        list_add(&raw mut (*one).link, head);
        list_add_tail_rcu(&raw mut (*three).link, head);
        assert_eq!(numbers(list.iter()), [1, 2, 3]);
        assert_eq!(numbers(list.iter_reverse()), [3, 2, 1]);
        assert_eq!(numbers(list.iter_rcu(&rcu::read_lock())), [1, 2, 3]);
        for entry in list.iter_safe().filter(|entry| (**entry).number != 2) {
            list_del(&raw mut (*entry).link);
        }
        assert_eq!(numbers(list.iter()), [2]);
        list_del_init(&raw mut (*two).link);
        assert!(list.is_empty() && list_empty(&raw const (*two).link));
        // What is added behind the one that was given is given, too.
        list_add(&raw mut (*one).link, head);
        let mut given = 0;
        for _ in list.iter() {
            given += 1;
            if given == 1 {
                list_add_tail(&raw mut (*three).link, head);
            }
        }
        assert_eq!(given, 2);
        entries.iter_mut().for_each(|entry| drop(Box::from_raw(*entry)));
    }
}

#[test]
fn a_chain_is_walked_and_changed_meanwhile() {
    let entries = entries().map(Box::into_raw);
    let mut head = hlist_head { first: ptr::null_mut() };
    let head = &raw mut head;
    // SAFETY: The head and the entries are here, and nobody else has them.
    unsafe {
        let chain = chlist_create!(head, Entry, hash);
        assert!(chain.is_empty());
        for entry in entries {
            hlist_add_head(&raw mut (*entry).hash, head);
        }
        assert_eq!(numbers(chain.iter()), [3, 2, 1]);
        hlist_del_rcu(&raw mut (*entries[1]).hash);
        assert_eq!(numbers(chain.iter_rcu(&rcu::read_lock())), [3, 1]);
        for entry in chain.iter_safe() {
            hlist_del_init(&raw mut (*entry).hash);
            hlist_del_init(&raw mut (*entry).hash);
        }
        assert!(chain.is_empty() && !list_is_linked(entries[0]));
        entries.into_iter().for_each(|entry| drop(Box::from_raw(entry)));
    }
}

#[test]
fn a_chain_tells_in_which_number_it_ended() {
    #[repr(C)]
    struct Moving {
        number: u32,
        node: hlist_nulls_node,
    }
    /// The end of a chain.
    fn end(number: usize) -> *mut hlist_nulls_node {
        ptr::without_provenance_mut(number << 1 | 1)
    }
    let moving = |number, next| Moving { number, node: hlist_nulls_node { next, pprev: ptr::null_mut() } };
    let mut last = moving(2, end(7));
    let mut first = moving(1, &raw mut last.node);
    let mut head = hlist_nulls_head { first: &raw mut first.node };
    // SAFETY: The head and the entries are here, and nobody else has them.
    unsafe {
        let chain = chlist_nulls_create!(&raw mut head, Moving, node);
        assert!(!chain.is_empty());
        let mut entries = chain.iter();
        assert_eq!(entries.end(), None);
        assert_eq!(entries.by_ref().map(|entry| (*entry).number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(entries.end(), Some(7));
        // It moves to another chain while it is read.
        let read = rcu::read_lock();
        let mut entries = chain.iter_rcu(&read);
        assert_eq!(entries.next().map(|entry| (*entry).number), Some(1));
        (&raw mut first.node.next).write_volatile(end(9));
        assert_eq!((entries.next(), entries.end()), (None, Some(9)));
        (&raw mut head.first).write_volatile(end(0));
        assert!(chain.is_empty());
        let mut none = chain.iter();
        assert_eq!((none.next(), none.end()), (None, Some(0)));
    }
}

/// # Safety
///
/// The entry is there.
unsafe fn list_is_linked(entry: *const Entry) -> bool {
    // SAFETY: The caller's word.
    unsafe { !(*entry).hash.pprev.is_null() }
}

#[test]
fn a_field_tells_what_it_is_in() {
    let [mut entry, ..] = entries();
    let link = &raw mut entry.hash.pprev;
    // SAFETY: A field of an entry.
    let found: *mut Entry = unsafe { container_of!(link, Entry, hash.pprev) };
    // SAFETY: A field of an entry.
    let constant: *const Entry = unsafe { container_of!(&raw const entry.link, Entry, link) };
    assert_eq!((found, constant), (&raw mut *entry, &raw const *entry));
}

#[test]
fn counts_of_references_saturate() {
    /// `REFCOUNT_SATURATED`.
    const SATURATED: i32 = i32::MIN / 2;
    let mut count = 1;
    // SAFETY: A `refcount_t`, and a `kref`, are an integer.
    let (refs, kref) = unsafe {
        let count = &raw mut count;
        (Refcount::from_raw(count.cast::<refcount_struct>()), Refcount::from_kref(count.cast::<kref>()))
    };
    refs.inc();
    assert!(kref.inc_not_zero());
    assert_eq!(refs.read(), 3);
    refs.dec();
    assert!(!refs.dec_and_test() && kref.dec_and_test());
    assert!(!refs.inc_not_zero());
    refs.inc();
    assert_eq!(refs.read(), SATURATED, "from 0");
    assert!(!refs.dec_and_test());
    assert_eq!(refs.read(), SATURATED, "it stays");
    refs.set(i32::MAX);
    refs.inc();
    assert_eq!(refs.read(), SATURATED, "it does not wrap");
    refs.set(1);
    refs.dec();
    assert_eq!(refs.read(), SATURATED, "the last reference is not given up without a test");
}

#[test]
fn bits_are_those_of_c() {
    let mut words: [c_ulong; 2] = [0; 2];
    let address = words.as_mut_ptr();
    // SAFETY: There are 128 bits.
    unsafe {
        set_bit(65, address);
        assert!(test_bit(65, address) && !test_bit(1, address));
        assert!(test_and_set_bit(65, address) && !test_and_set_bit(3, address));
        assert_eq!([*address, *address.add(1)], [8, 2]);
        clear_bit(65, address);
        assert!(test_and_clear_bit(3, address) && !test_and_clear_bit(3, address));
        assert_eq!([*address, *address.add(1)], [0, 0]);
    }
}

#[test]
fn integers_keep_their_byte_order() {
    assert_eq!(be32::from_cpu(1).raw().to_ne_bytes(), [0, 0, 0, 1]);
    assert_eq!(le16::from_raw(le16::from_cpu(0x102).raw()).to_cpu(), 0x102);
    let mut bytes = [0; 5];
    // SAFETY: There are four bytes.
    unsafe {
        put_unaligned(be32::from_cpu(0x0102_0304), bytes.as_mut_ptr().add(1));
        assert_eq!(get_unaligned::<be32>(bytes.as_ptr().add(1)).to_cpu(), 0x0102_0304);
    }
    assert_eq!(bytes, [0, 1, 2, 3, 4]);
}

#[test]
fn what_others_change_is_read_and_written_in_one_piece() {
    let (mut field, mut counter, mut key) = (ptr::null_mut::<u8>(), 3, 0);
    // SAFETY: The fields are here; an `atomic_t` is an integer, and a key starts with one.
    unsafe {
        write_once(&raw mut field, ptr::without_provenance_mut(8));
        assert_eq!(read_once(&raw const field).addr(), 8);
        let counter = atomic((&raw mut counter).cast::<atomic_t>());
        counter.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(counter.load(std::sync::atomic::Ordering::Relaxed), 5);
        let key = (&raw mut key).cast::<static_key>();
        for (enabled, is_enabled) in [(0, false), (1, true), (-1, true)] {
            key.cast::<i32>().write(enabled);
            assert_eq!(static_key_enabled(key), is_enabled);
        }
    }
}

#[test]
fn an_errno_in_place_of_a_pointer_is_an_error() {
    let mut value = 1;
    assert_eq!(from_err_ptr(&raw mut value), Ok(&raw mut value));
    let errno = |errno: isize| from_err_ptr(ptr::without_provenance_mut::<u8>(errno as usize));
    assert_eq!(errno(-1), Err(EPERM));
    assert_eq!(errno(-4095).map_err(Error::to_errno), Err(-4095));
    assert!(errno(-4096).is_ok() && errno(1).is_ok());
}

#[test]
fn a_slice_of_zeros_owns_its_memory() {
    #[repr(C)]
    struct Pair(u8, *const u8);
    // SAFETY: An integer and a raw pointer.
    unsafe impl Zeroable for Pair {}
    let mut slice = KBox::<[Pair]>::zeroed(7, GFP_KERNEL).unwrap();
    assert!(slice.iter().all(|pair| pair.0 == 0 && pair.1.is_null()) && slice.len() == 7);
    slice[6].0 = 1;
    let raw = slice.into_raw();
    // SAFETY: From `into_raw`, given back once.
    assert_eq!(unsafe { KBox::from_raw(raw) }[6].0, 1);
    assert_eq!(KVBox::<[u64]>::zeroed(usize::MAX / 8 + 1, GFP_KERNEL).map(drop), Err(ENOMEM));
    assert!(KVBox::<[u64]>::zeroed(0, GFP_KERNEL).unwrap().is_empty());
    assert_eq!(KVBox::<[u8]>::zeroed((4 << 20) + 1, GFP_KERNEL).map(|bytes| bytes.len()), Ok((4 << 20) + 1));
    assert_eq!(KBox::<[u8]>::zeroed((4 << 20) + 1, GFP_KERNEL).map(drop), Err(ENOMEM), "kmalloc would warn");
}

#[test]
fn memory_of_a_process_is_read_once_and_within_bounds() {
    let mut memory = [1_u8, 2, 3, 4, 5];
    let address = UserPtr::from_ptr(memory.as_mut_ptr());
    let slice = |len| UserSlice::new(address, len);
    let (mut reader, mut writer) = slice(5).reader_writer();
    assert_eq!(reader.read::<[u8; 2]>(), Ok([1, 2]));
    reader.skip(1).unwrap();
    assert_eq!(reader.len(), 2);
    assert_eq!(reader.read::<u32>(), Err(EFAULT));
    assert_eq!(reader.skip(3), Err(EFAULT));
    assert_eq!(reader.read::<u8>(), Ok(4));
    writer.write(&7_u8).unwrap();
    writer.write_slice(&[8, 9]).unwrap();
    assert_eq!(writer.write(&0_u32), Err(EFAULT));
    assert!(!writer.is_empty());
    assert_eq!(slice(4).read_all(GFP_KERNEL).unwrap()[..], [7, 8, 9, 4]);
}

#[test]
fn a_string_of_a_process_ends_with_a_nul() {
    let memory = *b"name\0rest";
    let reader = |len| UserSlice::new(UserPtr::from_addr(memory.as_ptr() as usize), len).reader();
    let mut buffer = [b'x'; 8];
    assert_eq!(reader(10).strcpy_into_buf(&mut buffer), Ok(c"name"));
    assert_eq!(reader(10).strcpy_into_buf(&mut buffer[..5]), Ok(c"name"));
    assert_eq!(reader(10).strcpy_into_buf(&mut buffer[..3]), Ok(c"na"), "it is cut");
    assert_eq!(reader(3).strcpy_into_buf(&mut buffer[..3]), Ok(c"na"), "it is cut");
    assert_eq!(reader(3).strcpy_into_buf(&mut buffer), Err(EFAULT), "the bytes end first");
    assert_eq!(reader(3).strcpy_into_buf(&mut []), Err(EINVAL));
}

#[test]
fn an_object_is_freed_when_nobody_reads_it_any_more() {
    #[repr(C)]
    struct Object {
        number: u64,
        head: [u64; 2],
    }
    let object = KBox::new(Object { number: 5, head: [0; 2] }, GFP_KERNEL).unwrap().into_raw();
    let read = rcu::read_lock();
    // SAFETY: The object is from `kmalloc`, this is its only reader, and two words are an `rcu_head`.
    unsafe {
        rcu::kfree_rcu((&raw mut (*object).head).cast::<callback_head>(), object);
        assert_eq!((*object).number, 5);
    }
    drop(read);
}

#[test]
fn several_references_at_once() {
    let mut count = 1;
    // SAFETY: A `refcount_t` is an integer.
    let refs = unsafe { Refcount::from_raw((&raw mut count).cast::<refcount_struct>()) };
    refs.add(4);
    assert!(!refs.sub_and_test(2) && refs.sub_and_test(3));
    refs.set(2);
    assert!(!refs.sub_and_test(3));
    assert_eq!(refs.read(), i32::MIN / 2, "more were given up than there were");
}
