//! `klp status`: all patches, and whether all is as it should be.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use crate::dump::Dump;
use crate::error::{Exit, Result};
use crate::machine::Machine;
use crate::report::{Installed, Leftover, PatchReport, Phase, Report, State};
use crate::show;
use crate::sysfs::Object;

/// Arguments of `klp status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// List what the patches fix, such as CVEs, a line each, with the patches.
    #[arg(long, conflicts_with = "json")]
    fixes: bool,

    /// Show the patches in a dump of a kernel's memory, in place of those of this machine: an ELF dump, such as a copy of
    /// /proc/vmcore, or one that makedumpfile has compressed with zlib.
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
}

/// Prints the state of all patches.
///
/// # Errors
///
/// Those of reading sysfs and procfs, or the dump.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let report = match &args.dump {
        Some(file) => Report::of_dump(Dump::read(file)?),
        None => Report::read(machine)?,
    };
    if args.json {
        show::json(machine, &report);
    } else if args.fixes {
        let fixes = fixes(&report);
        // Without a fix, no line at all: scripts count them.
        if !fixes.is_empty() {
            show::text(machine, &fixes);
        }
    } else {
        show::text(machine, &text(&report));
    }
    Ok(report.exit())
}

/// The report, for people.
fn text(report: &Report) -> String {
    let mut text = Text(String::new());
    for patch in &report.patches {
        let is_it = |installed: &&Installed| installed.in_effect && installed.build_id == patch.build_id;
        text.patch(patch, report.installed.iter().find(is_it).is_some_and(|installed| installed.on_trial));
    }
    for leftover in &report.leftovers {
        let what = match leftover {
            Leftover { loading: true, .. } => "being loaded: its init function has not returned",
            Leftover { held: true, .. } => {
                "disabled, and still in memory: its transition was forced, or one of its states is held"
            }
            _ => "disabled, and still in memory: nothing uses it: `klp unload` removes it",
        };
        text.line(&format!("{}: {what}", leftover.name));
    }
    for patch in report.installed.iter().filter(|patch| patch.is_missing || patch.is_fallback) {
        let installed = if patch.is_fallback { "" } else { "installed, " };
        text.line(&format!("{}: {installed}{}", patch.name, patch.text()));
    }
    if !report.supported {
        text.line(&format!("{} has no livepatches: it was built without CONFIG_LIVEPATCH", report.kernel));
    } else if report.patches.is_empty() {
        let before = if report.tainted { "; there was one since it was started" } else { "" };
        text.line(&format!("no livepatch is enabled on {}{before}", report.kernel));
    }
    text.0
}

/// What is fixed, in order.
fn fixes(report: &Report) -> String {
    let mut patches: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for patch in &report.patches {
        let phase = match patch.phase {
            Phase::Enabled => "",
            Phase::Enabling => " (being enabled)",
            Phase::Disabling => " (being disabled)",
            Phase::Stuck => " (stuck)",
        };
        for fix in &patch.fixes {
            patches.entry(fix).or_default().push(format!("{}{phase}", patch.name));
        }
    }
    let mut text = Text(String::new());
    for (fix, patches) in patches {
        text.line(&format!("{fix}  {}", patches.join(", ")));
    }
    text.0
}

struct Text(String);

impl Text {
    /// What modules and tasks say of themselves may have any characters.
    fn line(&mut self, line: &str) {
        self.0.extend(line.trim_end().chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        self.0.push('\n');
    }

    fn row(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.line(&format!("  {key:10}  {value}"));
        }
    }

