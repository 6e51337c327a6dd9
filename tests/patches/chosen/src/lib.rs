//! Its parameters say what takes part.
#![no_std]

use klp_runtime::prelude::*;
use klp_runtime::task;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Its parameters say what takes part",
}

/// Whether all others are replaced
#[klp_param(permissions = 0o444)]
static REPLACE: Param<bool> = Param::new(false);

/// The functions that are left out
#[klp_param(name = "omit")]
static OMITTED: ParamArray<u8, 4> = ParamArray::new([0; 4]);

/// Whether the state is left out
#[klp_param]
static STATELESS: Param<InvBool> = Param::new(InvBool(true));

/// What the init hook fails with
#[klp_param]
static ERROR: Param<i16> = Param::new(0);

/// What /proc/cmdline shows
#[klp_param(permissions = 0o444)]
static TEXT: Param<CharP> = Param::new(CharP::new(c"text"));

/// How often it was shown
#[klp_param(permissions = 0o644)]
static SHOWN: Param<u64> = Param::new(0);

/// Shown in base 16
#[klp_param(permissions = 0o600)]
static MASK: Param<HexInt> = Param::new(HexInt(0xab));

// ANCHOR: init
#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    pr_info!("init");
    if add_variable() != Err(ENODEV) {
        pr_err!("a shadow variable before the patch is enabled");
    }
    patch.set_replace(REPLACE.get());
    for function in OMITTED.iter() {
        match function {
            1 => patch.omit_func(c"vmlinux", c"cmdline_proc_show")?,
            2 => patch.omit_func(c"vmlinux", c"version_proc_show")?,
            _ => patch.omit_object(c"no_such_module")?,
        }
    }
    if !STATELESS.get().0 {
        patch.omit_state::<Chosen>()?;
    }
    match ERROR.get() {
        0 => Ok(()),
        error => Err(Error::from_errno(error.into())),
    }
}
// ANCHOR_END: init

#[klp_exit]
fn exit() {
    pr_info!("exit");
}

struct Chosen;

#[klp_state(id = 1, version = 1)]
impl State for Chosen {
    fn post_patch(_cx: &StateContext<'_>, _data: &()) {
        pr_info!("the state is introduced");
    }
}

/// It goes with the state.
#[shadow(state = Chosen, of = task_struct)]
#[repr(C)]
struct OfTask {
    number: u64,
}

/// Has the current task have one.
fn add_variable() -> Result {
    OfTask::get_or_alloc(&task::current(), GFP_KERNEL, || Ok(OfTask { number: 1 })).map(|_| ())
}

unsafe extern "C" {
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    SHOWN.set(SHOWN.get() + 1);
    MASK.set(HexInt(MASK.get().0 | 1));
    // SAFETY: `m` is the file that is read.
    unsafe { seq_printf(m, c"%s".as_ptr(), TEXT.get().as_c_str().as_ptr()) };
    0
}

#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn livepatch_version_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let text = match add_variable() {
        Ok(()) => c"patched, with a variable",
        Err(ENODEV) => c"patched",
        Err(_) => c"patched, but failed",
    };
    // SAFETY: `m` is the file that is read.
    unsafe { seq_printf(m, text.as_ptr()) };
    0
}
