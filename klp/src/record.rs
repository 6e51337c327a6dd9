//! What klp has done since the machine was started and the kernel does not show: in `/run/klp`, a file for each patch
//! and fact.
//!
//! Others may unload a module and load one of the same name. So each file begins with the inode number of the module's
//! directory in sysfs, which the kernel gives to no other module until the machine is started again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::files::text;
use crate::machine::Machine;

const LOADED: &str = "loaded";
const FORCED: &str = "forced";

/// How klp has loaded a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loading {
    /// When.
    pub since: SystemTime,
    /// Who has signed the file, by its own word.
    pub signer: Option<String>,
}

/// Notes that a patch was loaded. A machine on which that can't be noted has no time for it in `status`.
pub fn loaded(machine: &dyn Machine, patch: &str, signer: Option<&str>) {
    let since = machine.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    write(machine, LOADED, patch, &format!("{}\n{}", since.as_secs(), signer.unwrap_or_default()));
}

/// Notes that a transition of a patch was forced.
pub fn forced(machine: &dyn Machine, patch: &str) {
    write(machine, FORCED, patch, "");
}

/// Forgets what was noted of a patch.
pub fn gone(machine: &dyn Machine, patch: &str) {
    for fact in [LOADED, FORCED] {
        let _ = fs::remove_file(file(machine, fact, patch));
    }
}

/// How klp has loaded a patch, if it has.
pub fn loading(machine: &dyn Machine, patch: &str) -> Option<Loading> {
    let noted = read(machine, LOADED, patch)?;
    let mut lines = noted.lines();
    let since = Duration::from_secs(lines.next()?.parse().ok()?);
    let signer = lines.next().map(str::to_owned);
    Some(Loading { since: SystemTime::UNIX_EPOCH.checked_add(since)?, signer })
}

/// Whether klp forced a transition of a patch.
pub fn is_forced(machine: &dyn Machine, patch: &str) -> bool {
    read(machine, FORCED, patch).is_some()
}

fn file(machine: &dyn Machine, fact: &str, patch: &str) -> PathBuf {
    machine.path("run/klp").join(fact).join(patch)
}

/// What tells the module in memory from others of its name.
fn instance(machine: &dyn Machine, patch: &str) -> Option<String> {
    let directory = fs::metadata(machine.path("sys/module").join(patch)).ok()?;
    Some(directory.ino().to_string())
}

fn read(machine: &dyn Machine, fact: &str, patch: &str) -> Option<String> {
    let noted = text(&file(machine, fact, patch)).ok()??;
    let (of, noted) = noted.split_once('\n').unwrap_or((&noted, ""));
    (of == instance(machine, patch)?).then(|| noted.to_owned())
}

fn write(machine: &dyn Machine, fact: &str, patch: &str, noted: &str) {
    let Some(instance) = instance(machine, patch) else { return };
    let file = file(machine, fact, patch);
    if let Some(directory) = file.parent() {
        let _ = fs::create_dir_all(directory);
    }
    let _ = fs::write(file, format!("{instance}\n{noted}"));
}
