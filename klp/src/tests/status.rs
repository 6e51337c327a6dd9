//! What `klp status` shows.

use super::fake::{Fake, c_patch};
use super::ko::Ours;
use crate::error::Exit;
use crate::machine::Machine;

#[test]
fn a_machine_without_patches() {
    let fake = Fake::new();
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert_eq!(fake.printed(), "no livepatch is enabled on 6.12.1-test\n");
}

#[test]
fn a_patch_of_ours_tells_what_it_is() {
    let fake = Fake::new();
    let states = vec![(1, "Level", 2, 1)];
    fake.load(
        "net_2",
        &Ours { series: Some(("net", 2)), replace: true, states, ..Ours::new("net_2") }.build(9),
    );
    fake.load("other", &Ours { states: vec![(1, "Level", 2, 0)], ..Ours::new("other") }.build(8));
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert_eq!(
        fake.printed(),
        "net_2: in effect\n  \
           since       2023-11-14T22:13:20Z\n  \
           version     1.2\n  \
           series      net, revision 2\n  \
           build ID    09\n  \
           replaces    all other patches\n  \
           states      Level (id 1), version 2, block_disable, also of other\n  \
           redirects   absent (not loaded: not redirected yet): f (2)\n              \
                       vmlinux: fifo_open\n\
         other: in effect\n  \
           since       2023-11-14T22:13:20Z\n  \
           version     1.2\n  \
           build ID    08\n  \
           replaces    no other patch\n  \
           states      Level (id 1), version 2, also of net_2\n  \
           redirects   absent (not loaded: not redirected yet): f (2)\n              \
                       vmlinux: fifo_open\n"
    );
}

#[test]
fn what_is_fixed_is_one_command() {
    let fake = Fake::new();
    assert_eq!(fake.klp(["status", "--fixes"]), Exit::Done);
    assert_eq!(fake.printed(), "");
    fake.load(
        "net_2",
        &Ours { fixes: vec!["CVE-2026-2222", "CVE-2026-1111"], ..Ours::new("net_2") }.build(9),
    );
    fake.load("other", &Ours { fixes: vec!["CVE-2026-1111"], ..Ours::new("other") }.build(8));
    assert_eq!(fake.klp(["status", "--fixes"]), Exit::Done);
    assert_eq!(fake.printed(), "CVE-2026-1111  net_2, other\nCVE-2026-2222  net_2\n");
    fake.klp(["status"]);
    assert!(fake.printed().contains("  fixes       CVE-2026-2222, CVE-2026-1111\n"));
}

#[test]
fn a_patch_in_c_has_what_the_kernel_shows() {
    let fake = Fake::new();
    fake.load("fix", &c_patch("fix"));
    assert_eq!(fake.klp(["status", "--json"]), Exit::Done);
    let report: serde_json::Value = serde_json::from_str(&fake.printed()).unwrap();
    assert_eq!(report["settled"], true);
    assert_eq!(report["tainted"], true);
    let patch = &report["patches"][0];
    assert_eq!(patch["name"], "fix");
    assert_eq!(patch["phase"], "enabled");
    assert_eq!(patch["is_klp"], false);
    assert_eq!(patch["replace"], serde_json::Value::Null);
    assert_eq!(patch["objects"][1]["functions"][0]["name"], "fifo_open");
    assert_eq!(patch["taint"], "OEK");
    // A later kernel shows more.
    fake.write("sys/kernel/livepatch/fix/replace", "1\n");
    fake.write("sys/kernel/livepatch/fix/stack_order", "1\n");
    assert_eq!(fake.klp(["status", "--json"]), Exit::Done);
    let report: serde_json::Value = serde_json::from_str(&fake.printed()).unwrap();
    assert_eq!(
        (&report["patches"][0]["replace"], &report["patches"][0]["stack_order"]),
        (&true.into(), &1.into())
    );
}

#[test]
fn modules_of_patches_that_are_disabled_are_shown() {
    let fake = Fake::new();
    fake.load("fix", &c_patch("fix"));
    std::fs::remove_dir_all(fake.path("sys/kernel/livepatch/fix")).unwrap();
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert!(fake.printed().contains("fix: disabled, and still in memory: its transition was forced"));
    assert_eq!(fake.klp(["unload", "fix"]), Exit::Done);
    assert!(fake.said().contains("the module fix stays in memory"), "{}", fake.said());
    fake.write("sys/module/fix/refcnt", "0\n");
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert!(fake.printed().contains("nothing uses it"));
    assert_eq!(fake.klp(["unload", "fix"]), Exit::Done);
    assert!(!fake.is_loaded("fix"));
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert!(fake.printed().contains("there was one since it was started"));
}

