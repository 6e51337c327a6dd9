//! Time of `cargo check` by the number of annotated items, in one file and in many.

use std::process::Command;

use cargo_klp::error::{Error, Result};

use super::measure::{Chart, Curve, Figures, Measurement, slope};
use super::run::{medians, run};
use super::sources::Spec;
use super::workshop::Workshop;

/// Numbers of functions, and as many states with shadow variables: items are thrice these.
const NUMBERS: [usize; 4] = [1, 10, 100, 333];

const RUNS: usize = 3;

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut points = Vec::new();
    for number in NUMBERS {
        let spec = Spec { functions: number, states: number, shadows: true, ..Spec::default() };
        let name = format!("items_{number}");
        let folder = workshop.write_crate(&name, &spec.rust())?;
        let check = || {
            let mut command = Command::new("cargo");
            command
                .args(["check", "--quiet", "--offline", "--package", &name])
                .current_dir(workshop.folder().join("patches"))
                .env_remove("CARGO_TARGET_DIR");
            command
        };
        run(&mut check())?;
        let usage = medians(RUNS, || {
            let source = folder.join("src/lib.rs");
            let file = std::fs::File::options().append(true).open(&source);
            file.and_then(|file| file.set_modified(std::time::SystemTime::now()))
                .map_err(Error::io("write", &source))?;
            run(&mut check())
        })?;
        let items = (number * 3) as f64;
        figures.measurements.push(Measurement::new(format!("{items} items: CPU"), "s", usage.cpu, None));
        points.push((items, usage.cpu));
    }
    let each = slope(&points) * 1000.0;
    figures.measurements.push(Measurement::new("each item more: CPU", "ms", each, None));
    figures.charts.push(Chart {
        file: "check-by-items".into(),
        title: "cargo check by the number of annotated items".into(),
        axes: ["items".into(), "seconds of CPU".into()],
        curves: vec![Curve { name: "klp".into(), points }],
    });
    Ok(figures)
}
