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

/// Functions of the shell: `load` loads a patch and waits until all tasks run it; `unload` disables it, waits again and
/// unloads it.
const FUNCTIONS: &str = r#"
settled() {
    tries=0
    while [ "$(cat "/sys/kernel/livepatch/$1/transition" 2>/dev/null || echo 0)" != 0 ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "$1: the transition does not end"; exit 1; }
        sleep 0.1
    done
}
load() {
    name=$(basename "$1" .ko)
    insmod "$1" || { echo "$name: not loaded"; exit 1; }
    settled "$name"
    [ "$(cat "/sys/kernel/livepatch/$name/enabled")" = 1 ] || { echo "$name: not enabled"; exit 1; }
}
unload() {
    name=$(basename "$1" .ko)
    echo 0 > "/sys/kernel/livepatch/$name/enabled"
    settled "$name"
    tries=0
    until rmmod "$name" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "$name: not unloaded"; exit 1; }
        sleep 0.1
    done
    echo "$name: done"
}
"#;

/// Loads each module and takes it away again, with the module that it patches; nothing may stand in the log.
pub(crate) fn cycle(kernel: &Kernel, modules: &[PathBuf]) {
    let steps = modules.iter().map(|module| {
        let load = load(module);
        format!("{load}unload '{}'\n", module.display())
    });
    run(kernel, modules, &steps.collect::<String>());
}

/// Loads all modules, runs a script, and takes them away again, the last one first. What the kernel's log has, where nothing
/// of a fault may stand.
pub(crate) fn load_all(kernel: &Kernel, modules: &[PathBuf], script: &str) -> String {
    let mut steps: String = modules.iter().map(|module| load(module)).collect();
    steps.push_str(script);
    steps.extend(modules.iter().rev().map(|module| format!("unload '{}'\n", module.display())));
    run(kernel, modules, &steps)
}

/// The lines that load a patch and what it patches.
fn load(module: &Path) -> String {
    let mut lines: String = objects(module)
        .iter()
        .map(|object| format!("modprobe {object} || {{ echo \"no {object}\"; exit 1; }}\n"))
        .collect();
    lines.push_str(&format!("load '{}'\n", module.display()));
    lines
}

/// Runs steps in a guest, each module being unloaded in the end, and returns the kernel's log.
fn run(kernel: &Kernel, modules: &[PathBuf], steps: &str) -> String {
    let script = format!("{FUNCTIONS}{steps}");
    let outcome = Vm::new(kernel).timeout(LIMIT).output(&["sh", "-c", &script]);
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}; {:?}", error.help()));
    print!("{}", outcome.stdout);
    let (said, log) = (&outcome.stdout, outcome.kernel_log);
    assert_eq!(outcome.code, 0, "{said}{}\n{log}", outcome.stderr);
    assert_eq!(said.matches(": done").count(), modules.len(), "{said}\n{log}");
    for fault in FAULTS {
        assert!(!log.contains(fault), "{fault} in the kernel's log:\n{log}");
    }
    log
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
