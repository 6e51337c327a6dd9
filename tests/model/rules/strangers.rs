//! S14: patches in C, and of another table ABI.

use klp_runtime::abi::{ABI_VERSION, RESERVED_STATE_ID};
use klp_runtime::error::EINVAL;
use klp_runtime::sim::Patch;

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s14_a_c_patch_that_replaces_is_refused_by_the_kernel() {
    let sim = enabled([patch("a", [1])]);
    assert_eq!(sim.insmod(Patch::c("c").replace()), Err(EINVAL));
    assert_eq!(sim.insmod(Patch::c("c").native_state(7, 1).replace()), Err(EINVAL));
    assert_eq!(
        sim.take_log()[0],
        "livepatch: Livepatch patch (c) is not compatible with the already installed livepatches."
    );
    assert_eq!(events(&sim), NOTHING);
    // One that claims to know our tables would win: the id is reserved.
    assert_eq!(
        sim.insmod(Patch::c("c").native_state(RESERVED_STATE_ID, ABI_VERSION - 1).replace()),
        Err(EINVAL)
    );
    end(&sim, "a");
}

#[test]
fn s14_l29_a_patch_with_nothing_to_lose_is_on_no_list() {
    // It replaces, so the kernel must let it in over ours; once enabled it is like any other.
    let sim = enabled([patch("before", [1])]);
    sim.insmod(Patch::new("a").replace()).unwrap();
    assert_eq!(sim.take_calls(), ["before.pre_unpatch 1", "before.post_unpatch 1"]);
    assert!(sim.snapshot().unwrap().patches.is_empty());
    sim.insmod(Patch::c("c").replace()).unwrap();
    assert_eq!(sim.is_enabled("a"), None);
    sim.rmmod("a").unwrap();
    sim.insmod(patch("b", [1]).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre_patch 1", "b.post_patch 1"]);
    end(&sim, "b");

    // Also where its disabling is taken back.
    let sim = enabled([Patch::new("a").replace()]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    end(&sim, "a");
}

#[test]
fn s14_a_patch_of_a_series_has_something_to_lose() {
    let sim = enabled([Patch::new("a").series("s", 1)]);
    assert_eq!(sim.insmod(Patch::c("c").replace()), Err(EINVAL));
    assert_eq!(sim.snapshot().unwrap().patches.len(), 1);
    end(&sim, "a");
}

#[test]
fn s14_a_c_patch_that_does_not_replace_coexists() {
    let sim = enabled([Patch::c("before"), patch("a", [1]), Patch::c("after")]);
    sim.disable("before").unwrap();
    sim.insmod(patch("b", [1]).replace()).unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.is_enabled("after"), None, "it is replaced like any other");
    end(&sim, "b");
}

#[test]
fn s14_an_older_table_abi_does_not_replace_a_newer_one() {
    let sim = enabled([patch("a", [1]).abi_version(ABI_VERSION + 1)]);
    assert_eq!(sim.insmod(patch("b", [1]).replace()), Err(EINVAL));
    assert!(sim.take_log()[0].starts_with("livepatch: "), "by the kernel");
    end(&sim, "a");
}
