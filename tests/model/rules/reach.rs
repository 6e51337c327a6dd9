//! S18: a patch reaches only what it provides, and while it does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use klp_runtime::abi::DataLayout;
use klp_runtime::error::EINVAL;
use klp_runtime::sim::{Callback, Patch, Sim, State};

use crate::{enabled, patch};

const ALL: Option<(bool, bool)> = Some((true, true));
const NOTHING: Option<(bool, bool)> = Some((false, false));

#[test]
fn s18_a_patch_reaches_a_state_while_it_provides_it() {
    let sim = enabled([patch("a", [1])]);
    assert_eq!((sim.reaches("a", 1), sim.reaches("a", 2)), (ALL, None));
    sim.stall();
    sim.insmod(patch("b", [1])).unwrap();
    assert_eq!(sim.reaches("b", 1), ALL, "new code runs in some tasks");
    sim.resume();
    sim.disable("a").unwrap();
    assert_eq!((sim.reaches("a", 1), sim.reaches("b", 1)), (NOTHING, ALL));
    sim.insmod(patch("c", [1]).replace()).unwrap();
    assert_eq!((sim.reaches("b", 1), sim.reaches("c", 1)), (NOTHING, ALL));
    sim.stall();
    sim.disable("c").unwrap();
    assert_eq!(sim.reaches("c", 1), ALL);
    sim.resume();
    assert_eq!(sim.reaches("c", 1), NOTHING);
}

#[test]
fn s18_variables_are_reached_in_pre_patch_and_data_behind_it() {
    let sim = Rc::new(Sim::new());
    let seen = Rc::new(Cell::new(None));
    let (weak, saw) = (Rc::downgrade(&sim), Rc::clone(&seen));
    let state = State::new(1).on(move |callback| {
        if callback == Callback::PrePatch {
            let sim = weak.upgrade().unwrap();
            saw.set(Some((sim.reaches("a", 1), sim.reaches("a", 2))));
        }
        Ok(())
    });
    sim.insmod(Patch::new("a").state(state).state(State::new(2))).unwrap();
    assert_eq!(seen.get(), Some((Some((true, false)), NOTHING)));
    assert_eq!(sim.reaches("a", 2), ALL);
}

#[test]
fn s18_what_continues_is_reached_from_the_first_callback_on() {
    let layout = |size| DataLayout { size, align: 8, fingerprint: size as u64 };
    let (old, new) = (layout(8), layout(16));
    let sim = Rc::new(Sim::new());
    let continuing = || [State::new(2), State::new(3).layout(old)];
    sim.insmod(continuing().into_iter().fold(Patch::new("a"), Patch::state)).unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let look = |at| {
        let (weak, seen) = (Rc::downgrade(&sim), Rc::clone(&seen));
        move |callback| {
            if callback == at {
                let sim = weak.upgrade().unwrap();
                seen.borrow_mut().push([1, 2, 3].map(|id| sim.reaches("b", id)));
            }
            Ok(())
        }
    };
    let migrating = State::new(3).version(2).layout(new).migrates_from(1, old);
    let replacing = Patch::new("b")
        .replace()
        .state(State::new(1).on(look(Callback::PrePatch)))
        .state(State::new(2))
        .state(migrating.on(look(Callback::Migrate)));
    sim.insmod(replacing).unwrap();
    let live_only = Some((true, false));
    assert_eq!(*seen.borrow(), [[live_only, ALL, live_only], [ALL, ALL, live_only]]);
}

#[test]
fn s18_a_patch_that_was_refused_or_is_held_reaches_nothing() {
    let held = || Patch::new("a").state(State::new(1).block_disable());
    let sim = enabled([held()]);
    assert_eq!(sim.insmod(Patch::new("b").state(State::new(1).name("other"))), Err(EINVAL));
    sim.disable("a").unwrap();
    assert_eq!((sim.is_live(1), sim.reaches("a", 1)), (true, NOTHING));
}
