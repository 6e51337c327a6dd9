//! Shadow variables by the kernel's own API, on the host.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use klp_runtime::prelude::*;
use klp_runtime::shadow::raw;

const ONE: raw::Id = raw::Id::new(0x1234).unwrap();
const TWO: raw::Id = raw::Id::new(0x1235).unwrap();

/// A constructor of a variable that holds a number.
fn number(number: u32) -> impl FnOnce(NonNull<c_void>) -> Result {
    // SAFETY: Each variable of these tests has four bytes.
    move |data| unsafe {
        data.cast::<u32>().write(number);
        Ok(())
    }
}

fn found(obj: *const c_void, id: raw::Id) -> Option<u32> {
    // SAFETY: Each variable of these tests has four bytes.
    raw::get(obj, id).map(|data| unsafe { data.cast::<u32>().read() })
}

#[test]
fn reserved_ids_are_refused() {
    assert_eq!(raw::Id::new(1 << 63), None);
    assert_eq!(raw::Id::new(u64::MAX), None);
    assert_eq!(raw::Id::new((1 << 63) - 1).map(raw::Id::get), Some((1 << 63) - 1));
    assert_eq!(raw::Id::new(0).map(raw::Id::get), Some(0), "C patches may use it");
}

#[test]
fn variables_are_found_by_object_and_id() {
    let object = Cell::new(0);
    let (object, null) = (ptr::from_ref(&object).cast(), ptr::null());
    assert_eq!(found(object, ONE), None);
    // SAFETY: The variables are this test's alone.
    unsafe {
        raw::alloc(object, ONE, 4, GFP_KERNEL, number(1)).unwrap();
        raw::alloc(object, TWO, 4, GFP_ATOMIC, number(2)).unwrap();
        raw::alloc(null, ONE, 4, GFP_KERNEL, |_| Ok(())).unwrap();
        assert_eq!(raw::alloc(object, ONE, 4, GFP_KERNEL, number(3)).err(), Some(EEXIST));
        raw::get_or_alloc(object, ONE, 4, GFP_KERNEL, |_| Err(ENODEV)).unwrap();
    }
    assert_eq!((found(object, ONE), found(object, TWO)), (Some(1), Some(2)));
    assert_eq!((found(null, ONE), found(null, TWO)), (Some(0), None), "zeroed");
    // SAFETY: The variables are this test's alone.
    unsafe { raw::free(object, ONE, None) };
    assert_eq!((found(object, ONE), found(object, TWO), found(null, ONE)), (None, Some(2), Some(0)));
    // SAFETY: The variables are this test's alone.
    unsafe {
        raw::free_all(ONE, None);
        raw::free_all(TWO, None);
    }
    assert_eq!((found(object, TWO), found(null, ONE)), (None, None));
}

#[test]
fn a_size_that_the_kernel_has_no_room_for_is_refused() {
    let object = ptr::dangling();
    for size in [usize::MAX, usize::MAX - 47, usize::MAX - 39, (4 << 20) - 47, isize::MAX as usize] {
        // SAFETY: The variables are this test's alone.
        let made = unsafe { raw::alloc(object, ONE, size, GFP_KERNEL, |_| Ok(())) };
        assert_eq!(made.err(), Some(ENOMEM), "{size:#x}");
    }
    assert_eq!(raw::get(object, ONE), None);
}

#[test]
fn a_constructor_that_fails_leaves_nothing() {
    let object = ptr::dangling();
    // SAFETY: The variables are this test's alone.
    unsafe {
        assert_eq!(raw::alloc(object, ONE, 4, GFP_KERNEL, |_| Err(EBUSY)).err(), Some(EBUSY));
        assert_eq!(raw::get_or_alloc(object, ONE, 4, GFP_KERNEL, |_| Err(EPERM)).err(), Some(EPERM));
    }
    assert_eq!(found(object, ONE), None);
}

#[test]
fn a_destructor_gets_the_object_and_its_data() {
    std::thread_local! {
        static FREED: Cell<(usize, u32)> = const { Cell::new((0, 0)) };
    }
    unsafe extern "C" fn destroy(obj: *mut c_void, data: *mut c_void) {
        // SAFETY: Each variable of these tests has four bytes.
        FREED.set((obj as usize, unsafe { data.cast::<u32>().read() }));
    }
    let object = ptr::without_provenance(8);
    // SAFETY: The variables are this test's alone.
    unsafe {
        raw::alloc(object, ONE, 4, GFP_KERNEL, number(7)).unwrap();
        raw::free(object, ONE, Some(destroy));
        assert_eq!(FREED.replace((0, 0)), (8, 7));
        raw::free(object, ONE, Some(destroy));
        assert_eq!(FREED.replace((0, 0)), (0, 0), "there is none");
        raw::alloc(object, ONE, 4, GFP_KERNEL, number(9)).unwrap();
        raw::free_all(ONE, Some(destroy));
        assert_eq!(FREED.get(), (8, 9));
    }
}
