//! Modules in the model of klp-runtime: the engine that a module carries runs there, so no rule is written twice.

use std::fmt;

use klp_format::VMLINUX;
use klp_runtime::sim::{self, Event, Sim};
use serde::Serialize;

use super::inspect::report::{Language, Report, Series, State};

/// A callback that the model has called and the patch has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The patch's module.
    pub patch: String,
    /// Such as `pre_patch`.
    pub callback: String,
    /// What it belongs to.
    pub of: Owner,
    /// For `take_over`, the version that the state had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
}

/// What a callback belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A state, by its id.
    State(u64),
    /// An object: `vmlinux`, or a module.
    Object(String),
}

impl fmt::Display for Call {
    /// As the lifecycle page writes it: `fix_v2.take_over 1 from 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patch, callback, of, from } = self;
        match of {
            Owner::State(id) => write!(f, "{patch}.{callback} {id}")?,
            Owner::Object(name) => write!(f, "{patch}.{callback} {name}")?,
        }
        from.map_or(Ok(()), |from| write!(f, " from {from}"))
    }
}

/// A machine with the modules that the patches have callbacks for.
pub(super) fn machine(reports: &[&Report]) -> Sim {
    let sim = Sim::new();
    let patches = reports.iter().filter_map(|report| report.patch.as_ref());
    for callback in patches.flat_map(|patch| &patch.callbacks).filter(|own| own.object != VMLINUX) {
        // One that is loaded already serves several callbacks.
        let _ = sim.load_target(&callback.object);
    }
    sim
}

/// The patch as the model loads it. What the file does not tell is taken as equal: the layouts of data.
pub(super) fn modelled(report: &Report) -> sim::Patch {
    let mut patch = match report.language {
        Language::Klp => sim::Patch::new(&report.name),
        Language::C => sim::Patch::c(&report.name),
    };
    let Some(contents) = &report.patch else { return patch };
    if contents.replace {
        patch = patch.replace();
    }
    if let Some(Series { name, revision }) = &contents.series {
        patch = patch.series(name, *revision);
    }
    if report.language == Language::Klp {
        let mut objects: Vec<&str> = contents.callbacks.iter().map(|own| &*own.object).collect();
        objects.dedup();
        for object in objects {
            patch = patch.callbacks(match object {
                VMLINUX => sim::Object::vmlinux(),
                module => sim::Object::module(module),
            });
        }
    }
    for state in &contents.states {
        let version = u32::try_from(state.version).unwrap_or(u32::MAX);
        if state.flags.iter().any(|flag| flag == "native") || report.language == Language::C {
            patch = patch.native_state(state.id, version);
            continue;
        }
        let mut made = sim::State::new(state.id).version(version);
        if let Some(name) = &state.name {
            made = made.name(name);
        }
        if state.flags.iter().any(|flag| flag == "block_disable") {
            made = made.block_disable();
        }
        patch = patch.state(made);
    }
    patch
}

/// The states of a patch.
pub(super) fn states(report: &Report) -> impl Iterator<Item = &State> {
    report.patch.iter().flat_map(|patch| &patch.states)
}

/// The callbacks that the model has called since, of those that the patches have.
pub(super) fn calls(sim: &Sim, reports: &[&Report]) -> Vec<Call> {
    let has = |call: &Call| {
        let mut of_patch = reports.iter().filter(|report| report.name == call.patch);
        of_patch.any(|report| match &call.of {
            Owner::State(id) => {
                states(report).any(|state| state.id == *id && state.callbacks.contains(&call.callback))
            }
            Owner::Object(name) => {
                let own = report.patch.iter().flat_map(|patch| &patch.callbacks);
                own.into_iter().any(|own| own.object == *name && own.callback == call.callback)
            }
        })
    };
    sim.take_events().into_iter().filter_map(call).filter(has).collect()
}

fn call(event: Event) -> Option<Call> {
    let (patch, callback, of) = match event {
        Event::Call { patch, callback, state } => (patch, callback, Owner::State(state)),
        Event::Object { patch, callback, object } => (patch, callback, Owner::Object(object)),
        _ => return None,
    };
    let from = match callback {
        sim::Callback::TakeOver(from) => Some(from),
        _ => None,
    };
    Some(Call { patch, callback: callback.to_string(), of, from })
}

/// Why the model has refused a patch.
pub(super) fn refusal(sim: &Sim, report: &Report) -> String {
    let line = sim.take_log().pop().unwrap_or_default();
    let line = line.strip_prefix(&format!("{}: ", report.name)).unwrap_or(&line);
    let line = line.strip_prefix("refused: ").unwrap_or(line);
    if line.is_empty() {
        "the kernel's own check of its table of states (klp_patch.states)".into()
    } else {
        line.into()
    }
}
