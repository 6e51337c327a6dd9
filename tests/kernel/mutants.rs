//! Whether faults of the engine are found. One at a time is planted in a copy of the sources: in the engine of the
//! model, whose tests run, and in that of the modules, which `diff` holds against the sound model.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cargo_klp::error::{Error, Result};
use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery};

use crate::altered::{self, Alteration};
use crate::diff::{self, CRATES, DIFFER, SHRINK};
use crate::guest::{Boot, is_complaint};
use crate::host;
use crate::other_half;
use crate::place::Change::{Name, Skip, Then, To};
use crate::place::Part::{Call, Comparison, FirstCall};
use crate::place::Place;

/// What the boot may take, and one sequence: both far longer than they do.
const BOOT: Duration = Duration::from_secs(2 * 60);
const SEQUENCE: Duration = Duration::from_secs(3);

/// Where the engine is.
const ENGINE: &str = "klp-runtime/src/engine";

/// The fault `what`, planted at one place of the engine.
macro_rules! fault {
    ($what:literal, $item:literal, $part:expr, $change:expr) => {
        Alteration {
            what: $what,
            directory: ENGINE,
            changes: &[(Place { item: $item, part: $part }, $change)],
        }
    };
}

/// The faults, in the order of the rules that they break.
const MUTANTS: [Alteration; 40] = [
    fault!("S1: a lower version is let in", "mismatch", Comparison("version", "<"), To("false")),
    fault!("S1: the same version is refused", "mismatch", Comparison("version", "<"), Name("<=")),
    fault!("S1: a higher version is let in beside", "mismatch", Call("differs_beside"), To("false")),
    fault!("S1: a state of another series is let in", "mismatch", Comparison("ours", "!="), To("false")),
    fault!("S1: another layout of data is let in", "mismatch", Comparison("layout", "!="), To("false")),
    fault!(
        "S1: another layout of a shadow variable is let in",
        "mismatched_shadow",
        Call("is_same"),
        To("true")
    ),
    fault!(
        "S1: a replace patch that lacks a block_disable state is let in",
        "blocked",
        Call("is_blocked"),
        To("false")
    ),
    fault!("S2: states are introduced in reverse order", "Engine::introduce", Call("claims"), Then(".rev()")),
    fault!("S3: what had succeeded is not taken back", "Engine::take_back", Call("rev"), Then(".take(0)")),
    fault!(
        "S3: shadow variables that a failed pre_patch had made are not freed",
        "Engine::take_back",
        FirstCall("remove_state"),
        To("()")
    ),
    fault!("S4: states are removed in table order", "Engine::states_pre_unpatch_replaced", Call("rev"), Skip),
    fault!(
        "S5: post_unpatch of removed states comes in table order",
        "Engine::states_post_unpatch_replaced",
        Call("rev"),
        Skip
    ),
    fault!(
        "S5: take_over is called for the same version",
        "Engine::take_over",
        Comparison("version", "<"),
        Name("<=")
    ),
    fault!(
        "S6: a disabled owner removes what another patch provides",
        "Engine::states_pre_unpatch",
        Call("is_only"),
        Name("is_owner")
    ),
    fault!(
        "S7: a removal is not taken back",
        "Engine::before_post_unpatch",
        Call("states_post_patch_replaced"),
        To("()")
    ),
    fault!(
        "S7: a removal that was taken back is not forgotten",
        "Engine::states_post_patch_replaced",
        Call("unmark"),
        To("()")
    ),
    fault!(
        "S7: what vmlinux's own pre_patch fails with is not taken back",
        "Engine::vmlinux_pre_patch",
        Call("states_post_unpatch"),
        To("()")
    ),
    fault!(
        "S8: a disable that is taken back does not resume states",
        "Engine::resume",
        Call("call"),
        To("()")
    ),
    fault!(
        "S9: shadow variables are freed by the oldest patch, not the owner",
        "Engine::remove_state",
        Call("last"),
        Name("next")
    ),
    fault!(
        "S9: shadow variables of a module's objects stay when it goes",
        "Engine::shadows_of_object_gone",
        Call("shadow_free_all"),
        To("()")
    ),
    fault!(
        "S10: a patch does not get the data of its states",
        "Engine::introduce",
        Call("publish"),
        To("()")
    ),
    fault!(
        "S12: the oldest patch that provides a state removes it, not the owner",
        "Engine::states_pre_unpatch_replaced",
        Call("is_owner"),
        To("claim.older().is_none() && claim.live().providers().all(|one| one.patch() != patch)")
    ),
    fault!(
        "S13: a block_disable state is removed by a disable",
        "Engine::states_pre_unpatch",
        Call("is_blocked"),
        To("false")
    ),
    fault!(
        "S13: block_disable ends where a patch beside does not ask for it",
        "Engine::settle",
        Call("replaces"),
        To("true")
    ),
    fault!("S13: block_disable never ends", "Engine::settle", Call("replaces"), To("false")),
    fault!("S13: the module of a held state is not pinned", "Engine::hold", Call("pin"), To("()")),
    fault!(
        "S14: a patch that has nothing to lose keeps the reserved entry",
        "Engine::states_post_patch",
        Call("drop_reserved_entry"),
        To("()")
    ),
    fault!(
        "S17: a patch whose pre_patch failed is not stopped first",
        "Engine::take_back",
        Call("stop"),
        To("()")
    ),
    fault!(
        "S17: a patch that is replaced is not stopped",
        "Engine::states_post_patch",
        Call("for_each"),
        To("()")
    ),
    fault!(
        "S17: a patch that is disabled is not stopped",
        "Engine::before_post_unpatch",
        Call("stop"),
        To("()")
    ),
    fault!("S18: a patch that is over reaches its states", "Engine::release", Call("clear"), To("()")),
    fault!("S18: a patch that holds a state reaches it", "Engine::keep_held", Call("clear"), To("()")),
    fault!(
        "S18: what continues is reached only when its turn comes",
        "Engine::introduce",
        Call("publish_continuing"),
        To("()")
    ),
    fault!("S19: the version of a state does not grow", "Engine::settle", Call("set_version"), To("()")),
    fault!("S20: a higher revision is replaced", "higher_revision", Comparison("revision", ">"), To("false")),
    fault!(
        "S20: the same revision is not replaced",
        "higher_revision",
        Comparison("revision", ">"),
        Name(">=")
    ),
    fault!(
        "S21: data are dropped though code that was forced off may use them",
        "Engine::end_data",
        Call("is_forced"),
        To("false")
    ),
    fault!(
        "S21: shadow variables are freed though code that was forced off may use them",
        "Engine::release",
        Call("is_forced"),
        To("false")
    ),
    fault!(
        "S22: data that were migrated do not become the state's",
        "Engine::settle",
        Call("has"),
        To("false")
    ),
    fault!(
        "S22: data that were migrated are not dropped when the patch is taken back",
        "Engine::release",
        Call("drop_data"),
        To("()")
    ),
];

