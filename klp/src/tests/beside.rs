//! What `klp load` refuses by the rules of the lifecycle is what the engine refuses: the model of klp-runtime runs it.

use klp_format::STATE_BLOCK_DISABLE;
use klp_format::manifest::{Patch, State};
use klp_module::About;
use klp_runtime::sim::{self, Sim};

use crate::fit::reasons_beside;

/// The patches that are compared: each with each.
fn patches() -> Vec<About> {
    let states = [
        None,
        Some(State { id: 1, version: 1, name: "Level".into(), ..State::default() }),
        Some(State { id: 1, version: 2, name: "Level".into(), ..State::default() }),
        Some(State { id: 1, version: 1, name: "Other".into(), ..State::default() }),
        Some(State {
            id: 1,
            version: 1,
            name: "Level".into(),
            flags: STATE_BLOCK_DISABLE.into(),
            ..State::default()
        }),
    ];
    let series = [(None, 0), (Some("net"), 1), (Some("net"), 2), (Some("other"), 1)];
    let mut patches = Vec::new();
    for replace in [0, 1] {
        for (series, revision) in series {
            for state in &states {
                let patch = Patch { series: series.map(Into::into), revision, replace, ..Patch::default() };
                let states = state.iter().cloned().collect();
                patches.push(About { patch: Some(patch), states, ..About::default() });
            }
        }
    }
    patches
}

fn modelled(name: &str, about: &About) -> sim::Patch {
    let mut patch = sim::Patch::new(name);
    if about.replaces() {
        patch = patch.replace();
    }
    if let Some((series, revision)) = about.series() {
        patch = patch.series(series, revision);
    }
    for state in &about.states {
        let mut made = sim::State::new(state.id).version(state.version.try_into().unwrap()).name(&state.name);
        if state.flags != 0 {
            made = made.block_disable();
        }
        patch = patch.state(made);
    }
    patch
}

#[test]
fn what_is_refused_is_what_the_engine_refuses() {
    let patches = patches();
    for old in &patches {
        for new in &patches {
            let sim = Sim::new();
            sim.insmod(modelled("old", old)).unwrap();
            let is_refused = sim.insmod(modelled("new", new)).is_err();
            let reasons = reasons_beside(new, "old", old, false);
            let log = sim.take_log();
            assert_eq!(!reasons.is_empty(), is_refused, "{new:?}\nbeside\n{old:?}: {reasons:?}, {log:?}");
        }
    }
}
