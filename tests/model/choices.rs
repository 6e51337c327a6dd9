//! A patch whose init hook chooses what takes part, with callbacks of objects and a state of the
//! kernel's own table: by its macros, in the model.

use std::cell::Cell;
use std::ptr;

use klp_runtime::prelude::*;
use klp_runtime::shadow::raw;
use klp_runtime::sim::{Patch, Sim, State as MadeUp};

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Chooses",
}

/// Bits that say what is left out.
#[klp_param(permissions = 0o644)]
static OMIT: Param<u32> = Param::new(0);

/// Whether all others are replaced
#[klp_param]
static REPLACE: Param<bool> = Param::new(false);

/// The version of the first state, 0 for its own
#[klp_param]
static VERSION: Param<u32> = Param::new(0);

const FIRST: u32 = 1;
const SECOND: u32 = 2;
const TARGET: u32 = 4;
const SHARED: u32 = 8;
const ALL: u32 = 16;
const REFUSE: u32 = 32;

thread_local! {
    /// What the init hook reaches.
    static IN_HOOK: Cell<Option<([bool; 2], [Result; 2])>> = const { Cell::new(None) };
    static EXITS: Cell<u32> = const { Cell::new(0) };
    /// What `klp_get_prev_state` found: the data, if there was a patch before.
    static PREVIOUS: Cell<Option<usize>> = const { Cell::new(None) };
    static STATE: Cell<Option<ModuleState>> = const { Cell::new(None) };
}

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    IN_HOOK.set(Some((has_variables(), add_variables())));
    let omit = OMIT.get();
    patch.set_replace(REPLACE.get());
    if VERSION.get() > 0 {
        patch.state::<First>()?.set_version(VERSION.get());
    }
    if omit & FIRST != 0 {
        patch.omit_state::<First>()?;
        assert_eq!(patch.omit_state::<First>(), Err(ENOENT));
        assert!(patch.state::<First>().is_err());
    }
    if omit & SECOND != 0 {
        patch.omit_shadow::<Own>()?;
    }
    if omit & TARGET != 0 {
        patch.omit_object(c"target")?;
        assert_eq!(patch.omit_object(c"target"), Err(ENOENT));
    }
    if omit & SHARED != 0 {
        patch.omit_native::<Shared>()?;
    }
    patch.set_enabled(omit & ALL == 0);
    if omit & REFUSE != 0 { Err(EBUSY) } else { Ok(()) }
}

#[klp_exit]
fn exit() {
    EXITS.set(EXITS.get() + 1);
}

struct First;

