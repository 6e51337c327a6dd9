//! A patch that is what its parameters say: states, shadow variables, objects, functions, what runs on its own,
//! failures.
//!
//! One source, the modules `klp_test_random1` to `4`. All that happens in one is logged.
#![no_std]

mod own;
mod shadows;
mod states;

use core::ptr;

use klp_runtime::prelude::*;
use klp_test_support::random::{Configuration, Held};
pub use own::RUNS_ON_ITS_OWN;
pub use shadows::IDS;
use shadows::{Lone, Mark, Plain, Sleepy, SleepyMark, count};
use states::{Large1, Large2, Large3, Small, State1, State2, State3};

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "A patch of klp's tests",
    series: "klp one",
    revision: 1,
}

#[klp_param]
static REPLACE: Param<bool> = Param::new(false);
#[klp_param]
static STATES: Param<u32> = Param::new(0);
#[klp_param]
static VERSIONS: Param<u32> = Param::new(0);
#[klp_param]
static LAYOUTS: Param<u32> = Param::new(0);
#[klp_param]
static MIGRATES: Param<u32> = Param::new(0);
#[klp_param]
static BLOCK_DISABLE: Param<u32> = Param::new(0);
#[klp_param]
static SHADOWS: Param<u32> = Param::new(0);
#[klp_param]
static ODD: Param<u32> = Param::new(0);
#[klp_param]
static OBJECTS: Param<u32> = Param::new(0);
#[klp_param]
static FUNCS: Param<u32> = Param::new(0);
#[klp_param]
static SERIES: Param<u32> = Param::new(0);
#[klp_param]
static REVISION: Param<u32> = Param::new(0);
#[klp_param]
static STARTS: Param<u32> = Param::new(0);
#[klp_param]
static PROBES: Param<u32> = Param::new(0);
#[klp_param]
static FAILS: Param<u32> = Param::new(0);
#[klp_param]
static ERRNO: Param<i32> = Param::new(0);

/// Sets the parameters, and the rest to what it is at first: what `insmod` does in a kernel.
pub fn configure(to: &Configuration) {
    REPLACE.set(to.replace);
    STATES.set(to.states);
    VERSIONS.set(to.versions);
    LAYOUTS.set(to.layouts);
    MIGRATES.set(to.migrates);
    BLOCK_DISABLE.set(to.block_disable);
    SHADOWS.set(to.shadows);
    ODD.set(to.odd);
    OBJECTS.set(to.objects);
    FUNCS.set(to.funcs);
    SERIES.set(to.series);
    REVISION.set(to.revision);
    STARTS.set(to.starts);
    PROBES.set(to.probes);
    FAILS.set(to.fails);
    ERRNO.set(to.errno);
    own::reset();
}

/// The error that the parameters ask for where that is what fails.
fn fails_at(what: u32) -> Result {
    if FAILS.get() == what { Err(Error::from_errno(ERRNO.get())) } else { Ok(()) }
}

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    own::start(Configuration::IN_INIT);
    probe(Configuration::IN_INIT);
    fails_at(Configuration::FAILS_INIT)?;
    patch.set_replace(REPLACE.get());
    choose_series(patch);
    states::choose::<State1, Large1>(patch, 0)?;
    states::choose::<State2, Large2>(patch, 1)?;
    states::choose::<State3, Large3>(patch, 2)?;
    shadows::choose::<Plain>(patch)?;
    shadows::choose::<Sleepy>(patch)?;
    shadows::choose::<Mark>(patch)?;
    shadows::choose::<SleepyMark>(patch)?;
    shadows::choose::<Lone>(patch)?;
    choose_funcs(
        patch,
        c"vmlinux",
        Configuration::VMLINUX,
        &[
            (Configuration::VERSION, c"version_proc_show"),
            (Configuration::FIFO, c"fifo_open"),
            (Configuration::UNPATCHABLE, UNPATCHABLE),
        ],
    )?;
    choose_funcs(
        patch,
        c"klp_test_target",
        Configuration::TARGET,
        &[(Configuration::DESCRIBE, c"klp_test_describe")],
    )
}

fn choose_series(patch: &mut PatchSelection<'_>) {
    // SAFETY: The series is null or a constant.
    let tables = unsafe { patch.tables() };
    match SERIES.get() {
        0 => tables.series = ptr::null(),
        1 => {}
        _ => tables.series = c"klp two".as_ptr(),
    }
    tables.revision = REVISION.get().into();
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
    own::start(Configuration::IN_EXIT);
    probe(Configuration::IN_EXIT);
}

