//! Puts away what a failed test has left: as far as it can be, and without a word.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::guest::{Patch, modules, patches, unload};

/// Far longer than it takes, where nothing holds a transition up.
const LIMIT: Duration = Duration::from_secs(30);

/// Those that hold a state once they are disabled (S13), and what takes it on.
const HELD: [(Patch, Patch); 2] =
    [(Patch("a1_blocks"), Patch("c1_replaces")), (Patch("marks_blocks"), Patch("marks_replaces"))];

/// Disables all patches, and unloads the modules that were not there `before`.
pub(crate) fn put_away(before: &[String]) {
    unload_all(before);
    for (held, rescue) in HELD {
        if held.is_loaded() && rescue.insert().is_ok() {
            unload_all(before);
        }
    }
}

fn unload_all(before: &[String]) {
    let start = Instant::now();
    // For as long as something goes: of a disabled patch the kernel lets go a moment after it has left sysfs.
    let (mut left, mut last_gone) = (usize::MAX, Instant::now());
    while start.elapsed() < LIMIT && last_gone.elapsed() < Duration::from_secs(3) {
        let mut patches = patches();
        patches.iter().for_each(|patch| disable(patch));
        let mut loaded = modules();
        loaded.retain(|module| !before.contains(module));
        // In vain for those that are still in use.
        loaded.retain(|module| unload(module).is_err());
        patches.append(&mut loaded);
        if patches.is_empty() {
            return;
        }
        if patches.len() < left {
            (left, last_gone) = (patches.len(), Instant::now());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Tells the kernel to disable a patch, unless it is about to: in vain while another one is in transition.
fn disable(patch: &str) {
    let enabled = Path::new("/sys/kernel/livepatch").join(patch).join("enabled");
    if fs::read_to_string(&enabled).is_ok_and(|text| text.trim() == "1") {
        let _ = fs::write(enabled, "0");
    }
}