    fn patch(&mut self, patch: &PatchReport, on_trial: bool) {
        let phase = match patch.phase {
            Phase::Enabling => "being enabled: some tasks run new code, some old",
            Phase::Enabled if on_trial => "in effect, on trial",
            Phase::Enabled => "in effect",
            Phase::Disabling => "being disabled: some tasks run new code, some old",
            Phase::Stuck => {
                "STUCK: the task that loaded it has died in it; load no module, start the machine again with `reboot -ff`"
            }
        };
        self.line(&format!("{}: {phase}", patch.name));
        self.row("since", patch.since.as_deref().unwrap_or_default());
        self.row("version", patch.version.as_deref().unwrap_or_default());
        let series = patch.series.as_ref();
        self.row(
            "series",
            &series.map(|s| format!("{}, revision {}", s.name, s.revision)).unwrap_or_default(),
        );
        self.row("fixes", &patch.fixes.join(", "));
        self.row("build ID", patch.build_id.as_deref().unwrap_or_default());
        self.row("signed", &patch.signature.text());
        let replaces = match patch.replace {
            Some(true) => "all other patches",
            Some(false) => "no other patch",
            None => "unknown: this kernel does not show it",
        };
        self.row("replaces", replaces);
        self.row(
            "forced",
            if patch.forced { "its transition was forced: tasks may still run old code" } else { "" },
        );
        for (number, state) in patch.states.iter().enumerate() {
            self.row(if number == 0 { "states" } else { "" }, &state_row(state, &patch.name));
        }
        for (number, object) in patch.objects.iter().filter(|object| !object.functions.is_empty()).enumerate()
        {
            self.row(if number == 0 { "redirects" } else { "" }, &object_row(object));
        }
        let missing = patch.missing.join(" and ");
        self.row(
            "missing",
            &if missing.is_empty() { missing } else { missing + ": the dump lacks their pages" },
        );
        if patch.phase != Phase::Enabled && patch.phase != Phase::Stuck && patch.missing.is_empty() {
            let enabling = patch.phase == Phase::Enabling;
            for line in show::blockers(&patch.name, enabling, &patch.blockers).lines() {
                self.line(&format!("  {line}"));
            }
        }
    }
}

fn state_row(state: &State, patch: &str) -> String {
    let mut row = match &state.name {
        Some(name) => format!("{name} (id {}), version {}", state.id, state.version),
        None => format!("the kernel's state {}, version {}", state.id, state.version),
    };
    if state.block_disable {
        row.push_str(", block_disable");
    }
    let others: Vec<&str> =
        state.providers.iter().map(String::as_str).filter(|provider| *provider != patch).collect();
    if !others.is_empty() {
        write!(row, ", also of {}", others.join(", ")).expect("a string takes everything");
    }
    row
}

fn object_row(object: &Object) -> String {
    let functions = object.functions.iter().map(|function| match function.sympos {
        0 => function.name.clone(),
        sympos => format!("{} ({sympos})", function.name),
    });
    let functions: Vec<_> = functions.collect();
    let waits = if object.patched == Some(false) { " (not loaded: not redirected yet)" } else { "" };
    format!("{}{waits}: {}", object.name, functions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Dumped;
    use crate::loaded::Loaded;
    use crate::sysfs::Patch;

    #[test]
    fn what_a_dump_lacks_is_said_and_not_taken_for_nothing() {
        let patch = Patch {
            name: "fix".into(),
            enabled: true,
            transition: true,
            replace: Some(true),
            stack_order: Some(1),
            objects: Vec::new(),
        };
        let missing = vec!["the functions that it redirects", "the tasks that hold up its transition"];
        let loaded = Loaded {
            name: "fix".into(),
            version: None,
            srcversion: None,
            build_id: None,
            about: None,
            taint: "K".into(),
            references: Some(1),
            is_live: true,
        };
        let dump = Dump {
            release: "6.12".into(),
            taint: 1 << 15,
            supported: true,
            verifies: false,
            patches: vec![(Dumped { patch, module: 0, forced: false, missing }, loaded, Vec::new())],
            others: Vec::new(),
        };
        let text = text(&Report::of_dump(dump));
        assert!(
            text.ends_with(
                "  missing     the functions that it redirects and the tasks that hold up its transition: the dump lacks \
                 their pages\n"
            ),
            "{text}"
        );
    }
}
