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
        format!(
            "a: state state{id} (id {id}) is marked block_disable: it stays, and the module stays loaded, \
             until a patch that replaces this one takes the state over without block_disable"
        )
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

/// The patch `name`, which marks state 1 `block_disable`.
fn blocks(name: &str) -> Patch {
    Patch::new(name).state(State::new(1).block_disable())
}

#[test]
fn s13_holds_until_a_replace_patch_takes_the_state_over_without_it() {
    let sim = enabled([blocks("a")]);
    sim.disable("a").unwrap();
    // One beside it does not lift it, and one that replaces and has it neither.
    sim.insmod(patch("b", [1])).unwrap();
    assert_eq!(sim.insmod(patch("c", [2]).replace()), Err(EINVAL));
    sim.insmod(blocks("d").replace()).unwrap();
    sim.rmmod("a").unwrap();
    sim.rmmod("b").unwrap();
    assert_eq!(sim.insmod(patch("c", [2]).replace()), Err(EINVAL));
    sim.insmod(patch("e", [1]).replace()).unwrap();
    assert_eq!(events(&sim), NOTHING);
    sim.insmod(patch("c", [2]).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["c.pre_patch 2", "e.pre_unpatch 1", "e.post_unpatch 1", "c.post_patch 2"]);
    end(&sim, "c");
}

#[test]
fn s13_l20_l21_holds_in_any_order_of_patches() {
    for patches in [[blocks("a"), patch("b", [1])], [patch("a", [1]), blocks("b")]] {
        let sim = enabled(patches);
        assert_eq!(sim.insmod(patch("c", []).replace()), Err(EINVAL));
        sim.disable("a").unwrap();
        sim.disable("b").unwrap();
        assert_eq!(events(&sim), NOTHING);
        assert!(sim.is_live(1));
        assert_eq!(sim.rmmod("b"), Err(EAGAIN));
        sim.rmmod("a").unwrap();
        sim.insmod(patch("d", [1]).replace()).unwrap();
        end(&sim, "d");
    }
}

#[test]
fn s13_does_not_hold_for_a_patch_that_is_taken_back() {
    let sim = enabled([patch("a", [1])]);
    sim.stall();
    sim.insmod(blocks("b")).unwrap();
    sim.disable("b").unwrap();
    sim.resume();
    end(&sim, "a");
    // Nor for one that is the first, nor longer than the state.
    sim.stall();
    sim.insmod(blocks("c")).unwrap();
    sim.disable("c").unwrap();
    sim.resume();
    sim.assert_clean();
}
