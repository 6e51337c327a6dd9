//! The kernel's side on the host: what the runtime calls, imitated, so that
//! patch crates are checked, documented and tested there.
//!
//! Each thread has a [`Machine`] of its own, so tests in parallel threads do
//! not meet. The model ([`crate::sim`]) puts its machine in place of the
//! thread's while it runs.

mod lists;
mod locks;
mod machine;
mod memory;
mod object;
mod owner;
mod rw_locks;
mod store;
mod sysfs;
mod task;
mod work;
pub(crate) mod wrappers;

use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::rc::Rc;

use crate::abi::{ShadowDestructor, SleepableBox};
use crate::module::sys::{RawGfp, ShadowConstructor};

pub(crate) use locks::{RawMutex, RawSpinLock};
pub(crate) use machine::Machine;
#[cfg(feature = "sim")]
pub use machine::Slots;
pub(crate) use object::HostObject;
pub(crate) use object::HostState;
#[cfg(feature = "sim")]
pub(crate) use object::Natives;
#[cfg(feature = "sim")]
pub(crate) use owner::Owner;
pub(crate) use sysfs::*;
pub(crate) use task::*;
pub(crate) use work::{RawWork, advance, klp_glue_jiffies, klp_glue_msecs_to_jiffies};

std::thread_local! {
    static CURRENT: RefCell<Rc<Machine>> = RefCell::new(Rc::new(Machine::new(true)));
}

/// The machine of this thread.
pub(crate) fn machine() -> Rc<Machine> {
    CURRENT.with(|current| Rc::clone(&current.borrow()))
}

/// Puts another machine in its place; returns the one before.
#[cfg(feature = "sim")]
pub(crate) fn replace_machine(machine: Rc<Machine>) -> Rc<Machine> {
    CURRENT.with(|current| current.replace(machine))
}

/// Nothing is gained on the host.
pub(crate) fn cold_path() {}

/// Keeps the slots of this thread's machine elsewhere.
#[cfg(feature = "sim")]
pub fn keep_slots(slots: Rc<dyn Slots>) {
    machine().slots_elsewhere.replace(Some(slots));
}

pub(crate) fn gfp(kind: u8) -> RawGfp {
    kind.into()
}

pub(crate) fn load_slot(slot: &AtomicPtr<c_void>, order: Ordering) -> *mut c_void {
    machine().load_slot(slot, order)
}

/// Shadow variables can be tried without a model, too.
pub(crate) fn has_no_states() -> bool {
    machine().is_alone()
}

pub(crate) fn store_slot(slot: &AtomicPtr<c_void>, data: *mut c_void, order: Ordering) {
    machine().store_slot(slot, data, order);
}

/// The head of the list of boxes whose destructor is to run; see `sys::kernel`.
pub(crate) struct Pending;

impl Pending {
    /// As the kernel's.
    ///
    /// # Safety
    ///
    /// The livepatch mutex is held.
    pub(crate) unsafe fn replace(&self, head: *mut SleepableBox) -> *mut SleepableBox {
        machine().pending.replace(head)
    }
}

pub(crate) static PENDING: Pending = Pending;

pub(crate) fn set_destroying(destroying: bool) {
    machine().destroying.set(destroying);
}

