//! S2 to S5 and S7: a patch is enabled, in vain or not, and the states that it replaces are removed.

use std::rc::Rc;

use klp_runtime::error::{EINVAL, EIO};
use klp_runtime::sim::{Callback, Patch, Shadow, Sim, State};

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s3_variables_that_were_made_until_it_failed_are_freed() {
    let sim = Rc::new(Sim::new());
    let attaching = |shadow, result| {
        let sim = Rc::downgrade(&sim);
        move |callback| match callback {
            Callback::PrePatch => {
                sim.upgrade().unwrap().attach("a", shadow, 0x10).unwrap();
                result
            }
            _ => Ok(()),
        }
    };
    let a = Patch::new("a")
        .state(State::new(1).on(attaching(10, Ok(()))))
        .state(State::new(2).on(attaching(20, Err(EIO))))
        .state(State::new(3))
        .shadow(Shadow::new(10, 1))
        .shadow(Shadow::new(20, 2).sleepable());
    assert_eq!(sim.insmod(a), Err(EIO));
    assert_eq!(
        events(&sim),
        [
            "a.pre_patch 1",
            "a.pre_patch 2",
            "a.destroy shadow20 of 0x10",
            "a.post_unpatch 1",
            "drop 1",
            "a.destroy shadow10 of 0x10"
        ]
    );
    sim.assert_clean();
}

#[test]
fn s3_is_in_reverse_order() {
    let sim = Sim::new();
    sim.fail_pre_patch("a", 1, EIO);
    assert_eq!(sim.insmod(patch("a", [2, 4, 3, 1])), Err(EIO));
    assert_eq!(
        sim.take_calls(),
        [
            "a.pre_patch 2",
            "a.pre_patch 4",
            "a.pre_patch 3",
            "a.pre_patch 1",
            "a.post_unpatch 3",
            "a.post_unpatch 4",
            "a.post_unpatch 2"
        ]
    );
    sim.assert_clean();
}

#[test]
fn s4_s5_s7_orders_among_several_patches() {
    let sim = enabled([patch("a", [1, 2]), patch("b", [3, 4])]);
    sim.stall();
    sim.insmod(patch("c", [5, 6]).replace()).unwrap();
    let s4 = [
        "c.pre_patch 5",
        "c.pre_patch 6",
        "b.pre_unpatch 4",
        "b.pre_unpatch 3",
        "a.pre_unpatch 2",
        "a.pre_unpatch 1",
    ];
    assert_eq!(sim.take_calls(), s4);
    sim.disable("c").unwrap();
    sim.resume();
    assert_eq!(
        sim.take_calls(),
        [
            "a.post_patch 1",
            "a.post_patch 2",
            "b.post_patch 3",
            "b.post_patch 4",
            "c.post_unpatch 6",
            "c.post_unpatch 5"
        ]
    );
    sim.rmmod("c").unwrap();

    sim.insmod(patch("c", [5, 6]).replace()).unwrap();
    let s5 = [
        "b.post_unpatch 4",
        "b.post_unpatch 3",
        "a.post_unpatch 2",
        "a.post_unpatch 1",
        "c.post_patch 5",
        "c.post_patch 6",
    ];
    assert_eq!(sim.take_calls(), [s4, s5].concat());
    end(&sim, "c");
}

#[test]
fn s5_take_over_comes_last_and_by_version() {
    let version = |id, version| State::new(id).version(version);
    let sim = enabled([Patch::new("a").state(version(1, 1)).state(version(2, 5)).state(version(3, 2))]);
    let b =
        Patch::new("b").state(version(3, 4)).state(version(4, 1)).state(version(2, 5)).state(version(1, 2));
    sim.insmod(b.replace()).unwrap();
    assert_eq!(
        sim.take_calls(),
        ["b.pre_patch 4", "b.post_patch 4", "b.take_over 3 from 2", "b.take_over 1 from 1"]
    );
    end(&sim, "b");
}

#[test]
fn s7_a_removal_that_was_taken_back_is_forgotten() {
    let sim = enabled([patch("a", [1])]);
    sim.fail_patching("b", None);
    sim.insmod(patch("b", [2]).replace()).unwrap_err();
    sim.take_calls();
    sim.stall();
    sim.insmod(patch("c", [1]).replace()).unwrap();
    sim.disable("c").unwrap();
    sim.resume();
    assert_eq!(sim.take_calls(), NOTHING);
    end(&sim, "a");
}

#[test]
fn s7_an_object_that_cannot_be_patched_takes_all_back() {
    let sim = enabled([patch("a", [1])]);
    sim.load_target("target").unwrap();
    sim.fail_patching("b", Some("target"));
    assert_eq!(sim.insmod(patch("b", [2]).object("target").replace()), Err(EINVAL));
    assert_eq!(sim.take_calls(), ["b.pre_patch 2", "a.pre_unpatch 1", "a.post_patch 1", "b.post_unpatch 2"]);
    end(&sim, "a");
}

#[test]
fn states_are_found_however_many_there_are() {
    const FAR: u64 = 1 << 40;
    // Ids that follow each other, ids that are alike in their lower bits, and a second patch with some of each.
    let few = || patch("few", [1, 2, 3]);
    let many = || {
        let ids = (1..=70).chain((1..=20).map(|n| n * FAR));
        ids.fold(Patch::new("many"), |patch, id| patch.state(State::new(id)))
    };
    let last = || patch("last", [2, 70, 71, 20 * FAR, 21 * FAR]).replace();
    let sim = enabled([few(), many()]);
    sim.disable("few").unwrap();
    assert_eq!(events(&sim), NOTHING, "all of them continue");
    assert!((1..=70).all(|id| sim.is_live(id)) && (1..=20).all(|n| sim.is_live(n * FAR)));
    assert!(!sim.is_live(0) && !sim.is_live(71) && !sim.is_live(21 * FAR));

    sim.insmod(last()).unwrap();
    let calls = sim.take_calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("last.pre_patch ")).count(), 2, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| call.starts_with("many.post_unpatch ")).count(), 87, "{calls:?}");
    let live: Vec<u64> = (1..=71).chain((1..=21).map(|n| n * FAR)).filter(|id| sim.is_live(*id)).collect();
    assert_eq!(live, [2, 70, 71, 20 * FAR, 21 * FAR]);
    end(&sim, "last");
}
