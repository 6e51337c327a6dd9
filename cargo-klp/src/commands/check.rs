//! `cargo klp check`: which kernels a patch fits, without building the module.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use cargo_metadata::{Metadata, Package};
use serde::Serialize;

use super::args::{DebugInfoArgs, Format, MessageFormat, ModuleArgs, PackageArgs};
use super::cargo_messages::{CargoMessages, Printer};
use super::ui::{self, Terminal};
use crate::error::{Error, Result, exit};
use crate::host::report::{Reporter, Silent};
use crate::kbuild::conditions::{answers, conditions};
use crate::kbuild::manifest_for;
use crate::kbuild::workspace::{libraries, metadata, select_packages};
use crate::kernel::debug_info::check_given;
use crate::kernel::{Kernel, KernelParts, KernelQuery, Target, available};
use crate::patch::check::{Diagnostic, Outcome, check};
use crate::patch::manifest::Manifest;
use crate::patch::resolve::{Language, resolve};

/// Arguments of `cargo klp check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp check                               this directory's patch against every kernel here
  cargo klp check --kernel 6.1 --kernel 6.12    against two kernels
  cargo klp check --kdir ~/linux                against one of your own
  cargo klp check --message-format json         a line for each patch and kernel, for programs
  cargo klp check --message-format cargo        as cargo does, for rust-analyzer

The exit code is 1 if a patch does not fit one of the kernels.")]
pub struct Args {
    #[command(flatten)]
    packages: PackageArgs,

    /// A kernel release, or a series; may be given several times.
    ///
    /// By default every kernel on this machine that has headers and an image.
    #[arg(long = "kernel", value_name = "RELEASE")]
    kernels: Vec<String>,

    /// A kernel build directory: what /lib/modules/RELEASE/build points to; may be given several times.
    #[arg(long = "kdir", value_name = "DIR")]
    kdirs: Vec<PathBuf>,

    #[command(flatten)]
    modules: ModuleArgs,

    #[command(flatten)]
    debug_info: DebugInfoArgs,

    /// The format of the results on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: Format,
}

/// Whether a patch fits a kernel.
#[derive(Clone, Debug, Serialize)]
struct Line {
    package: String,
    release: String,
    fits: bool,
    /// Whether the crate compiles for this kernel; if not, the compiler has said why.
    #[serde(skip)]
    compiles: bool,
    /// The conditions on the kernel in the crate's source, and whether they hold.
    conditions: BTreeMap<String, bool>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Checks the chosen patches against the chosen kernels.
pub fn main(args: &Args) -> Result<ExitCode> {
    match args.message_format {
        Format::Human => {
            let (lines, outcome) = check_all(args, &packages(args)?, &Terminal, |_, _| ())?;
            print_diagnostics(&lines);
            print!("{}{}", table(&lines), condition_tables(&lines));
            outcome.map(|()| exit_code(&lines))
        }
        Format::Json => MessageFormat::Json.run(|| {
            let (lines, outcome) = check_all(args, &packages(args)?, &Terminal, |_, _| ())?;
            for line in &lines {
                println!("{}", serde_json::to_string(line).expect("plain data"));
            }
            outcome.map(|()| exit_code(&lines))
        }),
        Format::Cargo => Printer::run(|printer| {
            let metadata = packages(args)?;
            let messages = CargoMessages { printer, metadata: &metadata };
            let print = |package: &_, result: &Result<Vec<Line>>| match result {
                Ok(lines) => print_messages(&messages, package, lines),
                Err(error) => messages.error(package, error),
            };
            let (lines, outcome) = check_all(args, &metadata, &messages, print)?;
            outcome.map(|()| exit_code(&lines))
        }),
    }
}

fn exit_code(lines: &[Line]) -> ExitCode {
    if lines.iter().all(|line| line.fits) { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) }
}

fn packages(args: &Args) -> Result<Metadata> {
    metadata(args.packages.manifest_path.as_deref(), &args.packages.query().flags)
}

