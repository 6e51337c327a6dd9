//! Measures the time of `cargo check`, and of the macros in it, by the number of annotated items, in one file and in
//! many.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;

use super::measure::{Chart, Curve, Figures, Measurement, median, slope};
use super::run::{medians, run};
use super::sources::Spec;
use super::workshop::{Workshop, write_if_changed};

/// The numbers of annotated items (functions, states and shadow variables) to measure.
const NUMBERS: [usize; 4] = [1, 10, 100, 1000];

/// Number of items in each file where there are many files.
const IN_A_FILE: usize = 10;

/// Number of runs, of which the median counts.
const RUNS: usize = 5;

/// The compiler pass that runs the macros, by the compiler's name.
const EXPANSION: &str = "macro_expand_crate";

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut curves = Vec::new();
    for (kind, files) in [("in one file", false), ("over files of ten", true)] {
        let (mut check_points, mut expansion_points) = (Vec::new(), Vec::new());
        for number in NUMBERS {
            let name = format!("items_{number}{}", if files { "_in_files" } else { "" });
            let directory = write(workshop, &name, number, files)?;
            let source = directory.join("src/lib.rs");
            let check = || cargo(workshop, &["check"], &name, "target");
            run(&mut check())?;
            let usage = medians(RUNS, || {
                touch(&source)?;
                run(&mut check())
            })?;
            let expansion = expansion(workshop, &name, &source)?;
            let plural = if number == 1 { "" } else { "s" };
            let mut add = |what: &str, unit: &str, figure: f64| {
                let name = format!("{number} item{plural} {kind}: {what}");
                figures.measurements.push(Measurement::new(name, unit, figure, None));
            };
            add("cargo check, CPU", "s", usage.cpu);
            add("macros alone", "ms", expansion * 1000.0);
            check_points.push((number as f64, usage.cpu));
            expansion_points.push((number as f64, expansion));
        }
        for (what, points) in [("cargo check", check_points), ("macros alone", expansion_points)] {
            let name = format!("each item more {kind}: {what}");
            figures.measurements.push(Measurement::new(name, "ms", slope(&points) * 1000.0, None));
            curves.push(Curve { name: format!("{what}, {kind}"), points });
        }
    }
    figures.charts.push(Chart {
        file: "check-by-items".into(),
        title: "cargo check, and the macros in it, by the number of annotated items".into(),
        axes: ["items".into(), "seconds".into()],
        curves,
    });
    Ok(figures)
}

/// Writes a crate with `number` items, and returns its directory.
fn write(workshop: &Workshop, name: &str, number: usize, files: bool) -> Result<PathBuf> {
    if !files {
        return workshop.write_crate(name, &Spec::items(number).rust());
    }
    let mut root = Spec::default().rust();
    let nr_files = number.div_ceil(IN_A_FILE);
    for index in 0..nr_files {
        root.push_str(&format!("\nmod part{index};\n"));
    }
    let directory = workshop.write_crate(name, &root)?;
    for index in 0..nr_files {
        let items = Spec::items(number.min(IN_A_FILE));
        write_if_changed(
            &directory.join(format!("src/part{index}.rs")),
            &items.rust_module(index * IN_A_FILE),
        )?;
    }
    Ok(directory)
}

/// A cargo command for a crate, with a target directory of its own in the patches' workspace.
fn cargo(workshop: &Workshop, subcommand: &[&str], name: &str, target: &str) -> Command {
    let patches = workshop.directory().join("patches");
    let mut command = Command::new("cargo");
    command.args(subcommand).args(["--quiet", "--offline", "--package", name]);
    command.env("CARGO_TARGET_DIR", patches.join(target)).current_dir(patches);
    command
}

/// Measures the seconds that the compiler spends on macros.
fn expansion(workshop: &Workshop, name: &str, source: &Path) -> Result<f64> {
    // A stable compiler accepts the option only with RUSTC_BOOTSTRAP. With that variable, cargo builds some of the
    // macros' dependencies again, hence a target directory of its own.
    let passes = || {
        let mut command = cargo(workshop, &["rustc", "--profile", "check"], name, "target/passes");
        command.args(["--", "-Ztime-passes", "-Ztime-passes-format=json"]).env("RUSTC_BOOTSTRAP", "1");
        command
    };
    run(&mut passes())?;
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        touch(source)?;
        let text = String::from_utf8_lossy(&run_tool(&mut passes())?.stderr).into_owned();
        let spent = pass(&text, EXPANSION).ok_or_else(|| Error::Request {
            message: format!(
                "expected the pass {EXPANSION} in the output of rustc -Ztime-passes, found none"
            ),
            help: "find out what this compiler calls the pass, and change the name in bench/items.rs".into(),
        })?;
        seconds.push(spent);
    }
    Ok(median(seconds))
}

/// Sets a file's modification time to now.
fn touch(path: &Path) -> Result<()> {
    let file = File::options().append(true).open(path).map_err(Error::io("open", path))?;
    file.set_modified(SystemTime::now()).map_err(Error::io("write", path))
}

/// Finds the seconds of a pass in the compiler's output.
fn pass(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("time: ")?).ok())
        .find(|line| line["pass"] == name)?["time"]
        .as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_found() {
        let text = "warning: x\ntime: {\"pass\":\"setup\",\"time\":0.5}\n\
                    time: {\"pass\":\"macro_expand_crate\",\"time\":0.25,\"rss_start\":1}\n";
        assert_eq!(pass(text, EXPANSION), Some(0.25));
        assert_eq!(pass(text, "link"), None);
    }

    #[test]
    fn a_source_has_the_number_of_items() {
        for number in NUMBERS {
            let text = Spec::items(number).rust();
            let items = ["#[klp_func(", "#[klp_state(", "#[shadow("].map(|item| text.matches(item).count());
            assert_eq!(items.iter().sum::<usize>(), number, "{items:?}");
        }
    }
}