#[klp_state(id = 1, version = 1)]
impl State for First {
    fn post_patch(_cx: &StateContext<'_>, _data: &()) {}

    fn pre_unpatch(_cx: &StateContext<'_>, _data: &()) {}
}

/// A variable that goes with the first state.
#[shadow(state = First, of = file)]
#[repr(C)]
struct OfFirst {
    number: u64,
}

/// A variable with a state of its own.
#[shadow(id = 2, of = file)]
#[repr(C)]
struct Own {
    number: u64,
}

/// An object that has one of each.
const OBJECT: *const file = ptr::without_provenance(0x1000);

/// Whether the patch's code finds them.
fn has_variables() -> [bool; 2] {
    // SAFETY: No reference is kept.
    unsafe { [OfFirst::get_at(OBJECT).is_some(), Own::get_at(OBJECT).is_some()] }
}

/// Tries to add them.
fn add_variables() -> [Result; 2] {
    // SAFETY: The address is never followed, and no reference is kept.
    unsafe {
        [
            OfFirst::alloc_at(OBJECT, GFP_KERNEL, || Ok(OfFirst { number: 1 })).map(|_| ()),
            Own::alloc_at(OBJECT, GFP_KERNEL, || Ok(Own { number: 2 })).map(|_| ()),
        ]
    }
}

#[klp_state(id = 1, version = 2, native)]
struct Shared;

struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn post_patch(object: &ObjectContext<'_>) {
        assert!(object.name().is_none() && object.module_state().is_none());
        PREVIOUS.set(Shared::previous(object).map(|state| state.data().addr()));
        if let Some(own) = Shared::get() {
            assert_eq!((own.version(), own.data().is_null()), (2, true));
            // SAFETY: No other patch follows it.
            unsafe { own.set_data(ptr::without_provenance_mut(7)) };
        }
    }
}

struct Target;

#[klp_object(name = "target")]
impl Object for Target {
    fn pre_patch(object: &ObjectContext<'_>) -> Result {
        assert_eq!(object.name(), Some(c"target"));
        STATE.set(object.module_state());
        Ok(())
    }
}

/// The statics of the crate are the parameters: one test at a time uses them.
fn loaded(omit: u32, replace: bool, version: u32) -> Result<(Sim, std::sync::MutexGuard<'static, ()>)> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    EXITS.set(0);
    let sim = Sim::new();
    sim.insmod(Patch::new("before").state(MadeUp::new(9)).native_state(1, 1)).unwrap();
    sim.take_calls();
    OMIT.set(omit);
    REPLACE.set(replace);
    VERSION.set(version);
    sim.insmod(livepatch()).map(|()| (sim, guard))
}

#[test]
fn all_takes_part_unless_it_is_left_out() {
    let (sim, _guard) = loaded(0, false, 0).unwrap();
    assert_eq!(sim.take_calls(), ["choices.post_patch 1", "choices.post_patch vmlinux"]);
    let states: Vec<_> = sim.snapshot().unwrap().patches.iter().map(|patch| patch.claims.len()).collect();
    assert_eq!(states.iter().sum::<usize>(), 3);
    sim.load_target("target").unwrap();
    assert_eq!(
        (sim.take_calls(), STATE.get()),
        (vec!["choices.pre_patch target".to_owned()], Some(ModuleState::Coming))
    );
    sim.disable("choices").unwrap();
    assert_eq!(sim.take_calls(), ["choices.pre_unpatch 1"]);
    assert_eq!(EXITS.get(), 0);
    sim.rmmod("choices").unwrap();
    assert_eq!(EXITS.get(), 1);
}

#[test]
fn what_is_left_out_is_as_if_it_were_not_there() {
    let (sim, _guard) = loaded(FIRST | SECOND | TARGET, false, 0).unwrap();
    assert_eq!(sim.take_calls(), ["choices.post_patch vmlinux"]);
    assert!(!sim.is_live(1) && !sim.is_live(2), "a variable takes its own state with it");
    sim.load_target("target").unwrap();
    assert_eq!(sim.take_calls(), [""; 0]);
    sim.disable("choices").unwrap();
    sim.rmmod("choices").unwrap();
    sim.disable("before").unwrap();
    sim.rmmod("before").unwrap();
    sim.assert_clean();
}

#[test]
fn s18_l26_an_init_hook_reaches_no_shadow_variable() {
    drop(loaded(0, false, 0).unwrap());
    assert_eq!(IN_HOOK.get(), Some(([false; 2], [Err(ENODEV); 2])));
}

#[test]
fn s18_l25_shadow_variables_of_a_state_that_is_left_out_are_out_of_reach() {
    let (sim, _guard) = loaded(FIRST, false, 0).unwrap();
    assert_eq!(add_variables(), [Err(ENODEV), Ok(())]);
    assert_eq!(has_variables(), [false, true]);
    sim.disable("choices").unwrap();
    sim.disable("before").unwrap();
    sim.rmmod("choices").unwrap();
    sim.rmmod("before").unwrap();
    sim.assert_clean();
}

#[test]
fn s18_shadow_variables_are_reached_while_the_state_is_provided() {
    let (sim, _guard) = loaded(0, false, 0).unwrap();
    assert_eq!(add_variables(), [Ok(()); 2]);
    assert_eq!((has_variables(), add_variables()), ([true; 2], [Err(EEXIST); 2]));
    assert_eq!(First::with_data(|()| ()), Some(()));
    sim.disable("choices").unwrap();
    assert_eq!((has_variables(), add_variables()), ([false; 2], [Err(ENODEV); 2]));
    assert_eq!(First::with_data(|()| ()), None);
    sim.disable("before").unwrap();
    sim.rmmod("choices").unwrap();
    sim.rmmod("before").unwrap();
    sim.assert_clean();
}

#[test]
fn the_number_of_a_state_is_free_for_shadow_variables_of_c_patches() {
    const THEIRS: raw::Id = raw::Id::new(2).unwrap();
    let (sim, _guard) = loaded(0, false, 0).unwrap();
    // SAFETY: Nobody reads the variable.
    unsafe { raw::alloc(OBJECT.cast(), THEIRS, 1, GFP_KERNEL, |_| Ok(())) }.unwrap();
    assert_eq!((has_variables(), add_variables()), ([false; 2], [Ok(()); 2]));
    sim.disable("choices").unwrap();
    sim.disable("before").unwrap();
    sim.rmmod("choices").unwrap();
    sim.rmmod("before").unwrap();
    assert!(raw::get(OBJECT.cast(), THEIRS).is_some());
    // SAFETY: Nobody uses the variable.
    unsafe { raw::free(OBJECT.cast(), THEIRS, None) };
    sim.assert_clean();
}

#[test]
fn replace_and_versions_are_chosen() {
    let (sim, _guard) = loaded(0, true, 5).unwrap();
    assert!(!sim.is_enabled("before").unwrap_or(false));
    sim.take_calls();
    let lower = Patch::new("lower").state(MadeUp::new(1).name("First").version(4));
    assert_eq!(sim.insmod(lower), Err(EINVAL));
}

#[test]
fn the_kernels_own_states_are_seen_by_callbacks() {
    let (sim, _guard) = loaded(0, false, 0).unwrap();
    assert_eq!(PREVIOUS.get(), Some(0), "the patch before lists the state, and has left nothing there");
    drop(sim);
    drop(_guard);
    // The kernel refuses a patch that replaces and lacks a state of its table.
    assert_eq!(loaded(SHARED, true, 0).map(|_| ()), Err(EINVAL));
    assert_eq!(EXITS.get(), 1, "its init hook had succeeded");
}

#[test]
fn a_hook_may_refuse_or_leave_the_patch_as_it_is() {
    assert_eq!(loaded(REFUSE, false, 0).map(|_| ()), Err(EBUSY));
    assert_eq!(EXITS.get(), 0, "its init hook had failed");
    let (sim, _guard) = loaded(ALL, false, 0).unwrap();
    assert_eq!((sim.take_calls(), sim.is_enabled("choices")), (vec![], None));
    assert!(sim.is_loaded("choices"));
    sim.rmmod("choices").unwrap();
    assert_eq!(EXITS.get(), 1);
}
