//! `klp metrics`: what `status` knows, in Prometheus' text format, for the textfile collector of node_exporter.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::error::{Exit, Result};
use crate::machine::Machine;
use crate::report::{Installed, PatchReport, Phase, Report};
use crate::{record, show, store};

/// Arguments of `klp metrics`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Metrics, with the labels of each:
  klp_patch_info{patch,version,series,revision,build_id}  1: what is loaded
  klp_patch_phase{patch,phase}      1 for where the patch is: enabling, enabled, disabling or stuck; else 0
  klp_patch_forced{patch}           1 if klp has forced a transition of it
  klp_patch_verified{patch}         1 if the kernel has verified its signature, 0 if not
  klp_patch_loaded_seconds{patch}   when klp has loaded it (Unix time)
  klp_patch_blockers{patch}         the tasks that hold up its transition
  klp_patch_object_waits{patch,object}  1 while a module that it patches is not loaded
  klp_fix{fix,patch}                1 if the fix (such as a CVE) is in effect, 0 while its patch is in transition
  klp_installed{patch,build_id}     a patch installed for the kernel that runs: 1 in effect, 0 not
  klp_installed_missing{patch,build_id}  1 if it is not in effect though it should be
  klp_installed_on_trial{patch,build_id}  1 if a crash now would be taken for its fault
  klp_leftover_held{module}         a module of a disabled patch, still in memory: 1 if it can't be unloaded
  klp_transition                    1 while a transition runs
  klp_tainted                       1 if a livepatch was loaded since the kernel was started

Example, each minute by a timer:
  klp metrics --output /var/lib/prometheus/node-exporter/klp.prom")]
pub struct Args {
    /// The file to write, whole or not at all; by default the metrics are printed.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prints or writes the metrics. The exit code says whether that went well, and nothing of the patches.
///
/// # Errors
///
/// Those of reading sysfs and procfs, and of writing the file.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let report = Report::read(machine)?;
    let since = |patch: &str| record::loading(machine, patch).map(|loading| loading.since);
    let text = metrics(&report, &since);
    match &args.output {
        Some(file) => {
            store::put(&std::path::absolute(file).unwrap_or_else(|_| file.clone()), text.as_bytes())?
        }
        None => show::text(machine, &text),
    }
    Ok(Exit::Done)
}

fn metrics(report: &Report, since: &dyn Fn(&str) -> Option<SystemTime>) -> String {
    let mut text = Text::default();
    add_patches(&mut text, &report.patches, since);
    add_installed(&mut text, &report.installed);
    text.family(
        "klp_leftover_held",
        "Whether the module of a disabled patch that is still in memory can't be unloaded.",
    );
    for module in &report.leftovers {
        text.sample("klp_leftover_held", &[("module", &*module.name)], u8::from(module.held));
    }
    text.family("klp_transition", "Whether a transition runs.");
    text.sample("klp_transition", &[], u8::from(!report.settled));
    text.family("klp_tainted", "Whether a livepatch was loaded since the kernel was started.");
    text.sample("klp_tainted", &[], u8::from(report.tainted));
    text.lines
}

fn add_patches(text: &mut Text, patches: &[PatchReport], since: &dyn Fn(&str) -> Option<SystemTime>) {
    text.family("klp_patch_info", "What is loaded.");
    for patch in patches {
        text.sample("klp_patch_info", &info(patch).each_ref().map(|(label, value)| (*label, &**value)), 1);
    }
    text.family("klp_patch_phase", "Where the patch is.");
    for patch in patches {
        for (phase, name) in PHASES {
            let labels = [("patch", &*patch.name), ("phase", name)];
            text.sample("klp_patch_phase", &labels, u8::from(patch.phase == phase));
        }
    }
    text.family("klp_patch_forced", "Whether klp has forced a transition of the patch.");
    for patch in patches {
        text.sample("klp_patch_forced", &[("patch", &*patch.name)], u8::from(patch.forced));
    }
    text.family("klp_patch_verified", "Whether the kernel has verified the signature of the patch.");
    for patch in patches {
        if let Some(verified) = patch.signature.verified {
            text.sample("klp_patch_verified", &[("patch", &*patch.name)], u8::from(verified));
        }
    }
    text.family("klp_patch_loaded_seconds", "When klp has loaded the patch, in Unix time.");
    for patch in patches {
        let time = since(&patch.name).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(time) = time {
            text.sample("klp_patch_loaded_seconds", &[("patch", &*patch.name)], time.as_secs());
        }
    }
    text.family("klp_patch_blockers", "The number of tasks that hold up the patch's transition.");
    for patch in patches {
        text.sample("klp_patch_blockers", &[("patch", &*patch.name)], patch.blockers.len());
    }
    text.family("klp_patch_object_waits", "Whether a module that the patch changes is not loaded.");
    for patch in patches {
        for object in patch.objects.iter().filter(|object| !object.functions.is_empty()) {
            if let Some(patched) = object.patched {
                let labels = [("patch", &*patch.name), ("object", &*object.name)];
                text.sample("klp_patch_object_waits", &labels, u8::from(!patched));
            }
        }
    }
    text.family("klp_fix", "Whether what a patch fixes is fixed now.");
    for patch in patches {
        for fix in &patch.fixes {
            let labels = [("fix", &**fix), ("patch", &*patch.name)];
            text.sample("klp_fix", &labels, u8::from(patch.phase == Phase::Enabled));
        }
    }
}

fn add_installed(text: &mut Text, installed: &[Installed]) {
    for (name, help, value) in [
        (
            "klp_installed",
            "Whether a patch that is installed for this kernel is in effect.",
            (|patch| patch.in_effect) as fn(&Installed) -> bool,
        ),
        (
            "klp_installed_missing",
            "Whether a patch that is installed for this kernel is not in effect though it should be.",
            |patch| patch.is_missing,
        ),
        (
            "klp_installed_on_trial",
            "Whether a crash now would be taken for the fault of a patch that is installed for this kernel.",
            |patch| patch.on_trial,
        ),
    ] {
        text.family(name, help);
        for patch in installed {
            let build_id = patch.build_id.as_deref().unwrap_or_default();
            text.sample(name, &[("patch", &*patch.name), ("build_id", build_id)], u8::from(value(patch)));
        }
    }
}

const PHASES: [(Phase, &str); 4] = [
    (Phase::Enabling, "enabling"),
    (Phase::Enabled, "enabled"),
    (Phase::Disabling, "disabling"),
    (Phase::Stuck, "stuck"),
];

/// The labels that say what a patch is; one that is unknown is empty, which Prometheus takes for absent.
fn info(patch: &PatchReport) -> [(&'static str, String); 5] {
    let series = patch.series.as_ref();
    [
        ("patch", patch.name.clone()),
        ("version", patch.version.clone().unwrap_or_default()),
        ("series", series.map(|series| series.name.clone()).unwrap_or_default()),
        ("revision", series.map(|series| series.revision.to_string()).unwrap_or_default()),
        ("build_id", patch.build_id.clone().unwrap_or_default()),
    ]
}

#[derive(Default)]
struct Text {
    lines: String,
    /// The names and labels of the samples. node_exporter refuses the whole file if one comes twice, as that of a module does
    /// which is installed in two files.
    seen: BTreeSet<String>,
}

impl Text {
    fn family(&mut self, name: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} gauge"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sample = format!("{name}{braces}");
        if self.seen.insert(sample.clone()) {
            self.line(format_args!("{sample} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.lines, "{line}").expect("a string takes everything");
    }
}

/// A value of a label. What modules say of themselves may have any characters.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}