/// The kernel itself.
struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn pre_patch(_object: &ObjectContext<'_>) -> Result {
        pr_info!("pre_patch vmlinux");
        own::start(Configuration::IN_VMLINUX);
        probe(Configuration::IN_VMLINUX);
        fails_at(Configuration::FAILS_VMLINUX)
    }

    fn post_patch(_object: &ObjectContext<'_>) {
        pr_info!("post_patch vmlinux");
        own::start(Configuration::IN_VMLINUX);
    }

    fn pre_unpatch(_object: &ObjectContext<'_>) {
        pr_info!("pre_unpatch vmlinux");
    }

    fn post_unpatch(_object: &ObjectContext<'_>) {
        pr_info!("post_unpatch vmlinux");
        own::start(Configuration::IN_VMLINUX);
        probe(Configuration::IN_VMLINUX);
    }
}

/// The module of the tests.
struct Target;

#[klp_object(name = "klp_test_target")]
impl Object for Target {
    fn pre_patch(object: &ObjectContext<'_>) -> Result {
        pr_info!("pre_patch target {:?}", object.module_state());
        fails_at(Configuration::FAILS_TARGET)
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
    look_at(0);
    look_at(1);
    own::start(Configuration::IN_LOOK);
}

/// Counts looks at an object and at the states' data.
fn look_at(number: u32) {
    let object = shadows::object(number);
    pr_info!(
        "look {number}: plain {:?}, sleepy {:?}, lone {:?}",
        count::<Plain>(object, number),
        count::<Sleepy>(object, number),
        count::<Lone>(object, number),
    );
    show::<State1>(1);
    show::<State2>(2);
    show::<State3>(3);
}

fn show<S: State<Data = Small>>(id: u32) {
    let look = states::look::<S, _>(|maker, looks| pr_info!("data {id} ({maker}), look {looks}"));
    if look.is_none() {
        pr_info!("data {id}: none");
    }
}

/// Looks at what is in reach, if the parameters say so of the place ([S18](../../../docs/lifecycle.md#s18)).
fn probe(place: u32) {
    if PROBES.get() & place != 0 {
        look_at(3);
    }
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
    // SAFETY: The module passes one of its things.
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

unsafe extern "C" {
    /// `kernel/time/sleep_timeout.c`: sleeps until the time or a signal comes.
    fn msleep_interruptible(msecs: c_uint) -> c_ulong;
}

/// In place of `fs/pipe.c`: opening a FIFO takes a minute, and fails. The task uses what it has of the patch
/// afterwards.
///
/// # Safety
///
/// Called by the kernel, in process context.
#[klp_func(symbol = "fifo_open")]
unsafe extern "C" fn fifo_open(_inode: *mut inode, _file: *mut file) -> c_int {
    let held = fall_asleep();
    // SAFETY: `open` may sleep.
    unsafe { msleep_interruptible(60_000) };
    wake(held);
    EIO.to_errno()
}

/// What a task has of the patch when it falls asleep.
pub fn fall_asleep() -> Held {
    let held = Held { data: states::hold(), number: shadows::hold() };
    pr_info!("sleeps, data: {}, plain: {}", held.data.is_some(), held.number.is_some());
    held
}

/// The task uses what it has.
pub fn wake(held: Held) {
    // SAFETY: The patch may have been forced off, but what its tasks have stays (S21).
    let (data, number) =
        unsafe { (held.data.map(|data| data.as_ref()), held.number.map(|number| number.read())) };
    pr_info!("woken, data of {}, plain {number:?}", data.map_or("nobody", |data| data.maker()));
}

/// The symbol of [`unpatchable`].
const UNPATCHABLE: &CStr =
    if cfg!(target_arch = "aarch64") { c"el0t_64_sync_handler" } else { c"do_syscall_64" };

/// Exists, and can't be redirected: patching fails after `pre_patch`.
///
/// # Safety
///
/// Never called.
#[cfg_attr(target_arch = "aarch64", klp_func(symbol = "el0t_64_sync_handler", unchecked))]
#[cfg_attr(not(target_arch = "aarch64"), klp_func(symbol = "do_syscall_64", unchecked))]
unsafe extern "C" fn unpatchable() {}
