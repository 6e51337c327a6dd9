//! S15: callbacks of objects are apart from those of states, and have the kernel's own meaning.

use std::cell::Cell;
use std::rc::Rc;

use klp_runtime::error::ENODEV;
use klp_runtime::sim::{Callback, Object, Sim};

use super::{enabled, end, events, patch};

/// A patch with a state, and callbacks of vmlinux and of a module.
fn with_objects(name: &str) -> klp_runtime::sim::Patch {
    patch(name, [1]).callbacks(Object::vmlinux()).callbacks(Object::module("target"))
}

#[test]
fn s15_callbacks_of_vmlinux_are_within_the_states() {
    let sim = Sim::new();
    sim.insmod(with_objects("a")).unwrap();
    assert_eq!(
        sim.take_calls(),
        ["a.pre_patch 1", "a.pre_patch vmlinux", "a.post_patch 1", "a.post_patch vmlinux"]
    );
    sim.disable("a").unwrap();
    assert_eq!(
        sim.take_calls(),
        ["a.pre_unpatch vmlinux", "a.pre_unpatch 1", "a.post_unpatch vmlinux", "a.post_unpatch 1"]
    );
    sim.rmmod("a").unwrap();
    sim.assert_clean();
}

#[test]
fn s15_modules_come_and_go_as_the_kernel_has_it() {
    let sim = enabled([with_objects("a")]);
    sim.load_target("target").unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_patch target", "a.post_patch target"]);
    sim.unload_target("target").unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_unpatch target", "a.post_unpatch target"]);
    sim.load_target("target").unwrap();
    sim.take_calls();
    sim.disable("a").unwrap();
    assert_eq!(
        sim.take_calls(),
        [
            "a.pre_unpatch vmlinux",
            "a.pre_unpatch 1",
            "a.pre_unpatch target",
            "a.post_unpatch vmlinux",
            "a.post_unpatch 1",
            "a.post_unpatch target"
        ]
    );
    sim.rmmod("a").unwrap();
    sim.assert_clean();
}

#[test]
fn s15_objects_of_a_replaced_patch_are_not_called() {
    let sim = enabled([with_objects("a")]);
    sim.insmod(patch("b", [1]).replace()).unwrap();
    assert_eq!(events(&sim), super::NOTHING);
    end(&sim, "b");
}

#[test]
fn s7_an_object_that_refuses_takes_the_states_back() {
    let sim = enabled([patch("a", [1])]);
    let refuses = Object::vmlinux().on(|callback| match callback {
        Callback::PrePatch => Err(ENODEV),
        _ => Ok(()),
    });
    assert_eq!(sim.insmod(patch("b", [2]).replace().callbacks(refuses)), Err(ENODEV));
    assert_eq!(
        sim.take_calls(),
        ["b.pre_patch 2", "a.pre_unpatch 1", "b.pre_patch vmlinux", "a.post_patch 1", "b.post_unpatch 2"]
    );
    end(&sim, "a");
}

#[test]
fn s7_a_module_that_refuses_takes_all_back() {
    let sim = Sim::new();
    sim.load_target("target").unwrap();
    let refuses = Object::module("target").on(|callback| match callback {
        Callback::PrePatch => Err(ENODEV),
        _ => Ok(()),
    });
    assert_eq!(sim.insmod(patch("a", [1]).callbacks(Object::vmlinux()).callbacks(refuses)), Err(ENODEV));
    assert_eq!(
        sim.take_calls(),
        [
            "a.pre_patch 1",
            "a.pre_patch vmlinux",
            "a.pre_patch target",
            "a.post_unpatch vmlinux",
            "a.post_unpatch 1"
        ]
    );
    sim.assert_clean();
}

#[test]
fn s15_a_module_that_is_refused_is_not_loaded() {
    let refuse = Rc::new(Cell::new(true));
    let asked = Rc::clone(&refuse);
    let object = Object::module("target").on(move |callback| match callback {
        Callback::PrePatch if asked.get() => Err(ENODEV),
        _ => Ok(()),
    });
    let sim = enabled([with_objects("a"), patch("b", [2]).callbacks(object)]);
    assert_eq!(sim.load_target("target"), Err(ENODEV));
    // The patch that had agreed is told that the module goes.
    assert_eq!(
        sim.take_calls(),
        [
            "a.pre_patch target",
            "a.post_patch target",
            "b.pre_patch target",
            "a.pre_unpatch target",
            "a.post_unpatch target"
        ]
    );
    refuse.set(false);
    sim.load_target("target").unwrap();
    sim.take_calls();
    sim.disable("b").unwrap();
    end(&sim, "a");
}

#[test]
fn s15_a_reversed_transition_calls_what_the_kernel_calls() {
    let sim = enabled([with_objects("a")]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    assert_eq!(
        sim.take_calls(),
        ["a.pre_unpatch vmlinux", "a.pre_unpatch 1", "a.post_patch 1", "a.post_patch vmlinux"]
    );
    // A module that comes during a transition gets its `post_patch` at the end of it.
    sim.stall();
    sim.disable("a").unwrap();
    sim.load_target("target").unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_unpatch vmlinux", "a.pre_unpatch 1", "a.pre_patch target"]);
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.post_unpatch vmlinux", "a.post_unpatch 1", "a.post_unpatch target"]);
    sim.rmmod("a").unwrap();
    sim.assert_clean();
}

#[test]
fn s15_a_patch_without_states_has_callbacks_too() {
    let sim = Sim::new();
    sim.insmod(klp_runtime::sim::Patch::new("a").callbacks(Object::vmlinux())).unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_patch vmlinux", "a.post_patch vmlinux"]);
    end(&sim, "a");
}