fn targets(args: &Args) -> Result<Vec<Target>> {
    let debug_info = args.debug_info.files()?;
    let target = |kernel| Ok(Target { debug_info: debug_info.clone(), ..args.modules.target(kernel)? });
    let targets = kernels(&args.kernels, &args.kdirs)?.into_iter().map(target).collect::<Result<Vec<_>>>()?;
    check_given(&targets, &Terminal)?;
    Ok(targets)
}

/// Checks the patches, and shows what came of each. Returns the lines of those that could be checked, and what is wrong
/// with the others.
fn check_all(
    args: &Args,
    metadata: &Metadata,
    reporter: &dyn Reporter,
    show: impl Fn(&Package, &Result<Vec<Line>>),
) -> Result<(Vec<Line>, Result<()>)> {
    let targets = targets(args)?;
    let packages = select_packages(metadata, &args.packages.query())?;
    let results = packages.into_iter().map(|package| {
        let result = check_package(args, metadata, package, &targets, reporter);
        show(package, &result);
        (package.name.to_string(), result)
    });
    let (lines, outcome) = Error::separate(results);
    Ok((lines.concat(), outcome))
}

/// A line for each kernel.
fn check_package(
    args: &Args,
    metadata: &Metadata,
    package: &Package,
    targets: &[Target],
    reporter: &dyn Reporter,
) -> Result<Vec<Line>> {
    let flags = args.packages.query().flags;
    let _progress = reporter.progress("Checking", &package.name);
    let conditions = conditions(package, &libraries(package, metadata))?;
    let mut lines = Vec::new();
    let mut common: Option<Manifest> = None;
    for target in targets {
        let compiled = match &common {
            // It does not depend on the kernel.
            Some(manifest) if manifest.bindings.is_empty() && conditions.is_empty() => {
                Ok((manifest.clone(), Vec::new()))
            }
            _ => manifest_for(package.manifest_path.as_std_path(), &flags, target, reporter),
        };
        let compiles = compiled.is_ok();
        let outcome = match compiled {
            Ok((manifest, calls)) => {
                let mut outcome = check(&manifest, target, reporter)?;
                outcome.faults.extend(symbols(&manifest, target, reporter)?);
                let of_call = |message| Diagnostic { place: None, message };
                outcome.faults.extend(calls.into_iter().map(of_call));
                common = Some(manifest);
                outcome
            }
            Err(Error::Compile { package, .. }) => {
                let message = format!("`{package}` does not compile for {}", target.kernel.release);
                Outcome { faults: vec![Diagnostic { place: None, message }], ..Outcome::default() }
            }
            Err(other) => return Err(other),
        };
        lines.push(Line {
            package: package.name.to_string(),
            release: target.kernel.release.clone(),
            fits: outcome.faults.is_empty(),
            compiles,
            // What is strange about them was said when the crate was compiled.
            conditions: answers(&conditions, target, &Silent)?.texts(),
            outcome,
        });
    }
    Ok(lines)
}

/// Prints what is wrong with a package as messages of cargo.
fn print_messages(messages: &CargoMessages<'_>, package: &Package, lines: &[Line]) {
    let compiled: Vec<Line> = lines.iter().filter(|line| line.compiles).cloned().collect();
    for (level, list) in [("error", faults as fn(&Outcome) -> &Vec<Diagnostic>), ("warning", warnings)] {
        for (finding, releases) in group_by_release(&compiled, list) {
            let message = format!("{} ({})", finding.message, join_releases(releases));
            messages.finding(package, level, &Diagnostic { message, ..finding.clone() });
        }
    }
}

fn faults(outcome: &Outcome) -> &Vec<Diagnostic> {
    &outcome.faults
}

fn warnings(outcome: &Outcome) -> &Vec<Diagnostic> {
    &outcome.warnings
}

