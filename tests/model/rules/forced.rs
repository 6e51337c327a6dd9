//! S21: what tasks may still use, as a transition was forced, stays.

use klp_runtime::abi::DataLayout;
use klp_runtime::error::{EAGAIN, EINVAL};
use klp_runtime::sim::{Patch, Shadow, Sim, State};

use crate::{NOTHING, enabled, end, events, patch};

const KEPT: &str = "a: forced: what its states had stays in memory";

fn with(name: &str, shadow: Shadow) -> Patch {
    patch(name, [1]).shadow(shadow)
}

/// A machine where `a` was forced off, and a variable of it is left.
fn forced_off() -> Sim {
    let sim = enabled([with("a", Shadow::new(10, 1))]);
    sim.attach("a", 10, 0x10).unwrap();
    sim.stall();
    sim.disable("a").unwrap();
    sim.force();
    assert_eq!(events(&sim), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
    assert_eq!(sim.take_log(), [KEPT]);
    assert_eq!((sim.is_live(1), sim.objects_with(10)), (false, 1));
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    sim.resume();
    sim
}

#[test]
fn s21_l24_data_and_variables_stay_with_a_patch_that_was_forced_off() {
    let sim = forced_off();
    sim.assert_clean();
    // The state begins anew; what stayed is never freed, and never misread.
    sim.insmod(with("b", Shadow::new(10, 1))).unwrap();
    assert_eq!(events(&sim), ["b.pre_patch 1", "b.post_patch 1"]);
    sim.disable("b").unwrap();
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1"]);
    assert_eq!(sim.objects_with(10), 1);
    sim.rmmod("b").unwrap();
    sim.assert_clean();
}

#[test]
fn s1_s21_variables_that_stay_are_held_against_later_patches() {
    let sim = forced_off();
    let other = DataLayout { size: 16, align: 8, fingerprint: 2 };
    for between in [false, true] {
        // Also where another patch, which declares them as they are, is the owner, or has been.
        if between {
            sim.insmod(with("b", Shadow::new(10, 1))).unwrap();
            events(&sim);
        }
        for refused in [Shadow::new(10, 1).layout(other), Shadow::new(10, 1).sleepable()] {
            assert_eq!(sim.insmod(with("c", refused).replace()), Err(EINVAL));
            let log = sim.take_log();
            let [line] = &log[..] else { panic!("{log:?}") };
            let why =
                "c: refused: state state1 (id 1) has shadow variable shadow10 with another layout than in";
            assert!(line.starts_with(why), "{line}");
            assert_eq!((events(&sim), sim.objects_with(10)), (vec![], 1));
        }
    }
    // A state of another name, and with other data, is another state: the old one is over.
    sim.insmod(patch("d", [2]).replace()).unwrap();
    let renamed = State::new(1).name("mine").layout(other);
    sim.insmod(Patch::new("e").state(renamed).replace()).unwrap();
    assert_eq!(sim.objects_with(10), 1);
    sim.disable("e").unwrap();
    sim.assert_clean();
}

#[test]
fn s21_a_replaced_patch_keeps_what_it_had() {
    let sim = enabled([with("a", Shadow::new(10, 1).object("target")), patch("b", [2])]);
    sim.load_target("target").unwrap();
    sim.attach("a", 10, 0x10).unwrap();
    sim.stall();
    sim.insmod(patch("c", [2]).replace()).unwrap();
    sim.force();
    sim.resume();
    assert_eq!(events(&sim), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
    let log = sim.take_log();
    assert!(log.len() == 2 && log.contains(&KEPT.to_owned()), "{log:?}");
    // Also of a state that goes on, when it goes at last; and when the module does.
    sim.unload_target("target").unwrap();
    sim.disable("c").unwrap();
    assert_eq!(events(&sim), ["c.pre_unpatch 2", "c.post_unpatch 2"]);
    assert_eq!(sim.objects_with(10), 1);
    sim.rmmod("c").unwrap();
    sim.assert_clean();
}

#[test]
fn s21_an_enable_that_was_forced_back_keeps_what_it_made() {
    let sim = enabled([patch("a", [1])]);
    sim.stall();
    sim.insmod(with("b", Shadow::new(10, 1)).state(State::new(2))).unwrap();
    sim.attach("b", 10, 0x10).unwrap();
    sim.disable("b").unwrap();
    sim.force();
    sim.resume();
    assert_eq!(events(&sim), ["b.pre_patch 2", "b.post_unpatch 2"]);
    assert_eq!(sim.objects_with(10), 1);
    sim.disable("a").unwrap();
    // Tasks that run code of b may have the data of state 1.
    assert_eq!(events(&sim), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
    sim.assert_clean();
}

#[test]
fn s21_a_transition_that_ends_by_itself_keeps_nothing() {
    let sim = enabled([patch("a", [1])]);
    sim.disable("a").unwrap();
    assert_eq!(sim.take_log(), NOTHING);
    sim.rmmod("a").unwrap();
    sim.assert_clean();
    let sim = forced_off();
    sim.insmod(patch("b", [2])).unwrap();
    end(&sim, "b");
}
