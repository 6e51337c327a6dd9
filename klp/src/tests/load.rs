//! What is looked at before a patch is loaded, and what becomes of it.

use rustix::io::Errno;

use super::fake::{Fake, RELEASE, c_patch};
use super::ko::{Ours, data, with_modinfo};
use crate::error::Exit;
use crate::machine::Machine;

/// Loads a patch that must be refused before the kernel is asked, for this reason.
#[track_caller]
fn refused(fake: &Fake, data: &[u8], reason: &str) {
    let path = fake.ko("refused", data);
    assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::Refused);
    let said = fake.said();
    assert!(said.contains(reason), "expected `{reason}`, found {said}");
    assert!(said.contains("nothing has changed"), "{said}");
    assert!(!fake.is_loaded("refused"));
}

#[test]
fn a_patch_is_loaded_and_unloaded() {
    for data in [Ours::new("fix").build(1), c_patch("fix")] {
        let fake = Fake::new();
        fake.load("fix", &data);
        assert!(fake.is_enabled("fix"));
        assert!(fake.said().contains("fix: enabled, "), "{}", fake.said());
        assert!(fake.read("dev/kmsg").contains("klp: fix: enabled"), "{}", fake.read("dev/kmsg"));

        assert_eq!(fake.klp(["unload", "fix"]), Exit::Done);
        assert!(!fake.is_loaded("fix"));
        assert!(fake.read("dev/kmsg").contains("klp: fix: disabled"));
        assert_eq!(fake.klp(["unload", "fix"]), Exit::Failed);
        assert!(fake.said().contains("no livepatch fix is loaded"));
    }
}

#[test]
fn the_same_build_is_loaded_once() {
    let fake = Fake::new();
    fake.load("fix", &Ours::new("fix").build(1));
    fake.load("fix", &Ours::new("fix").build(1));
    assert!(fake.said().contains("enabled already"), "{}", fake.said());
    refused(&fake, &Ours::new("fix").build(2), "another build of it is enabled");
}

#[test]
fn a_patch_for_another_kernel_is_refused() {
    let fake = Fake::new();
    let other = with_modinfo("livepatch=Y\0name=refused\0vermagic=6.1.0 SMP\0", None, &[1]);
    refused(&fake, &other, &format!("built for the kernel 6.1.0, and {RELEASE} runs"));
    let ours = Ours { kernel: Some("ffff"), ..Ours::new("refused") };
    refused(&fake, &ours.build(1), "another build of this kernel: expected build ID ffff, found 12ab");
}

#[test]
fn an_unsigned_patch_is_refused_where_signatures_are_enforced() {
    for (file, text) in [
        ("sys/module/module/parameters/sig_enforce", "Y\n"),
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
    ] {
        let fake = Fake::new();
        fake.write(file, text);
        refused(&fake, &c_patch("refused"), "it is not signed");
        assert!(fake.said().contains("help: do what the lines above name"), "{}", fake.said());
        fake.load("signed", &signed("signed"));
        assert!(fake.read("dev/kmsg").contains("signed by CN=klp test,O=Example, serial "));
    }
}

/// A patch, with what sign-file appended to some file.
fn signed(name: &str) -> Vec<u8> {
    [&c_patch(name)[..], include_bytes!("../../../klp-module/src/signature/appended")].concat()
}

#[test]
fn a_damaged_signature_is_refused_before_the_kernel_sees_it() {
    let fake = Fake::new();
    let mut data = signed("refused");
    let at = data.len() - 32;
    data[at] = 0xff;
    refused(&fake, &data, "its signature can't be read, it is cut off");
}

#[test]
fn a_signature_that_the_kernel_refuses_is_told_with_its_key() {
    let fake = Fake::new();
    let path = fake.ko("fix", &signed("fix"));
    let says = |keys: &str, text: &str| {
        fake.write("proc/keys", keys);
        fake.answers(Errno::KEYREJECTED);
        assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::Refused);
        let said = fake.said();
        for text in
            ["no signature that it trusts", "help: it is signed by CN=klp test,O=Example, serial ", text]
        {
            assert!(said.contains(text), "expected `{text}`, found {said}");
        }
    };
    let key = |name: &str| {
        format!("0d5c I------ 1 perm 1f030000 0 0 asymmetri {name}: 6ccece7e4c: X509.rsa bb419ea1 []\n")
    };
    says(&key("Another"), "no key in /proc/keys has that name: enrol the certificate");
    says(&(key("Another") + &key("Example: klp test")), "the file has changed since");
}

#[test]
fn a_module_that_it_needs_must_be_there() {
    let fake = Fake::new();
    let modinfo = format!("livepatch=Y\0name=fix\0depends=xfs\0vermagic={RELEASE} SMP\0");
    let data = with_modinfo(&modinfo, None, &[1]);
    refused(&fake, &data, "it needs the module xfs, which is not loaded");
    fake.write("sys/module/xfs/initstate", "live\n");
    fake.load("fix", &data);
}

