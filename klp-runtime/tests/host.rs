//! The runtime's helpers on the host, as a patch crate's own tests see them.

use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use klp_runtime::layout::Fingerprint;
use klp_runtime::prelude::*;

#[test]
fn a_box_drops_its_value_once() {
    let counted = Rc::new(());
    let boxed = KBox::new(Rc::clone(&counted), GFP_KERNEL).unwrap();
    assert_eq!(Rc::strong_count(&counted), 2);
    let raw = boxed.into_raw();
    assert_eq!(Rc::strong_count(&counted), 2, "given up, not dropped");
    // SAFETY: From `into_raw`, given back once.
    drop(unsafe { KBox::from_raw(raw) });
    assert_eq!(Rc::strong_count(&counted), 1);
}

#[test]
fn a_box_holds_what_has_no_size_and_can_be_changed() {
    let mut number = KBox::new(7_u64, GFP_ATOMIC).unwrap();
    *number += 1;
    assert_eq!(*number, 8);
    drop(KBox::new((), GFP_NOWAIT).unwrap());
}

#[test]
fn errors_are_errnos() {
    assert_eq!(EBUSY.to_errno(), -16);
    assert_eq!(Error::from_errno(-16), EBUSY);
    assert_eq!(Error::from_errno(16), EINVAL, "no errno");
    assert_eq!(Error::from_errno(-4096), EINVAL, "no errno");
    assert_eq!(to_result(-12), Err(ENOMEM));
    assert_eq!(to_result(3), Ok(3));
    assert_eq!(format!("{EBUSY:?} {}", Error::from_errno(-200)), "EBUSY errno 200");
}

#[test]
fn a_fingerprint_tells_layouts_apart() {
    #[derive(KlpData)]
    #[repr(C)]
    struct One {
        _a: u32,
        _b: u32,
    }
    #[derive(KlpData)]
    #[repr(C)]
    struct Same {
        _a: u32,
        _b: u32,
    }
    #[derive(KlpData)]
    #[repr(C)]
    struct Renamed {
        _a: u32,
        _c: u32,
    }
    #[derive(KlpData)]
    #[repr(C)]
    struct Signed {
        _a: u32,
        _b: i32,
    }
    assert_eq!(One::FINGERPRINT, Same::FINGERPRINT);
    let others = [
        Renamed::FINGERPRINT,
        Signed::FINGERPRINT,
        <[One; 1]>::FINGERPRINT,
        KBox::<One>::FINGERPRINT,
        KernelPtr::FINGERPRINT,
    ];
    for other in others {
        assert_ne!(One::FINGERPRINT, other);
    }
    assert_ne!(AtomicU32::FINGERPRINT, u32::FINGERPRINT, "others write to the one behind a reference");
    assert_ne!(
        Fingerprint::new("a").text("bc").finish::<()>(),
        Fingerprint::new("ab").text("c").finish::<()>(),
        "where one text ends is told"
    );
}

livepatch! { license: "GPL", authors: ["a"], description: "d" }

/// What the variables hang on.
struct Object {
    _unused: u64,
}

struct Owner;

#[klp_state(id = 1, version = 1)]
impl State for Owner {}

#[shadow(state = Owner, of = Object)]
#[repr(C)]
struct Count {
    number: AtomicU32,
}

static DROPPED: AtomicU32 = AtomicU32::new(0);

#[shadow(state = Owner, of = Object, sleepable)]
#[repr(C)]
struct Slow {
    number: u32,
}

impl Drop for Slow {
    fn drop(&mut self) {
        DROPPED.fetch_add(self.number, Relaxed);
    }
}

#[test]
fn shadow_variables_are_found_by_their_object() {
    let (one, other) = (Object { _unused: 0 }, Object { _unused: 0 });
    assert!(Count::get(&one).is_none());
    let made = Count::alloc(&one, GFP_KERNEL, || Ok(Count { number: AtomicU32::new(1) })).unwrap();
    made.number.fetch_add(1, Relaxed);
    assert_eq!(Count::get(&one).map(|count| count.number.load(Relaxed)), Some(2));
    assert!(Count::get(&other).is_none());
    let second = Count::alloc(&one, GFP_KERNEL, || Ok(Count { number: AtomicU32::new(9) }));
    assert_eq!(second.err(), Some(EEXIST));
    let found = Count::get_or_alloc(&one, GFP_KERNEL, || Err(ENODEV)).unwrap();
    assert_eq!(found.number.load(Relaxed), 2);
    let refused = Count::get_or_alloc(&other, GFP_KERNEL, || Err(ENODEV));
    assert_eq!(refused.err(), Some(ENODEV));
    assert!(Count::get(&other).is_none());
    // SAFETY: No reference is used below.
    unsafe {
        Count::free(&one);
        Count::free(&other);
    }
    assert!(Count::get(&one).is_none());
}

/// The kernel warns where a variable is added a second time, so that is never tried: the slower of two tasks
/// learns that it was the slower one.
#[test]
fn of_two_tasks_that_add_a_variable_one_gets_eexist() {
    let object = Object { _unused: 0 };
    let slower = Slow::alloc(&object, GFP_KERNEL, || {
        Slow::alloc(&object, GFP_KERNEL, || Ok(Slow { number: 0x100 }))?;
        Ok(Slow { number: 0x1000 })
    });
    assert_eq!(slower.err(), Some(EEXIST));
    assert_eq!(Slow::get(&object).map(|slow| slow.number), Some(0x100), "that of the faster one");
    // SAFETY: No reference is used below.
    unsafe { Slow::free(&object) };
}

/// An object that others write to has no reference, only an address.
#[test]
fn shadow_variables_of_an_address() {
    let object: *const Object = ptr::without_provenance(0x1000);
    // SAFETY: The address is never followed, and no reference is used after the variable is freed.
    unsafe {
        assert!(Count::get_at(object).is_none());
        let number = || Ok(Count { number: AtomicU32::new(3) });
        Count::alloc_at(object, GFP_KERNEL, number).unwrap();
        assert_eq!(Count::alloc_at(object, GFP_KERNEL, number).err(), Some(EEXIST));
        let found = Count::get_or_alloc_at(object, GFP_KERNEL, || Err(ENODEV)).unwrap();
        assert_eq!(found.number.load(Relaxed), 3);
        Count::free(object);
        assert!(Count::get_at(object).is_none());
    }
}

#[test]
fn a_sleepable_destructor_runs_once() {
    let object = Object { _unused: 0 };
    Slow::alloc(&object, GFP_KERNEL, || Ok(Slow { number: 5 })).unwrap();
    assert_eq!(Slow::get(&object).map(|slow| slow.number), Some(5));
    // SAFETY: No reference is used below.
    unsafe {
        Slow::free(&object);
        Slow::free(&object);
    }
    assert_eq!(DROPPED.load(Relaxed) & 0xff, 5);
    assert!(Slow::get(&object).is_none());
}
