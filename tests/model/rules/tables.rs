//! S23: tables of other releases.

use klp_runtime::abi::{ABI_VERSION, OLDEST_ABI};
use klp_runtime::error::EINVAL;
use klp_runtime::sim::{Patch, Shadow, State};

use crate::{NOTHING, enabled, end, events, patch};

/// The patch `name`, made by the next release: its tables have the next version, and longer entries.
fn next<const N: usize>(name: &str, states: [u64; N]) -> Patch {
    patch(name, states).abi_version(ABI_VERSION + 1)
}

#[test]
fn s23_l30_a_later_runtime_replaces_patches_of_an_earlier_one() {
    let sim = enabled([patch("a", [1, 2]).shadow(Shadow::new(10, 1))]);
    sim.attach("a", 10, 0x10).unwrap();
    sim.insmod(next("b", [3, 2, 4]).replace()).unwrap();
    assert_eq!(
        events(&sim),
        [
            "b.pre_patch 3",
            "b.pre_patch 4",
            "a.pre_unpatch 1",
            "a.post_unpatch 1",
            "drop 1",
            "a.destroy shadow10 of 0x10",
            "b.post_patch 3",
            "b.post_patch 4"
        ]
    );
    sim.rmmod("a").unwrap();
    end(&sim, "b");
}

#[test]
fn s23_an_earlier_runtime_finishes_beside_a_later_one() {
    let with = |patch: Patch| patch.shadow(Shadow::new(10, 1).object("target"));
    let sim = enabled([with(patch("a", [1, 2])), with(next("b", [2, 1]))]);
    sim.load_target("target").unwrap();
    sim.attach("a", 10, 0x10).unwrap();
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), ["b.destroy shadow10 of 0x10"]);
    sim.disable("a").unwrap();
    assert_eq!(events(&sim), NOTHING);
    sim.disable("b").unwrap();
    assert_eq!(
        sim.take_calls(),
        ["b.pre_unpatch 1", "b.pre_unpatch 2", "b.post_unpatch 1", "b.post_unpatch 2"]
    );
    sim.assert_clean();

    let sim = enabled([patch("a", [1]), Patch::new("b").state(State::new(1)).abi_version(ABI_VERSION + 1)]);
    sim.disable("b").unwrap();
    end(&sim, "a");
}

#[test]
fn s23_an_earlier_runtime_refuses_what_it_does_not_understand() {
    let sim = enabled([next("a", [1])]);
    // The kernel sees it from its own tables, where they would share a state with it or replace it.
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log().len(), 1);
    end(&sim, "a");

    let sim = enabled([patch("a", [1]).abi_version(OLDEST_ABI - 1)]);
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    let why = format!(
        "b: refused: built for table ABI {ABI_VERSION}, but a is enabled, built for {}",
        OLDEST_ABI - 1
    );
    assert_eq!(sim.take_log(), [why]);
}