/// Looks whether each fault can still be planted.
///
/// # Errors
///
/// The first place that the sources no longer have.
pub(crate) fn check() -> Result<()> {
    MUTANTS.iter().try_for_each(|mutant| mutant.texts().map(drop))
}

/// Plants the faults whose text has `pattern`, one after the other, and says of each what finds it: a test of the
/// model, and the random sequences on the kernel, unless there are none to run. Whether all were found.
pub(crate) fn main(series: &str, pattern: &str) -> Result<bool> {
    let kernel = if diff::cases() == 0 { None } else { Some(RandomSequences::new(series)?) };
    let mut found_all = true;
    for mutant in MUTANTS.iter().filter(|mutant| mutant.what.contains(pattern)) {
        println!("{}", mutant.what);
        let copy = altered::copy(mutant)?;
        let in_model = in_model(copy.path())?;
        println!("    model: {}", in_model.as_deref().unwrap_or("NOT FOUND"));
        let on_kernel = kernel.as_ref().map(|sequences| sequences.find(copy.path())).transpose()?;
        if let Some(found) = &on_kernel {
            println!("    kernel: {}", found.as_ref().unwrap_or_else(|why| why));
        }
        found_all &= in_model.is_some() || matches!(on_kernel, Some(Ok(_)));
    }
    Ok(found_all)
}

