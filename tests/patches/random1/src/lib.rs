//! A patch that is what its parameters say: states, shadow variables, objects, functions, failures.
//!
//! One source, the modules `klp_test_random1` to `4`. All that happens in one is logged.
#![no_std]

mod shadows;
mod states;

use core::ptr;

use klp_runtime::prelude::*;
use klp_test_support::random::Configuration;
use klp_test_support::{sleepy_fifo_open, test_patch};
use shadows::{Lone, Mark, Plain, Sleepy, SleepyMark, count};
use states::{State1, State2, State3};

test_patch!(replace: false);

#[klp_param]
static REPLACE: Param<bool> = Param::new(false);
#[klp_param]
static STATES: Param<u32> = Param::new(0);
#[klp_param]
static VERSIONS: Param<u32> = Param::new(0);
#[klp_param]
static BLOCK_DISABLE: Param<u32> = Param::new(0);
#[klp_param]
static SHADOWS: Param<u32> = Param::new(0);
#[klp_param]
static OBJECTS: Param<u32> = Param::new(0);
#[klp_param]
static FUNCS: Param<u32> = Param::new(0);
#[klp_param]
static FAILS: Param<u32> = Param::new(0);
#[klp_param]
static ERRNO: Param<i32> = Param::new(0);

/// Sets the parameters: what `insmod` does in a kernel.
pub fn configure(to: &Configuration) {
    REPLACE.set(to.replace);
    STATES.set(to.states);
    VERSIONS.set(to.versions);
    BLOCK_DISABLE.set(to.block_disable);
    SHADOWS.set(to.shadows);
    OBJECTS.set(to.objects);
    FUNCS.set(to.funcs);
    FAILS.set(to.fails);
    ERRNO.set(to.errno);
}

/// What the parameters say.
fn configuration() -> Configuration {
    Configuration {
        replace: REPLACE.get(),
        states: STATES.get(),
        versions: VERSIONS.get(),
        block_disable: BLOCK_DISABLE.get(),
        shadows: SHADOWS.get(),
        objects: OBJECTS.get(),
        funcs: FUNCS.get(),
        fails: FAILS.get(),
        errno: ERRNO.get(),
    }
}

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    let chosen = configuration();
    chosen.fails_at(Configuration::FAILS_INIT)?;
    patch.set_replace(chosen.replace);
    choose_state::<State1>(patch, 0)?;
    choose_state::<State2>(patch, 1)?;
    choose_state::<State3>(patch, 2)?;
    choose_shadow::<Plain>(patch, 0)?;
    choose_shadow::<Sleepy>(patch, 1)?;
    choose_shadow::<Mark>(patch, 2)?;
    choose_shadow::<SleepyMark>(patch, 3)?;
    choose_shadow::<Lone>(patch, 4)?;
    choose_funcs(
        patch,
        c"vmlinux",
        Configuration::VMLINUX,
        &[
            (Configuration::VERSION, c"version_proc_show"),
            (Configuration::FIFO, c"fifo_open"),
            (Configuration::UNPATCHABLE, c"do_syscall_64"),
        ],
    )?;
    choose_funcs(
        patch,
        c"klp_test_target",
        Configuration::TARGET,
        &[(Configuration::DESCRIBE, c"klp_test_describe")],
    )
}

fn choose_state<S: State>(patch: &mut PatchSelection<'_>, bit: u32) -> Result {
    if STATES.get() & 1 << bit == 0 {
        return patch.omit_state::<S>();
    }
    let mut state = patch.state::<S>()?;
    state.set_version(VERSIONS.get() >> (4 * bit) & 0xf);
    state.set_block_disable(BLOCK_DISABLE.get() & 1 << bit != 0);
    Ok(())
}

fn choose_shadow<T: shadows::Counter>(patch: &mut PatchSelection<'_>, bit: u32) -> Result {
    // Those of a state that is left out are left out with it.
    if SHADOWS.get() & 1 << bit == 0 && shadows::has_state::<T>() { patch.omit_shadow::<T>() } else { Ok(()) }
}

