//! The init hook's copies of a patch's tables: what calls it sees the tables before and after.

use core::ptr;

use crate::error::{ENOMEM, Result, to_result};
use crate::module::selection::{InitHook, PatchTables, Table};
use crate::module::sys;

impl<T: Copy> Table<T> {
    /// Copies the entries to `to`; returns where the next table's go.
    ///
    /// # Safety
    ///
    /// There is room for them, aligned to 8 bytes as all entries are.
    unsafe fn move_to(&mut self, to: *mut u8) -> *mut u8 {
        // SAFETY: The caller has made room.
        unsafe {
            ptr::copy_nonoverlapping(self.entries, to.cast(), self.len);
            self.entries = to.cast();
            to.add(self.bytes())
        }
    }

    /// How many bytes its entries have.
    const fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }
}

impl PatchTables {
    /// Has the hook look at copies of the tables, which the caller frees also after an error.
    ///
    /// # Errors
    ///
    /// What the hook failed with, or `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The tables are the constants of a patch. The hook is the patch's own.
    pub(crate) unsafe fn choose(&mut self, hook: InitHook) -> Result {
        let bytes = self.funcs.bytes()
            + self.objects.bytes()
            + self.natives.bytes()
            + self.states.bytes()
            + self.shadows.bytes();
        // SAFETY: A plain allocation; the tables fit in, one behind the other.
        unsafe {
            let block = sys::klp_glue_kmalloc(bytes.max(1), crate::alloc::GFP_KERNEL.raw());
            if block.is_null() {
                return Err(ENOMEM);
            }
            let next = self.funcs.move_to(block.cast());
            let next = self.objects.move_to(next);
            let next = self.natives.move_to(next);
            let next = self.states.move_to(next);
            self.shadows.move_to(next);
            self.block = block;
            to_result(hook(self)).map(|_| ())
        }
    }
}

#[cfg(not(target_os = "none"))]
impl<T> From<&'static [T]> for Table<T> {
    fn from(entries: &'static [T]) -> Self {
        Self { entries: entries.as_ptr().cast_mut(), len: entries.len() }
    }
}

#[cfg(not(target_os = "none"))]
impl PatchTables {
    /// The tables of a crate, all of them.
    pub(crate) fn of(tables: &crate::tables::Tables) -> Self {
        Self {
            flags: tables.patch.flags,
            replace: tables.patch.replace,
            series: tables.patch.series,
            revision: tables.patch.revision,
            funcs: tables.funcs.into(),
            objects: tables.objects.into(),
            natives: tables.natives.into(),
            states: tables.states.into(),
            shadows: tables.shadows.into(),
            block: ptr::null_mut(),
        }
    }

    /// Frees the copies.
    ///
    /// # Safety
    ///
    /// Nobody looks at them any more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: The copies, or null.
        unsafe { sys::kfree(self.block) }
    }
}
