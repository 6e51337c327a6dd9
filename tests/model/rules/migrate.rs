//! S22: data of another layout.

use klp_runtime::abi::DataLayout;
use klp_runtime::error::{EINVAL, EIO, ENOMEM};
use klp_runtime::sim::{Patch, Sim, State};

use crate::{NOTHING, enabled, end, events, patch};

const OLD: DataLayout = DataLayout { size: 8, align: 8, fingerprint: 1 };
const NEW: DataLayout = DataLayout { size: 16, align: 8, fingerprint: 2 };

/// The patch `b`, whose state 1 has version 2 and data of another layout.
fn migrating(version: u32, from: DataLayout) -> Patch {
    Patch::new("b").state(State::new(1).version(2).layout(NEW).migrates_from(version, from))
}

fn stalled() -> Sim {
    let sim = enabled([patch("a", [1])]);
    sim.stall();
    sim.insmod(migrating(1, OLD).replace()).unwrap();
    assert_eq!(events(&sim), ["b.migrate 1"]);
    assert_eq!(sim.data_made_by(1).as_deref(), Some("a"), "old code goes on with the old data");
    sim
}

#[test]
fn s22_l28_old_data_go_at_the_end_and_new_ones_when_it_is_taken_back() {
    let sim = stalled();
    sim.disable("b").unwrap();
    sim.resume();
    assert_eq!(events(&sim), ["drop 1"]);
    assert_eq!(sim.data_made_by(1).as_deref(), Some("a"));
    sim.rmmod("b").unwrap();

    sim.insmod(migrating(1, OLD).replace()).unwrap();
    assert_eq!(events(&sim), ["b.migrate 1", "drop 1"]);
    assert_eq!(sim.data_made_by(1).as_deref(), Some("b"));
    sim.rmmod("a").unwrap();
    sim.disable("b").unwrap();
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1"]);
    sim.rmmod("b").unwrap();
    sim.assert_clean();
}

#[test]
fn s22_a_failed_migrate_refuses_the_patch() {
    let sim = enabled([patch("a", [1])]);
    sim.fail_pre_patch("b", 1, EIO);
    let three = Patch::new("b").state(State::new(2)).state(migrating_state()).state(State::new(3));
    assert_eq!(sim.insmod(three.replace()), Err(EIO));
    assert_eq!(events(&sim), ["b.pre_patch 2", "b.migrate 1", "b.post_unpatch 2", "drop 2"]);
    assert_eq!(sim.take_log(), ["b: refused: state state1 (id 1) failed with error 5"]);
    end(&sim, "a");
}

fn migrating_state() -> State {
    State::new(1).version(2).layout(NEW).migrates_from(1, OLD)
}

#[test]
fn s22_what_was_migrated_is_dropped_when_a_later_state_fails() {
    let sim = enabled([patch("a", [1])]);
    sim.fail_pre_patch("b", 2, EIO);
    let b = Patch::new("b").state(migrating_state()).state(State::new(2)).replace();
    assert_eq!(sim.insmod(b), Err(EIO));
    assert_eq!(events(&sim), ["b.migrate 1", "b.pre_patch 2", "drop 1"]);
    assert_eq!(sim.data_made_by(1).as_deref(), Some("a"));
    end(&sim, "a");
}

#[test]
fn s22_only_the_version_and_layout_that_it_comes_from_are_migrated() {
    let other = DataLayout { fingerprint: 7, ..OLD };
    for refused in [migrating(1, other), migrating(3, OLD)] {
        let sim = enabled([patch("a", [1])]);
        assert_eq!(sim.insmod(refused.replace()), Err(EINVAL));
        assert_eq!(sim.take_log(), ["b: refused: state state1 (id 1) has another data layout than in a"]);
        assert_eq!(events(&sim), NOTHING);
        end(&sim, "a");
    }
    // Beside the other, both would have the data.
    let sim = enabled([patch("a", [1])]);
    assert_eq!(sim.insmod(migrating(1, OLD)), Err(EINVAL));
    end(&sim, "a");
    // Data that have the layout already are taken over.
    let sim = enabled([Patch::new("a").state(State::new(1).layout(NEW))]);
    sim.insmod(migrating(1, OLD).replace()).unwrap();
    assert_eq!(events(&sim), ["b.take_over 1 from 1"]);
    end(&sim, "b");
}

#[test]
fn s16_s22_no_failed_allocation_loses_anything() {
    let sim = enabled([patch("a", [1])]);
    let mut failed = 0;
    loop {
        sim.fail_alloc(failed);
        let result = sim.insmod(migrating(1, OLD).replace());
        if sim.no_alloc_fails() {
            result.unwrap();
            break;
        }
        assert_eq!((result, events(&sim)), (Err(ENOMEM), vec![]));
        failed += 1;
    }
    assert!(failed > 0);
    end(&sim, "b");
}

#[test]
fn s21_s22_old_data_stay_where_the_transition_was_forced() {
    let sim = stalled();
    sim.force();
    sim.resume();
    assert_eq!(events(&sim), NOTHING);
    end(&sim, "b");
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1"]);
}
