//! Time from a fix to the built module: `cargo klp new --diff` and `cargo klp build`, for the change that the diff-based
//! tools are measured with.

use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_klp::commands::doctor::Requirement;
use cargo_klp::error::{Error, Result};
use cargo_klp::kernel::source;

use super::build::empty_cache;
use super::diff_based::{FILE, change};
use super::measure::{Figures, Measurement};
use super::run::{Usage, medians, run};
use super::workshop::Workshop;

/// Number of runs with what the first one left behind, each for another fix than the one before.
const RUNS: usize = 3;

/// The patch.
const NAME: &str = "from_fix";

/// What this part needs besides what all need.
pub(crate) fn needs(kernel: &str) -> Requirement {
    Requirement::Source(kernel.into())
}

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let source = source::find(&workshop.kernel)?.ok_or_else(|| Error::Missing {
        what: format!("the source of {}", workshop.kernel.release),
        needed_for: "the change is a diff of it".into(),
    })?;
    let directory =
        tempfile::tempdir_in(workshop.directory()).map_err(Error::io("create", workshop.directory()))?;
    let directory = directory.path();
    let cache = empty_cache(directory)?;
    let diff = directory.join("fix.patch");
    let klp = |at: &Path, arguments: &[&str]| {
        let mut command = Command::new(workshop.command());
        command.arg("klp").args(arguments).args(["--kernel", &workshop.kernel.release]).current_dir(at);
        command.env("CARGO_TARGET_DIR", directory.join("target")).env("KLP_CACHE", &cache);
        command
    };
    let crate_dir = directory.join(NAME);
    let once = |text: usize| {
        fs::write(&diff, change(&source.join(FILE), text)?).map_err(Error::io("write", &diff))?;
        if crate_dir.exists() {
            fs::remove_dir_all(&crate_dir).map_err(Error::io("remove", &crate_dir))?;
        }
        let made = run(klp(directory, &["new", NAME]).arg("--diff").arg(&diff))?;
        let built = run(&mut klp(&crate_dir, &["build", "--quiet"]))?;
        Ok::<_, Error>((made, built))
    };
    let mut measurements = Vec::new();
    let mut add = |what: &str, made: Usage, built: Usage| {
        for (step, usage) in [("the crate", made), ("the module", built)] {
            measurements.push(Measurement::new(format!("{what}: {step}, wall"), "s", usage.wall, None));
            measurements.push(Measurement::new(format!("{what}: {step}, CPU"), "s", usage.cpu, None));
        }
    };
    let (made, built) = once(0)?;
    add("nothing cached", made, built);
    let mut builds = Vec::new();
    let made = medians(RUNS, || {
        // Each run makes another text than the one before.
        let (made, built) = once((builds.len() + 1) % 2)?;
        builds.push(built);
        Ok(made)
    })?;
    let mut builds = builds.into_iter();
    let built = medians(RUNS, || Ok(builds.next().expect("one of each run")))?;
    add("the next", made, built);
    Ok(Figures { measurements, charts: Vec::new() })
}
