//! S9 and S10: shadow variables and data live as long as their state.

use klp_runtime::sim::{Patch, Shadow};

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s9_variables_are_freed_once_by_the_owner() {
    let with = |name| patch(name, [1]).shadow(Shadow::new(10, 1)).shadow(Shadow::new(11, 1).sleepable());
    for disabled_first in ["a", "b"] {
        let sim = enabled([with("a"), with("b")]);
        for object in [0x10, 0x20] {
            sim.attach("a", 10, object).unwrap();
            sim.attach("b", 11, object).unwrap();
        }
        let last = if disabled_first == "a" { "b" } else { "a" };
        sim.disable(disabled_first).unwrap();
        assert_eq!(events(&sim), NOTHING);
        sim.disable(last).unwrap();
        let mut freed = events(&sim);
        assert_eq!(
            freed[..3],
            [format!("{last}.pre_unpatch 1"), format!("{last}.post_unpatch 1"), "drop 1".into()]
        );
        freed.drain(..3);
        freed.sort();
        let destroyed = |shadow, object| format!("{last}.destroy shadow{shadow} of {object}");
        assert_eq!(
            freed,
            [destroyed(10, "0x10"), destroyed(10, "0x20"), destroyed(11, "0x10"), destroyed(11, "0x20")]
        );
        sim.assert_clean();
    }
}

#[test]
fn s9_a_replaced_owner_frees() {
    let with = |name| patch(name, [1]).shadow(Shadow::new(10, 1));
    let sim = enabled([with("a"), with("b")]);
    sim.attach("a", 10, 0x10).unwrap();
    sim.insmod(Patch::new("c").replace()).unwrap();
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1", "b.destroy shadow10 of 0x10"]);
    end(&sim, "c");
}

#[test]
fn s9_a_variable_that_a_later_patch_does_not_know_goes_with_the_patch_that_does() {
    let with = patch("a", [1]).shadow(Shadow::new(10, 1)).shadow(Shadow::new(11, 1));
    let sim = enabled([with]);
    sim.attach("a", 10, 0x10).unwrap();
    sim.attach("a", 11, 0x10).unwrap();
    sim.insmod(patch("b", [1]).shadow(Shadow::new(11, 1)).replace()).unwrap();
    assert_eq!(events(&sim), ["a.destroy shadow10 of 0x10"]);
    end(&sim, "b");
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1", "b.destroy shadow11 of 0x10"]);
}

#[test]
fn s9_the_newest_patch_that_declares_a_variable_decides() {
    let of_target = |id| Shadow::new(id, 1).object("target");
    let old = || patch("o", [1]).shadow(of_target(20)).shadow(of_target(21));
    let attached = |newer: Patch| {
        let sim = enabled([old(), newer]);
        sim.load_target("target").unwrap();
        for id in [20, 21] {
            sim.attach("o", id, 0x10).unwrap();
        }
        sim.unload_target("target").unwrap();
        sim
    };
    // The owner keeps the one, and does not know the other.
    let sim = attached(patch("n", [1]).shadow(Shadow::new(21, 1)));
    assert_eq!(events(&sim), ["o.destroy shadow20 of 0x10"]);
    assert_eq!(sim.objects_with(21), 1);
    // The owner's destructor runs, in whatever order they are listed.
    let sim = attached(patch("n", [1]).shadow(of_target(21)).shadow(of_target(22)));
    assert_eq!(events(&sim), ["o.destroy shadow20 of 0x10", "n.destroy shadow21 of 0x10"]);
}

#[test]
fn s10_data_are_made_by_the_introducer_and_dropped_after_post_unpatch() {
    let sim = enabled([patch("a", [1]), patch("b", [1])]);
    sim.disable("a").unwrap();
    assert_eq!(sim.data_made_by(1).as_deref(), Some("a"));
    assert_eq!(events(&sim), NOTHING);
    end(&sim, "b");
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1"]);
}
