//! A patch that uses the kernel's own Rust crate, beside what klp gives it. Only kernels with Rust code have one.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::guest::{Log, Patch};

crate::tests![a_patch_uses_the_kernels_own_crate];

/// What the test loads.
pub(crate) const MODULES: [Patch; 1] = [Patch("livepatch_kernel_crate")];

/// Its redirect and its state are klp's, its lock, its tree and its lines in the log the kernel's. Loaded again, it begins
/// anew.
fn a_patch_uses_the_kernels_own_crate() {
    let [patch] = MODULES;
    let original = fs::read_to_string("/proc/cmdline").unwrap();
    for _ in 0..2 {
        let mut log = Log::new();
        patch.enable();
        for user in [0, 0, 65534] {
            let read = Command::new("cat").arg("/proc/cmdline").uid(user).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&read.stdout), original);
        }
        patch.end();
        let lines = log.lines().join("\n");
        for (line, times) in [
            ("livepatch_kernel_crate: user 0 reads the command line", 1),
            ("livepatch_kernel_crate: user 65534 reads the command line", 1),
            ("livepatch_kernel_crate: it was read 3 times in all", 1),
            ("livepatch_kernel_crate: user 0 has read it 2 times", 1),
            ("livepatch_kernel_crate: user 65534 has read it 1 times", 1),
            ("is not counted", 0),
        ] {
            assert_eq!(lines.matches(line).count(), times, "`{line}` in\n{lines}");
        }
    }
}