/// The tests of the model that find a fault in a copy of the sources; the checker only where no other does.
fn in_model(copy: &Path) -> Result<Option<String>> {
    for tests in [&["lifecycle", "rules"][..], &["checker"]] {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--quiet", "--no-fail-fast", "--package", "klp-model-tests"]);
        command.arg("--manifest-path").arg(copy.join("Cargo.toml")).env_remove("CARGO_TARGET_DIR");
        for test in tests {
            command.args(["--test", test]);
        }
        let output = command.output().map_err(Error::io("run", "cargo"))?;
        if output.status.success() {
            continue;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = text.lines().filter_map(|line| line.strip_prefix("---- ")?.strip_suffix(" stdout ----"));
        let failed: Vec<_> = failed.collect();
        let Some(first) = failed.first() else {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Ok(Some(format!("does not compile, or ends the tests: {}", errors.trim())));
        };
        let others = match failed.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        return Ok(Some(format!("{first}{others}")));
    }
    Ok(None)
}

/// The random sequences, on a kernel whose modules have a fault.
struct RandomSequences {
    kernel: Kernel,
    /// The directory of the module that the patches redirect, and of the one that forgets them.
    modules: Vec<PathBuf>,
    command: Vec<OsString>,
}

impl RandomSequences {
    fn new(series: &str) -> Result<Self> {
        let kernel = KernelQuery::Release(series.into()).find(KernelParts::Image)?;
        let modules = host::build_c_for_random(&kernel)?;
        let test = ["--exact", diff::TEST].map(Into::into);
        let command = [vec![other_half::program(&kernel)?], test.to_vec()].concat();
        Ok(Self { kernel, modules, command })
    }

    /// How the sequences find the fault in a copy of the sources, or why they don't.
    fn find(&self, copy: &Path) -> Result<Result<String, String>> {
        let packages = CRATES.map(|krate| host::package(krate.name));
        let Some(modules) = host::build(&self.kernel, Some(copy), &packages)? else {
            return Ok(Err("does not compile".into()));
        };
        for module in &self.modules {
            host::copy_module(module, &modules)?;
        }
        let limit = BOOT + SEQUENCE * diff::cases();
        let vm = host::fast_vm(&self.kernel, Boot::Sound, &modules).env(SHRINK, "0").timeout(limit);
        match vm.output(&self.command) {
            Ok(outcome) if outcome.code == 0 => Ok(Err("NOT FOUND: no sequence differs".into())),
            Ok(outcome) => Ok(Ok(difference(&outcome.stderr).unwrap_or("the kernel complained").to_owned())),
            // One that is only late, or did not boot, has found nothing.
            Err(Error::Guest { message, log }) => Ok(match complaint(&log) {
                Some(complaint) => Ok(format!("the kernel died or hung: {}", complaint.trim())),
                None => Err(format!("NOT FOUND: {message}")),
            }),
            Err(error) => Err(error),
        }
    }
}

/// What the kernel complained of since the first patch or target was loaded.
fn complaint(log: &str) -> Option<&str> {
    let mut lines = log.lines().skip_while(|line| !line.contains("loading out-of-tree module"));
    lines.find(|line| is_complaint(line))
}

/// What the test said of the difference: after how many sequences.
fn difference(stderr: &str) -> Option<&str> {
    let (_, text) = stderr.split_once(DIFFER)?;
    Some(text.lines().next()?.trim_end_matches(": after").trim())
}
