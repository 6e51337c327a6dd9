//! What is called in which order when patches are loaded, replaced, taken back and disabled, and when one fails.
//!
//! The model of klp-runtime yields all of it; nothing here knows a rule of the lifecycle.

use std::collections::BTreeSet;
use std::fmt;

use klp_runtime::error::ENOMEM;
use klp_runtime::sim::Sim;
use serde::Serialize;

use super::inspect::report::{Language, Report};
use super::modelled::{self, Call, Owner, machine, modelled, refusal, states};
use crate::error::{Error, Result};

/// The life of patches that are loaded in this order. With `--format json` this is the line on stdout; its names are
/// stable, and fields may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Their names.
    pub patches: Vec<String>,
    /// What happens to them, each from a machine where the earlier ones are loaded.
    pub scenes: Vec<Scene>,
    /// What the model can't know.
    pub notes: Vec<String>,
}

/// A story of the patches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scene {
    /// What it is about.
    pub title: String,
    /// What happens, in order.
    pub moments: Vec<Moment>,
}

/// An action of an administrator, or a point of a transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Such as `insmod fix_v2`.
    pub action: String,
    /// For each patch, who runs its code while the callbacks are called.
    pub standings: Vec<Standing>,
    /// What is called, in order.
    pub calls: Vec<Step>,
}

/// A call in a scene.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The call.
    #[serde(flatten)]
    pub call: Call,
    /// The name of the state, where the call belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Whether it fails.
    pub fails: bool,
}

impl fmt::Display for Step {
    /// Such as `take_over Level from 1`: its patch is where it stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call: Call { callback, of, from, .. }, state, fails } = self;
        match (state, of) {
            (Some(state), _) => write!(f, "{callback} {state}")?,
            (None, Owner::State(id)) => write!(f, "{callback} {id}")?,
            (None, Owner::Object(name)) => write!(f, "{callback} of {name}")?,
        }
        if let Some(from) = from {
            write!(f, " from {from}")?;
        }
        f.write_str(if *fails { " fails" } else { "" })
    }
}

/// Who runs the functions of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody: its module is not loaded.
    Unloaded,
    /// Nobody, though its module is loaded.
    Nobody,
    /// Some tasks: a transition is running.
    Some,
    /// All tasks.
    All,
}

/// Plays the life of patches in the model.
///
/// # Errors
///
/// They are not klp's own livepatches, or can't be loaded in this order on one kernel.
pub fn timeline(reports: &[Report]) -> Result<Timeline> {
    check(reports)?;
    let reports: Vec<&Report> = reports.iter().collect();
    let mut scenes = vec![life(&reports)?];
    for (index, report) in reports.iter().enumerate() {
        let taken_back = taken_back(&reports, index)?;
        let insmod = taken_back.moments.first();
        let may_fail = |step: &&Step| matches!(&*step.call.callback, "pre_patch" | "migrate");
        let last = insmod.and_then(|moment| moment.calls.iter().rev().find(may_fail)).cloned();
        scenes.push(taken_back);
        if let Some(Step { call: Call { of: Owner::State(state), .. }, .. }) = last {
            scenes.push(failure(&reports, index, state)?);
        }
        if index + 1 == reports.len() {
            scenes.extend(kept(&reports, report)?);
        }
    }
    Ok(Timeline {
        patches: reports.iter().map(|report| report.name.clone()).collect(),
        scenes,
        notes: notes(&reports),
    })
}

/// Refuses what the model does not know.
fn check(reports: &[Report]) -> Result<()> {
    let mut names = BTreeSet::new();
    for report in reports {
        let name = &report.name;
        let refuse = |why: &str, help: &str| Err(request(format!("{name} {why}"), help));
        if report.language == Language::C {
            return refuse(
                "is a livepatch in C: the model calls what klp calls, and such a patch has nothing of klp",
                "`cargo klp inspect` shows the callbacks of a patch in C",
            );
        }
        if let Some(fault) = report.faults.first() {
            return refuse(&format!("must not be loaded: {fault}"), "build it again");
        }
        if !report.patch.as_ref().is_some_and(|patch| patch.enable) {
            return refuse(
                "is not enabled as a livepatch: it has hooks only",
                "give patches that redirect functions",
            );
        }
        if !names.insert(name) {
            return refuse(
                "is given twice: the kernel loads one module of a name",
                "give each version a name of its own, as `cargo klp new --from` does",
            );
        }
        if report.release != reports[0].release {
            let release = |report: &Report| report.release.clone().unwrap_or_else(|| "no kernel".into());
            return refuse(
                &format!("is for {}, and {} for {}", release(report), reports[0].name, release(&reports[0])),
                "give modules for one kernel",
            );
        }
    }
    Ok(())
}

