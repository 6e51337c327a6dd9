//! `cargo xtask bench`: measures what a patch written with klp costs, beside the same patch in C.
//!
//! Each part is a module. It builds the modules that it compares from sources that [`sources`] writes, and
//! returns figures. The command prints them as a table and keeps them as JSON in the target directory.
//! `--save` writes the JSON into the repository, and from it the charts and BENCHMARKS.md.

mod build;
mod chart;
mod diff_based;
mod engine;
mod from_fix;
pub(crate) mod guest;
mod hot_path;
mod items;
mod machine;
mod measure;
mod page;
mod run;
mod size;
mod sources;
mod table;
mod transition;
mod workshop;
mod wrappers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui;
use cargo_klp::error::{Error, Result};
use cargo_klp::kernel::{KernelParts, KernelQuery};
use clap::ValueEnum;

use crate::command::root;
use measure::{Figures, Results};
use workshop::Workshop;

/// The file with the repository's figures, relative to its top directory.
pub(crate) const BASELINE: &str = "benchmarks/baseline.json";

/// The second kernel, whose compiler flags differ from those of 6.12.
pub(crate) const OTHER: &str = "6.1";

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure only this part; may be given several times.
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,

    /// The directory of a kpatch checkout, for `--only kpatch-build`.
    #[arg(long, value_name = "DIR", required_if_eq("only", "kpatch-build"))]
    kpatch: Option<PathBuf>,

    /// The kernel to measure on: a release or a series.
    #[arg(long, value_name = "RELEASE", default_value = "6.12")]
    kernel: String,

    /// Write the figures into the repository: benchmarks/ and BENCHMARKS.md.
    #[arg(long)]
    save: bool,

    /// Measure nothing: write BENCHMARKS.md and the charts from benchmarks/baseline.json.
    #[arg(long, conflicts_with_all = ["only", "save"])]
    render: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Time and memory of builds.
    Build,
    /// Bytes of modules.
    Size,
    /// Instructions of a redirected function, of access to a shadow variable and to a state's data, and of a shadow
    /// variable's life.
    HotPath,
    /// Instructions of guards, iterators and wrappers.
    Wrappers,
    /// Instructions of enabling, replacing and disabling a patch.
    Transition,
    /// Time of enabling, replacing and disabling a patch.
    TransitionTime,
    /// Instructions of enabling, replacing and disabling a patch on 6.1.
    TransitionOther,
    /// The engine's own instructions.
    Engine,
    /// Time of `cargo check` by the number of items.
    Items,
    /// Time from a fix to the built module.
    FromFix,
    /// The same change made by kpatch-build; measured only with `--only`, because it builds a kernel.
    KpatchBuild,
    /// The same change made by klp-build; measured only with `--only`, because it builds a kernel.
    KlpBuild,
}