#[test]
fn a_lower_revision_is_refused_unless_it_is_asked_for() {
    let fake = Fake::new();
    let revision =
        |name, revision| Ours { series: Some(("net", revision)), replace: true, ..Ours::new(name) };
    fake.load("net_2", &revision("net_2", 2).build(2));
    let first = revision("net_1", 1).build(1);
    refused(&fake, &first, "its revision 1 of series net is lower than 2 of net_2");
    assert!(fake.said().contains("--allow-downgrade"), "{}", fake.said());

    let path = fake.ko("net_1", &first);
    assert_eq!(fake.klp(["load", "--allow-downgrade", path.to_str().unwrap()]), Exit::Done);
    assert_eq!(fake.parameters(), ["", "klp_allow_downgrade=1"]);
    assert!(fake.is_enabled("net_1") && !fake.is_loaded("net_2"), "{}", fake.said());
    assert!(fake.said().contains("net_2: replaced\nnet_2: unloaded"), "{}", fake.said());
}

#[test]
fn states_are_held_against_those_of_enabled_patches() {
    let fake = Fake::new();
    let with = |name, replace, states: &[(u64, &'static str, u64, u32)]| {
        Ours { replace, states: states.to_vec(), ..Ours::new(name) }.build(name.len() as u8)
    };
    fake.load("live", &with("live", false, &[(1, "Level", 2, 1)]));
    refused(
        &fake,
        &with("refused", true, &[(1, "Other", 2, 0)]),
        "state Other (id 1) has the id of state Level of live",
    );
    assert!(
        fake.said().contains("`klp status` shows") && !fake.said().contains("cargo klp build"),
        "{}",
        fake.said()
    );
    refused(
        &fake,
        &with("refused", true, &[(1, "Level", 1, 0)]),
        "version 1, which is lower than version 2 of live",
    );
    refused(
        &fake,
        &with("refused", false, &[(1, "Level", 3, 0)]),
        "and version 2 in live, which this patch does not",
    );
    refused(
        &fake,
        &with("refused", true, &[]),
        "it lacks state Level (id 1) of live, which is marked block_disable",
    );
    fake.load("beside", &with("beside", false, &[(1, "Level", 2, 0), (2, "Second", 1, 0)]));
    fake.load("next", &with("next", true, &[(1, "Level", 3, 0), (2, "Second", 1, 0)]));
    assert!(!fake.is_loaded("live") && !fake.is_loaded("beside"));
}

#[test]
fn what_the_kernel_refuses_has_its_reason_and_its_log() {
    let fake = Fake::new();
    fake.answers(Errno::INVAL);
    let path = fake.ko("fix", &c_patch("fix"));
    assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::Refused);
    let said = fake.said();
    assert!(said.contains("the kernel refused fix"), "{said}");
    assert!(said.contains("livepatch: it does not like it"), "{said}");
    assert!(!said.contains("other: line"), "{said}");
    assert!(said.contains("help: `dmesg | tail`"), "{said}");

    for (errno, help) in [(Errno::PERM, "help: run it as root"), (Errno::BUSY, "help: `klp blockers`")] {
        fake.answers(errno);
        assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::Refused);
        assert!(fake.said().contains(help), "{}", fake.said());
    }
}

#[test]
fn what_is_no_livepatch_is_told_apart() {
    let fake = Fake::new();
    let fails = |data: &[u8], why: &str| {
        let path = fake.ko("file", data);
        assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::Failed);
        assert!(fake.said().contains(why), "expected `{why}`, found {}", fake.said());
        assert!(fake.said().contains("help: "), "{}", fake.said());
    };
    fails(b"text", "not an ELF file");
    fails(b"\xfd7zXZ", "compressed");
    fails(b"\x7fELF\x02\x01\x01", "damaged");
    fails(&with_modinfo("name=ordinary\0", None, &[1]), "no livepatch=Y");
    fails(&std::fs::read(std::env::current_exe().unwrap()).unwrap(), "a program");
    assert_eq!(fake.klp(["load", "/nonexistent/x.ko"]), Exit::Failed);
    assert!(fake.said().contains("help: check the path"), "{}", fake.said());
}

#[test]
fn a_kernel_without_livepatches_says_so() {
    let fake = Fake::new();
    std::fs::remove_dir(fake.path("sys/kernel/livepatch")).unwrap();
    let path = fake.ko("fix", &data("fix", None, &[1]));
    assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::Failed);
    assert!(fake.said().contains("CONFIG_LIVEPATCH"), "{}", fake.said());
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert_eq!(
        fake.printed(),
        format!("{RELEASE} has no livepatches: it was built without CONFIG_LIVEPATCH\n")
    );
    assert_eq!(fake.klp(["install", path.to_str().unwrap()]), Exit::Done);
    assert_eq!(fake.klp(["status"]), Exit::NotInEffect);
    assert!(fake.printed().contains("it does not fit: this kernel has no livepatches"), "{}", fake.printed());
}

#[test]
fn a_name_is_never_that_of_a_file_in_the_current_directory() {
    let fake = Fake::new();
    // `cargo test` runs in the directory of the package.
    assert!(std::path::Path::new("src").exists());
    for (name, is_file) in [("src", false), (".", false), ("Cargo.toml", true)] {
        assert_eq!(fake.klp(["load", name]), Exit::Failed);
        let said = fake.said();
        assert!(said.contains(&format!("no patch {name} is installed for {RELEASE}")), "{said}");
        assert_eq!(said.contains(&format!("`klp load ./{name}` loads the file")), is_file, "{said}");
    }
}

#[test]
fn only_a_file_is_read() {
    let fake = Fake::new();
    for path in ["/dev/zero", "/"] {
        assert_eq!(fake.klp(["load", path]), Exit::Failed);
        assert!(fake.said().contains("a directory, a pipe or a device"), "{}", fake.said());
    }
}
