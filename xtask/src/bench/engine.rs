//! Counts the engine's own instructions by the number of states: those of a patch's code, without the kernel's work
//! for it.
//!
//! `engine.c` imitates the few kernel functions that the engine calls. It is linked with the Rust halves of two
//! patches, as Kbuild gets them. callgrind counts all instructions outside the imitated functions.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;

use super::measure::{Chart, Curve, Figures, Goal, Measurement};
use super::sources::Spec;
use super::transition::STEPS;
use super::workshop::{Workshop, write_if_changed};

/// The largest number of states; each number is twice the one before.
const MOST: usize = 1024;

/// The C source of the program: the imitated kernel functions, and the steps.
const PROGRAM: &str = include_str!("engine.c");

/// Prefixes of the symbols of the two Rust halves in the program.
const SIDES: [&str; 2] = ["first_", "next_"];

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    doctor::ensure(&[Requirement::Program("valgrind", "valgrind", "it counts the engine's instructions")])?;
    let program = build(workshop)?;
    let numbers: Vec<usize> =
        std::iter::successors(Some(1), |n| Some(n * 2).filter(|n| *n <= MOST)).collect();
    let mut figures = Figures::default();
    let mut curves = Vec::new();
    for step in STEPS {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for &number in &numbers {
            let spent = count(&program, number, step)?;
            let name = format!("{step}: {number} state{}", if number == 1 { "" } else { "s" });
            let figure = Measurement::new(name, "instructions", spent, None);
            figures.measurements.push(match points.last() {
                Some((_, half)) => figure.goal(Goal::AtMost(half * 2.0)),
                None => figure,
            });
            points.push((number as f64, spent));
        }
        curves.push(Curve { name: step.into(), points });
    }
    figures.charts.push(Chart {
        file: "engine-by-states".into(),
        title: "The engine's own instructions, by the patch's states".into(),
        axes: ["states".into(), "instructions".into()],
        curves,
    });
    Ok(figures)
}

/// Builds the program.
fn build(workshop: &Workshop) -> Result<PathBuf> {
    let directory = workshop.directory().join("engine");
    let source = directory.join("engine.c");
    write_if_changed(&source, PROGRAM)?;
    let program = directory.join("engine");
    let mut link = Command::new("gcc");
    // Static, so that no symbol is looked up while instructions are counted; at addresses below 2 GiB, as those of the
    // kernel's code are from the other end.
    link.args(["-O2", "-static", "-no-pie", "-fno-pie", "-fno-builtin", "-o"]).arg(&program).arg(&source);
    for (side, replace) in SIDES.into_iter().zip([false, true]) {
        let spec = Spec { states: MOST, shadows: true, replace, ..Spec::default() };
        let name = format!("engine_{side}klp");
        let ko = workshop.build_ours(&name, &spec.rust())?;
        let object = directory.join(format!("{side}rust.o"));
        rename(&ko.with_file_name(format!("{name}_rust.o")), side, &object)?;
        link.arg(object);
    }
    run_tool(&mut link)?;
    Ok(program)
}

/// Copies an object, and puts a prefix before the name of each global symbol that it defines.
fn rename(object: &Path, side: &str, to: &Path) -> Result<()> {
    use object::{Object, ObjectSymbol};
    let data = std::fs::read(object).map_err(Error::io("read", object))?;
    let file = object::File::parse(&*data).map_err(Error::elf("read the Rust half of a patch"))?;
    let mut command = Command::new("objcopy");
    for symbol in file.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition()) {
        let name = symbol.name().map_err(Error::elf("read the Rust half of a patch"))?;
        command.arg(format!("--redefine-sym={name}={side}{name}"));
    }
    run_tool(command.arg(object).arg(to))?;
    Ok(())
}

/// Counts the instructions of one step.
fn count(program: &Path, states: usize, step: &str) -> Result<f64> {
    let out = program.with_file_name("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no"])
        .args(["--toggle-collect=*klp_rt_*", "--toggle-collect=klp_shadow_*", "--toggle-collect=klp_glue_*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([&states.to_string(), step]);
    run_tool(&mut valgrind)?;
    let text = std::fs::read_to_string(&out).map_err(Error::io("read", &out))?;
    total(&text).ok_or_else(|| Error::Request {
        message: format!("expected a total in {}, found none", out.display()),
        help: "run the command that the file names by hand".into(),
    })
}

/// Finds the total in callgrind's output.
fn total(text: &str) -> Option<f64> {
    let of = |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    of("totals:").or_else(|| of("summary:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("events: Ir\nfn=(1) main\n16 12\n\ntotals: 1234\n"), Some(1234.0));
        assert_eq!(total("events: Ir\nsummary: 12\n"), Some(12.0));
        assert_eq!(total("events: Ir\n"), None);
    }
}
