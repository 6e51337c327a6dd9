//! S6, S8 and S13: a patch is disabled, in vain or not, and a state that stays.

use klp_runtime::error::{EAGAIN, EBUSY, EINVAL};
use klp_runtime::sim::{Patch, Shadow, Sim, State};

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s8_is_in_table_order_and_forgotten() {
    let sim = enabled([patch("a", [2, 1, 3])]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    let calls = [
        "a.pre_unpatch 3",
        "a.pre_unpatch 1",
        "a.pre_unpatch 2",
        "a.post_patch 2",
        "a.post_patch 1",
        "a.post_patch 3",
    ];
    assert_eq!(sim.take_calls(), calls);
    // What passes to another patch now is not removed for having been once.
    sim.insmod(patch("b", [1, 2])).unwrap();
    sim.disable("a").unwrap();
    assert_eq!(sim.take_calls(), ["a.pre_unpatch 3", "a.post_unpatch 3"]);
    end(&sim, "b");
}

#[test]
fn a_reversal_is_reversed() {
    let sim = Sim::new();
    sim.stall();
    sim.insmod(patch("a", [1])).unwrap();
    sim.write_enabled("a", false).unwrap();
    sim.write_enabled("a", true).unwrap();
    assert_eq!(sim.insmod(patch("b", [2])), Err(EBUSY));
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.pre_patch 1", "a.post_patch 1"]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.write_enabled("a", false).unwrap();
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.pre_unpatch 1", "a.post_unpatch 1"]);
    sim.assert_clean();
}

#[test]
fn s13_a_state_that_stays_pins_its_module_until_it_is_taken_on() {
    let held = |name| Patch::new(name).state(State::new(1).block_disable()).state(State::new(2));
    let two = held("a").state(State::new(3).block_disable()).shadow(Shadow::new(10, 1));
    let sim = enabled([two]);
    sim.attach("a", 10, 0x10).unwrap();
    let stays = |id| {
        format!("a: state state{id} (id {id}) is marked block_disable: it stays, and the module stays loaded")
    };

    // A reversal takes the pins back.
    sim.stall();
    sim.disable("a").unwrap();
    assert_eq!(sim.take_log(), [stays(3), stays(1)]);
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    assert_eq!(events(&sim), ["a.pre_unpatch 2", "a.post_patch 2"]);

    sim.disable("a").unwrap();
    assert_eq!(sim.take_log(), [stays(3), stays(1)]);
    assert_eq!(events(&sim), ["a.pre_unpatch 2", "a.post_unpatch 2", "drop 2"]);
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    assert_eq!(sim.objects_with(10), 1, "nothing is freed");

    // It counts as provided: it continues, and a replace patch may not lack it.
    assert_eq!(sim.insmod(patch("b", [1]).replace()), Err(EINVAL));
    sim.insmod(patch("b", [1, 3])).unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    sim.disable("b").unwrap();
    assert_eq!(events(&sim), NOTHING);
    sim.rmmod("b").unwrap();

    // Its module may go in the very moment in which the last pin does.
    sim.rmmod_soon("a").unwrap();
    sim.insmod(patch("c", [1, 3]).replace()).unwrap();
    assert!(!sim.is_loaded("a"));
    assert_eq!(events(&sim), ["a.destroy shadow10 of 0x10"]);
    end(&sim, "c");
}

#[test]
fn s13_a_state_that_stayed_is_removed_by_its_next_owner() {
    let held = Patch::new("a").state(State::new(1).block_disable()).state(State::new(2).block_disable());
    let sim = enabled([held]);
    sim.disable("a").unwrap();
    sim.insmod(patch("b", [1])).unwrap();
    sim.insmod(patch("c", [2]).replace()).unwrap();
    assert_eq!(events(&sim), ["b.pre_unpatch 1", "b.post_unpatch 1", "drop 1"]);
    sim.rmmod("a").unwrap();
    end(&sim, "c");
}
