//! Instructions of enabling, replacing and disabling a patch, by its functions and its states.

use std::path::{Path, PathBuf};

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
    target: &Path,
    what: &str,
    specs: &[(usize, Spec)],
    figures: &mut Figures,
) -> Result<Vec<[Spent; 2]>> {
    let mut patches = Vec::new();
    for (number, spec) in specs {
        let name = format!("{what}s_{number}");
        let first = workshop.build_both(&name, spec)?;
        let next = Spec { replace: true, ..spec.clone() };
        patches.push([first, workshop.build_both(&format!("{name}_next"), &next)?]);
    }
    let sides = [spend(workshop, target, &patches, 0)?, spend(workshop, target, &patches, 1)?];
    let all: Vec<[Spent; 2]> = sides[0].iter().zip(&sides[1]).map(|(ours, c)| [*ours, *c]).collect();
    for ((number, _), spent) in specs.iter().zip(&all) {
        for (index, step) in STEPS.iter().enumerate() {
            let plural = if *number == 1 { "" } else { "s" };
            let (ours, c) = (spent[0][index], spent[1][index]);
            figures.measurements.push(
                Measurement::new(format!("{step}: {number} {what}{plural}"), "instructions", ours, Some(c))
                    .goal(Goal::TimesC(1.05)),
            );
        }
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

/// Enables each patch, replaces it and disables what replaced it, of one side, in one boot.
fn spend(
    workshop: &Workshop,
    target: &Path,
    patches: &[[[PathBuf; 2]; 2]],
    side: usize,
) -> Result<Vec<Spent>> {
    let mut steps = vec![Step::Load(target.to_owned())];
    for [first, next] in patches {
        let name = |ko: &Path| ko.file_stem().expect("a module has a name").to_string_lossy().into_owned();
        let (first, next) = (&first[side], &next[side]);
        steps.extend([Step::Load(first.clone()), Step::Load(next.clone()), Step::Disable(name(next))]);
        steps.extend([Step::Unload(name(first)), Step::Unload(name(next))]);
    }
    let spent = run(workshop, &steps)?;
    Ok(spent[1..].chunks(5).map(|steps| [0, 1, 2].map(|step| steps[step].instructions)).collect())
}
