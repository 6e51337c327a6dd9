//! S9 and S15: modules that patches are on come and go.

use klp_runtime::error::EINVAL;
use klp_runtime::sim::{Patch, Shadow, State};

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s9_variables_go_with_the_module_of_their_objects() {
    let shadow = |id| Shadow::new(id, 1);
    let with = |name| {
        patch(name, [1])
            .shadow(shadow(10).object("target"))
            .shadow(shadow(11))
            .shadow(shadow(12).object("other"))
    };
    // The owner of the second variable that is declared to go keeps it.
    let keeps = patch("c", [1]).shadow(shadow(10));
    let sim = enabled([with("a"), with("b")]);
    sim.load_target("target").unwrap();
    for id in [10, 11, 12] {
        sim.attach("a", id, 0x10).unwrap();
    }
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), ["b.destroy shadow10 of 0x10"]);
    sim.load_target("target").unwrap();
    sim.attach("b", 10, 0x10).unwrap();

    sim.insmod(keeps).unwrap();
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), NOTHING);
    sim.insmod(Patch::new("d").replace()).unwrap();
    let freed = events(&sim);
    assert_eq!(freed.iter().filter(|event| event.contains("destroy")).count(), 3, "{freed:?}");
    end(&sim, "d");
}

#[test]
fn s9_disabling_does_not_free_for_a_module_that_stays() {
    let with = |name| patch(name, [1]).shadow(Shadow::new(10, 1).object("target"));
    let sim = enabled([with("a"), with("b")]);
    sim.load_target("target").unwrap();
    // The kernel calls an object's callbacks for those that were there when it was enabled.
    sim.attach("a", 10, 0x10).unwrap();
    sim.disable("a").unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.objects_with(10), 1);
    // In the middle of a transition it goes all the same.
    sim.stall();
    sim.disable("b").unwrap();
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.destroy shadow10 of 0x10"]);
    sim.resume();
    assert_eq!(events(&sim), ["b.post_unpatch 1", "drop 1"]);
    sim.assert_clean();
}

#[test]
fn s9_s13_a_state_that_stays_keeps_the_variables_of_a_module_that_stays() {
    let a = Patch::new("a").state(State::new(1).block_disable());
    let sim = enabled([a.shadow(Shadow::new(10, 1).object("target"))]);
    sim.load_target("target").unwrap();
    sim.attach("a", 10, 0x10).unwrap();
    // The kernel says of each object that it is unpatched, as when its module goes.
    sim.disable("a").unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.objects_with(10), 1);
}

#[test]
fn s9_s13_another_patch_frees_for_one_that_is_held() {
    let with = |name, state| patch(name, [state]).shadow(Shadow::new(10 * state, state).object("target"));
    let held =
        Patch::new("a").state(State::new(1).block_disable()).shadow(Shadow::new(10, 1).object("target"));
    let rescue = patch("c", [1, 2]).shadow(Shadow::new(10, 1).object("target")).replace();
    for b_is_first in [false, true] {
        let sim = if b_is_first {
            enabled([with("b", 2), held.clone()])
        } else {
            enabled([held.clone(), with("b", 2)])
        };
        sim.load_target("target").unwrap();
        for (by, id) in [("a", 10), ("b", 20)] {
            sim.attach(by, id, 0x10).unwrap();
        }
        sim.disable("a").unwrap();
        assert_eq!(events(&sim), NOTHING);
        sim.unload_target("target").unwrap();
        assert_eq!(events(&sim), ["b.destroy shadow20 of 0x10", "a.destroy shadow10 of 0x10"]);
        // One that is disabled meanwhile is told of its own objects, and of no module that goes.
        sim.load_target("target").unwrap();
        sim.attach("a", 10, 0x10).unwrap();
        sim.disable("b").unwrap();
        assert_eq!(events(&sim), ["b.pre_unpatch 2", "b.post_unpatch 2", "drop 2"]);
        assert_eq!(sim.objects_with(10), 1);
        sim.insmod(rescue.clone()).unwrap();
        sim.rmmod("a").unwrap();
        sim.disable("c").unwrap();
        sim.assert_clean();
    }
}

#[test]
fn s15_target_modules_call_nothing() {
    let sim = enabled([patch("a", [1]).object("target")]);
    sim.load_target("target").unwrap();
    sim.unload_target("target").unwrap();
    sim.fail_patching("a", Some("target"));
    assert_eq!(sim.load_target("target"), Err(EINVAL));
    sim.load_target("target").unwrap();
    assert_eq!(events(&sim), NOTHING);
    end(&sim, "a");
}
