//! What klp has done since the machine was started and the kernel does not show: in `/run/klp`, a file for each patch
//! and fact.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::files::text;
use crate::machine::Machine;

/// Notes that a patch was loaded. A machine on which that can't be noted has no time for it in `status`.
pub fn loaded(machine: &dyn Machine, patch: &str) {
    let since = machine.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    write(machine, "loaded", patch, &since.as_secs().to_string());
}

/// Notes that a transition of a patch was forced.
pub fn forced(machine: &dyn Machine, patch: &str) {
    write(machine, "forced", patch, "");
}

/// Forgets what was noted of a patch.
pub fn gone(machine: &dyn Machine, patch: &str) {
    for fact in ["loaded", "forced"] {
        let _ = fs::remove_file(file(machine, fact, patch));
    }
}

/// When klp loaded a patch.
pub fn since(machine: &dyn Machine, patch: &str) -> Option<SystemTime> {
    let seconds = text(&file(machine, "loaded", patch)).ok()??.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Whether klp forced a transition of a patch.
pub fn is_forced(machine: &dyn Machine, patch: &str) -> bool {
    file(machine, "forced", patch).exists()
}

fn file(machine: &dyn Machine, fact: &str, patch: &str) -> PathBuf {
    machine.path("run/klp").join(fact).join(patch)
}

fn write(machine: &dyn Machine, fact: &str, patch: &str, text: &str) {
    let file = file(machine, fact, patch);
    if let Some(directory) = file.parent() {
        let _ = fs::create_dir_all(directory);
    }
    let _ = fs::write(file, text);
}
