//! S18: a patch reaches only what it provides, and while it does.

use std::cell::Cell;
use std::rc::Rc;

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
fn s18_a_patch_that_was_refused_or_is_held_reaches_nothing() {
    let held = || Patch::new("a").state(State::new(1).block_disable());
    let sim = enabled([held()]);
    assert_eq!(sim.insmod(Patch::new("b").state(State::new(1).name("other"))), Err(EINVAL));
    sim.disable("a").unwrap();
    assert_eq!((sim.is_live(1), sim.reaches("a", 1)), (true, NOTHING));
}
