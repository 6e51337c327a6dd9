//! Whether the comparison of `diff` finds faults of the engine: one at a time is planted in the engine of the
//! modules, while the model keeps the sound one.

use std::time::Duration;

use cargo_klp::error::{Error, Result};
use cargo_klp::kernel::{KernelArgs, Need};

use crate::altered::{self, Alteration};
use crate::diff::{self, CRATES, DIFFER, SHRINK};
use crate::guest::{Boot, is_complaint};
use crate::host;

/// What the boot may take, and one sequence: both far longer than they do.
const BOOT: Duration = Duration::from_secs(2 * 60);
const SEQUENCE: Duration = Duration::from_secs(3);

const ENGINE: &str = "klp-runtime/src/engine/mod.rs";
const CHECK: &str = "klp-runtime/src/engine/check.rs";
const OBJECT: &str = "klp-runtime/src/engine/object.rs";

/// The faults, in the order of the rules that they break.
const MUTANTS: [Alteration; 20] = [
    Alteration {
        what: "S1: a lower version is let in",
        file: CHECK,
        from: "ours.version < theirs.version",
        to: "false && ours.version < theirs.version",
    },
    Alteration {
        what: "S1: the same version is refused",
        file: CHECK,
        from: "ours.version < theirs.version",
        to: "ours.version <= theirs.version",
    },
    Alteration {
        what: "S1: a replace patch that lacks a block_disable state is let in",
        file: CHECK,
        from: "STATE_BLOCK_DISABLE != 0",
        to: "STATE_BLOCK_DISABLE & 0 != 0",
    },
    Alteration {
        what: "S2: states are introduced in reverse order",
        file: ENGINE,
        from: "for claim in claims(node) {
                if (*claim).flags & CLAIM_INTRODUCED == 0 {",
        to: "for claim in claims(node).rev() {
                if (*claim).flags & CLAIM_INTRODUCED == 0 {",
    },
    Alteration {
        what: "S3: what had succeeded is not taken back",
        file: ENGINE,
        from: "for earlier in claims(node).rev() {",
        to: "for earlier in claims(node).rev().take(0) {",
    },
    Alteration {
        what: "S3: shadow variables that a failed pre_patch had made are not freed",
        file: ENGINE,
        from: "self.end(claim);
                    for earlier",
        to: "for earlier",
    },
    Alteration {
        what: "S4: states are removed in table order",
        file: ENGINE,
        from: "for claim in claims(other).rev() {
                    if owns(claim) {",
        to: "for claim in claims(other) {
                    if owns(claim) {",
    },
    Alteration {
        what: "S5: post_unpatch of removed states comes in table order",
        file: ENGINE,
        from: "for claim in claims(other).rev() {
                    if (*claim).flags & CLAIM_REMOVING != 0 {",
        to: "for claim in claims(other) {
                    if (*claim).flags & CLAIM_REMOVING != 0 {",
    },
    Alteration {
        what: "S5: take_over is called for the same version",
        file: ENGINE,
        from: "(*(*owner).entry).version >= (*entry).version",
        to: "(*(*owner).entry).version > (*entry).version",
    },
    Alteration {
        what: "S6: a disabled owner removes what another patch provides",
        file: ENGINE,
        from: "claims == claim && (*claim).older.is_null()",
        to: "claims == claim",
    },
    Alteration {
        what: "S7: a removal is not taken back",
        file: ENGINE,
        from: "self.states_post_patch_replaced(node);",
        to: "",
    },
    Alteration {
        what: "S7: a removal that was taken back is not forgotten",
        file: ENGINE,
        from: "(*claim).flags &= !CLAIM_REMOVING;",
        to: "",
    },
    Alteration {
        what: "S7: what vmlinux's own pre_patch fails with is not taken back",
        file: OBJECT,
        from: "if result.is_err() {",
        to: "if false {",
    },
    Alteration {
        what: "S8: a disable that is taken back does not resume states",
        file: ENGINE,
        from: "call(claim, (*(*claim).entry).post_patch);
                }
                if (*claim).flags & CLAIM_HELD",
        to: "}
                if (*claim).flags & CLAIM_HELD",
    },
    Alteration {
        what: "S9: shadow variables are freed by the oldest patch, not the owner",
        file: ENGINE,
        from: "claim::of_state(live).last()",
        to: "claim::of_state(live).next()",
    },
    Alteration {
        what: "S9: shadow variables of a module's objects stay when it goes",
        file: OBJECT,
        from: "self.kernel.shadow_free_all(&*owners);",
        to: "",
    },
    Alteration {
        what: "S10: a patch in which a state continues does not get its data",
        file: ENGINE,
        from: "publish(claim);
                    continue;",
        to: "continue;",
    },
    Alteration {
        what: "S12: the oldest patch that provides a state removes it, not the owner",
        file: ENGINE,
        from: "if owns(claim) {",
        to: "if (*claim).older.is_null() && (*(*(*claim).live).claims).patch != node {",
    },
    Alteration {
        what: "S13: a block_disable state is removed by a disable",
        file: ENGINE,
        from: "STATE_BLOCK_DISABLE != 0",
        to: "STATE_BLOCK_DISABLE & 0 != 0",
    },
    Alteration {
        what: "S13: the module of a held state is not pinned",
        file: ENGINE,
        from: "self.kernel.pin((*(*claim).patch).module);",
        to: "",
    },
];

/// Looks whether each fault can still be planted.
pub(crate) fn check() -> Result<()> {
    MUTANTS.iter().try_for_each(|mutant| mutant.text().map(drop))
}

/// Plants the faults whose text has `pattern`, one after the other, and says of each how it was found; the
/// result is how many were not.
pub(crate) fn main(series: &str, pattern: &str) -> Result<i32> {
    let kernel = KernelArgs { kernel: Some(series.into()), ..KernelArgs::default() }.find(Need::Image)?;
    let target = host::build_target(&kernel)?;
    let packages = CRATES.map(|krate| host::package(krate.name));
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let test = ["--exact", "random_sequences_agree_with_the_model"].map(Into::into);
    let command = [vec![this.into_os_string()], test.to_vec()].concat();
    let limit = BOOT + SEQUENCE * diff::cases();
    let mut missed = 0;
    for mutant in MUTANTS.iter().filter(|mutant| mutant.what.contains(pattern)) {
        let copy = altered::copy(mutant)?;
        let Some(modules) = host::build(&kernel, Some(&copy), &packages)? else { return Ok(1) };
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
        missed += i32::from(found.is_err());
        let how = found.unwrap_or_else(|why| format!("NOT FOUND: {why}"));
        println!("{}\n    {how}", mutant.what);
    }
    Ok(missed)
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
