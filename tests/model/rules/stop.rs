//! S17: what runs on its own in a patch is stopped before anything of the step is called.

use klp_runtime::error::{EINVAL, EIO};
use klp_runtime::sim::{Object, Patch, Sim, State};

use crate::{enabled, end, events, patch};

fn running<const N: usize>(name: &str, states: [u64; N]) -> Patch {
    patch(name, states).runs_on_its_own()
}

#[test]
fn s17_a_patch_that_is_replaced_is_stopped_first() {
    let two = Patch::new("c").state(State::new(1).version(2)).state(State::new(3));
    let sim = enabled([running("a", [1]), running("b", [2])]);
    sim.insmod(two.replace()).unwrap();
    assert_eq!(
        events(&sim),
        [
            "c.pre_patch 3",
            "b.pre_unpatch 2",
            "b.stop",
            "a.stop",
            "b.post_unpatch 2",
            "drop 2",
            "c.post_patch 3",
            "c.take_over 1 from 1"
        ]
    );
    end(&sim, "c");
}

#[test]
fn s17_a_patch_that_is_disabled_is_stopped_first() {
    let sim = enabled([running("a", [1]).callbacks(Object::vmlinux())]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    assert_eq!(
        events(&sim),
        ["a.pre_unpatch vmlinux", "a.pre_unpatch 1", "a.post_patch 1", "a.post_patch vmlinux"]
    );
    sim.disable("a").unwrap();
    assert_eq!(
        events(&sim),
        [
            "a.pre_unpatch vmlinux",
            "a.pre_unpatch 1",
            "a.stop",
            "a.post_unpatch vmlinux",
            "a.post_unpatch 1",
            "drop 1"
        ]
    );
    sim.assert_clean();
}

#[test]
fn s7_s17_a_patch_that_is_taken_back_is_stopped_before_states_come_and_go() {
    let sim = enabled([running("a", [1])]);
    sim.stall();
    sim.insmod(running("b", [2]).replace()).unwrap();
    sim.disable("b").unwrap();
    sim.resume();
    assert_eq!(
        events(&sim),
        ["b.pre_patch 2", "a.pre_unpatch 1", "b.stop", "a.post_patch 1", "b.post_unpatch 2", "drop 2"]
    );
    end(&sim, "a");
}

#[test]
fn s3_s17_what_a_pre_patch_started_is_stopped_when_another_fails() {
    let sim = Sim::new();
    sim.fail_pre_patch("a", 2, EIO);
    assert_eq!(sim.insmod(running("a", [1, 2])), Err(EIO));
    assert_eq!(events(&sim), ["a.pre_patch 1", "a.pre_patch 2", "a.stop", "a.post_unpatch 1", "drop 1"]);
    assert_eq!(sim.take_log(), ["a: refused: state state2 (id 2) failed with error 5"]);
    sim.assert_clean();
}

#[test]
fn s17_a_patch_without_states_is_stopped_too() {
    let sim = Sim::new();
    sim.insmod(running("a", []).replace()).unwrap();
    sim.disable("a").unwrap();
    assert_eq!(events(&sim), ["a.stop"]);
    sim.assert_clean();
}

/// It has something to lose, so it stays on the list, and a stranger can't replace it (S14).
#[test]
fn s14_s17_a_patch_that_only_runs_on_its_own_is_stopped_too() {
    let sim = enabled([Patch::new("a").runs_on_its_own().replace()]);
    assert_eq!(sim.insmod(Patch::c("c").replace()), Err(EINVAL));
    sim.insmod(patch("b", [1]).replace()).unwrap();
    assert_eq!(events(&sim), ["b.pre_patch 1", "a.stop", "b.post_patch 1"]);
    end(&sim, "b");
}