/// What is wrong with the symbols that the patch needs.
fn symbols(manifest: &Manifest, target: &Target, reporter: &dyn Reporter) -> Result<Vec<Diagnostic>> {
    match resolve(&manifest.symbols, Language::Rust, target, reporter) {
        Ok(_) => Ok(Vec::new()),
        Err(Error::Symbols { faults, .. }) => {
            Ok(faults.iter().map(|fault| Diagnostic::from(&**fault)).collect())
        }
        Err(other) => Err(other),
    }
}

/// The kernels that the arguments name, or else all that can be checked.
fn kernels(wanted: &[String], kdirs: &[PathBuf]) -> Result<Vec<Kernel>> {
    let releases = match wanted.is_empty() && kdirs.is_empty() {
        true => available(KernelParts::Image)?,
        false => wanted.to_vec(),
    };
    let mut queries: Vec<_> = releases.into_iter().map(KernelQuery::Release).collect();
    queries.extend(kdirs.iter().cloned().map(KernelQuery::BuildDir));
    if queries.is_empty() {
        // Says what to do.
        queries.push(KernelQuery::Any);
    }
    queries.iter().map(|query| query.find(KernelParts::Image)).collect()
}

/// Prints what is wrong, each thing once with its kernels.
fn print_diagnostics(lines: &[Line]) {
    notes(lines).into_iter().for_each(ui::note);
    for (warning, releases) in group_by_release(lines, warnings) {
        ui::warning(format!("{warning} ({})", join_releases(releases)));
    }
    for (fault, releases) in group_by_release(lines, faults) {
        ui::error(format!("{fault} ({})", join_releases(releases)));
    }
}

/// What was not checked. What is the same for several kernels but for their names is said once, with `RELEASE` for the name.
fn notes(lines: &[Line]) -> Vec<String> {
    const NAME: &str = "RELEASE";
    let mut unchecked = BTreeMap::<String, Vec<&str>>::new();
    for Line { release, outcome, .. } in lines {
        for text in outcome.unchecked.iter().chain(&outcome.notes) {
            unchecked.entry(text.replace(&**release, NAME)).or_default().push(release);
        }
    }
    let said = unchecked.into_iter().map(|(text, releases)| {
        let is_of_one = releases.iter().all(|release| *release == releases[0]);
        let text = if is_of_one { text.replace(NAME, releases[0]) } else { text };
        format!("{text} ({})", join_releases(releases))
    });
    said.collect()
}

/// Groups findings by the kernels that share them, in the order in which they were found.
fn group_by_release(lines: &[Line], list: fn(&Outcome) -> &Vec<Diagnostic>) -> Vec<(&Diagnostic, Vec<&str>)> {
    let mut all = Vec::<(&Diagnostic, Vec<&str>)>::new();
    for Line { release, outcome, .. } in lines {
        for fault in list(outcome) {
            match all.iter_mut().find(|(known, _)| *known == fault) {
                Some((_, releases)) => releases.push(release),
                None => all.push((fault, vec![release])),
            }
        }
    }
    all
}

fn join_releases(mut releases: Vec<&str>) -> String {
    releases.sort_unstable();
    releases.dedup();
    releases.join(", ")
}

/// A row for each patch, a column for each kernel.
fn table(lines: &[Line]) -> String {
    let mut rows = BTreeMap::<&str, Vec<&Line>>::new();
    for line in lines {
        rows.entry(&line.package).or_default().push(line);
    }
    let width = rows.keys().map(|name| name.len()).max().unwrap_or(0);
    let Some(first) = rows.values().next() else { return String::new() };
    let cell = |line: &Line| match (line.fits, &*line.outcome.warnings, &*line.outcome.unchecked) {
        (false, ..) => "does not fit",
        (true, [], []) => "fits",
        (true, [], _) => "fits, not all checked",
        (true, ..) => "fits, with warnings",
    };
    let width_of = |index: usize| {
        let cells = rows.values().filter_map(|row| Some(cell(row.get(index)?).len()));
        cells.max().unwrap_or(0).max(first[index].release.len())
    };
    let columns: Vec<usize> = (0..first.len()).map(width_of).collect();
    let row = |name: &str, cells: Vec<&str>| {
        let cells = cells.iter().zip(&columns).map(|(cell, width)| format!("  {cell:width$}"));
        format!("{name:width$}{}", cells.collect::<String>()).trim_end().to_owned() + "\n"
    };
    let mut text = row("", first.iter().map(|line| &*line.release).collect());
    for (name, cells) in &rows {
        text.push_str(&row(name, cells.iter().map(|line| cell(line)).collect()));
    }
    text
}

