//! What is installed, for which kernel, and what becomes of it.

use super::fake::{Fake, RELEASE, c_patch};
use super::ko::{Ours, with_modinfo};
use crate::error::Exit;
use crate::machine::Machine;

fn install(fake: &Fake, name: &str, data: &[u8]) -> Exit {
    let path = fake.ko(name, data);
    fake.klp(["install", path.to_str().unwrap()])
}

fn net(name: &'static str, series: &'static str, revision: u64) -> Ours {
    Ours { series: Some((series, revision)), replace: true, ..Ours::new(name) }
}

#[test]
fn a_patch_goes_to_the_kernel_that_it_is_built_for() {
    let fake = Fake::new();
    assert_eq!(install(&fake, "fix", &c_patch("fix")), Exit::Done);
    let other = with_modinfo("livepatch=Y\0name=old\0vermagic=6.1.0 SMP\0", None, &[1]);
    assert_eq!(install(&fake, "old", &other), Exit::Done);
    assert!(fake.path(&format!("usr/lib/klp/{RELEASE}/fix.ko")).exists());
    assert!(fake.read("dev/kmsg").contains("klp: old: installed for 6.1.0, not signed"));
    assert_eq!(fake.klp(["list"]), Exit::Done);
    assert_eq!(
        fake.printed(),
        "6.1.0  old: for another kernel than the one that runs; not signed\n\
         6.12.1-test  fix: not in effect; not signed\n"
    );
    assert_eq!(fake.klp(["status"]), Exit::NotInEffect);
    assert_eq!(fake.klp(["load", "fix"]), Exit::Done);
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert_eq!(fake.klp(["list", "-k", RELEASE]), Exit::Done);
    assert_eq!(fake.printed(), "6.12.1-test  fix: in effect; not signed\n");

    assert_eq!(fake.klp(["uninstall", "fix"]), Exit::Done);
    assert!(fake.said().contains("in effect until the next boot"), "{}", fake.said());
    assert_eq!(fake.klp(["uninstall", "fix"]), Exit::Failed);
    assert_eq!(fake.klp(["uninstall", "old", "-k", "6.1.0"]), Exit::Done);
    for (list, said) in [
        (&["list"][..], "no patch is installed\n"),
        (&["list", "-k", "6.1.0"], "no patch is installed for 6.1.0\n"),
    ] {
        assert_eq!(fake.klp(list.iter().copied()), Exit::Done);
        assert_eq!((fake.printed(), fake.said()), (String::new(), said.into()));
    }
}

#[test]
fn what_could_not_be_loaded_is_not_installed() {
    let fake = Fake::new();
    let refused = |data: &[u8], why: &str| {
        assert_eq!(install(&fake, "fix", data), Exit::Refused, "{}", fake.said());
        assert!(fake.said().contains(why), "expected `{why}`, found {}", fake.said());
        assert!(!fake.path("usr").exists());
    };
    refused(&with_modinfo("livepatch=Y\0name=fix\0", None, &[1]), "does not say which kernel release");
    refused(&with_modinfo("livepatch=Y\0name=fix\0vermagic=../x SMP\0", None, &[1]), "vermagic");
    let named = format!("livepatch=Y\0name=../../etc/x\0vermagic={RELEASE} SMP\0");
    refused(&with_modinfo(&named, None, &[1]), "its name is");
    refused(&Ours { kernel: Some("ffff"), ..Ours::new("fix") }.build(1), "another build of this kernel");
    fake.write("sys/module/module/parameters/sig_enforce", "Y\n");
    refused(&c_patch("fix"), "it is not signed");
    fake.write("sys/module/module/parameters/sig_enforce", "N\n");

    let path = fake.ko("fix", &c_patch("fix"));
    assert_eq!(fake.klp(["install", "-k", "6.1.0", path.to_str().unwrap()]), Exit::Refused);
    assert!(fake.said().contains(&format!("for the kernel {RELEASE}, not for 6.1.0")), "{}", fake.said());
    // All are looked at before the first is written.
    assert_eq!(fake.klp(["install", path.to_str().unwrap(), "/nonexistent.ko"]), Exit::Failed);
    assert!(!fake.path("usr").exists());
}

#[test]
fn a_cumulative_patch_takes_the_place_of_those_before_it() {
    let fake = Fake::new();
    assert_eq!(install(&fake, "net_1", &net("net_1", "net", 1).build(1)), Exit::Done);
    assert_eq!(install(&fake, "net_2", &net("net_2", "net", 2).build(2)), Exit::Done);
    assert_eq!(install(&fake, "net_1", &net("net_1", "net", 1).build(1)), Exit::Refused);
    assert!(fake.said().contains("net_2 is installed, which supersedes it"), "{}", fake.said());
    assert_eq!(install(&fake, "fs_1", &net("fs_1", "fs", 1).build(3)), Exit::Refused);
    assert!(fake.said().contains("`klp uninstall net_2` first"), "{}", fake.said());
    fake.klp(["list"]);
    assert_eq!(fake.printed(), "6.12.1-test  net_2: not in effect; not signed\n");
}

