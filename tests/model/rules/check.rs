//! S1: what is refused before anything is called, and tables that no module should have.

use klp_runtime::abi::{ABI_VERSION, DataLayout, REGISTRY_SHADOW_ID, Registry};
use klp_runtime::error::EINVAL;
use klp_runtime::sim::{Patch, Shadow, State};

use crate::{NOTHING, assert_refused, enabled, end, events, patch};

#[test]
fn s1_a_lower_version_is_refused() {
    let two = || Patch::new("a").state(State::new(1).version(2));
    let why = "b: refused: state state1 (id 1) has version 1, which is lower than version 2 of a";
    assert_refused(two(), patch("b", [1]), why);
    assert_refused(two(), patch("b", [5, 1]).replace(), why);
}

#[test]
fn s1_another_layout_is_refused() {
    let layout = DataLayout { size: 8, align: 8, fingerprint: 1 };
    let others = [
        DataLayout { size: 16, ..layout },
        DataLayout { align: 4, ..layout },
        DataLayout { fingerprint: 2, ..layout },
    ];
    for other in others {
        let other = Patch::new("b").state(State::new(1).layout(other));
        assert_refused(
            Patch::new("a").state(State::new(1).layout(layout)),
            other,
            "b: refused: state state1 (id 1) has another data layout than in a",
        );
    }
}

#[test]
fn s1_another_name_is_refused() {
    let other = Patch::new("b").state(State::new(1).name("mine"));
    assert_refused(patch("a", [1]), other, "b: refused: state mine (id 1) has the id of state state1 of a");
}

#[test]
fn s1_another_layout_of_a_shadow_variable_is_refused() {
    let with = |name, shadow| patch(name, [1]).shadow(shadow);
    let why = "b: refused: state state1 (id 1) has shadow variable shadow10 with another layout than in a";
    let other = DataLayout { size: 8, align: 8, fingerprint: 2 };
    let shadow = || Shadow::new(10, 1);
    assert_refused(with("a", shadow()), with("b", shadow().layout(other)), why);
    assert_refused(with("a", shadow()), with("b", shadow().sleepable()), why);
    assert_refused(with("a", shadow().sleepable()), with("b", shadow()).replace(), why);
}

#[test]
fn s1_a_replace_patch_without_a_state_that_stays_is_refused() {
    let blocks = || patch("a", [2]).state(State::new(1).block_disable());
    let sim = enabled([blocks()]);
    let before = sim.snapshot().unwrap();
    assert_eq!(sim.insmod(patch("b", [2]).replace()), Err(EINVAL));
    assert_eq!(
        sim.take_log(),
        ["b: refused: it lacks state state1 (id 1) of a, which is marked block_disable"]
    );
    assert_eq!(sim.snapshot().unwrap(), before);
    sim.insmod(patch("b", [2])).unwrap();
    assert_eq!(events(&sim), NOTHING, "one that does not replace is enabled");
}

#[test]
fn s1_l17_another_version_beside_is_refused() {
    let two = Patch::new("b").state(State::new(1).version(2));
    let why = "b: refused: state state1 (id 1) has version 2, and version 1 in a, which this patch does not replace";
    assert_refused(patch("a", [1]), two, why);
}

#[test]
fn s1_l19_a_shadow_variable_is_held_against_all_patches() {
    let with = |name, shadow| patch(name, [1]).shadow(shadow);
    let other = DataLayout { size: 16, align: 8, fingerprint: 2 };
    for refused in [Shadow::new(10, 1).layout(other), Shadow::new(10, 1).sleepable()] {
        // The owner does not declare it.
        let sim = enabled([with("a", Shadow::new(10, 1)), patch("b", [1])]);
        let before = sim.snapshot().unwrap();
        assert_eq!(sim.insmod(with("c", refused)), Err(EINVAL));
        assert_eq!(
            sim.take_log(),
            ["c: refused: state state1 (id 1) has shadow variable shadow10 with another layout than in a"]
        );
        assert_eq!((events(&sim), sim.snapshot().unwrap()), (vec![], before));
        sim.disable("b").unwrap();
        end(&sim, "a");
    }
}

