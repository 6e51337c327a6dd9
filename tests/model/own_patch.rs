//! A patch of the macros in the model, as its author tests it: its code sees the machine of the
//! test that runs it, and no other's.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use klp_runtime::abi::DataLayout;
use klp_runtime::error::{EEXIST, EIO, ENODEV, ENOENT};
use klp_runtime::prelude::*;
use klp_runtime::shadow::raw;
use klp_runtime::sim::{Patch, Sim};
use klp_runtime::sysfs;
use klp_runtime::work::{DelayedWork, advance};

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Counts",
}

const NAME: &str = "own_patch";

/// What the state carries.
#[derive(KlpData)]
#[repr(C)]
struct Count {
    number: AtomicU64,
}

impl Drop for Count {
    fn drop(&mut self) {
        assert!(Counting::with_data(|_| ()).is_none(), "data that are dropped are out of reach (S10)");
    }
}

struct Counting;

#[klp_state(id = 1, version = 1)]
impl State for Counting {
    type Data = Count;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Count> {
        assert!(Self::with_data(|_| ()).is_none(), "there are no data before they are made");
        Ok(Count { number: AtomicU64::new(7) })
    }

    fn post_unpatch(_cx: &StateContext<'_>, data: &Count) {
        pr_info!("counted to {}", data.number.load(Ordering::Relaxed));
    }
}

fn count() -> Option<u64> {
    Counting::with_data(|data| data.number.fetch_add(1, Ordering::Relaxed))
}

/// A shadow variable whose destructor may not sleep.
#[shadow(state = Counting, of = file)]
#[repr(C)]
struct Quick {
    number: u64,
}

impl Drop for Quick {
    fn drop(&mut self) {
        pr_info!("quick {} dropped", self.number);
    }
}

/// One whose may: it frees what could not be freed in atomic context.
#[shadow(state = Counting, of = file, sleepable)]
#[repr(C)]
struct Slow {
    number: u64,
}

impl Drop for Slow {
    fn drop(&mut self) {
        // An allocation that may sleep: the model would see it under the lock.
        let boxed = KBox::new(self.number, GFP_KERNEL);
        pr_info!("slow {} dropped", *boxed.unwrap());
    }
}

/// One whose destructor tries to make another.
#[shadow(state = Counting, of = file)]
#[repr(C)]
struct Careless {}

impl Drop for Careless {
    fn drop(&mut self) {
        let other = ptr::without_provenance(0x1000);
        // SAFETY: The address is never followed, and no reference is kept.
        let made = unsafe { Slow::alloc_at(other, GFP_ATOMIC, || Ok(Slow { number: 1 })) };
        pr_info!("careless: {:?}", made.err());
    }
}

static REPORT: DelayedWork = DelayedWork::new(|| pr_info!("reports"));

/// Starts what runs on its own.
fn start() -> (bool, Result) {
    let directory =
        sysfs::Directory::new(c"own_patch").and_then(|directory| directory.file(c"empty", |_| Ok(())));
    (REPORT.schedule(Duration::from_secs(1)), directory.map(sysfs::Directory::keep))
}

/// An object of the kernel: only its address counts.
fn object(memory: &u64) -> &file {
    // SAFETY: An opaque type has no size; the reference is to what is there.
    unsafe { &*ptr::from_ref(memory).cast() }
}

fn booted() -> Sim {
    let sim = Sim::new();
    sim.insmod(livepatch()).unwrap();
    sim
}

#[test]
fn code_sees_the_data_while_the_state_is_live() {
    assert_eq!(count(), None, "no machine runs");
    let sim = Sim::new();
    assert_eq!(count(), None);
    sim.stall();
    sim.insmod(livepatch()).unwrap();
    assert_eq!((count(), count()), (Some(7), Some(8)), "from the beginning of the transition on");
    sim.resume();
    sim.stall();
    sim.disable(NAME).unwrap();
    assert_eq!(count(), Some(9), "to its end");
    sim.resume();
    assert_eq!(count(), None);
    assert_eq!(sim.take_log(), ["own_patch: counted to 10"]);
    sim.assert_clean();
}

