//! Shadow variables by the kernel's own API.

use core::ptr;

use klp_runtime::list::List;
use klp_runtime::prelude::*;
use klp_runtime::shadow::raw::{self, Id};
use klp_runtime::sync::SpinLock;

const ONE: Id = Id::new(0x1234).unwrap();
const TWO: Id = Id::new(0x1235).unwrap();

/// The objects whose variables were destroyed, which happens in atomic context.
static DESTROYED: SpinLock<List<usize>> = SpinLock::new(List::new());

/// Addresses are all that the store wants.
const A: *const c_void = ptr::without_provenance(0x1000);
const B: *const c_void = ptr::without_provenance(0x2000);

unsafe extern "C" fn destroy(obj: *mut c_void, data: *mut c_void) {
    // SAFETY: Each variable of this file holds a number.
    pr_info!("destroyed {obj:?} {}", unsafe { data.cast::<u64>().read() });
    if let Err(error) = DESTROYED.lock().push_back(obj as usize, GFP_ATOMIC) {
        pr_err!("failed with {error}");
    }
}

fn add(obj: *const c_void, id: Id, number: u64) -> Result<u64> {
    // SAFETY: Each variable of this file holds a number.
    unsafe {
        let data = raw::alloc(obj, id, size_of::<u64>(), GFP_KERNEL, |data| {
            pr_info!("zeroed: {}", data.cast::<u64>().read() == 0);
            data.cast::<u64>().write(number);
            Ok(())
        })?;
        Ok(data.cast().read())
    }
}

pub(crate) fn exercise() -> Result {
    for (obj, id, number) in [(A, ONE, 11), (A, TWO, 12), (B, ONE, 21)] {
        pr_info!("added {}", add(obj, id, number)?);
    }
    pr_info!("a second one: {:?}", add(A, ONE, 0).err());
    // SAFETY: Each variable of this file holds a number, and nobody else uses it.
    unsafe {
        let found = raw::get_or_alloc(A, TWO, size_of::<u64>(), GFP_ATOMIC, |_| Err(ENODEV))?;
        pr_info!("found {}", found.cast::<u64>().read());
        let refused = raw::get_or_alloc(B, TWO, 1 << 13, GFP_KERNEL, |_| Err(ENODEV));
        pr_info!("a constructor that fails: {:?}, none there: {}", refused.err(), raw::get(B, TWO).is_none());
        raw::free(A, ONE, Some(destroy));
        raw::free(A, ONE, Some(destroy));
        pr_info!("gone: {}, there: {}", raw::get(A, ONE).is_none(), raw::get(B, ONE).is_some());
    }
    Ok(())
}

pub(crate) fn clean_up() {
    // SAFETY: Nobody uses them any more.
    unsafe {
        raw::free_all(ONE, Some(destroy));
        raw::free_all(TWO, None);
    }
    {
        let mut destroyed = DESTROYED.lock();
        pr_info!("in the order {:x?}", *destroyed);
        destroyed.clear();
    }
    pr_info!("all gone: {}", raw::get(B, ONE).is_none() && raw::get(A, TWO).is_none());
}
