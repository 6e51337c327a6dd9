//! Time and memory of builds: `cargo klp build` beside plain `make` of the same patch in C.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use cargo_klp::error::{Error, Result};
use cargo_klp::kernel::{KernelParts, KernelQuery};

use super::OTHER;
use super::measure::{Figures, Goal, Measurement};
use super::run::{Usage, medians, run};
use super::sources::{Spec, TEXT};
use super::workshop::Workshop;

/// Number of runs of each build that is quick.
const RUNS: usize = 7;

/// The names of the patch, written with klp and in C.
const OURS: &str = "build_klp";
const C: &str = "build_c";

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let spec = Spec { cmdline: true, states: 1, shadows: true, ..Spec::default() };
    workshop.write_crate(OURS, &spec.rust())?;
    let c_dir = workshop.write_c(C, &spec.c())?;
    let cold =
        tempfile::tempdir_in(workshop.directory()).map_err(Error::io("create", workshop.directory()))?;
    let other = KernelQuery::Release(OTHER.into()).find(KernelParts::Headers)?;
    let cache = empty_cache(cold.path())?;
    let ours_in = |mut command: Command| {
        command.env("CARGO_TARGET_DIR", cold.path().join("target")).env("KLP_CACHE", &cache);
        command
    };
    let mut measurements = Vec::new();
    let mut add = |what: &str, ours: Usage, c: Usage, goals: [Option<Goal>; 2]| {
        let wall = Measurement::new(format!("{what}: wall"), "s", ours.wall, Some(c.wall));
        let cpu = Measurement::new(format!("{what}: CPU"), "s", ours.cpu, Some(c.cpu));
        for (figure, goal) in [wall, cpu].into_iter().zip(goals) {
            measurements.push(match goal {
                Some(goal) => figure.goal(goal),
                None => figure,
            });
        }
        let memory = Measurement::new(format!("{what}: memory"), "MiB", ours.memory, Some(c.memory));
        measurements.push(memory);
    };

    let c_anew = |kdir: &Path| {
        run(&mut workshop.make_for(kdir, &c_dir, "clean"))?;
        run(&mut workshop.make_for(kdir, &c_dir, "modules"))
    };

    let ours = run(&mut ours_in(workshop.klp_build(OURS)))?;
    let c = c_anew(&workshop.kernel.kdir)?;
    add("nothing cached", ours, c, [None, Some(Goal::AboveC(30.0))]);

    let mut for_other = Command::new(workshop.command());
    for_other
        .args(["klp", "build", "--quiet", "--kernel", OTHER, "--package", OURS])
        .current_dir(workshop.directory().join("patches"));
    let ours = run(&mut ours_in(for_other))?;
    let c = c_anew(&other.kdir)?;
    add("the first for another kernel", ours, c, [None, None]);
    c_anew(&workshop.kernel.kdir)?;

    let source = workshop.crate_dir(OURS).join("src/lib.rs");
    let c_source = c_dir.join(format!("{C}.c"));
    // In turn, so that both suffer alike from other work on the machine.
    let mut c_runs = Vec::new();
    let ours = medians(RUNS, || {
        edit(&c_source, &spec.c(), c_runs.len())?;
        c_runs.push(run(&mut workshop.make(&c_dir))?);
        edit(&source, &spec.rust(), c_runs.len())?;
        run(&mut ours_in(workshop.klp_build(OURS)))
    })?;
    let c = of_runs(&c_runs)?;
    add("the source changed", ours, c, [Some(Goal::TimesC(1.5)), None]);

    let mut c_runs = Vec::new();
    let ours = medians(RUNS, || {
        c_runs.push(run(&mut workshop.make(&c_dir))?);
        run(&mut ours_in(workshop.klp_build(OURS)))
    })?;
    let c = of_runs(&c_runs)?;
    add("nothing changed", ours, c, [Some(Goal::AtMost(0.3)), None]);
    Ok(Figures { measurements, charts: Vec::new() })
}

fn of_runs(runs: &[Usage]) -> Result<Usage> {
    let mut runs = runs.iter();
    medians(runs.len(), || Ok(*runs.next().expect("as many as there are")))
}

/// A copy of the cache that lacks `core` for every kernel, but has the kernels and the library sources, which are
/// downloaded once.
pub(super) fn empty_cache(directory: &Path) -> Result<std::path::PathBuf> {
    let full = cargo_klp::host::cache::root()?;
    let empty = directory.join("cache");
    fs::create_dir(&empty).map_err(Error::io("create", &empty))?;
    for entry in fs::read_dir(&full).map_err(Error::io("read", &full))? {
        let entry = entry.map_err(Error::io("read", &full))?;
        if entry.file_name() != "sysroots" {
            let link = empty.join(entry.file_name());
            symlink(entry.path(), &link).map_err(Error::io("create", &link))?;
        }
    }
    Ok(empty)
}

/// Gives a source a text that it never had: the contents of a file decide what is built, not its times.
fn edit(path: &Path, source: &str, run: usize) -> Result<()> {
    let edited = source.replace(TEXT, &format!("{TEXT} {run}"));
    fs::write(path, edited).map_err(Error::io("write", path))
}
