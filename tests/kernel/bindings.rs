//! Kernel types in a patch: one source, whatever the kernel's structures are.

use std::fs;
use std::process::Command;

use crate::guest::{Patch, unload};

crate::tests![fields_of_the_current_task, fields_of_a_structure_of_a_module];

const BINDINGS: Patch = Patch("bindings");

fn fields_of_the_current_task() {
    BINDINGS.enable();
    let reader =
        Command::new("cat").arg("/proc/version").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pid = reader.id().to_string();
    let text = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
    let fields: Vec<_> = text.split_whitespace().collect();
    // Behind the name, which is in parentheses: the state, the parent, the process group and the session.
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(fields[..6], [&*pid, &pid, &pid, session, "0", "cat"], "{text}");
    assert_eq!(fields[6], "4711", "a function that is not exported");
    BINDINGS.end();
}

/// What a program says that must succeed.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn fields_of_a_structure_of_a_module() {
    said("modprobe", &["loop"]);
    let file = "/tmp/klp_test_bindings_module";
    fs::write(file, [0; 64 * 1024]).unwrap();
    let device = "/dev/loop3";
    said("losetup", &["--offset", "4096", device, file]);
    let read = |file: &str| {
        let text = fs::read_to_string(format!("/sys/block/loop3/{file}")).unwrap();
        text.trim_end().to_owned()
    };
    assert_eq!(read("loop/offset"), "4096");

    Patch("bindings_module").enable();
    let requests = read("queue/nr_requests");
    assert_eq!(read("loop/offset"), format!("3 4096 {requests} {}", "0\n".len()));
    Patch("bindings_module").end();

    assert_eq!(read("loop/offset"), "4096");
    said("losetup", &["--detach", device]);
    fs::remove_file(file).unwrap();
    unload("loop").unwrap();
}