#[test]
fn code_sees_the_data_that_another_patch_made() {
    let layout = DataLayout::of::<Count>();
    let older = Patch::new("older").state(klp_runtime::sim::State::new(1).name("Counting").layout(layout));
    let sees = || Counting::with_data(|_| ()).is_some();
    let sim = Sim::new();
    sim.insmod(older).unwrap();
    assert!(!sees());
    sim.stall();
    sim.insmod(livepatch()).unwrap();
    assert!(sees(), "some task may run the new code already");
    sim.disable(NAME).unwrap();
    assert!(sees(), "some task may run it still");
    sim.resume();
    assert!(!sees());
    sim.disable("older").unwrap();
    sim.assert_clean();
}

#[test]
#[should_panic(expected = "a crate is in one module")]
fn a_crate_is_loaded_once() {
    let sim = booted();
    let again = klp_runtime::tables::Tables { name: c"again", ..livepatch() };
    let _ = sim.insmod(again);
}

#[test]
fn machines_of_parallel_threads_do_not_meet() {
    let sim = booted();
    count();
    std::thread::spawn(|| {
        assert_eq!(count(), None);
        let _sim = booted();
        assert_eq!(count(), Some(7));
    })
    .join()
    .unwrap();
    assert_eq!(count(), Some(8));
    sim.disable(NAME).unwrap();
    sim.assert_clean();
}

#[test]
fn shadow_variables_are_the_machines() {
    let (memory, sim) = ([1_u64, 2], booted());
    let (a, b) = (object(&memory[0]), object(&memory[1]));
    assert!(Quick::get(a).is_none());
    assert_eq!(Quick::alloc(a, GFP_ATOMIC, || Ok(Quick { number: 1 })).unwrap().number, 1);
    assert_eq!(Quick::alloc(a, GFP_ATOMIC, || Ok(Quick { number: 2 })).err(), Some(EEXIST));
    assert_eq!(Quick::get_or_alloc(a, GFP_ATOMIC, || Ok(Quick { number: 3 })).unwrap().number, 1);
    assert_eq!(Quick::alloc(b, GFP_ATOMIC, || Err(EIO)).err(), Some(EIO));
    assert!(Quick::get(b).is_none());
    assert_eq!(Slow::get_or_alloc(a, GFP_KERNEL, || Ok(Slow { number: 4 })).unwrap().number, 4);
    assert_eq!(Slow::alloc(b, GFP_KERNEL, || Ok(Slow { number: 5 })).unwrap().number, 5);
    assert_eq!(Slow::get(b).unwrap().number, 5);
    for nth in [0, 1] {
        // SAFETY: No reference to the variable is left.
        unsafe { Slow::free(b) };
        sim.fail_alloc(nth);
        assert_eq!(Slow::alloc(b, GFP_KERNEL, || Ok(Slow { number: 6 })).err(), Some(ENOMEM));
        assert!(!sim.no_alloc_fails());
        assert_eq!(Slow::alloc(b, GFP_KERNEL, || Ok(Slow { number: 5 })).unwrap().number, 5);
    }
    sim.take_log();
    sim.disable(NAME).unwrap();
    let mut log = sim.take_log();
    log.sort();
    assert_eq!(
        log,
        [
            "own_patch: counted to 7",
            "own_patch: quick 1 dropped",
            "own_patch: slow 4 dropped",
            "own_patch: slow 5 dropped"
        ]
    );
    sim.assert_clean();
}

#[test]
fn a_constructor_runs_where_its_caller_is() {
    let (memory, sim) = ([1_u64, 2], booted());
    let (a, b) = (object(&memory[0]), object(&memory[1]));
    let made_with_others = || {
        KBox::new(0_u8, GFP_KERNEL)?;
        Slow::alloc(b, GFP_KERNEL, || Ok(Slow { number: 1 }))?;
        Quick::alloc(b, GFP_KERNEL, || Ok(Quick { number: 2 }))?;
        Ok(Quick { number: 3 })
    };
    assert_eq!(Quick::alloc(a, GFP_KERNEL, made_with_others).unwrap().number, 3);
    assert_eq!((Slow::get(b).unwrap().number, Quick::get(b).unwrap().number), (1, 2));
    sim.disable(NAME).unwrap();
    sim.assert_clean();
}

