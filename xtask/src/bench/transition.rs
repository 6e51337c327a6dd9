//! Instructions of enabling, replacing and disabling a patch, by its functions and its states.

use std::path::PathBuf;

use cargo_klp::error::Result;

use super::guest::{Step, run};
use super::measure::{Chart, Curve, Figures, Goal, Measurement};
use super::sources::{self, Spec, TARGET};
use super::workshop::Workshop;

/// Numbers of functions.
const FUNCTIONS: [usize; 4] = [1, 10, 100, 1000];

/// Numbers of states, each with a shadow variable; 500 and 1000 show what doubling does.
const STATES: [usize; 6] = [0, 1, 10, 100, 500, 1000];

/// What is measured of a patch, with the words of the table.
const STEPS: [&str; 3] = ["enable", "replace", "disable"];

/// Instructions of each of [`STEPS`].
type Spent = [f64; 3];

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let target = workshop.build_c(TARGET, &sources::target(1000))?;
    let spec = |functions, states| Spec { functions, states, shadows: states > 0, ..Spec::default() };
    let mut figures = Figures::default();
    let by_functions = FUNCTIONS.map(|n| (n, spec(n, 0)));
    curves(workshop, &target, "function", &by_functions, &mut figures)?;
    let by_states = STATES.map(|n| (n, spec(1, n)));
    let spent = curves(workshop, &target, "state", &by_states, &mut figures)?;
    let [.., half, whole] = spent.as_slice() else { unreachable!("there are six") };
    for (index, step) in STEPS.iter().enumerate() {
        let grown = |side: usize| {
            (whole[side][index] - spent[0][side][index]) / (half[side][index] - spent[0][side][index])
        };
        let name = format!("{step}: 1,000 states over 500, what no state costs taken off");
        figures
            .measurements
            .push(Measurement::new(name, "×", grown(0), Some(grown(1))).goal(Goal::AtMost(2.0)));
    }
    Ok(figures)
}

/// Measures patches that differ in the number of one thing: for each, ours and C.
fn curves(
    workshop: &Workshop,
    target: &std::path::Path,
    what: &str,
    specs: &[(usize, Spec)],
    figures: &mut Figures,
) -> Result<Vec<[Spent; 2]>> {
    let mut all = Vec::new();
    for (number, spec) in specs {
        let name = format!("{what}s_{number}");
        let first = workshop.build_both(&name, spec)?;
        let next = Spec { replace: true, ..spec.clone() };
        let next = workshop.build_both(&format!("{name}_next"), &next)?;
        let spent = spend(workshop, target, &first, &next)?;
        for (index, step) in STEPS.iter().enumerate() {
            let plural = if *number == 1 { "" } else { "s" };
            let (ours, c) = (spent[0][index], spent[1][index]);
            figures.measurements.push(
                Measurement::new(format!("{step}: {number} {what}{plural}"), "instructions", ours, Some(c))
                    .goal(Goal::TimesC(1.05)),
            );
        }
        all.push(spent);
    }
    for (index, step) in STEPS.iter().enumerate() {
        let curve = |name: &str, side: usize| Curve {
            name: name.into(),
            points: specs.iter().zip(&all).map(|((n, _), spent)| (*n as f64, spent[side][index])).collect(),
        };
        figures.charts.push(Chart {
            file: format!("{step}-by-{what}s"),
            title: format!("Instructions to {step} a patch, by its {what}s"),
            axes: [format!("{what}s"), "instructions".into()],
            curves: vec![curve("klp", 0), curve("C", 1)],
        });
    }
    Ok(all)
}

/// Enables a patch, replaces it and disables what replaced it: ours in one boot, C in another.
fn spend(
    workshop: &Workshop,
    target: &std::path::Path,
    first: &[PathBuf; 2],
    next: &[PathBuf; 2],
) -> Result<[Spent; 2]> {
    let side = |side: usize| {
        let name = next[side].file_stem().expect("a module has a name").to_string_lossy().into_owned();
        let steps = [
            Step::Load(target.to_owned()),
            Step::Load(first[side].clone()),
            Step::Load(next[side].clone()),
            Step::Disable(name),
        ];
        let spent = run(workshop, &steps)?;
        Ok([1, 2, 3].map(|step| spent[step].instructions))
    };
    Ok([side(0)?, side(1)?])
}
