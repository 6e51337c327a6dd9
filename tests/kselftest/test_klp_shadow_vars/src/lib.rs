//! Every function of the kernel's API of shadow variables, on objects that are only addresses.
//!
//! The log has no addresses but their numbers, in the order in which they were first seen.
#![no_std]

use core::ptr::{self, NonNull};

use klp_runtime::list::List;
use klp_runtime::prelude::*;
use klp_runtime::shadow::raw;
use klp_runtime::sync::SpinLock;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: shadow variables",
    enable: false,
}

const CHARS: raw::Id = raw::Id::new(0x1234).unwrap();
const INTS: raw::Id = raw::Id::new(0x1235).unwrap();

/// The size of a variable: a pointer.
const SIZE: usize = size_of::<*const c_void>();

/// The addresses that were seen.
static SEEN: SpinLock<List<usize>> = SpinLock::new(List::new());

/// The number of an address; atomic, as destructors are.
fn number(address: *const c_void) -> usize {
    let mut seen = SEEN.lock();
    if let Some(number) = seen.iter().position(|other| *other == address.addr()) {
        return number;
    }
    // Without memory the numbers would be others, and the test fail.
    let _ = seen.push_back(address.addr(), GFP_ATOMIC);
    seen.iter().count() - 1
}

fn number_of_found(found: Option<NonNull<c_void>>) -> usize {
    number(found.map_or(ptr::null(), |data| data.as_ptr().cast_const()))
}

fn get(obj: *const c_void, id: raw::Id) -> Option<NonNull<c_void>> {
    let found = raw::get(obj, id);
    let (obj, found_number) = (number(obj), number_of_found(found));
    pr_info!("klp_shadow_get(obj=PTR{obj}, id={:#x}) = PTR{found_number}", id.get());
    found
}

/// What makes a variable: it keeps a pointer.
fn construct(data: NonNull<c_void>, field: *const c_void) -> Result {
    // SAFETY: There is room for a pointer.
    unsafe { data.cast::<*const c_void>().write(field) };
    let data = number(data.as_ptr());
    pr_info!("shadow_ctor: PTR{data} -> PTR{}", number(field));
    Ok(())
}

unsafe extern "C" fn destroy(obj: *mut c_void, data: *mut c_void) {
    let obj = number(obj);
    pr_info!("shadow_dtor(obj=PTR{obj}, shadow_data=PTR{})", number(data));
}

/// Adds a variable, or finds the one that is there.
#[derive(Clone, Copy)]
enum How {
    Alloc,
    GetOrAlloc,
}

fn add(how: How, obj: *const c_void, id: raw::Id, field: *const c_void) -> Result<NonNull<c_void>> {
    let init = |data| construct(data, field);
    // SAFETY: All that use the two ids take the variables for pointers.
    let (name, added) = unsafe {
        match how {
            How::Alloc => ("alloc", raw::alloc(obj, id, SIZE, GFP_KERNEL, init)),
            How::GetOrAlloc => ("get_or_alloc", raw::get_or_alloc(obj, id, SIZE, GFP_KERNEL, init)),
        }
    };
    let (obj, constructor) = (number(obj), number(construct as *const c_void));
    let (field, data) = (number(field), number_of_found(added.ok()));
    pr_info!(
        "klp_shadow_{name}(obj=PTR{obj}, id={:#x}, size={SIZE:x}, gfp_flags=GFP_KERNEL), \
         ctor=PTR{constructor}, ctor_data=PTR{field} = PTR{data}",
        id.get()
    );
    added
}

/// Says that a variable is the one that it should be, if it is.
fn expect(found: Option<NonNull<c_void>>, data: NonNull<c_void>, field: *const c_void) -> Result {
    let found = found.ok_or(EINVAL)?;
    // SAFETY: A variable of this test, which keeps a pointer.
    if found == data && unsafe { found.cast::<*const c_void>().read() } == field {
        let data = number(data.as_ptr());
        pr_info!("  got expected PTR{data} -> PTR{} result", number(field));
    }
    Ok(())
}

fn expect_none(found: Option<NonNull<c_void>>) {
    if found.is_none() {
        pr_info!("  got expected NULL result");
    }
}

/// An object, with the fields that its two variables point to.
#[derive(Default)]
struct Object {
    itself: u64,
    char_field: u8,
    int_field: c_int,
}

impl Object {
    fn address(&self) -> *const c_void {
        (&raw const self.itself).cast()
    }

    fn char_field(&self) -> *const c_void {
        (&raw const self.char_field).cast()
    }

    fn int_field(&self) -> *const c_void {
        (&raw const self.int_field).cast()
    }
}

fn test() -> Result {
    let objects: [Object; 3] = Default::default();
    number(ptr::null());
    expect_none(get(objects[0].address(), CHARS));

    let mut made = [(NonNull::dangling(), NonNull::dangling()); 3];
    for (index, (object, made)) in objects.iter().zip(&mut made).enumerate() {
        number(object.char_field());
        let how = if index % 2 == 1 { How::Alloc } else { How::GetOrAlloc };
        made.0 = add(how, object.address(), CHARS, object.char_field())?;
        number(object.int_field());
        made.1 = add(How::Alloc, object.address(), INTS, object.int_field())?;
    }
    for (object, made) in objects.iter().zip(&made) {
        expect(get(object.address(), CHARS), made.0, object.char_field())?;
        expect(get(object.address(), INTS), made.1, object.int_field())?;
    }
    for (object, made) in objects.iter().zip(&made) {
        let found = add(How::GetOrAlloc, object.address(), CHARS, object.char_field())?;
        expect(Some(found), made.0, object.char_field())?;
    }
    for object in &objects {
        // SAFETY: Nobody else uses the variable.
        unsafe { raw::free(object.address(), CHARS, Some(destroy)) };
        let (obj, destructor) = (number(object.address()), number(destroy as *const c_void));
        pr_info!("klp_shadow_free(obj=PTR{obj}, id={:#x}, dtor=PTR{destructor})", CHARS.get());
        expect_none(get(object.address(), CHARS));
    }
    for (object, made) in objects.iter().zip(&made) {
        expect(get(object.address(), INTS), made.1, object.int_field())?;
    }
    // SAFETY: Nobody else uses these variables.
    unsafe { raw::free_all(INTS, None) };
    pr_info!("klp_shadow_free_all(id={:#x}, dtor=PTR{})", INTS.get(), number(ptr::null()));
    for object in &objects {
        expect_none(get(object.address(), INTS));
    }
    Ok(())
}

/// Tests all of it while the module is loaded: nothing is to be patched.
#[klp_init]
fn init(_patch: &mut PatchSelection<'_>) -> Result {
    let result = test();
    if result.is_err() {
        // SAFETY: Nobody uses the variables any more.
        unsafe {
            raw::free_all(CHARS, None);
            raw::free_all(INTS, None);
        }
    }
    SEEN.lock().clear();
    result
}