pub(crate) fn is_destroying() -> bool {
    machine().destroying.get()
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_kmalloc`.
pub(crate) unsafe extern "C" fn klp_glue_kmalloc(size: usize, gfp: RawGfp) -> *mut c_void {
    machine().kmalloc(size, gfp)
}

/// # Safety
///
/// As the kernel's or the glue's `kfree`.
pub(crate) unsafe extern "C" fn kfree(memory: *mut c_void) {
    machine().kfree(memory);
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_module_get`.
pub(crate) unsafe extern "C" fn klp_glue_module_get(module: *mut c_void) {
    machine().module_get(module as usize);
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_module_put`.
pub(crate) unsafe extern "C" fn klp_glue_module_put(module: *mut c_void) {
    machine().module_put(module as usize);
}

/// The model knows the patch whose entry it is, and takes it out itself.
///
/// # Safety
///
/// As the glue's `klp_glue_drop_reserved_state`.
#[cfg(feature = "sim")]
pub(crate) unsafe extern "C" fn klp_glue_drop_reserved_state() {}

/// # Safety
///
/// As the glue's `klp_glue_watch`.
#[cfg(feature = "sim")]
pub(crate) unsafe extern "C" fn klp_glue_watch(name: *const c_char) {
    machine().watch(!name.is_null());
}

/// # Safety
///
/// As the kernel's or the glue's `klp_shadow_get`.
pub(crate) unsafe extern "C" fn klp_shadow_get(obj: *mut c_void, id: u64) -> *mut c_void {
    machine().shadow_get(obj, id)
}

/// # Safety
///
/// As the kernel's or the glue's `klp_shadow_alloc`.
pub(crate) unsafe extern "C" fn klp_shadow_alloc(
    obj: *mut c_void,
    id: u64,
    size: usize,
    gfp: RawGfp,
    ctor: Option<ShadowConstructor>,
    ctor_data: *mut c_void,
) -> *mut c_void {
    // SAFETY: The constructor is fit for storage of that size, as the caller says.
    unsafe { machine().shadow_add(obj, id, size, gfp, ctor, ctor_data, false) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_shadow_get_or_alloc`.
pub(crate) unsafe extern "C" fn klp_shadow_get_or_alloc(
    obj: *mut c_void,
    id: u64,
    size: usize,
    gfp: RawGfp,
    ctor: Option<ShadowConstructor>,
    ctor_data: *mut c_void,
) -> *mut c_void {
    // SAFETY: The constructor is fit for storage of that size, as the caller says.
    unsafe { machine().shadow_add(obj, id, size, gfp, ctor, ctor_data, true) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_shadow_free`.
pub(crate) unsafe extern "C" fn klp_shadow_free(obj: *mut c_void, id: u64, dtor: Option<ShadowDestructor>) {
    // SAFETY: The destructor is fit for the variable, as the caller says.
    unsafe { machine().shadow_free(obj, id, dtor) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_shadow_free_all`.
pub(crate) unsafe extern "C" fn klp_shadow_free_all(id: u64, dtor: Option<ShadowDestructor>) {
    // SAFETY: The destructor is fit for the variables, as the caller says.
    unsafe { machine().shadow_free_all(id, dtor) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_object_name`.
pub(crate) unsafe extern "C" fn klp_glue_object_name(object: *mut c_void) -> *const c_char {
    // SAFETY: The caller passes an object of this imitation.
    unsafe { (*object.cast::<HostObject>()).name }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_object_state`.
pub(crate) unsafe extern "C" fn klp_glue_object_state(object: *mut c_void) -> c_int {
    // SAFETY: The caller passes an object of this imitation.
    unsafe { (*object.cast::<HostObject>()).state }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_get_state`.
pub(crate) unsafe extern "C" fn klp_glue_get_state(id: c_ulong) -> *mut c_void {
    machine().natives.borrow().own(id).cast()
}

/// # Safety
///
/// As the kernel's or the glue's `klp_get_prev_state`.
pub(crate) unsafe extern "C" fn klp_get_prev_state(id: c_ulong) -> *mut c_void {
    let machine = machine();
    let found = machine.natives.borrow().previous(id);
    found.map_or_else(
        || {
            machine.fault("klp_get_prev_state was called outside of a transition");
            core::ptr::null_mut()
        },
        <*mut HostState>::cast,
    )
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_state_version`.
pub(crate) unsafe extern "C" fn klp_glue_state_version(state: *mut c_void) -> c_uint {
    // SAFETY: The caller passes a state of this imitation.
    unsafe { (*state.cast::<HostState>()).version }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_state_data`.
pub(crate) unsafe extern "C" fn klp_glue_state_data(state: *mut c_void) -> *mut *mut c_void {
    // SAFETY: The caller passes a state of this imitation.
    unsafe { &raw mut (*state.cast::<HostState>()).data }
}

/// Nobody makes a system call on the host: its registers are its arguments.
///
/// # Safety
///
/// As the kernel's or the glue's `klp_glue_syscall_native`.
pub(crate) unsafe extern "C" fn klp_glue_syscall_native(registers: *const c_void, arguments: *mut [u64; 6]) {
    // SAFETY: The caller passes its arguments in place of registers.
    unsafe { arguments.write(registers.cast::<[u64; 6]>().read()) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_syscall_compat`.
pub(crate) unsafe extern "C" fn klp_glue_syscall_compat(registers: *const c_void, arguments: *mut [u32; 6]) {
    // SAFETY: The caller passes its arguments in place of registers.
    unsafe { arguments.write(registers.cast::<[u32; 6]>().read()) }
}

/// # Safety
///
/// As the kernel's or the glue's `klp_glue_syscall_registers`.
pub(crate) unsafe extern "C" fn klp_glue_syscall_registers(
    arguments: *const [u64; 6],
    registers: *mut c_void,
) -> bool {
    // SAFETY: The caller passes arguments, and room for more than these.
    unsafe { registers.cast::<[u64; 6]>().write(arguments.read()) };
    false
}

/// Logs what the engine says, without the level. Its formats ask for `%s`, `%u` and `%llu`.
///
/// # Safety
///
/// `format` is a string, and `arguments` starts with what it asks for: numbers, and addresses of strings.
#[cfg(feature = "sim")]
pub(crate) unsafe fn print_line(format: *const c_char, arguments: [usize; 6]) {
    // SAFETY: The format is a string.
    let format = unsafe { CStr::from_ptr(format) }.to_string_lossy();
    let mut pieces = format.trim_start_matches("\x013").trim_end().split('%');
    let mut line = std::string::String::from(pieces.next().unwrap_or_default());
    for (piece, argument) in pieces.zip(arguments) {
        if let Some(rest) = piece.strip_prefix('s') {
            // SAFETY: The format asks for a string.
            line +=
                &unsafe { CStr::from_ptr(core::ptr::with_exposed_provenance(argument)) }.to_string_lossy();
            line += rest;
        } else {
            let rest = piece.trim_start_matches("ll").trim_start_matches('u');
            line += &std::format!("{argument}{rest}");
        }
    }
    machine().print(line);
}

/// Logs what [`crate::log`] prints, without the level.
///
/// # Safety
///
/// As the kernel's or the glue's `_printk`.
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
    machine().print(std::format!(
        "{}{}",
        prefix.to_string_lossy(),
        std::string::String::from_utf8_lossy(text)
    ));
    len
}