impl Part {
    /// All parts, in the page's order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Build,
        Self::Size,
        Self::HotPath,
        Self::Wrappers,
        Self::Transition,
        Self::TransitionTime,
        Self::TransitionOther,
        Self::Engine,
        Self::Items,
        Self::FromFix,
        Self::KpatchBuild,
        Self::KlpBuild,
    ];

    /// The part's name in the JSON and on the page.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Size => "size",
            Self::HotPath => "hot-path",
            Self::Wrappers => "wrappers",
            Self::Transition => "transition",
            Self::TransitionTime => "transition-time",
            Self::TransitionOther => "transition-other",
            Self::Engine => "engine",
            Self::Items => "items",
            Self::FromFix => "from-fix",
            Self::KpatchBuild => "kpatch-build",
            Self::KlpBuild => "klp-build",
        }
    }

    const fn is_diff_based(self) -> bool {
        matches!(self, Self::KpatchBuild | Self::KlpBuild)
    }

    fn measure(self, workshop: &Workshop, args: &Args) -> Result<Figures> {
        match self {
            Self::Build => build::measure(workshop),
            Self::Size => size::measure(workshop),
            Self::HotPath => hot_path::measure(workshop),
            Self::Wrappers => wrappers::measure(workshop),
            Self::Transition => transition::instructions(workshop),
            Self::TransitionTime => transition::time(workshop),
            Self::TransitionOther => transition::instructions_elsewhere(&workshop.for_kernel(OTHER)?),
            Self::Engine => engine::measure(workshop),
            Self::Items => items::measure(workshop),
            Self::FromFix => from_fix::measure(workshop),
            Self::KpatchBuild => {
                let kpatch = args.kpatch.as_ref().expect("clap requires it for this part");
                diff_based::kpatch_build(workshop, kpatch)
            }
            Self::KlpBuild => diff_based::klp_build(workshop),
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    if args.render {
        let results = read(&root().join(BASELINE))?;
        write(root(), &results)?;
        return Ok(ExitCode::SUCCESS);
    }
    let parts = Part::ALL.into_iter().filter(|part| match args.only.as_slice() {
        [] => !part.is_diff_based(),
        only => only.contains(part),
    });
    let mut needs = vec![
        Requirement::Build,
        Requirement::Run,
        Requirement::Kernel(args.kernel.clone()),
        Requirement::Kernel(OTHER.into()),
    ];
    if parts.clone().any(Part::is_diff_based) {
        needs.extend(diff_based::NEEDS);
    }
    if parts.clone().any(|part| part == Part::FromFix) {
        needs.push(from_fix::needs(&args.kernel));
    }
    doctor::ensure(&needs)?;
    let kernel = KernelQuery::Release(args.kernel.clone()).find(KernelParts::Image)?;
    let workshop = Workshop::new(kernel)?;
    let latest = workshop.directory().join("results.json");
    let mut results = read(&latest).unwrap_or_default();
    // Parts that were never measured here keep the repository's figures: the diff-based tools most of all.
    let baseline = read(&root().join(BASELINE)).unwrap_or_default();
    for (name, figures) in baseline.parts {
        results.parts.entry(name).or_insert(figures);
    }
    results.machine = machine::describe(&workshop.kernel.release);
    for part in parts {
        ui::status("Measuring", part.name());
        let figures = part.measure(&workshop, args)?;
        println!("\n{}\n{}", part.name(), table::for_terminal(&figures));
        results.parts.insert(part.name().into(), figures);
        fs::write(&latest, json(&results)).map_err(Error::io("write", &latest))?;
        // After each part: what was measured is not lost with a later part that fails.
        if args.save {
            save(&results)?;
        }
    }
    for chart in results.parts.values().flat_map(|part| &part.charts) {
        write_chart(workshop.directory(), chart)?;
    }
    ui::status("Written", latest.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the figures into the repository.
fn save(results: &Results) -> Result<()> {
    let path = root().join(BASELINE);
    fs::create_dir_all(root().join("benchmarks")).map_err(Error::io("create", "benchmarks"))?;
    fs::write(&path, json(results)).map_err(Error::io("write", &path))?;
    write(root(), results)
}

fn json(results: &Results) -> String {
    serde_json::to_string_pretty(results).expect("plain data") + "\n"
}

fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text).map_err(|error| Error::Request {
        message: format!("{} does not contain results of `cargo xtask bench`: {error}", path.display()),
        help: "remove the file, then measure again".into(),
    })
}

/// Writes BENCHMARKS.md and the charts from the figures.
fn write(root: &Path, results: &Results) -> Result<()> {
    let path = root.join("BENCHMARKS.md");
    fs::write(&path, page::render(results)).map_err(Error::io("write", &path))?;
    for chart in results.parts.values().flat_map(|part| &part.charts) {
        write_chart(&root.join("benchmarks"), chart)?;
    }
    Ok(())
}

fn write_chart(directory: &Path, chart: &measure::Chart) -> Result<PathBuf> {
    let path = directory.join(format!("{}.svg", chart.file));
    let svg = chart::draw(chart).expect("a chart in memory can be drawn");
    fs::write(&path, svg).map_err(Error::io("write", &path))?;
    Ok(path)
}
