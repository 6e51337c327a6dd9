//! Kernel types in a patch: one source, whatever the kernel's structures are.

use std::process::Command;

use crate::guest::{Patch, is_6_1};

crate::tests![fields_of_the_current_task];

const BINDINGS: Patch = Patch("bindings");

fn fields_of_the_current_task() {
    BINDINGS.enable();
    let reader =
        Command::new("cat").arg("/proc/version").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pid = reader.id().to_string();
    let text = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
    let fields: Vec<_> = text.split_whitespace().collect();
    // Behind the name, which is in parentheses: the state, the parent, the process group and the session.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(fields[..6], [&*pid, &pid, &pid, session, "0", "cat"], "{text}");
    let offset: u32 = fields[6].parse().unwrap();
    // What Debian's kernels have.
    assert_eq!(offset, if is_6_1() { 2416 } else { 2432 });
    assert_eq!(fields[7], "4711", "a function that is not exported");
    BINDINGS.end();
}
