//! Patches on the kernel that they are for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cargo_klp::kernel::Kernel;
use cargo_klp::patch::inspect::inspect;
use cargo_klp::vm::Vm;

/// Far longer than the patches take.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What the kernel's log has of a fault.
const FAULTS: [&str; 5] = ["WARNING:", "BUG:", "Oops", "Call Trace", "Unknown symbol"];

/// Loads a patch, waits until all tasks run it, disables it, waits again and unloads it. A function of the shell.
const CYCLE: &str = r#"
settled() {
    tries=0
    while [ "$(cat "/sys/kernel/livepatch/$1/transition" 2>/dev/null || echo 0)" != 0 ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "$1: the transition does not end"; exit 1; }
        sleep 0.1
    done
}
cycle() {
    name=$(basename "$1" .ko)
    insmod "$1" || { echo "$name: not loaded"; exit 1; }
    settled "$name"
    [ "$(cat "/sys/kernel/livepatch/$name/enabled")" = 1 ] || { echo "$name: not enabled"; exit 1; }
    echo 0 > "/sys/kernel/livepatch/$name/enabled"
    settled "$name"
    until rmmod "$name" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "$name: not unloaded"; exit 1; }
        sleep 0.1
    done
    echo "$name: done"
}
"#;

/// Loads each module and takes it away again, with the module that it patches; nothing may stand in the log.
pub(crate) fn load(kernel: &Kernel, modules: &[PathBuf]) {
    let mut script = CYCLE.to_owned();
    for module in modules {
        for object in objects(module) {
            script.push_str(&format!("modprobe {object} || {{ echo \"no {object}\"; exit 1; }}\n"));
        }
        script.push_str(&format!("cycle '{}'\n", module.display()));
    }
    let command = ["sh", "-c", &script];
    let outcome = Vm::new(kernel).timeout(LIMIT).output(&command);
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}; {:?}", error.help()));
    print!("{}", outcome.stdout);
    let (said, log) = (&outcome.stdout, &outcome.kernel_log);
    assert_eq!(outcome.code, 0, "{said}{}\n{log}", outcome.stderr);
    assert_eq!(said.matches(": done").count(), modules.len(), "{said}\n{log}");
    for fault in FAULTS {
        assert!(!log.contains(fault), "{fault} in the kernel's log:\n{log}");
    }
}

/// The modules that a patch patches.
fn objects(module: &Path) -> Vec<String> {
    let redirects = inspect(module).unwrap().patch.map(|patch| patch.redirects).unwrap_or_default();
    let mut objects: Vec<String> = redirects.into_iter().map(|redirect| redirect.object).collect();
    objects.retain(|object| object != "vmlinux");
    objects.sort();
    objects.dedup();
    objects
}
