//! `cargo klp run` and `cargo klp doctor`, as a user calls them.
//!
//! Needs a kernel 6.12 and QEMU: `cargo klp doctor --fix --kernel 6.12` gets them.

mod support;

use std::process::{Command, Output};

use support::target_directory;

/// The command, in this repository.
fn klp(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cargo-klp"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target_directory())
        .output()
        .unwrap()
}

/// Runs a shell command in a guest that has loaded patches.
fn run(packages: &[&str], script: &str) -> (Option<i32>, String, String) {
    let mut arguments = vec!["run", "--kernel", "6.12"];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    arguments.extend(["--", "sh", "-c", script]);
    let output = klp(&arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn patches_are_loaded_in_order_and_the_command_gives_the_exit_code() {
    let packages = ["livepatch-loglevel-v1", "livepatch-loglevel-v2"];
    let script = "cat /proc/cmdline; cut -c1 /proc/sys/kernel/printk; ls /sys/kernel/livepatch; exit 7";
    let (code, stdout, stderr) = run(&packages, script);
    assert_eq!(
        stdout, "this has been live patched, version 2\n7\nlivepatch_loglevel_v2\n",
        "with stderr:\n{stderr}"
    );
    assert_eq!(code, Some(7), "{stderr}");
    assert!(stderr.contains("the end of the kernel log"), "what failed is shown with the log: {stderr}");
}

#[test]
fn a_patch_that_the_kernel_refuses() {
    let packages = ["livepatch-loglevel-v2", "livepatch-loglevel-v1"];
    let (code, stdout, stderr) = run(&packages, "echo never");
    assert_eq!(code, Some(125), "{stderr}");
    assert_eq!(stdout, "");
    let reason = "livepatch_loglevel_v1: refused: state ConsoleLoglevel (id 1) has version 1, \
                  which is lower than version 2 of livepatch_loglevel_v2";
    assert!(stderr.contains(reason), "{stderr}");
}

/// What can be seen before the guest boots.
#[test]
fn arguments_that_are_no_modules() {
    for (arguments, code, said) in [
        (&["cat", "/proc/cmdline"][..], 1, "write `--` before the guest's command"),
        (&["no.ko"], 1, "no.ko` can't be read: No such file or directory"),
        (&["-p", "livepatch-cmdlime"], 1, "there is no package `livepatch-cmdlime`"),
    ] {
        let output = klp(&[&["run", "--kernel", "6.12"], arguments].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(said) && !stderr.contains("Booting"), "{stderr}");
    }
}

#[test]
fn a_guest_that_takes_too_long() {
    let output =
        klp(&["run", "--kernel", "6.12", "--timeout", "20", "-p", "livepatch-cmdline", "--", "sleep", "600"]);
    assert_eq!(output.status.code(), Some(125));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("did not end within 20s"), "{stderr}");
}

#[test]
fn the_doctor_tells_programs_what_is_here() {
    let output = klp(&["doctor", "--kernel", "6.12", "--message-format", "json"]);
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let checks: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["rust-src", "make", "qemu-system-x86_64", "6.12"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        assert!(check["found"].is_string(), "{check}");
        assert!(check["needed_for"].is_string(), "{check}");
    }
}

/// A program has an object to read whatever goes wrong, also before there is something to build.
#[test]
fn programs_are_told_of_each_failure() {
    for command in [&["build"][..], &["check"], &["explain", "fifo_open"]] {
        let output = klp(&[command, &["--kernel", "1.2.3", "--message-format", "json"]].concat());
        let failure: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(failure["error"].as_str().unwrap().contains("1.2.3"), "{failure}");
        assert!(!output.status.success(), "{command:?}");
    }
}

#[test]
fn colors_are_printed_where_they_are_asked_for() {
    let is_colored = |arguments: &[&str], of_cargo: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
        command.args(["build", "--kernel", "1.2.3"]).args(arguments).env("CARGO_TERM_COLOR", of_cargo);
        command.output().unwrap().stderr.contains(&0x1b)
    };
    assert!(is_colored(&["--color", "always"], "never") && is_colored(&[], "always"));
    assert!(!is_colored(&["--color", "never"], "always") && !is_colored(&[], "auto"));
}

#[test]
fn the_doctor_says_what_is_missing() {
    let output = klp(&["doctor", "--kernel", "9.99"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("9.99"), "{said}");
    assert!(said.contains("doctor --fix --kernel 9.99"), "{said}");
}
