//! Redirects the function behind `/proc/meminfo`, and replaces other patches if told to.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: atomic replace",
}

/// Whether all other patches are replaced (default=0)
#[klp_param(permissions = 0o644)]
static REPLACE: Param<c_int> = Param::new(0);

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    patch.set_replace(REPLACE.get() != 0);
    Ok(())
}

unsafe extern "C" {
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

#[klp_func(symbol = "meminfo_proc_show")]
unsafe extern "C" fn livepatch_meminfo_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: `m` is the file that is read; the format takes no argument.
    unsafe { seq_printf(m, c"test_klp_atomic_replace: this has been live patched\n".as_ptr()) };
    0
}
