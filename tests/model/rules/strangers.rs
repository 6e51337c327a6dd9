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
