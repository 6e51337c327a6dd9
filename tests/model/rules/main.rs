//! The rules of the lifecycle, S1 to S23, one by one where the scenarios
//! ([`lifecycle`](../../lifecycle.rs)) do not show them.

mod check;
mod data;
mod disable;
mod enable;
mod failures;
mod forced;
mod migrate;
mod model;
mod modules;
mod objects;
mod reach;
mod series;
mod stop;
mod strangers;
mod tables;
mod versions;

use klp_runtime::error::EINVAL;
use klp_runtime::sim::{Patch, Sim, State};

const NOTHING: [&str; 0] = [];

/// The patch `name` that provides `states`.
fn patch<const N: usize>(name: &str, states: [u64; N]) -> Patch {
    states.into_iter().fold(Patch::new(name), |patch, id| patch.state(State::new(id)))
}

/// A machine where the patches are enabled; what that called is taken.
fn enabled<const N: usize>(patches: [Patch; N]) -> Sim {
    let sim = Sim::new();
    for patch in patches {
        sim.insmod(patch).unwrap();
    }
    sim.take_events();
    sim
}

fn events(sim: &Sim) -> Vec<String> {
    sim.take_events().iter().map(ToString::to_string).collect()
}

/// Disables the patch and unloads it; nothing is left.
fn end(sim: &Sim, patch: &str) {
    sim.disable(patch).unwrap();
    sim.rmmod(patch).unwrap();
    sim.assert_clean();
}

/// S1: `refused` is, nothing was called or has changed, and the log says why.
#[track_caller]
fn assert_refused(enabled_first: Patch, refused: Patch, why: &str) {
    let name = enabled_first.name().to_owned();
    let sim = enabled([enabled_first]);
    let before = sim.snapshot().unwrap();
    assert_eq!(sim.insmod(refused), Err(EINVAL));
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.snapshot().unwrap(), before);
    assert_eq!(sim.take_log(), [why]);
    // What is refused is refused whether it replaces or not, and what was there goes on.
    end(&sim, &name);
}
