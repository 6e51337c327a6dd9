//! The scenarios of the lifecycle, L1 to L16, in the model: what is done, and what is called.

use klp_runtime::error::{EAGAIN, EBUSY, EINVAL};
use klp_runtime::sim::{Patch, Sim, State};

const NOTHING: [&str; 0] = [];

/// The patch `name` that provides `states`.
fn patch<const N: usize>(name: &str, states: [u64; N]) -> Patch {
    states.into_iter().fold(Patch::new(name), |patch, id| patch.state(State::new(id)))
}

/// A machine where `patch` is enabled; what that called is taken.
fn enabled(patch: Patch) -> Sim {
    let sim = Sim::new();
    sim.insmod(patch).unwrap();
    sim.take_calls();
    sim
}

/// Disables the patch and unloads it; nothing is left.
fn end(sim: &Sim, patch: &str) {
    sim.disable(patch).unwrap();
    sim.rmmod(patch).unwrap();
    sim.assert_clean();
}

#[test]
fn l1_enable_and_disable() {
    let sim = Sim::new();
    sim.insmod(patch("a", [1])).unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_patch 1", "a.post_patch 1"]);
    end(&sim, "a");
    assert_eq!(sim.take_calls(), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
}

#[test]
fn l2_two_states() {
    let sim = Sim::new();
    sim.insmod(patch("a", [1, 2])).unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_patch 1", "a.pre_patch 2", "a.post_patch 1", "a.post_patch 2"]);
    end(&sim, "a");
    assert_eq!(
        sim.take_calls(),
        ["a.pre_unpatch 2", "a.pre_unpatch 1", "a.post_unpatch 2", "a.post_unpatch 1"]
    );
}

#[test]
fn l3_pre_patch_fails() {
    let sim = Sim::new();
    sim.fail_pre_patch("a", 2, EBUSY);
    assert_eq!(sim.insmod(patch("a", [1, 2])), Err(EBUSY));
    assert_eq!(sim.take_calls(), ["a.pre_patch 1", "a.pre_patch 2", "a.post_unpatch 1"]);
    assert!(!sim.is_loaded("a"));
    sim.assert_clean();
}

#[test]
fn l4_replace_continues() {
    let sim = enabled(patch("a", [1]));
    sim.insmod(patch("b", [1]).replace()).unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    sim.rmmod("a").unwrap();
    end(&sim, "b");
    assert_eq!(sim.take_calls(), ["b.pre_unpatch 1", "b.post_unpatch 1"]);
}

#[test]
fn l5_replace_introduces() {
    let sim = enabled(patch("a", [1]));
    sim.insmod(patch("b", [1, 2]).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre_patch 2", "b.post_patch 2"]);
    end(&sim, "b");
}

#[test]
fn l6_downgrade() {
    let sim = enabled(patch("b", [1, 2]));
    sim.insmod(patch("a", [1]).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre_unpatch 2", "b.post_unpatch 2"]);
    end(&sim, "a");
}

#[test]
fn l7_replace_removes() {
    let sim = enabled(patch("a", [1]));
    sim.stall();
    sim.insmod(patch("b", [2]).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre_patch 2", "a.pre_unpatch 1"]);
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.post_unpatch 1", "b.post_patch 2"]);
    end(&sim, "b");
}

#[test]
fn l8_reversed_enable() {
    let sim = enabled(patch("a", [1]));
    sim.stall();
    sim.insmod(patch("b", [2]).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre_patch 2", "a.pre_unpatch 1"]);
    sim.disable("b").unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.post_patch 1", "b.post_unpatch 2"]);
    sim.rmmod("b").unwrap();
    end(&sim, "a");
    assert_eq!(sim.take_calls(), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
}

#[test]
fn l9_reversed_disable() {
    let sim = enabled(patch("a", [1]));
    sim.stall();
    sim.disable("a").unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_unpatch 1"]);
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.post_patch 1"]);
    end(&sim, "a");
    assert_eq!(sim.take_calls(), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
}

#[test]
fn l10_two_patches_share() {
    let sim = Sim::new();
    sim.insmod(patch("a", [1])).unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_patch 1", "a.post_patch 1"]);
    sim.insmod(patch("b", [1])).unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    sim.disable("a").unwrap();
    sim.rmmod("a").unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    end(&sim, "b");
    assert_eq!(sim.take_calls(), ["b.pre_unpatch 1", "b.post_unpatch 1"]);
}

#[test]
fn l11_shared_and_replaced() {
    let sim = enabled(patch("a", [1]));
    sim.insmod(patch("b", [1])).unwrap();
    sim.insmod(patch("c", []).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre_unpatch 1", "b.post_unpatch 1"]);
    sim.rmmod("a").unwrap();
    sim.rmmod("b").unwrap();
    end(&sim, "c");
    assert_eq!(sim.take_calls(), NOTHING);
}

#[test]
fn l12_lower_version() {
    let sim = enabled(Patch::new("a").state(State::new(1).version(2)));
    assert_eq!(sim.insmod(patch("b", [1]).replace()), Err(EINVAL));
    assert_eq!(sim.take_calls(), NOTHING);
    assert_eq!(
        sim.take_log(),
        ["b: refused: state state1 (id 1) has version 1, which is lower than version 2 of a"]
    );
    end(&sim, "a");
}

#[test]
fn l13_take_over() {
    let sim = enabled(patch("a", [1]));
    sim.stall();
    sim.insmod(Patch::new("b").state(State::new(1).version(2)).replace()).unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    sim.resume();
    assert_eq!(sim.take_calls(), ["b.take_over 1 from 1"]);
    end(&sim, "b");
}

#[test]
fn l14_later_failure() {
    let sim = enabled(patch("a", [1]));
    sim.fail_patching("b", None);
    assert_eq!(sim.insmod(patch("b", [2]).replace()), Err(EINVAL));
    assert_eq!(sim.take_calls(), ["b.pre_patch 2", "a.pre_unpatch 1", "a.post_patch 1", "b.post_unpatch 2"]);
    assert!(!sim.is_loaded("b"));
    end(&sim, "a");
}

#[test]
fn l15_block_disable() {
    let blocking = || Patch::new("a").state(State::new(1).block_disable());
    let sim = enabled(blocking());
    assert_eq!(sim.insmod(patch("b", []).replace()), Err(EINVAL));
    assert_eq!(sim.take_calls(), NOTHING);
    assert_eq!(
        sim.take_log(),
        ["b: refused: it lacks state state1 (id 1) of a, which is marked block_disable"]
    );
    sim.insmod(patch("c", [1]).replace()).unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    sim.rmmod("a").unwrap();
    end(&sim, "c");
    assert_eq!(sim.take_calls(), ["c.pre_unpatch 1", "c.post_unpatch 1"]);

    // S13: a disable can't be refused; the state stays, and with it the module.
    sim.insmod(blocking()).unwrap();
    sim.take_calls();
    sim.disable("a").unwrap();
    assert_eq!(
        sim.take_log(),
        ["a: state state1 (id 1) is marked block_disable: it stays, and the module stays loaded, \
             until a patch that replaces this one takes the state over without block_disable"]
    );
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    sim.insmod(patch("c", [1]).replace()).unwrap();
    assert_eq!(sim.take_calls(), NOTHING);
    sim.rmmod("a").unwrap();
    end(&sim, "c");
    assert_eq!(sim.take_calls(), ["c.pre_unpatch 1", "c.post_unpatch 1"]);
}

#[test]
fn l16_data_outlive_their_module() {
    let sim = enabled(patch("a", [1]));
    sim.insmod(patch("b", [1]).replace()).unwrap();
    sim.rmmod("a").unwrap();
    // That they are intact in each callback, the model sees to.
    assert_eq!(sim.data_made_by(1).as_deref(), Some("a"));
    end(&sim, "b");
    assert_eq!(sim.take_calls(), ["b.pre_unpatch 1", "b.post_unpatch 1"]);
}
