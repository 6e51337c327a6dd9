//! Whether the comparison of `diff` finds faults of the engine: one at a time is planted in the engine of the
//! modules, while the model keeps the sound one.

use std::time::Duration;

use cargo_klp::error::{Error, Result};
use cargo_klp::kernel::{KernelParts, KernelQuery};

use crate::altered::{self, Alteration};
use crate::diff::{self, CRATES, DIFFER, SHRINK};
use crate::guest::{Boot, is_complaint};
use crate::host;
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
const MUTANTS: [Alteration; 34] = [
    fault!("S1: a lower version is let in", "mismatch", Comparison("version", "<"), To("false")),
    fault!("S1: the same version is refused", "mismatch", Comparison("version", "<"), Name("<=")),
    fault!("S1: a higher version is let in beside", "mismatch", Call("differs_beside"), To("false")),
    fault!("S1: a state of another series is let in", "mismatch", Comparison("ours", "!="), To("false")),
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
        "take_over",
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

/// Plants the faults whose text has `pattern`, one after the other, and says of each how it was found;
/// whether all of them were.
pub(crate) fn main(series: &str, pattern: &str) -> Result<bool> {
    let kernel = KernelQuery::Release(series.into()).find(KernelParts::Image)?;
    let target = host::build_target(&kernel)?;
    let packages = CRATES.map(|krate| host::package(krate.name));
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let test = ["--exact", "random_sequences_agree_with_the_model"].map(Into::into);
    let command = [vec![this.into_os_string()], test.to_vec()].concat();
    let limit = BOOT + SEQUENCE * diff::cases();
    let mut found_all = true;
    for mutant in MUTANTS.iter().filter(|mutant| mutant.what.contains(pattern)) {
        let copy = altered::copy(mutant)?;
        let Some(modules) = host::build(&kernel, Some(copy.path()), &packages)? else { return Ok(false) };
        host::copy_module(&target, &modules)?;
        let vm = host::vm(&kernel, Boot::Sound, &modules).env(SHRINK, "0").timeout(limit);
        let found = match vm.output(&command) {
            Ok(outcome) if outcome.code == 0 => Err("no sequence differs".into()),
            Ok(outcome) => Ok(difference(&outcome.stderr).unwrap_or("the kernel complained").to_owned()),
            // One that is only late, or did not boot, has found nothing.
            Err(Error::Guest { message, log }) => match complaint(&log) {
                Some(complaint) => Ok(format!("the kernel died or hung: {}", complaint.trim())),
                None => Err(message),
            },
            Err(error) => return Err(error),
        };
        found_all &= found.is_ok();
        let how = found.unwrap_or_else(|why| format!("NOT FOUND: {why}"));
        println!("{}\n    {how}", mutant.what);
    }
    Ok(found_all)
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
