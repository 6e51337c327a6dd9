//! What a module changes against an earlier one, and what happens when it is loaded over that one.
//!
//! The model of klp-runtime answers the latter: the engine that a module carries runs there, and so says the same.

use std::collections::BTreeSet;

use serde::Serialize;

use super::inspect::report::{Report, Series, State};
use super::modelled::{calls, machine, modelled, refusal, states};

/// What the second of two modules changes against the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Succession {
    /// The first.
    pub old: String,
    /// The second.
    pub new: String,
    /// What happens to the first when the second is loaded.
    pub outcome: Outcome,
    /// Functions, as `OBJECT:SYMBOL`.
    pub redirects: Difference,
    /// States, as `NAME (id N), version V`.
    pub states: Difference,
    /// Shadow variables, as `NAME (id N)`.
    pub shadows: Difference,
    /// What they fix.
    pub fixes: Difference,
    /// The series and the revision of the first.
    pub old_series: Option<Series>,
    /// Those of the second.
    pub new_series: Option<Series>,
    /// What is called, in order, for each step.
    pub steps: Vec<Step>,
}

/// What happens to a loaded patch when another one is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is replaced.
    Replaces,
    /// Both are enabled: the second does not replace.
    Beside,
    /// The second is refused, with what the kernel's log says.
    Refused(String),
    /// The kernel loads one module of a name.
    SameName,
    /// They are for two kernels: none loads both.
    OtherKernel,
}

/// What only one of the two has, or has otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Only the second.
    pub added: Vec<String>,
    /// Only the first.
    pub removed: Vec<String>,
}

impl Difference {
    fn of(old: impl Iterator<Item = String>, new: impl Iterator<Item = String>) -> Self {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.collect(), new.collect());
        Self {
            added: new.difference(&old).cloned().collect(),
            removed: old.difference(&new).cloned().collect(),
        }
    }
}

/// What an administrator does, and the callbacks that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Such as `insmod fix_v2`.
    pub action: String,
    /// Such as `fix_v2.take_over 1 from 1`.
    pub calls: Vec<String>,
}

/// Compares two modules.
pub fn succession(old: &Report, new: &Report) -> Succession {
    let redirects = |report: &Report| {
        let redirects = report.patch.iter().flat_map(|patch| &patch.redirects);
        let name = redirects.map(|redirect| match redirect.sympos {
            0 => format!("{}:{}", redirect.object, redirect.symbol),
            sympos => format!("{}:{},{sympos}", redirect.object, redirect.symbol),
        });
        name.collect::<Vec<_>>().into_iter()
    };
    let shadows = |report: &Report| {
        let shadows = report.patch.iter().flat_map(|patch| &patch.shadows);
        shadows.map(|shadow| format!("{} (id {})", shadow.name, shadow.id)).collect::<Vec<_>>().into_iter()
    };
    let states = |report: &Report| states(report).map(title).collect::<Vec<_>>().into_iter();
    let series = |report: &Report| report.patch.as_ref()?.series.clone();
    let (outcome, steps) = outcome(old, new);
    Succession {
        old: old.name.clone(),
        new: new.name.clone(),
        outcome,
        redirects: Difference::of(redirects(old), redirects(new)),
        states: Difference::of(states(old), states(new)),
        shadows: Difference::of(shadows(old), shadows(new)),
        fixes: Difference::of(old.fixes.iter().cloned(), new.fixes.iter().cloned()),
        old_series: series(old),
        new_series: series(new),
        steps,
    }
}

fn title(state: &State) -> String {
    let name = state.name.as_deref().unwrap_or("the kernel's state");
    format!("{name} (id {}), version {}", state.id, state.version)
}