fn choose_funcs(patch: &mut PatchSelection<'_>, object: &CStr, bit: u32, funcs: &[(u32, &CStr)]) -> Result {
    if OBJECTS.get() & bit == 0 {
        return patch.omit_object(object);
    }
    funcs
        .iter()
        .filter(|(func, _)| FUNCS.get() & func == 0)
        .try_for_each(|(_, name)| patch.omit_func(object, name))
}

#[klp_exit]
fn exit() {
    pr_info!("exit");
}

/// The kernel itself.
struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn pre_patch(_object: &ObjectContext<'_>) -> Result {
        pr_info!("pre_patch vmlinux");
        configuration().fails_at(Configuration::FAILS_VMLINUX)
    }

    fn post_patch(_object: &ObjectContext<'_>) {
        pr_info!("post_patch vmlinux");
    }

    fn pre_unpatch(_object: &ObjectContext<'_>) {
        pr_info!("pre_unpatch vmlinux");
    }

    fn post_unpatch(_object: &ObjectContext<'_>) {
        pr_info!("post_unpatch vmlinux");
    }
}

/// The module of the tests.
struct Target;

#[klp_object(name = "klp_test_target")]
impl Object for Target {
    fn pre_patch(object: &ObjectContext<'_>) -> Result {
        pr_info!("pre_patch target {:?}", object.module_state());
        configuration().fails_at(Configuration::FAILS_TARGET)
    }

    fn post_patch(object: &ObjectContext<'_>) {
        pr_info!("post_patch target {:?}", object.module_state());
    }

    fn pre_unpatch(object: &ObjectContext<'_>) {
        pr_info!("pre_unpatch target {:?}", object.module_state());
    }

    fn post_unpatch(object: &ObjectContext<'_>) {
        pr_info!("post_unpatch target {:?}", object.module_state());
    }
}

/// In place of `fs/proc/version.c`, which it leaves empty.
///
/// # Safety
///
/// Called by the kernel.
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version_proc_show(_m: *mut seq_file, _v: *mut c_void) -> c_int {
    look();
    0
}

/// Counts how many times two objects were looked at, and says what it finds.
pub fn look() {
    for number in 0..2 {
        let object = shadows::object(number);
        pr_info!(
            "look {number}: plain {:?}, sleepy {:?}, lone {:?}",
            count::<Plain>(object, number),
            count::<Sleepy>(object, number),
            count::<Lone>(object, number),
        );
    }
    states::show::<State1>(1);
    states::show::<State2>(2);
    states::show::<State3>(3);
}

opaque! {
    /// What `klp_test_target` has.
    pub struct klp_test_thing;
}

/// Counts the same of a thing of the module.
///
/// # Safety
///
/// Called by the module, for one of its things, which are 64 bytes apart from the start of a page.
#[klp_func(symbol = "klp_test_describe", object = "klp_test_target")]
unsafe extern "C" fn klp_test_describe(thing: *mut klp_test_thing) -> c_int {
    // SAFETY: By contract.
    describe(unsafe { &*thing })
}

/// What the module is told of a thing.
fn describe(thing: &klp_test_thing) -> c_int {
    let number = (ptr::from_ref(thing).addr() % 4096 / 64) as u32;
    let (mark, sleepy) = (count::<Mark>(thing, number), count::<SleepyMark>(thing, number));
    pr_info!("describe {number}: mark {mark:?}, sleepy {sleepy:?}");
    mark.map_or(-1, |mark| mark.map_or_else(Error::to_errno, |looks| looks as c_int))
}

/// The same for a thing that is on no machine but the model's.
pub fn describe_number(number: usize) -> c_int {
    // SAFETY: Nothing is behind a thing that could be looked at.
    describe(unsafe { &*ptr::without_provenance::<klp_test_thing>(0x10000 + 64 * number) })
}

sleepy_fifo_open!();

/// Exists, and can't be redirected: patching fails after `pre_patch`.
///
/// # Safety
///
/// Never called.
#[klp_func(symbol = "do_syscall_64", unchecked)]
unsafe extern "C" fn unpatchable() {}