#[test]
fn one_patch_that_fails_does_not_keep_the_others_from_being_loaded() {
    let fake = Fake::new();
    install(&fake, "a", &Ours { states: vec![(1, "Level", 1, 0)], ..Ours::new("a") }.build(1));
    install(&fake, "b", &Ours { states: vec![(1, "Other", 1, 0)], ..Ours::new("b") }.build(2));
    install(&fake, "c", &c_patch("c"));
    fake.write(&format!("usr/lib/klp/{RELEASE}/d.ko.xz"), b"\xfd7zXZ");
    assert_eq!(fake.klp(["load", "--all"]), Exit::NotInEffect);
    assert!(fake.is_enabled("a") && !fake.is_loaded("b") && fake.is_enabled("c"), "{}", fake.said());
    assert!(fake.said().contains("it is compressed"), "{}", fake.said());
    let log = fake.read("dev/kmsg");
    assert!(
        log.contains("klp: b: left out: b was not loaded, and nothing has changed; state Other"),
        "{log}"
    );
}

/// `list` shows it, so it can be taken away; so can the package that has brought it.
#[test]
fn a_file_that_cannot_be_read_is_uninstalled_by_its_name() {
    let fake = Fake::new();
    for (file, name) in
        [("fix.ko", "fix"), ("fix.ko", "fix.ko"), ("fix.ko.xz", "fix"), ("fix.ko.xz", "fix.ko.xz")]
    {
        let path = format!("usr/lib/klp/{RELEASE}/{file}");
        fake.write(&path, b"torn");
        install(&fake, "fixed", &c_patch("fixed"));
        fake.load("fix", &c_patch("fix"));
        assert_eq!(fake.klp(["uninstall", "fi"]), Exit::Failed);
        assert_eq!(fake.klp(["uninstall", "--now", name]), Exit::Done, "{}", fake.said());
        assert!(!fake.path(&path).exists());
        assert!(!fake.is_loaded("fix"));
        assert!(fake.path(&format!("usr/lib/klp/{RELEASE}/fixed.ko")).exists());
    }
}

#[test]
fn a_disk_that_cannot_be_written_leaves_nothing_behind() {
    let fake = Fake::new();
    install(&fake, "fix", &Ours::new("fix").build(1));
    let directory = fake.path(&format!("usr/lib/klp/{RELEASE}"));
    // The file cannot take its name.
    std::fs::create_dir(directory.join("other.ko")).unwrap();
    assert_eq!(install(&fake, "other", &Ours::new("other").build(2)), Exit::Failed);
    assert!(fake.said().contains("cannot write"), "{}", fake.said());
    assert_eq!(crate::files::names(&directory).unwrap(), ["fix.ko", "other.ko"]);
}

#[test]
fn a_list_says_who_has_signed() {
    let fake = Fake::new();
    let appended = include_bytes!("../../../klp-module/src/signature/appended");
    install(&fake, "fix", &[&c_patch("fix")[..], appended].concat());
    let other = "livepatch=Y\0name=old\0vermagic=6.1.0 SMP\0";
    install(&fake, "old", &with_modinfo(other, None, &[1]));
    assert_eq!(fake.klp(["list"]), Exit::Done);
    let printed = fake.printed();
    assert!(
        printed.contains("6.12.1-test  fix: not in effect; signed by CN=klp test,O=Example, serial "),
        "{printed}"
    );
    assert!(
        printed.contains("6.1.0  old: for another kernel than the one that runs; not signed\n"),
        "{printed}"
    );
}

/// What a package asks about before it is removed.
#[test]
fn a_dry_run_says_what_the_machine_would_lose() {
    let fake = Fake::new();
    install(
        &fake,
        "net_1",
        &Ours { fixes: vec!["CVE-2026-1", "CVE-2026-2"], ..net("net_1", "net", 1) }.build(1),
    );
    install(&fake, "fix", &c_patch("fix"));
    let lost = |name| {
        assert_eq!(fake.klp(["uninstall", "--now", "--dry-run", name]), Exit::Done);
        fake.printed()
    };
    assert_eq!(lost("net_1"), "");
    fake.klp(["load", "net_1"]);
    fake.klp(["load", "fix"]);
    assert_eq!(lost("net_1"), "net_1: CVE-2026-1, CVE-2026-2\n");
    assert_eq!(lost("fix"), "fix\n");
    assert!(fake.is_enabled("net_1") && fake.is_enabled("fix"));
    fake.klp(["unload", "net_1"]);
    assert_eq!(lost("net_1"), "");
}
