//! Measures instructions and time of enabling, replacing and disabling a patch, by its number of functions and
//! states.

use std::path::{Path, PathBuf};

use cargo_klp::error::Result;

use super::guest::{Clock, Step, run};
use super::measure::{Chart, Curve, Figures, Goal, Measurement};
use super::sources::{self, Spec, TARGET};
use super::workshop::Workshop;

/// Numbers of functions. The kernel takes minutes for the last one, so it is left out on the second kernel.
const FUNCTIONS: [usize; 4] = [1, 10, 100, 1000];

/// Numbers of states, each with a shadow variable; 500 and 1000 show what doubling does.
const STATES: [usize; 6] = [0, 1, 10, 100, 500, 1000];

/// The steps that are measured, as the table names them.
pub(crate) const STEPS: [&str; 3] = ["enable", "replace", "disable"];

/// Number of rounds in a boot. The kernel does some of its other work on the account of the thread that runs, as
/// much as a small patch costs. In time, this is little.
const fn rounds_by(clock: Clock) -> usize {
    match clock {
        Clock::Instructions => 15,
        Clock::Time => 5,
    }
}

/// From this number of functions on, the kernel's work on them hides all other work: one round is enough.
const MANY: usize = 100;

/// The figure of each of [`STEPS`].
type Spent = [f64; 3];

/// A patch and a copy of it that replaces it, each with klp and in C.
struct Case {
    what: &'static str,
    number: usize,
    patches: [[PathBuf; 2]; 2],
}

impl Case {
    fn is_large(&self) -> bool {
        self.what == "function" && self.number >= MANY
    }
}

/// Counts instructions; returns tables and charts.
pub(crate) fn instructions(workshop: &Workshop) -> Result<Figures> {
    let (cases, spent) = spend(workshop, &FUNCTIONS, Clock::Instructions)?;
    let mut figures = table(&cases, &spent, "instructions", 1.0);
    let states: Vec<_> = cases.iter().zip(&spent).filter(|(case, _)| case.what == "state").collect();
    let ([none, .., half, whole], true) = (states.as_slice(), STATES.ends_with(&[500, 1000])) else {
        unreachable!("there are six");
    };
    for (index, step) in STEPS.iter().enumerate() {
        let of = |of: &(&Case, &[Spent; 2]), side: usize| of.1[side][index] - none.1[side][index];
        let grown = |side| of(whole, side) / of(half, side);
        let name = format!("{step}: 1,000 states over 500, what no state costs taken off");
        figures.measurements.push(Measurement::new(name, "×", grown(0), Some(grown(1))));
    }
    for what in ["function", "state"] {
        for (index, step) in STEPS.iter().enumerate() {
            let curve = |name: &str, side: usize| Curve {
                name: name.into(),
                points: cases
                    .iter()
                    .zip(&spent)
                    .filter(|(case, _)| case.what == what)
                    .map(|(case, spent)| (case.number as f64, spent[side][index]))
                    .collect(),
            };
            figures.charts.push(Chart {
                file: format!("{step}-by-{what}s"),
                title: format!("Instructions to {step} a patch, by its {what}s"),
                axes: [format!("{what}s"), "instructions".into()],
                curves: vec![curve("klp", 0), curve("C", 1)],
            });
        }
    }
    Ok(figures)
}

/// Counts instructions on the second kernel; returns tables only.
pub(crate) fn instructions_elsewhere(workshop: &Workshop) -> Result<Figures> {
    let (cases, spent) = spend(workshop, &FUNCTIONS[..3], Clock::Instructions)?;
    Ok(table(&cases, &spent, "instructions", 1.0))
}

/// Measures time.
pub(crate) fn time(workshop: &Workshop) -> Result<Figures> {
    let (cases, spent) = spend(workshop, &FUNCTIONS, Clock::Time)?;
    Ok(table(&cases, &spent, "ms", 1e6))
}

fn table(cases: &[Case], spent: &[[Spent; 2]], unit: &str, scale: f64) -> Figures {
    let mut figures = Figures::default();
    for (case, spent) in cases.iter().zip(spent) {
        let plural = if case.number == 1 { "" } else { "s" };
        for (index, step) in STEPS.iter().enumerate() {
            let [ours, c] = [0, 1].map(|side| spent[side][index] / scale);
            let name = format!("{step}: {} {}{plural}", case.number, case.what);
            figures.measurements.push(Measurement::new(name, unit, ours, Some(c)).goal(Goal::TimesC(1.05)));
        }
    }
    figures
}

/// Builds all patches.
fn cases(workshop: &Workshop, functions: &[usize]) -> Result<Vec<Case>> {
    let by_functions = functions.iter().map(|&n| ("function", n, n, 0));
    let by_states = STATES.map(|n| ("state", n, 1, n));
    let build = |(what, number, functions, states)| {
        let spec = Spec { functions, states, shadows: states > 0, ..Spec::default() };
        let name = format!("{what}s_{number}");
        let first = workshop.build_both(&name, &spec)?;
        let next = workshop.build_both(&format!("{name}_next"), &Spec { replace: true, ..spec })?;
        Ok(Case { what, number, patches: [first, next] })
    };
    by_functions.chain(by_states).map(build).collect()
}

/// Enables each patch, replaces it and disables the patch that replaced it, klp's and C's in turn, in one boot.
/// Returns the least figures of several rounds.
fn spend(workshop: &Workshop, functions: &[usize], clock: Clock) -> Result<(Vec<Case>, Vec<[Spent; 2]>)> {
    let most = FUNCTIONS[FUNCTIONS.len() - 1];
    let target = workshop.build_c(TARGET, &sources::target(most))?;
    let cases = cases(workshop, functions)?;
    let mut steps = vec![Step::Load(target)];
    // The first cycle in a boot costs more than the following ones.
    for side in 0..2 {
        steps.extend(cycle(&cases[0], side));
    }
    // For each case and side, the index of each round's first step.
    let mut rounds = vec![[const { Vec::new() }; 2]; cases.len()];
    for round in 0..rounds_by(clock) {
        for (case, rounds) in cases.iter().zip(&mut rounds) {
            if round > 0 && case.is_large() {
                continue;
            }
            for (side, rounds) in rounds.iter_mut().enumerate() {
                rounds.push(steps.len());
                steps.extend(cycle(case, side));
            }
        }
    }
    let done = run(workshop, &steps, clock)?;
    let each = |rounds: &Vec<usize>| {
        [0, 1, 2].map(|step| {
            let figures = rounds.iter().map(|at| done[at + step].by(clock));
            // Other work on the thread's account or on the host only adds.
            figures.fold(f64::INFINITY, f64::min)
        })
    };
    let spent = rounds.iter().map(|sides| [each(&sides[0]), each(&sides[1])]).collect();
    Ok((cases, spent))
}

/// The steps of a case on one side; the first three are [`STEPS`].
fn cycle(case: &Case, side: usize) -> [Step; 5] {
    let [first, next] = [0, 1].map(|which| &case.patches[which][side]);
    let name = |ko: &Path| ko.file_stem().expect("a module has a name").to_string_lossy().into_owned();
    [
        Step::Load(first.clone()),
        Step::Load(next.clone()),
        Step::Disable(name(next)),
        Step::Unload(name(first)),
        Step::Unload(name(next)),
    ]
}