/// For each patch with conditions on the kernel: a row for each condition, a column for each kernel.
fn condition_tables(lines: &[Line]) -> String {
    let mut patches = BTreeMap::<&str, Vec<&Line>>::new();
    for line in lines.iter().filter(|line| !line.conditions.is_empty()) {
        patches.entry(&line.package).or_default().push(line);
    }
    let mut text = String::new();
    for (name, lines) in patches {
        let title = format!("#[cfg(…)] in {name}");
        let names = lines[0].conditions.keys().map(String::as_str);
        let width = names.clone().chain([&*title]).map(|name| name.chars().count()).max().unwrap_or(0);
        let mut row = |name: &str, cell: &dyn Fn(&Line) -> String| {
            let cells = lines.iter().map(|line| format!("  {:1$}", cell(line), line.release.len()));
            text.push_str(format!("{name:width$}{}", cells.collect::<String>()).trim_end());
            text.push('\n');
        };
        row("", &|_| String::new());
        row(&title, &|line| line.release.clone());
        for name in names {
            row(name, &|line| if line.conditions[name] { "yes" } else { "no" }.into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_the_kernels_name_alone_is_said_once() {
        let line = |package: &str, release: &str, notes: Vec<String>| Line {
            package: package.into(),
            release: release.into(),
            fits: true,
            compiles: true,
            conditions: BTreeMap::new(),
            outcome: Outcome { notes, ..Outcome::default() },
        };
        let get = |release: &str| format!("get --kernel {release}");
        let lines = [
            line("fix-a", "6.1.0-56", vec![get("6.1.0-56"), "only here: 6.1.0-56".into()]),
            line("fix-a", "6.12.1", vec![get("6.12.1")]),
            line("fix-b", "6.12.1", vec![get("6.12.1")]),
        ];
        assert_eq!(
            notes(&lines),
            ["get --kernel RELEASE (6.1.0-56, 6.12.1)", "only here: 6.1.0-56 (6.1.0-56)"]
        );
        assert_eq!(notes(&lines[1..]), ["get --kernel 6.12.1 (6.12.1)"]);
    }

    #[test]
    fn a_row_for_each_patch() {
        let line = |package: &str, release: &str, fits| Line {
            package: package.into(),
            release: release.into(),
            fits,
            compiles: true,
            conditions: BTreeMap::new(),
            outcome: Outcome::default(),
        };
        let lines = [
            line("fix-a", "6.12.1-amd64", true),
            line("fix-a", "6.1", false),
            line("fix-long", "6.12.1-amd64", true),
            line("fix-long", "6.1", true),
        ];
        let expected = "          6.12.1-amd64  6.1\n\
                        fix-a     fits          does not fit\n\
                        fix-long  fits          fits\n";
        assert_eq!(table(&lines), expected);
        assert_eq!(condition_tables(&lines), "");
    }

    #[test]
    fn a_row_for_each_condition() {
        let line = |release: &str, holds| Line {
            package: "fix-a".into(),
            release: release.into(),
            fits: true,
            compiles: true,
            conditions: BTreeMap::from([
                ("CONFIG_SMP".into(), true),
                ("kernel_since = \"6.12\"".into(), holds),
            ]),
            outcome: Outcome::default(),
        };
        let expected = "\n#[cfg(…)] in fix-a     6.1  6.12\n\
                        CONFIG_SMP             yes  yes\n\
                        kernel_since = \"6.12\"  no   yes\n";
        assert_eq!(condition_tables(&[line("6.1", false), line("6.12", true)]), expected);
    }
}