#[test]
fn what_a_slower_constructor_made_is_dropped() {
    let (memory, sim) = (1_u64, booted());
    let obj = object(&memory);
    // Between the search and the allocation, as another task could.
    let overtaken = || {
        Quick::alloc(obj, GFP_KERNEL, || Ok(Quick { number: 1 }))?;
        Ok(Quick { number: 2 })
    };
    assert_eq!(Quick::get_or_alloc(obj, GFP_KERNEL, overtaken).unwrap().number, 1);
    assert_eq!(sim.take_log(), ["own_patch: quick 2 dropped"]);
    // SAFETY: No reference to the variable is left.
    unsafe { Quick::free(obj) };
    assert_eq!(Quick::alloc(obj, GFP_KERNEL, overtaken).err(), Some(EEXIST));
    assert_eq!(sim.take_log(), ["own_patch: quick 1 dropped", "own_patch: quick 2 dropped"]);
    // SAFETY: No reference to the variable is left.
    unsafe { Quick::free(obj) };
    sim.fail_alloc(0);
    assert_eq!(Quick::alloc(obj, GFP_KERNEL, || Ok(Quick { number: 3 })).err(), Some(ENOMEM));
    assert_eq!(sim.take_log(), ["own_patch: quick 1 dropped", "own_patch: quick 3 dropped"]);
    sim.disable(NAME).unwrap();
    sim.assert_clean();
}

#[test]
fn a_destructor_under_the_lock_makes_no_variable() {
    let (memory, sim) = (1_u64, booted());
    let obj = object(&memory);
    Careless::alloc(obj, GFP_KERNEL, || Ok(Careless {})).unwrap();
    // SAFETY: No reference to the variable is left.
    unsafe { Careless::free(obj) };
    assert_eq!(sim.take_log(), ["own_patch: careless: Some(EDEADLK)"]);
    // What is dropped elsewhere may make one.
    drop(Careless {});
    assert_eq!(sim.take_log(), ["own_patch: careless: None"]);
    sim.disable(NAME).unwrap();
    sim.assert_clean();
}

#[test]
fn what_sleeps_under_the_lock_is_seen() {
    const ID: raw::Id = raw::Id::new(1).unwrap();
    let sim = booted();
    let sleepy = |_| KBox::new(0_u8, GFP_KERNEL).map(drop);
    // SAFETY: Nobody reads the variable.
    unsafe { raw::alloc(ptr::null(), ID, 1, GFP_KERNEL, sleepy) }.unwrap();
    assert_eq!(sim.take_faults(), ["an allocation that may sleep was made under the kernel's shadow lock"]);
    let nested = |_| {
        let memory = 1_u64;
        Quick::alloc(object(&memory), GFP_ATOMIC, || Ok(Quick { number: 1 })).map(|_| ())
    };
    // SAFETY: Nobody reads the variables.
    unsafe {
        raw::free(ptr::null(), ID, None);
        assert!(raw::alloc(ptr::null(), ID, 1, GFP_KERNEL, nested).is_err());
    }
    assert!(sim.take_faults().iter().any(|fault| fault.starts_with("deadlock: ")));
    sim.disable(NAME).unwrap();
    sim.assert_clean();
}

#[test]
fn s17_what_its_code_starts_is_stopped_with_it() {
    let read = || sysfs::read(c"own_patch", c"empty");
    let sim = Sim::new();
    sim.insmod(Patch::from(livepatch()).runs_on_its_own()).unwrap();
    assert_eq!(sim.run(NAME, start), (true, Ok(())));
    assert_eq!(read(), Ok(String::new()));
    assert_eq!(advance(Duration::from_secs(1)), 1);
    assert!(sim.run(NAME, || REPORT.schedule(Duration::ZERO)), "it can be scheduled again");
    sim.stall();
    sim.disable(NAME).unwrap();
    assert_eq!(read(), Ok(String::new()), "some task may run the patch's code still");
    sim.resume();
    assert_eq!((advance(Duration::from_secs(1)), read()), (0, Err(ENOENT)));
    assert_eq!(sim.run(NAME, start), (false, Err(ENODEV)));
    sim.rmmod(NAME).unwrap();
    sim.insmod(Patch::from(livepatch()).runs_on_its_own()).unwrap();
    assert_eq!(sim.run(NAME, start), (true, Ok(())), "a module that is loaded again is another one");
    sim.disable(NAME).unwrap();
    sim.assert_clean();
}

#[test]
fn a_replace_patch_without_the_state_removes_it() {
    let sim = booted();
    sim.insmod(Patch::new("other").replace()).unwrap();
    assert_eq!(sim.take_calls(), ["own_patch.pre_patch 1", "own_patch.post_unpatch 1"]);
    assert!(!sim.is_live(1));
    sim.disable("other").unwrap();
    sim.assert_clean();
}
