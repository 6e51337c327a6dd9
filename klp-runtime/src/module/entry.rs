//! What the C glue calls in a module: the kernel's four points, for the engine.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::{ptr, slice};

use crate::abi::{PATCH_ALLOW_DOWNGRADE, PatchNode, Stop};
use crate::engine::{Engine, Kernel};
use crate::error::to_result;
use crate::module::selection::{HookEntry, PatchTables};
use crate::module::sys;
use crate::module::sys_kernel::SysKernel;
use crate::object::{ObjectEntry, klp_object};

static ENGINE: Engine<SysKernel> = Engine::new(SysKernel);

/// What is written in module init, then used under the livepatch mutex.
struct Guarded<T>(UnsafeCell<T>);

// SAFETY: As the type's documentation says.
unsafe impl<T> Sync for Guarded<T> {}

/// The module's place on the list of patches.
static NODE: Guarded<PatchNode> = Guarded(UnsafeCell::new(PatchNode::new()));

/// The node, as an address that the compiler does not know: it would put it into every instruction, larger
/// ones, which the kernel has to relocate when it loads the module.
fn node() -> *mut PatchNode {
    let mut node = NODE.0.get();
    // SAFETY: It does nothing.
    unsafe { asm!("/* {0} */", inout(reg) node, options(nomem, nostack, preserves_flags)) };
    node
}

/// The objects with callbacks of their own.
static OBJECTS: Guarded<(*const ObjectEntry, usize)> = Guarded(UnsafeCell::new((ptr::null(), 0)));

/// Runs the init hooks, which look at copies of the tables. Returns 0 or a negative errno; the glue
/// frees the copies then too.
///
/// # Safety
///
/// Called once, from module init, with the tables of the module.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_choose(
    tables: *mut PatchTables,
    hooks: *const HookEntry,
    nr_hooks: usize,
) -> c_int {
    // SAFETY: The glue passes the module's tables and hooks.
    unsafe {
        let hook = slice::from_raw_parts(hooks, nr_hooks).iter().find_map(|hook| hook.init);
        match hook.map_or(Ok(()), |hook| (*tables).choose(hook)) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }
}

/// Fills the patch's node, before the patch is enabled.
///
/// # Safety
///
/// Called once, from module init; the tables and the mark are there as long as the module. The mark is
/// `klp_patch.forced` ([S21](crate::lifecycle#s21)), `stop` stops what runs on its own in the module
/// ([S17](crate::lifecycle#s17)).
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_init(
    module: *mut c_void,
    name: *const c_char,
    forced: *const bool,
    stop: Option<Stop>,
    tables: *const PatchTables,
) {
    // SAFETY: Nobody else uses the statics yet.
    unsafe {
        let (node, tables) = (node(), &*tables);
        (*node).flags = tables.flags & PATCH_ALLOW_DOWNGRADE;
        (*node).replace = tables.replace;
        (*node).series = tables.series;
        (*node).revision = tables.revision;
        (*node).forced = forced;
        (*node).stop = stop;
        (*node).module = module;
        (*node).name = name;
        ((*node).states, (*node).nr_states) = tables.states.raw();
        ((*node).shadows, (*node).nr_shadows) = tables.shadows.raw();
        *OBJECTS.0.get() = tables.objects.raw();
    }
}

/// The callbacks that the patch has itself for an object, null for vmlinux.
///
/// # Safety
///
/// `name` is null or a string, and module init has filled the statics.
unsafe fn own(name: *const c_char) -> Option<&'static ObjectEntry> {
    // SAFETY: Written in module init only; the names are strings.
    unsafe {
        let (objects, len) = *OBJECTS.0.get();
        (0..len).map(|index| &*objects.add(index)).find(|object| {
            name == object.name
                || (!name.is_null() && !object.name.is_null() && sys::strcmp(name, object.name) == 0)
        })
    }
}

/// How the log names the object vmlinux.
const VMLINUX: *const c_char = c"vmlinux".as_ptr();

/// Calls one of the patch's own callbacks for the object with this name, which the log names where the call
/// takes long.
fn watched<R>(name: *const c_char, callback: impl FnOnce() -> R) -> R {
    SysKernel.watch(name);
    let returned = callback();
    SysKernel.watch(ptr::null());
    returned
}

/// The vmlinux object's `pre_patch`.
///
/// # Safety
///
/// The kernel calls it, with its livepatch mutex held and the object vmlinux of this patch.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_pre_patch(object: *mut klp_object) -> c_int {
    // SAFETY: The kernel calls, and the callback is the patch's own for that object.
    unsafe {
        let own = || match own(ptr::null()).and_then(|own| own.pre_patch) {
            Some(callback) => to_result(watched(VMLINUX, || callback(object))).map(|_| ()),
            None => Ok(()),
        };
        match ENGINE.vmlinux_pre_patch(node(), own) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }
}

macro_rules! forward {
    ($name:ident, $engine:ident, $callback:ident) => {
        #[doc = concat!("The vmlinux object's `", stringify!($callback), "`.")]
        ///
        /// # Safety
        ///
        /// As for [`klp_rt_pre_patch`].
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(object: *mut klp_object) {
            // SAFETY: The kernel calls, and the callback is the patch's own for that object.
            unsafe {
                ENGINE.$engine(node(), || {
                    if let Some(callback) = own(ptr::null()).and_then(|own| own.$callback) {
                        watched(VMLINUX, || callback(object));
                    }
                });
            }
        }
    };
}

forward!(klp_rt_post_patch, vmlinux_post_patch, post_patch);
forward!(klp_rt_pre_unpatch, vmlinux_pre_unpatch, pre_unpatch);
forward!(klp_rt_post_unpatch, vmlinux_post_unpatch, post_unpatch);

/// The `post_unpatch` of a module's object, after its own: the module goes, or the patch is disabled.
///
/// # Safety
///
/// The kernel calls it, with its livepatch mutex held and an object of this patch. `name` is the object's.
#[unsafe(no_mangle)]
unsafe extern "C" fn klp_rt_object_gone(object: *mut klp_object, name: *const c_char) {
    // SAFETY: The kernel calls, and the callback is the patch's own for that object.
    unsafe {
        if let Some(callback) = own(name).and_then(|own| own.post_unpatch) {
            watched(name, || callback(object));
        }
        ENGINE.shadows_object_gone(node(), CStr::from_ptr(name));
    }
}
