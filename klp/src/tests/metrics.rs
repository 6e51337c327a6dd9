//! What `klp metrics` writes.

use super::fake::{Fake, RELEASE};
use super::ko::Ours;
use crate::error::Exit;
use crate::machine::Machine;

/// Whether the metrics have a line.
#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "`{line}` is not among:\n{text}");
}

/// Each sample follows the lines that describe it, and none comes twice: node_exporter refuses the whole file otherwise.
#[track_caller]
fn is_well_formed(text: &str) {
    let (mut family, mut seen) = (String::new(), std::collections::BTreeSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().into();
            assert!(seen.insert(family.clone()), "{family} comes twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind, format!("{family} gauge"));
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<u64>().is_ok(), "{line}");
            assert_eq!(name.split('{').next().unwrap(), family, "{line}");
            assert!(seen.insert(name.to_owned() + " "), "{line} comes twice");
        }
    }
}

#[test]
fn a_machine_without_patches() {
    let fake = Fake::new();
    assert_eq!(fake.klp(["metrics"]), Exit::Done);
    is_well_formed(&fake.printed());
    has(&fake.printed(), "klp_transition 0");
    has(&fake.printed(), "klp_tainted 0");
}

#[test]
fn what_is_loaded_what_it_fixes_and_what_is_missing() {
    let fake = Fake::new();
    fake.starts();
    for (name, id) in [("net_2", 9), ("absent", 8)] {
        let patch = Ours { series: Some(("a \"b\\", 2)), fixes: vec!["CVE-2026-1111"], ..Ours::new(name) };
        let path = fake.ko(name, &patch.build(id));
        assert_eq!(fake.klp(["install", path.to_str().unwrap()]), Exit::Done, "{}", fake.said());
    }
    assert_eq!(fake.klp(["load", "net_2"]), Exit::Done);
    assert_eq!(fake.klp(["metrics"]), Exit::Done);
    let text = fake.printed();
    is_well_formed(&text);
    has(
        &text,
        r#"klp_patch_info{patch="net_2",version="1.2",series="a \"b\\",revision="2",build_id="09"} 1"#,
    );
    has(&text, r#"klp_patch_phase{patch="net_2",phase="enabled"} 1"#);
    has(&text, r#"klp_patch_phase{patch="net_2",phase="enabling"} 0"#);
    has(&text, r#"klp_patch_forced{patch="net_2"} 0"#);
    has(&text, r#"klp_patch_loaded_seconds{patch="net_2"} 1700000000"#);
    has(&text, r#"klp_patch_object_waits{patch="net_2",object="absent"} 1"#);
    has(&text, r#"klp_fix{fix="CVE-2026-1111",patch="net_2"} 1"#);
    has(&text, r#"klp_installed{patch="net_2",build_id="09"} 1"#);
    has(&text, r#"klp_installed_on_trial{patch="net_2",build_id="09"} 1"#);
    has(&text, r#"klp_installed_missing{patch="absent",build_id="08"} 1"#);
    has(&text, "klp_tainted 1");
}

#[test]
fn a_fix_on_its_way_is_not_in_effect() {
    let fake = Fake::new();
    fake.sleeper(7, "fifo_open+0x5/0x9");
    let patch = Ours { fixes: vec!["CVE-2026-1111"], ..Ours::new("fix") }.build(1);
    let path = fake.ko("fix", &patch);
    let arguments = ["load", path.to_str().unwrap(), "--wait", "1s", "--on-stall", "leave"];
    assert_eq!(fake.klp(arguments), Exit::InTransition);
    assert_eq!(fake.klp(["metrics"]), Exit::Done);
    let text = fake.printed();
    is_well_formed(&text);
    has(&text, r#"klp_fix{fix="CVE-2026-1111",patch="fix"} 0"#);
    has(&text, r#"klp_patch_phase{patch="fix",phase="enabling"} 1"#);
    has(&text, r#"klp_patch_blockers{patch="fix"} 1"#);
    has(&text, "klp_transition 1");
}

#[test]
fn the_file_is_replaced_as_a_whole() {
    let fake = Fake::new();
    let file = fake.path("textfile/klp.prom");
    fake.write("textfile/klp.prom", "old");
    assert_eq!(fake.klp(["metrics", "--output", file.to_str().unwrap()]), Exit::Done, "{}", fake.said());
    assert_eq!(fake.printed(), "");
    is_well_formed(&fake.read("textfile/klp.prom"));
    has(&fake.read("textfile/klp.prom"), "klp_transition 0");
    assert_eq!(
        crate::files::names(&fake.path("textfile")).unwrap(),
        ["klp.prom"],
        "something is left behind"
    );
    // node_exporter runs as another user.
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn no_sample_comes_twice_whatever_is_installed() {
    let fake = Fake::new();
    let fixes = vec!["CVE-2026-1111", "CVE-2026-1111"];
    let fix = Ours { fixes, ..Ours::new("fix") }.build(1);
    for file in ["a.ko", "copy.ko"] {
        fake.write(&format!("usr/lib/klp/{RELEASE}/{file}"), &fix);
    }
    for file in ["damaged.ko", "other.ko.xz"] {
        fake.write(&format!("usr/lib/klp/{RELEASE}/{file}"), "");
    }
    assert_eq!(fake.klp(["load", "fix"]), Exit::Done, "{}", fake.said());
    assert_eq!(fake.klp(["metrics"]), Exit::Done);
    let text = fake.printed();
    is_well_formed(&text);
    has(&text, r#"klp_fix{fix="CVE-2026-1111",patch="fix"} 1"#);
    has(&text, r#"klp_installed{patch="fix",build_id="01"} 1"#);
    has(&text, r#"klp_installed_missing{patch="damaged.ko",build_id=""} 1"#);
    has(&text, r#"klp_installed_missing{patch="other.ko.xz",build_id=""} 1"#);
}