fn request(message: String, help: &str) -> Error {
    Error::Request { message, help: help.into() }
}

/// All are loaded, one after the other, and disabled.
fn life(reports: &[&Report]) -> Result<Scene> {
    let mut stage = Stage::new(reports);
    for report in reports {
        stage.load(report)?;
    }
    for report in reports.iter().rev().filter(|report| stage.is_enabled(report)).collect::<Vec<_>>() {
        if stage.act(format!("echo 0 > {}/enabled", report.name), |sim| sim.disable(&report.name)) {
            stage.end_transition();
            stage.unload(report);
        }
    }
    let names: Vec<_> = reports.iter().map(|report| &*report.name).collect();
    let title = match &*names {
        [one] => format!("{one} is loaded, and disabled"),
        several => {
            format!("{} are loaded, one after the other; then the last is disabled", several.join(", "))
        }
    };
    stage.scene(title)
}

/// One is taken back before its transition has ended.
fn taken_back(reports: &[&Report], index: usize) -> Result<Scene> {
    let report = reports[index];
    let mut stage = Stage::after(reports, index)?;
    stage.insmod(report)?;
    stage.show_transition();
    stage.act(format!("echo 0 > {}/enabled", report.name), |sim| sim.disable(&report.name));
    stage.end_transition();
    stage.unload(report);
    stage.scene(format!("{} is taken back before all tasks run its code", report.name))
}

/// A callback of one fails while it is loaded.
fn failure(reports: &[&Report], index: usize, state: u64) -> Result<Scene> {
    let report = reports[index];
    let mut stage = Stage::after(reports, index)?;
    stage.sim.fail_pre_patch(&report.name, state, ENOMEM);
    stage.act(format!("insmod {}", report.name), |sim| sim.insmod(modelled(report)));
    let calls = stage.moments.last_mut().map(|moment| &mut moment.calls);
    let is_it = |step: &&mut Step| step.call.of == Owner::State(state) && step.call.patch == report.name;
    if let Some(step) = calls.into_iter().flatten().find(is_it) {
        step.fails = true;
    }
    stage.show("insmod has failed".into());
    stage.scene(format!("{} fails while it is loaded", report.name))
}

/// The last is to be disabled, and is enabled again before the transition has ended. None, if it can't be disabled.
fn kept(reports: &[&Report], last: &Report) -> Result<Option<Scene>> {
    let mut stage = Stage::after(reports, reports.len())?;
    if !stage.act(format!("echo 0 > {}/enabled", last.name), |sim| sim.disable(&last.name)) {
        return Ok(None);
    }
    stage.show_transition();
    if !stage.act(format!("echo 1 > {}/enabled", last.name), |sim| sim.write_enabled(&last.name, true)) {
        return Ok(None);
    }
    stage.end_transition();
    stage
        .scene(format!("{} is disabled, and enabled again before the transition has ended", last.name))
        .map(Some)
}

/// What a file does not tell.
fn notes(reports: &[&Report]) -> Vec<String> {
    let mut notes = Vec::new();
    for report in reports {
        let Some(patch) = &report.patch else { continue };
        if patch.hooks.iter().any(|hook| hook == "init") {
            notes.push(format!(
                "The init hook of {} may leave parts out when it is loaded; this shows all of them.",
                report.name
            ));
        }
    }
    if reports.len() > 1 {
        notes.push(
            "The layouts of data and shadow variables are compared when a patch is loaded, not here.".into(),
        );
    }
    notes
}

/// A machine, and what has happened there.
struct Stage<'a> {
    reports: &'a [&'a Report],
    sim: Sim,
    moments: Vec<Moment>,
}