#[test]
fn who_signed_a_patch_and_whether_the_kernel_believes_it() {
    let signed = [&c_patch("fix")[..], include_bytes!("../../../klp-module/src/signature/appended")].concat();
    let signer = "by CN=klp test,O=Example, serial ";
    for (verifies, taint, file, expected) in [
        (true, "OK", &signed, [signer, "; verified by the kernel\n"]),
        (true, "OEK", &signed, [signer, "; the kernel does not trust that key\n"]),
        (true, "OEK", &c_patch("fix"), ["  signed      not by a key that the kernel trusts\n", ""]),
        (false, "OK", &signed, [signer, "; this kernel verifies no signatures\n"]),
    ] {
        let fake = Fake::new();
        if verifies {
            fake.write("sys/module/module/parameters/sig_enforce", "N\n");
        }
        fake.load("fix", file);
        fake.write("sys/module/fix/taint", taint);
        fake.klp(["status"]);
        for part in expected {
            assert!(fake.printed().contains(part), "expected `{part}`, found {}", fake.printed());
        }
        fake.klp(["metrics"]);
        let verified = fake
            .printed()
            .lines()
            .find_map(|line| line.strip_prefix("klp_patch_verified{patch=\"fix\"} ").map(str::to_owned));
        assert_eq!(verified, verifies.then(|| u8::from(taint == "OK").to_string()));
    }
}

#[test]
fn what_klp_knows_of_a_module_is_not_said_of_another_of_its_name() {
    let fake = Fake::new();
    fake.load("fix", &c_patch("fix"));
    fake.klp(["status"]);
    assert!(fake.printed().contains("since       2023"));
    // Unloaded and loaded again, by other tools.
    std::fs::rename(fake.path("sys/module/fix"), fake.path("old")).unwrap();
    for file in ["initstate", "taint", "refcnt"] {
        fake.write(&format!("sys/module/fix/{file}"), fake.read(&format!("old/{file}")));
    }
    fake.klp(["status"]);
    assert!(fake.printed().contains("fix: in effect\n  replaces"), "{}", fake.printed());
}

#[test]
fn a_patch_that_is_not_in_effect_says_why() {
    let fake = Fake::new();
    let path = fake.ko("fix", &Ours::new("fix").build(1));
    assert_eq!(fake.klp(["install", path.to_str().unwrap()]), Exit::Done);
    // The distribution has built this release once more.
    fake.write("sys/kernel/notes", super::ko::build_id_note(&[0xff]));
    assert_eq!(fake.klp(["status"]), Exit::NotInEffect);
    let why = "fix: installed, not in effect; it does not fit: it is built for another build of this kernel";
    assert!(fake.printed().contains(why), "{}", fake.printed());
}

/// Scripts read these names: more may come, none may go.
#[test]
fn the_names_in_json_are_stable() {
    let fake = Fake::new();
    fake.starts();
    let patch = Ours { series: Some(("net", 1)), states: vec![(1, "Level", 1, 0)], ..Ours::new("fix") };
    let path = fake.ko("fix", &patch.build(1));
    assert_eq!(fake.klp(["install", path.to_str().unwrap()]), Exit::Done);
    fake.sleeper(7, "fifo_open+0x1f/0x300");
    fake.klp(["load", "fix", "--on-stall", "leave"]);
    fake.klp(["status", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&fake.printed()).unwrap();
    let patch = &report["patches"][0];
    for (value, names) in [
        (&report, "kernel supported settled tainted patches installed leftovers"),
        (
            patch,
            "name phase since version series fixes build_id srcversion signature replace stack_order is_klp states \
             objects forced taint blockers missing",
        ),
        (&patch["series"], "name revision"),
        (&patch["signature"], "verified signer"),
        (&patch["states"][0], "id name version native block_disable providers"),
        (&patch["objects"][0], "name patched functions"),
        (&patch["objects"][0]["functions"][0], "name sympos"),
        (&patch["blockers"][0], "pid tid name state function stack"),
        (&patch["blockers"][0]["function"], "name module"),
        (
            &report["installed"][0],
            "name build_id signer in_effect on_trial left_out unfit is_fallback is_missing",
        ),
    ] {
        for name in names.split(' ') {
            assert!(value.get(name).is_some(), "`{name}` is not in {value}");
        }
    }
}
