//! S19: the version of a state does not fall.

use klp_runtime::error::EINVAL;
use klp_runtime::sim::{Patch, State};

use crate::{enabled, end};

fn version(name: &str, version: u32) -> Patch {
    Patch::new(name).state(State::new(1).version(version))
}

#[test]
fn s19_l18_the_highest_version_counts() {
    let sim = enabled([version("a", 1)]);
    sim.insmod(version("b", 3).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.take_over 1 from 1"]);
    assert_eq!(sim.insmod(version("c", 2).replace()), Err(EINVAL));
    let why = "c: refused: state state1 (id 1) has version 2, which is lower than version 3 of b";
    assert_eq!(sim.take_log(), [why]);
    sim.insmod(version("d", 4).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["d.take_over 1 from 3"]);
    end(&sim, "d");
}

#[test]
fn s19_a_version_that_was_taken_back_does_not_count() {
    let sim = enabled([version("a", 1)]);
    sim.stall();
    sim.insmod(version("b", 3).replace()).unwrap();
    sim.disable("b").unwrap();
    sim.resume();
    sim.insmod(version("c", 2).replace()).unwrap();
    assert_eq!(sim.take_calls(), ["c.take_over 1 from 1"]);
    end(&sim, "c");
    // A state that is introduced again starts anew.
    sim.insmod(version("d", 1)).unwrap();
    end(&sim, "d");
}