#[test]
fn s1_another_series_is_refused() {
    let of = |name, series| patch(name, [1]).series(series, 1);
    let why = "b: refused: state state1 (id 1) is also one of a, which is of another series";
    assert_refused(of("a", "mine"), of("b", "yours"), why);
    assert_refused(of("a", "mine"), of("b", "yours").replace(), why);
    // Behind an owner that is of none.
    let sim = enabled([of("a", "mine"), patch("b", [1])]);
    assert_eq!(sim.insmod(of("c", "yours")), Err(EINVAL));
    sim.insmod(of("c", "mine").replace()).unwrap();
    end(&sim, "c");
}

#[test]
fn s1_a_patch_without_a_series_is_held_to_the_name_alone() {
    let of = |name| patch(name, [1]).series("mine", 1);
    for (first, next) in [(patch("a", [1]), of("b")), (of("a"), patch("b", [1]))] {
        for replaces in [false, true] {
            let sim = enabled([first.clone()]);
            sim.insmod(if replaces { next.clone().replace() } else { next.clone() }).unwrap();
            sim.disable("b").unwrap();
            if !replaces {
                sim.disable("a").unwrap();
            }
            sim.assert_clean();
        }
        let other_name = Patch::new("b").state(State::new(1).name("mine"));
        let why = "b: refused: state mine (id 1) has the id of state state1 of a";
        assert_refused(first, other_name.series("mine", 1), why);
    }
}

#[test]
fn a_table_that_lists_a_state_twice_is_refused() {
    assert_refused(patch("a", [3]), patch("b", [1, 2, 1]), "b: refused: state state1 (id 1) is listed twice");
    // Also where the state continues.
    assert_refused(patch("a", [1]), patch("b", [1, 1]), "b: refused: state state1 (id 1) is listed twice");
}

#[test]
fn a_shadow_variable_without_its_state_is_refused() {
    let why = "b: refused: shadow variable shadow10 belongs to state 7, which the patch does not list";
    assert_refused(patch("a", [1]), patch("b", [1]).shadow(Shadow::new(10, 7)), why);
    // Nor does it help that another patch lists it.
    assert_refused(patch("a", [7]), patch("b", [1]).shadow(Shadow::new(10, 7)), why);
}

#[test]
fn another_version_of_the_tables_is_refused() {
    // A newer one that is enabled is the kernel's to see: S14 below.
    let older = ABI_VERSION - 1;
    let why = format!("b: refused: built for table ABI {ABI_VERSION}, but a is enabled, built for {older}");
    assert_refused(patch("a", [1]).abi_version(older), patch("b", [2]), &why);
    assert_refused(patch("a", [1]).abi_version(older), patch("b", [1]).replace(), &why);
}

#[test]
fn a_list_of_another_version_or_none_is_refused() {
    let sim = enabled([patch("a", [1])]);
    let registry = sim.shadow_data(0, REGISTRY_SHADOW_ID).cast::<Registry>();
    // SAFETY: A patch is enabled, so the list is there.
    let registry = unsafe { &mut *registry };
    let (magic, newest) = (registry.magic, registry.newest);

    registry.abi_version += 1;
    // A later version may have anything behind these two fields.
    registry.newest = std::ptr::without_provenance_mut(8);
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    let why = format!(
        "b: refused: built for table ABI {ABI_VERSION}, but the list of patches is of {}",
        ABI_VERSION + 1
    );
    assert_eq!(sim.take_log(), [why]);
    registry.abi_version -= 1;

    registry.magic ^= 1;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: the list of patches is corrupt"]);
    registry.magic = magic;
    registry.newest = newest;

    // SAFETY: The patch is on the list.
    let node = unsafe { &mut *newest };
    node.magic ^= 1;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: the list of patches is corrupt"]);
    node.magic ^= 1;
    node.abi_version += 1;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    let why = format!(
        "b: refused: built for table ABI {ABI_VERSION}, but a is enabled, built for {}",
        ABI_VERSION + 1
    );
    assert_eq!(sim.take_log(), [why]);
    node.abi_version -= 1;
    node.flags |= 1 << 31;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: the list of patches is corrupt"]);
    node.flags &= !(1 << 31);

    // The list was walked into, and is as it was.
    sim.take_faults();
    sim.insmod(patch("b", [2]).replace()).unwrap();
    end(&sim, "b");
}