/// Loads one over the other, in the model, and goes back.
fn outcome(old: &Report, new: &Report) -> (Outcome, Vec<Step>) {
    if old.name == new.name {
        return (Outcome::SameName, Vec::new());
    }
    if old.release != new.release {
        return (Outcome::OtherKernel, Vec::new());
    }
    let both = [old, new];
    let sim = machine(&both);
    let mut steps = Vec::new();
    let mut step = |action: String| {
        let calls = calls(&sim, &both).iter().map(ToString::to_string).collect();
        steps.push(Step { action, calls });
    };
    let result = sim.insmod(modelled(old));
    step(format!("insmod {}", old.name));
    if result.is_err() {
        return (Outcome::Refused(refusal(&sim, old)), steps);
    }
    // First as it goes where some task keeps running old code, and the administrator takes the patch back.
    sim.stall();
    if sim.insmod(modelled(new)).is_err() {
        return (Outcome::Refused(refusal(&sim, new)), steps);
    }
    if sim.disable(&new.name).is_ok() {
        sim.resume();
        step(format!("insmod {}, reversed before its transition ends", new.name));
        if sim.rmmod(&new.name).is_err() || sim.insmod(modelled(new)).is_err() {
            return (Outcome::Refused(refusal(&sim, new)), steps);
        }
    }
    sim.resume();
    step(format!("insmod {}", new.name));
    let is_replaced = sim.is_enabled(&old.name) != Some(true);
    // What is refused here is held by `block_disable`, or stays for another reason, and calls nothing.
    if sim.disable(&new.name).is_ok() {
        step(format!("echo 0 > /sys/kernel/livepatch/{}/enabled", new.name));
    }
    (if is_replaced { Outcome::Replaces } else { Outcome::Beside }, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::inspect::report::Patch;

    fn report(name: &str, revision: u64, states: &[(u64, u64)]) -> Report {
        let states = states.iter().map(|&(id, version)| State {
            id,
            version,
            name: Some(format!("S{id}")),
            flags: Vec::new(),
            callbacks: ["post_patch", "take_over", "pre_unpatch"].map(Into::into).into(),
        });
        let patch = Patch {
            replace: true,
            enable: true,
            series: Some(Series { name: "s".into(), revision }),
            states: states.collect(),
            ..Patch::default()
        };
        Report { name: name.into(), patch: Some(patch), ..Report::default() }
    }

    #[test]
    fn the_next_version_replaces_and_takes_over() {
        let (old, new) = (report("v1", 1, &[(1, 1)]), report("v2", 2, &[(1, 2), (2, 1)]));
        let found = succession(&old, &new);
        assert_eq!(found.outcome, Outcome::Replaces);
        assert_eq!(found.states.added, ["S1 (id 1), version 2", "S2 (id 2), version 1"]);
        assert_eq!(found.states.removed, ["S1 (id 1), version 1"]);
        assert_eq!(found.steps[0].calls, ["v1.post_patch 1"]);
        assert_eq!(
            found.steps[1].calls,
            Vec::<String>::new(),
            "nothing is left of a patch that is taken back"
        );
        assert_eq!(found.steps[2].calls, ["v2.post_patch 2", "v2.take_over 1 from 1"]);
        // Without the state, it is undone, and made again when the patch is taken back.
        let without = succession(&old, &report("v2", 2, &[]));
        assert_eq!(without.steps[1].calls, ["v1.pre_unpatch 1", "v1.post_patch 1"]);
        assert_eq!(succession(&old, &old).outcome, Outcome::SameName);
        let elsewhere = Report { release: Some("6.1".into()), ..new.clone() };
        let found = succession(&old, &elsewhere);
        assert_eq!((found.outcome, found.steps), (Outcome::OtherKernel, Vec::new()));
        assert_eq!(found.states.added.len(), 2, "two builds of one source can be compared");
    }

    #[test]
    fn the_engine_says_why_it_refuses() {
        let (old, new) = (report("v1", 1, &[(1, 1)]), report("v2", 2, &[(1, 2)]));
        let Outcome::Refused(why) = succession(&new, &old).outcome else { panic!("it is taken") };
        assert!(why.starts_with("state S1 (id 1)"), "{why}");
    }
}
