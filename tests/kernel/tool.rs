//! `klp`, the administrator's tool, with patches in Rust and in C.

use std::process::Command;

use serde_json::Value;

use crate::guest::Patch;
use crate::sleeper::Sleeper;

crate::tests![
    the_tool_loads_shows_and_unloads_a_patch,
    the_tool_says_why_a_patch_is_refused,
    the_tool_names_what_stalls_and_takes_it_back,
];

const KLP: &str = env!("CARGO_BIN_EXE_klp-of-tests");

/// How the command ended: its exit code, and what it wrote to stdout and stderr.
fn klp(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(KLP).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs the command, which must do what it is asked for; what it wrote to stdout.
#[track_caller]
fn done(arguments: &[&str]) -> String {
    let (code, printed, said) = klp(arguments);
    assert_eq!(code, 0, "klp {arguments:?}: {printed}{said}");
    printed
}

/// What `status` shows of the one patch that is enabled.
fn status() -> Value {
    let report: Value = serde_json::from_str(&done(&["status", "--json"])).unwrap();
    assert_eq!(report["settled"], true);
    assert_eq!(report["patches"].as_array().unwrap().len(), 1, "{report:#}");
    report["patches"][0].clone()
}

/// What `status` shows of the kernel's memory, which it reads as it reads a dump: as much as of the machine, but for what is
/// on the disk.
fn status_of_dump(code: i32) -> Value {
    let (found, printed, said) = klp(&["status", "--json", "--dump", "/proc/kcore"]);
    assert_eq!(found, code, "{said}");
    serde_json::from_str(&printed).unwrap()
}

fn path(patch: Patch) -> String {
    patch.file().into_os_string().into_string().unwrap()
}

fn the_tool_loads_shows_and_unloads_a_patch() {
    const REVISION_2: Patch = Patch("revision_2");
    const A1: Patch = Patch("a1");
    const C_PATCH: Patch = Patch("c_patch");

    for patch in [REVISION_2, A1, C_PATCH] {
        done(&["load", &path(patch)]);
        assert!(!patch.in_transition());
        let shown = status();
        assert_eq!((&shown["name"], &shown["phase"]), (&patch.module().into(), &"enabled".into()));
        assert_eq!(shown["build_id"].as_str().unwrap().len(), 40, "{shown:#}");
        assert!(shown["since"].is_string() && shown["taint"].as_str().unwrap().contains('K'), "{shown:#}");
        match patch.0 {
            "revision_2" => assert_eq!(shown["series"]["revision"], 2, "{shown:#}"),
            "a1" => {
                assert_eq!(
                    (&shown["states"][0]["id"], &shown["states"][0]["version"]),
                    (&1.into(), &1.into())
                );
                assert_eq!(shown["is_klp"], true);
            }
            _ => {
                assert_eq!(shown["objects"][0]["functions"][0]["name"], "version_proc_show");
                assert_eq!(shown["is_klp"], false);
            }
        }
        let report = status_of_dump(0);
        let dumped = &report["patches"][0];
        for (key, value) in shown.as_object().unwrap() {
            match key.as_str() {
                "since" | "signature" => {
                    assert!(dumped["since"].is_null() && dumped["signature"]["signer"].is_null())
                }
                // The kernel's memory has it where sysfs does not.
                "replace" | "stack_order" if value.is_null() => assert!(!dumped[key].is_null()),
                _ => assert_eq!(&dumped[key], value, "{key}: {report:#}"),
            }
        }
        done(&["unload", &patch.module()]);
        assert!(!patch.is_loaded());
    }
    assert!(done(&["status"]).contains("no livepatch is enabled"));
}

/// By the tool, and by the kernel, whose log has the reason.
fn the_tool_says_why_a_patch_is_refused() {
    const REVISION_1: Patch = Patch("revision_1_replaces");
    const REVISION_2: Patch = Patch("revision_2");
    REVISION_2.enable();
    let (code, _, said) = klp(&["load", &path(REVISION_1)]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("is lower than 2 of klp_test_revision_2"), "{said}");
    assert!(!REVISION_1.is_loaded());
    REVISION_2.end();

    // The host half has built it so that only the module's own code finds it wrong.
    let (code, _, said) = klp(&["load", &path(Patch("lost"))]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("refused: the module has lost entries: 1 of 2 states"), "{said}");
}

fn the_tool_names_what_stalls_and_takes_it_back() {
    const STALLS: Patch = Patch("b2_stalls");
    let sleeper = Sleeper::opening_a_fifo("tool", "fifo_open");
    let (code, _, said) = klp(&["load", &path(STALLS), "--wait", "6s"]);
    assert_eq!(code, 5, "{said}");
    for expected in [
        "klp_test_b2_stalls: after 4 s, in transition",
        "1 task still runs old code:",
        "sleeps in fifo_open, which klp_test_b2_stalls redirects",
        "klp_test_b2_stalls: taken back; all is as before",
        "klp_test_b2_stalls: unloaded",
    ] {
        assert!(said.contains(expected), "expected `{expected}`, found {said}");
    }
    assert!(!STALLS.is_loaded());

    // Left running, it is there for the other commands.
    let (code, _, said) = klp(&["load", &path(STALLS), "--wait", "1s", "--on-stall", "leave"]);
    assert_eq!(code, 4, "{said}");
    let dumped = status_of_dump(4)["patches"][0].clone();
    assert_eq!(dumped["phase"], "enabling", "{dumped:#}");
    let (code, printed, _) = klp(&["blockers", "--json"]);
    assert_eq!(code, 4);
    let blockers: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(blockers[0]["function"]["name"], "fifo_open", "{printed}");
    let (code, printed, _) = klp(&["status"]);
    assert_eq!(code, 4);
    assert!(printed.contains("klp_test_b2_stalls: being enabled"), "{printed}");
    assert_eq!(dumped["blockers"][0]["tid"], blockers[0]["tid"], "{dumped:#}");
    assert_eq!(dumped["blockers"][0]["function"], blockers[0]["function"], "{dumped:#}");
    done(&["reverse"]);
    assert!(!STALLS.is_loaded());
    sleeper.let_go();
}
