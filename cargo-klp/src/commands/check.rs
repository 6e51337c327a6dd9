//! `cargo klp check`: which kernels a patch fits, without building the module.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;

use super::args::{DebugInfoArgs, MessageFormat, ModuleArgs, PackageArgs};
use super::ui::{self, Terminal};
use crate::error::{Error, Result, exit};
use crate::host::report::Silent;
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
  cargo klp check --message-format json         a line for each patch and kernel, for programs

The exit code is 1 if a patch does not fit one of the kernels.")]
pub struct Args {
    #[command(flatten)]
    packages: PackageArgs,

    /// A kernel release, or a series; may be given several times.
    ///
    /// By default every kernel on this machine that has headers and an image.
    #[arg(long = "kernel", value_name = "RELEASE")]
    kernels: Vec<String>,

    #[command(flatten)]
    modules: ModuleArgs,

    #[command(flatten)]
    debug_info: DebugInfoArgs,

    /// The format of the results on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

/// Whether a patch fits a kernel.
#[derive(Debug, Serialize)]
struct Line {
    package: String,
    release: String,
    fits: bool,
    /// The conditions on the kernel in the crate's source, and whether they hold.
    conditions: BTreeMap<String, bool>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Checks the chosen patches against the chosen kernels.
pub fn main(args: &Args) -> Result<ExitCode> {
    args.message_format.run(|| check_all(args))
}

fn check_all(args: &Args) -> Result<ExitCode> {
    let debug_info = args.debug_info.files()?;
    let targets: Vec<Target> = kernels(&args.kernels)?
        .into_iter()
        .map(|kernel| Ok(Target { debug_info: debug_info.clone(), ..args.modules.target(kernel)? }))
        .collect::<Result<_>>()?;
    check_given(&targets, &Terminal)?;
    let mut lines = Vec::new();
    let packages = args.packages.query();
    let metadata = metadata(packages.manifest_path.as_deref(), &packages.flags)?;
    for package in select_packages(&metadata, &packages)? {
        let _progress = ui::spinner("Checking", &package.name);
        let conditions = conditions(package, &libraries(package, &metadata))?;
        let mut common: Option<Manifest> = None;
        for target in &targets {
            let compiled = match &common {
                // It does not depend on the kernel.
                Some(manifest) if manifest.bindings.is_empty() && conditions.is_empty() => {
                    Ok(manifest.clone())
                }
                _ => manifest_for(package.manifest_path.as_std_path(), &packages.flags, target, &Terminal),
            };
            let outcome = match compiled {
                Ok(manifest) => {
                    let mut outcome = check(&manifest, target, &Terminal)?;
                    outcome.faults.extend(symbols(&manifest, target)?);
                    common = Some(manifest);
                    outcome
                }
                Err(Error::Compile { package }) => {
                    let message = format!("`{package}` does not compile for {}", target.kernel.release);
                    Outcome { faults: vec![Diagnostic { place: None, message }], ..Outcome::default() }
                }
                Err(other) => return Err(other),
            };
            let fits = outcome.faults.is_empty();
            lines.push(Line {
                package: package.name.to_string(),
                release: target.kernel.release.clone(),
                fits,
                // What is strange about them was said when the crate was compiled.
                conditions: answers(&conditions, target, &Silent)?.texts(),
                outcome,
            });
        }
    }
    match args.message_format {
        MessageFormat::Human => {
            print_diagnostics(&lines);
            print!("{}{}", table(&lines), condition_tables(&lines));
        }
        MessageFormat::Json => {
            for line in &lines {
                println!("{}", serde_json::to_string(line).expect("plain data"));
            }
        }
    }
    Ok(if lines.iter().all(|line| line.fits) { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

/// What is wrong with the symbols that the patch needs.
fn symbols(manifest: &Manifest, target: &Target) -> Result<Vec<Diagnostic>> {
    match resolve(&manifest.symbols, Language::Rust, target, &Terminal) {
        Ok(_) => Ok(Vec::new()),
        Err(Error::Symbols { faults, .. }) => {
            Ok(faults.into_iter().map(|message| Diagnostic { place: None, message }).collect())
        }
        Err(other) => Err(other),
    }
}

/// The kernels that the arguments name, or else all that can be checked.
fn kernels(wanted: &[String]) -> Result<Vec<Kernel>> {
    let all;
    let wanted = if wanted.is_empty() {
        all = available(KernelParts::Image)?;
        &all
    } else {
        wanted
    };
    if wanted.is_empty() {
        // Says what to do.
        return KernelQuery::Any.find(KernelParts::Image).map(|kernel| vec![kernel]);
    }
    let find = |wanted: &String| KernelQuery::Release(wanted.clone()).find(KernelParts::Image);
    wanted.iter().map(find).collect()
}

/// Prints what is wrong, each thing once with its kernels.
fn print_diagnostics(lines: &[Line]) {
    let mut unchecked = BTreeMap::<&str, Vec<&str>>::new();
    for Line { release, outcome, .. } in lines {
        for text in outcome.unchecked.iter().chain(&outcome.notes) {
            unchecked.entry(text).or_default().push(release);
        }
    }
    for (text, releases) in unchecked {
        ui::note(format!("{text} ({})", join_releases(releases)));
    }
    for (warning, releases) in group_by_release(lines, |outcome| &outcome.warnings) {
        ui::warning(format!("{warning} ({})", join_releases(releases)));
    }
    for (fault, releases) in group_by_release(lines, |outcome| &outcome.faults) {
        ui::error(format!("{fault} ({})", join_releases(releases)));
    }
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
    fn a_row_for_each_patch() {
        let line = |package: &str, release: &str, fits| Line {
            package: package.into(),
            release: release.into(),
            fits,
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