impl<'a> Stage<'a> {
    /// A machine where no transition ends by itself.
    fn new(reports: &'a [&'a Report]) -> Self {
        let sim = machine(reports);
        sim.stall();
        Self { reports, sim, moments: Vec::new() }
    }

    /// A machine where the first `count` patches have been loaded.
    fn after(reports: &'a [&'a Report], count: usize) -> Result<Self> {
        let mut stage = Self::new(reports);
        for report in &reports[..count] {
            stage.load(report)?;
        }
        stage.moments.clear();
        Ok(stage)
    }

    fn is_enabled(&self, report: &Report) -> bool {
        self.sim.is_enabled(&report.name) == Some(true)
    }

    /// Loads a patch, and unloads what it has replaced.
    fn load(&mut self, report: &Report) -> Result<()> {
        self.insmod(report)?;
        self.end_transition();
        for other in self.reports {
            if self.sim.is_loaded(&other.name) && !self.is_enabled(other) {
                self.unload(other);
            }
        }
        Ok(())
    }

    fn insmod(&mut self, report: &Report) -> Result<()> {
        let enabled = self.reports.iter().filter(|other| self.is_enabled(other));
        let enabled: Vec<_> = enabled.map(|other| &*other.name).collect();
        if self.act(format!("insmod {}", report.name), |sim| sim.insmod(modelled(report))) {
            return Ok(());
        }
        let beside = match &*enabled {
            [] => String::new(),
            names => format!(" while {} is enabled", names.join(", ")),
        };
        let why = refusal(&self.sim, report);
        Err(request(
            format!("{} is refused{beside}: {why}", report.name),
            "give the patches in the order in which they are loaded; `cargo klp inspect OLD NEW` compares two",
        ))
    }

    fn unload(&mut self, report: &Report) {
        // What is held stays, and nothing is called.
        if self.act(format!("rmmod {}", report.name), |sim| sim.rmmod(&report.name)) {
            return;
        }
        self.moments.pop();
        self.show(format!("{} stays loaded", report.name));
    }

    /// Does something; whether the kernel did it.
    fn act(&mut self, action: String, act: impl FnOnce(&Sim) -> klp_runtime::error::Result) -> bool {
        let standings = self.standings();
        let is_done = act(&self.sim).is_ok();
        self.push(action, standings);
        is_done
    }

    /// Shows that a transition is running.
    fn show_transition(&mut self) {
        if self.sim.in_transition().is_some() {
            self.show("transition".into());
        }
    }

    /// Lets all tasks switch.
    fn end_transition(&mut self) {
        if self.moments.last().is_none_or(|moment| !moment.standings.contains(&Standing::Some)) {
            self.show_transition();
        }
        self.sim.resume();
        self.sim.stall();
        self.show("transition ends".into());
    }

    /// Shows how things are, and what has been called on the way there.
    fn show(&mut self, action: String) {
        let standings = self.standings();
        self.push(action, standings);
    }

    fn push(&mut self, action: String, standings: Vec<Standing>) {
        let calls = modelled::calls(&self.sim, self.reports);
        let calls =
            calls.into_iter().map(|call| Step { state: self.state(&call), call, fails: false }).collect();
        self.moments.push(Moment { action, standings, calls });
    }

    fn state(&self, call: &Call) -> Option<String> {
        let Owner::State(id) = call.of else { return None };
        let mut of_patch = self.reports.iter().filter(|report| report.name == call.patch);
        of_patch.find_map(|report| states(report).find(|state| state.id == id)?.name.clone())
    }

    fn standings(&self) -> Vec<Standing> {
        self.reports.iter().map(|report| self.standing(report)).collect()
    }

    fn standing(&self, report: &Report) -> Standing {
        let replaces = |name: &str| {
            let found = self.reports.iter().find(|other| other.name == *name);
            found.and_then(|other| other.patch.as_ref()).is_some_and(|patch| patch.replace)
        };
        if !self.sim.is_loaded(&report.name) {
            return Standing::Unloaded;
        }
        match self.sim.in_transition() {
            Some(name) if name == report.name => Standing::Some,
            // While another one takes its place.
            Some(name) if self.is_enabled(report) && replaces(&name) => Standing::Some,
            _ if self.is_enabled(report) => Standing::All,
            _ => Standing::Nobody,
        }
    }

    /// Ends the scene.
    fn scene(self, title: String) -> Result<Scene> {
        // A module whose tables contradict each other could bring the engine to this.
        match self.sim.take_faults().into_iter().next() {
            Some(fault) => {
                Err(request(format!("the model refuses these patches: {fault}"), "build them again"))
            }
            None => Ok(Scene { title, moments: self.moments }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::inspect::report::{Callback, Patch, Series, State};

    /// A patch with states, by id and version.
    fn report(name: &str, series: &str, states: &[(u64, u64)]) -> Report {
        let states = states.iter().map(|&(id, version)| State {
            id,
            version,
            name: Some(format!("S{id}")),
            flags: Vec::new(),
            callbacks: ["pre_patch", "post_patch", "take_over", "pre_unpatch", "post_unpatch"]
                .map(Into::into)
                .into(),
        });
        let patch = Patch {
            replace: true,
            enable: true,
            series: Some(Series { name: series.into(), revision: 1 }),
            states: states.collect(),
            ..Patch::default()
        };
        Report { name: name.into(), patch: Some(patch), ..Report::default() }
    }

    /// A scene as lines: action, standings, calls.
    fn lines(scene: &Scene) -> Vec<String> {
        let letter = |standing: &Standing| match standing {
            Standing::Unloaded => '-',
            Standing::Nobody => '0',
            Standing::Some => '~',
            Standing::All => '#',
        };
        let line = |moment: &Moment| {
            let standings: String = moment.standings.iter().map(letter).collect();
            let calls = moment
                .calls
                .iter()
                .map(|step| format!(" {}{}", step.call, if step.fails { "!" } else { "" }));
            format!("{} {standings}{}", moment.action, calls.collect::<String>())
        };
        scene.moments.iter().map(line).collect()
    }

    #[test]
    fn a_patch_alone() {
        let found = timeline(&[report("v1", "s", &[(1, 1), (2, 1)])]).unwrap();
        assert_eq!(found.scenes.len(), 4);
        assert_eq!(
            lines(&found.scenes[0]),
            [
                "insmod v1 - v1.pre_patch 1 v1.pre_patch 2",
                "transition ~",
                "transition ends # v1.post_patch 1 v1.post_patch 2",
                "echo 0 > v1/enabled # v1.pre_unpatch 2 v1.pre_unpatch 1",
                "transition ~",
                "transition ends 0 v1.post_unpatch 2 v1.post_unpatch 1",
                "rmmod v1 0",
            ]
        );
        assert_eq!(
            lines(&found.scenes[1])[2..],
            ["echo 0 > v1/enabled ~", "transition ends 0 v1.post_unpatch 2 v1.post_unpatch 1", "rmmod v1 0"]
        );
        assert_eq!(
            lines(&found.scenes[2]),
            ["insmod v1 - v1.pre_patch 1 v1.pre_patch 2! v1.post_unpatch 1", "insmod has failed -"]
        );
        assert_eq!(
            lines(&found.scenes[3])[2..],
            ["echo 1 > v1/enabled ~", "transition ends # v1.post_patch 1 v1.post_patch 2"]
        );
    }

    #[test]
    fn a_patch_that_replaces() {
        let mut new = report("v2", "s", &[(1, 2), (3, 1)]);
        let own =
            |callback: &str| Callback { object: "ext4".into(), callback: callback.into(), function: None };
        new.patch.as_mut().unwrap().callbacks = vec![own("pre_patch"), own("post_unpatch")];
        let found = timeline(&[report("v1", "s", &[(1, 1), (2, 1)]), new]).unwrap();
        assert_eq!(
            lines(&found.scenes[0])[3..7],
            [
                "insmod v2 #- v2.pre_patch 3 v1.pre_unpatch 2 v2.pre_patch ext4",
                "transition ~~",
                "transition ends 0# v1.post_unpatch 2 v2.post_patch 3 v2.take_over 1 from 1",
                "rmmod v1 0#",
            ]
        );
        assert!(
            found.scenes.iter().any(|scene| scene.title == "v2 is taken back before all tasks run its code")
        );
    }

    #[test]
    fn what_can_not_be_loaded_is_an_error() {
        let said = |reports: &[Report]| timeline(reports).unwrap_err().to_string();
        let v1 = || report("v1", "s", &[(1, 1)]);
        assert!(
            said(&[v1(), report("v2", "other", &[(1, 1)])])
                .starts_with("v2 is refused while v1 is enabled: ")
        );
        assert!(said(&[v1(), v1()]).contains("given twice"));
        assert!(said(&[v1(), Report { language: Language::C, ..v1() }]).contains("in C"));
        assert!(said(&[Report { faults: vec!["no symbols".into()], ..v1() }]).contains("no symbols"));
        let elsewhere = Report { release: Some("6.1".into()), name: "v2".into(), ..v1() };
        assert!(said(&[v1(), elsewhere]).contains("v2 is for 6.1, and v1 for no kernel"));
        let idle = Report { patch: Some(Patch::default()), ..v1() };
        assert!(said(&[idle]).contains("hooks only"));
    }
}
