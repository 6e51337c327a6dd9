//! The model itself: what it sees, and what it tells a test.

use std::cell::Cell;
use std::rc::Rc;

use klp_runtime::abi::{PatchNode, REGISTRY_SHADOW_ID, Registry};
use klp_runtime::error::ENOENT;
use klp_runtime::sim::{Patch, Shadow, Sim, State};

use crate::{enabled, end, patch};

#[test]
fn the_model_sees_what_is_lost() {
    let sim = enabled([patch("a", [1]).shadow(Shadow::new(10, 1))]);
    sim.attach("a", 10, 0x10).unwrap();
    let leaks = sim.leaks();
    for lost in
        ["patch a is", "state 1 is live", "object 0x10 has", "module a has 1", "blocks of", "1 state data"]
    {
        assert!(leaks.iter().any(|leak| leak.contains(lost)), "{lost}: {leaks:?}");
    }
}

/// Where the node of `b` was, which is unloaded, on a machine where `a` is enabled; and the list.
fn stale_node(sim: &Sim) -> (*mut Registry, *mut PatchNode) {
    let registry = sim.shadow_data(0, REGISTRY_SHADOW_ID).cast::<Registry>();
    // SAFETY: A patch is enabled, so the list is there.
    let stale = unsafe { (*registry).newest };
    sim.disable("b").unwrap();
    sim.rmmod("b").unwrap();
    (registry, stale)
}

#[test]
fn the_model_sees_what_refers_to_an_unloaded_module() {
    let sim = enabled([patch("a", [1]), patch("b", [2])]);
    let (registry, stale) = stale_node(&sim);
    // SAFETY: `a` is enabled, so the list is there.
    let newest = unsafe { std::mem::replace(&mut (*registry).newest, stale) };
    assert_eq!(sim.rmmod("b"), Err(ENOENT));
    assert_eq!(sim.take_faults(), ["a patch on the list is not loaded"]);
    // SAFETY: `a` is still enabled, so the list is there.
    unsafe { (*registry).newest = newest };
    end(&sim, "a");
}

#[test]
#[should_panic(expected = "memory was written to after it was freed")]
fn the_model_sees_what_is_written_to_an_unloaded_module() {
    let sim = enabled([patch("a", [1]), patch("b", [2])]);
    let (_, stale) = stale_node(&sim);
    // SAFETY: The model keeps the memory.
    unsafe { (*stale).magic = 0 };
}

#[test]
fn an_action_is_called_for_each_callback() {
    let seen = Rc::new(Cell::new(0));
    let counter = Rc::clone(&seen);
    let counting = State::new(1).on(move |_| {
        counter.set(counter.get() + 1);
        Ok(())
    });
    let sim = enabled([Patch::new("a").state(counting)]);
    end(&sim, "a");
    assert_eq!(seen.get(), 4);
}
