//! The kernel's side on the host: just enough for a patch crate's own tests.

extern crate std;

use core::ffi::{CStr, c_char, c_int, c_void};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi::ShadowDestructor;
use crate::sys::{RawGfp, ShadowConstructor};

/// Memory with its size in front, as `kfree` is not told it.
const HEADER: usize = 16;

/// Where a shadow variable's data are.
struct Data(*mut c_void);

// SAFETY: The store owns the memory; access to what is in it is the callers' matter.
unsafe impl Send for Data {}

type Store = HashMap<(usize, u64), Data>;

/// The shadow variables, by object and id.
static STORE: Mutex<Option<Store>> = Mutex::new(None);

fn with_store<R>(f: impl FnOnce(&mut Store) -> R) -> R {
    let mut guard: MutexGuard<'_, Option<Store>> = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    f(guard.get_or_insert_default())
}

pub(crate) fn gfp(kind: u8) -> RawGfp {
    kind.into()
}

pub(crate) unsafe extern "C" fn klp_glue_kmalloc(size: usize, _gfp: RawGfp) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size + HEADER, HEADER) else { return core::ptr::null_mut() };
    // SAFETY: The size is not 0.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        return memory.cast();
    }
    // SAFETY: The header is within the allocation.
    unsafe {
        memory.cast::<usize>().write(size);
        memory.add(HEADER).cast()
    }
}

pub(crate) unsafe extern "C" fn klp_glue_kfree(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: By contract from `klp_glue_kmalloc`, which wrote the header.
    unsafe {
        let start = memory.cast::<u8>().sub(HEADER);
        let size = start.cast::<usize>().read();
        dealloc(start, Layout::from_size_align_unchecked(size + HEADER, HEADER));
    }
}

pub(crate) unsafe extern "C" fn klp_shadow_get(obj: *mut c_void, id: u64) -> *mut c_void {
    with_store(|store| store.get(&(obj as usize, id)).map_or(core::ptr::null_mut(), |data| data.0))
}

pub(crate) unsafe extern "C" fn klp_shadow_alloc(
    obj: *mut c_void,
    id: u64,
    size: usize,
    gfp: RawGfp,
    ctor: Option<ShadowConstructor>,
    ctor_data: *mut c_void,
) -> *mut c_void {
    // SAFETY: The caller's contract is that of this function.
    unsafe {
        if klp_shadow_get(obj, id).is_null() {
            klp_shadow_get_or_alloc(obj, id, size, gfp, ctor, ctor_data)
        } else {
            core::ptr::null_mut()
        }
    }
}

pub(crate) unsafe extern "C" fn klp_shadow_get_or_alloc(
    obj: *mut c_void,
    id: u64,
    size: usize,
    gfp: RawGfp,
    ctor: Option<ShadowConstructor>,
    ctor_data: *mut c_void,
) -> *mut c_void {
    // SAFETY: As above; the constructor gets storage of the size that its caller asked for.
    unsafe {
        let existing = klp_shadow_get(obj, id);
        if !existing.is_null() {
            return existing;
        }
        let data = klp_glue_kmalloc(size.max(1), gfp);
        if let Some(ctor) = ctor
            && ctor(obj, data, ctor_data) != 0
        {
            klp_glue_kfree(data);
            return core::ptr::null_mut();
        }
        with_store(|store| store.insert((obj as usize, id), Data(data)));
        data
    }
}

pub(crate) unsafe extern "C" fn klp_shadow_free(obj: *mut c_void, id: u64, dtor: Option<ShadowDestructor>) {
    let Some(Data(data)) = with_store(|store| store.remove(&(obj as usize, id))) else { return };
    // SAFETY: The variable is out of the store, and the destructor is its own.
    unsafe {
        if let Some(dtor) = dtor {
            dtor(obj, data);
        }
        klp_glue_kfree(data);
    }
}

pub(crate) unsafe extern "C" fn klp_shadow_free_all(id: u64, dtor: Option<ShadowDestructor>) {
    let objects: std::vec::Vec<usize> =
        with_store(|store| store.keys().filter(|(_, other)| *other == id).map(|(obj, _)| *obj).collect());
    for obj in objects {
        // SAFETY: As for one.
        unsafe { klp_shadow_free(obj as *mut c_void, id, dtor) };
    }
}

/// Prints what [`crate::log`] prints, without the level.
pub(crate) unsafe fn _printk(
    _format: *const c_char,
    prefix: *const c_char,
    len: c_int,
    text: *const u8,
) -> c_int {
    // SAFETY: The prefix is a string, the text has `len` bytes.
    let (prefix, text) = unsafe {
        (CStr::from_ptr(prefix), core::slice::from_raw_parts(text, usize::try_from(len).unwrap_or(0)))
    };
    std::eprintln!("{}{}", prefix.to_string_lossy(), std::string::String::from_utf8_lossy(text));
    len
}
