//! Boots that die, and what the next one does. What went wrong in the first trials of the guard has a test each.

use super::fake::{Fake, c_patch};
use super::ko::Ours;
use crate::error::Exit;
use crate::machine::Machine;

/// A machine on which trials are watched.
fn machine() -> Fake {
    let fake = Fake::new();
    fake.starts();
    fake
}

/// A cumulative patch of a series.
fn net(name: &'static str, revision: u64) -> Ours {
    Ours { series: Some(("net", revision)), replace: true, ..Ours::new(name) }
}

fn install(fake: &Fake, name: &str, data: &[u8]) {
    let path = fake.ko(name, data);
    assert_eq!(fake.klp(["install", path.to_str().unwrap()]), Exit::Done, "{}", fake.said());
}

fn boot(fake: &Fake) -> Exit {
    fake.klp(["load", "--all"])
}

/// The patches on trial stand it.
fn confirm(fake: &Fake) {
    assert_eq!(fake.klp(["confirm"]), Exit::Done, "{}", fake.said());
    assert_eq!(fake.marks("trial"), [""; 0]);
}

#[test]
fn a_patch_that_brings_the_machine_down_is_left_out_at_the_next_boot() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    fake.dies(["load", "--all"]);
    // The mark was there before the module was loaded.
    assert_eq!(fake.marks("trial"), ["01"]);

    for _ in 0..2 {
        fake.starts();
        assert_eq!(boot(&fake), Exit::NotInEffect);
        // Nor does a package load it that is configured now.
        assert_eq!(fake.klp(["load", "--as-at-boot", "fix"]), Exit::Failed);
        assert!(!fake.is_loaded("fix"));
        assert!(fake.said().contains("fix was not loaded: the machine went down"), "{}", fake.said());
        assert_eq!(boot(&fake), Exit::NotInEffect);
        let line = "fix: left out: the machine went down while it was on trial";
        assert!(fake.said().contains(line), "{}", fake.said());
        assert!(fake.read("dev/kmsg").contains(&format!("klp: {line}")), "{}", fake.read("dev/kmsg"));
        assert_eq!(fake.klp(["status"]), Exit::NotInEffect);
        assert!(
            fake.printed()
                .contains("fix: installed, not in effect; not loaded at boot: the machine went down")
        );
    }
}

#[test]
fn a_clean_reboot_during_the_trial_is_no_crash() {
    let fake = machine();
    install(&fake, "fix", &c_patch("fix"));
    for load in [["load", "--all"], ["load", "fix"]] {
        assert_eq!(fake.klp(load), Exit::Done);
        assert_eq!(fake.marks("trial").len(), 1);
        fake.shuts_down();
        assert_eq!(fake.marks("trial").len() + fake.marks("failed").len(), 0);
        assert_eq!(boot(&fake), Exit::Done);
        assert!(fake.is_enabled("fix"));
        fake.shuts_down();
    }
}

#[test]
fn a_start_of_the_service_in_the_boot_of_the_load_is_no_crash() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    assert_eq!(fake.klp(["load", "fix"]), Exit::Done);
    assert_eq!(boot(&fake), Exit::Done, "{}", fake.said());
    assert!(fake.is_enabled("fix"));
    assert_eq!((fake.marks("trial"), fake.marks("failed")), (vec!["01".into()], vec![]));
}

#[test]
fn each_load_of_an_installed_patch_begins_a_trial() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    boot(&fake);
    confirm(&fake);
    install(&fake, "second", &Ours::new("second").build(2));
    assert_eq!(fake.klp(["load", "second"]), Exit::Done);
    assert_eq!(fake.marks("trial"), ["02"]);
    assert!(fake.path("run/klp/trial/02").exists(), "nothing starts the watch");
    confirm(&fake);
    assert!(!fake.path("run/klp/trial/02").exists(), "the watch is started again and again");
    // The next boot does not load these.
    fake.load("third", &Ours::new("third").build(3));
    assert_eq!(fake.marks("trial"), [""; 0]);
}

#[test]
fn where_nobody_watches_there_is_no_trial() {
    let fake = machine();
    std::fs::remove_dir_all(fake.path("run/klp")).unwrap();
    install(&fake, "fix", &Ours::new("fix").build(1));
    assert_eq!(boot(&fake), Exit::Done);
    assert!(fake.said().contains("nobody watches trials"), "{}", fake.said());
    assert_eq!(fake.marks("trial"), [""; 0]);
}

#[test]
fn a_crash_of_another_cause_costs_a_confirmed_patch_one_of_two_tries() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    boot(&fake);
    confirm(&fake);
    for _ in 0..2 {
        fake.starts();
        assert_eq!(boot(&fake), Exit::Done);
        // Something else brings the machine down.
        fake.starts();
        assert_eq!(boot(&fake), Exit::Done, "{}", fake.said());
        confirm(&fake);
        assert_eq!(fake.marks("failed"), [""; 0]);
    }
    fake.starts();
    for expected in [Exit::Done, Exit::Done, Exit::NotInEffect] {
        assert_eq!(boot(&fake), expected, "{}", fake.said());
        fake.starts();
    }
    boot(&fake);
    assert!(fake.said().contains("went down 2 times in succession"), "{}", fake.said());
    assert_eq!(fake.klp(["load", "fix"]), Exit::Done);
    assert!(fake.said().contains("fix: loaded at boot again"), "{}", fake.said());
    fake.shuts_down();
    assert_eq!(boot(&fake), Exit::Done);
}

#[test]
fn a_repaired_build_of_the_same_name_is_loaded() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    fake.dies(["load", "--all"]);
    fake.starts();
    assert_eq!(boot(&fake), Exit::NotInEffect);
    install(&fake, "fix", &Ours::new("fix").build(2));
    fake.starts();
    assert_eq!(boot(&fake), Exit::Done, "{}", fake.said());
    assert!(fake.is_enabled("fix"));
}

#[test]
fn the_last_confirmed_patch_is_loaded_in_place_of_its_bad_successor() {
    let fake = machine();
    install(&fake, "net_1", &net("net_1", 1).build(1));
    install(&fake, "hotfix", &Ours::new("hotfix").build(9));
    boot(&fake);
    confirm(&fake);
    install(&fake, "net_2", &net("net_2", 2).build(2));
    assert!(fake.said().contains("net_1: superseded by net_2, and no longer installed"), "{}", fake.said());
    fake.starts();
    fake.dies(["load", "--all"]);
    fake.starts();
    assert_eq!(boot(&fake), Exit::NotInEffect);
    assert!(fake.said().contains("net_1: the last confirmed patch is loaded instead"), "{}", fake.said());
    assert!(fake.is_enabled("net_1") && fake.is_enabled("hotfix") && !fake.is_loaded("net_2"));
    let line = "net_1: the last confirmed patch, in place of one that is left out; in effect";
    assert_eq!(fake.klp(["list"]), Exit::Done);
    assert!(fake.printed().contains(line), "{}", fake.printed());
    assert_eq!(fake.klp(["status"]), Exit::NotInEffect);
    assert!(fake.printed().contains(line), "{}", fake.printed());

    // What is uninstalled does not come back.
    assert_eq!(fake.klp(["uninstall", "net_2"]), Exit::Done);
    fake.shuts_down();
    assert_eq!(boot(&fake), Exit::Done);
    assert!(!fake.is_loaded("net_1") && fake.is_enabled("hotfix"));
}

#[test]
fn what_a_patch_on_trial_has_replaced_is_kept_until_that_is_confirmed() {
    let fake = machine();
    install(&fake, "net_1", &net("net_1", 1).build(1));
    boot(&fake);
    confirm(&fake);
    let confirmed = || crate::files::names(&fake.path("var/lib/klp/confirmed/6.12.1-test")).unwrap();
    assert_eq!(confirmed(), ["01.ko"]);
    install(&fake, "net_2", &net("net_2", 2).build(2));
    assert_eq!(fake.klp(["load", "net_2"]), Exit::Done);
    assert_eq!(confirmed(), ["01.ko"]);
    confirm(&fake);
    assert_eq!(confirmed(), ["02.ko"]);
    // What is installed stays confirmed where it is not in effect for the moment.
    install(&fake, "hotfix", &Ours::new("hotfix").build(3));
    assert_eq!(fake.klp(["load", "hotfix"]), Exit::Done);
    assert_eq!(fake.klp(["unload", "net_2"]), Exit::Done);
    confirm(&fake);
    assert_eq!(confirmed(), ["02.ko", "03.ko"]);
}

#[test]
fn a_patch_that_is_replaced_on_trial_is_not_judged() {
    let fake = machine();
    install(&fake, "hotfix", &Ours::new("hotfix").build(9));
    assert_eq!(boot(&fake), Exit::Done);
    install(&fake, "net_1", &net("net_1", 1).build(1));
    assert_eq!(fake.klp(["load", "net_1"]), Exit::Done);
    assert_eq!(fake.marks("trial"), ["01"]);
    confirm(&fake);
}

#[test]
fn a_loader_that_died_keeps_its_mark_through_a_clean_reboot() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    install(&fake, "other", &Ours::new("other").build(2));
    fake.dies(["load", "--all"]);
    // It has died in a callback, and the machine has not: the kernel shows this, and no task is in init_module.
    fake.write("sys/module/fix/initstate", "coming\n");
    fake.write("sys/module/fix/notes/.note.gnu.build-id", super::ko::build_id_note(&[1]));
    fake.write("sys/kernel/livepatch/fix/enabled", "1\n");
    fake.write("sys/kernel/livepatch/fix/transition", "1\n");
    fake.sleeper(7, "do_sys_poll+0x1/0x2");
    assert_eq!(fake.klp(["load", "other"]), Exit::Stuck);
    assert_eq!(boot(&fake), Exit::Stuck);
    assert!(!fake.is_loaded("other"));
    fake.shuts_down();
    assert_eq!(fake.marks("trial"), ["01"]);
    fake.wakes(7);
    assert_eq!(boot(&fake), Exit::NotInEffect);
    assert!(!fake.is_loaded("fix") && fake.is_enabled("other"), "{}", fake.said());
}

#[test]
fn a_patch_that_is_refused_or_unloaded_is_not_on_trial_any_more() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    fake.answers(rustix::io::Errno::INVAL);
    assert_eq!(boot(&fake), Exit::NotInEffect);
    assert_eq!(fake.marks("trial"), [""; 0]);
    assert_eq!(boot(&fake), Exit::Done);
    assert_eq!(fake.klp(["unload", "fix"]), Exit::Done);
    assert_eq!(fake.marks("trial"), [""; 0]);
    // It stalls, and is taken back.
    fake.sleeper(7, "fifo_open+0x1/0x2");
    assert_eq!(fake.klp(["load", "fix", "--wait", "5s"]), Exit::Reversed);
    assert_eq!(fake.marks("trial"), [""; 0]);
}

#[test]
fn a_patch_that_cannot_be_put_on_trial_is_loaded_at_boot_only_if_it_is_confirmed() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    boot(&fake);
    confirm(&fake);
    install(&fake, "new", &Ours::new("new").build(2));
    fake.starts();
    // Nothing can be written there.
    let _ = std::fs::remove_dir_all(fake.path("var/lib/klp/trial"));
    fake.write("var/lib/klp/trial", "");
    assert_eq!(boot(&fake), Exit::NotInEffect);
    assert!(fake.is_enabled("fix") && !fake.is_loaded("new"), "{}", fake.said());
    assert_eq!(fake.klp(["load", "new"]), Exit::Done);
    assert!(fake.said().contains("the next boot loads it again"), "{}", fake.said());
}

#[test]
fn a_boot_parameter_turns_it_off() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    fake.write("proc/cmdline", "quiet klp.enable=0 ro\n");
    assert_eq!(boot(&fake), Exit::Done);
    assert!(!fake.is_loaded("fix"));
    assert!(fake.read("dev/kmsg").contains("klp.enable=0"));
    // Who loads a patch by hand wants it.
    assert_eq!(fake.klp(["load", "fix"]), Exit::Done);
}

#[test]
fn a_patch_goes_now_with_what_stands_in_for_it() {
    let fake = machine();
    install(&fake, "net_1", &net("net_1", 1).build(1));
    install(&fake, "hotfix", &Ours::new("hotfix").build(9));
    boot(&fake);
    confirm(&fake);
    install(&fake, "net_2", &net("net_2", 2).build(2));
    fake.starts();
    fake.dies(["load", "--all"]);
    fake.starts();
    boot(&fake);
    assert!(fake.is_enabled("net_1") && fake.is_enabled("hotfix"));
    assert_eq!(fake.klp(["uninstall", "--now", "net_2"]), Exit::Done, "{}", fake.said());
    assert!(!fake.is_loaded("net_1") && fake.is_enabled("hotfix"));

    // What can't be unloaded stays installed.
    fake.sleeper(7, "hotfix_fifo_open+0x1f/0x300 [hotfix]");
    assert_eq!(fake.klp(["uninstall", "--now", "hotfix"]), Exit::Reversed, "{}", fake.said());
    assert!(fake.is_enabled("hotfix"));
    assert_eq!(fake.klp(["status"]), Exit::Done);
    fake.wakes(7);
    assert_eq!(fake.klp(["uninstall", "--now", "hotfix"]), Exit::Done, "{}", fake.said());
    assert!(!fake.is_loaded("hotfix"));
    assert_eq!(fake.klp(["list"]), Exit::Done);
    assert_eq!(fake.printed(), "");
}

#[test]
fn what_is_installed_itself_stays_when_another_patch_goes() {
    let fake = machine();
    install(&fake, "hotfix", &Ours::new("hotfix").build(9));
    boot(&fake);
    confirm(&fake);
    install(&fake, "all", &Ours { replace: true, ..Ours::new("all") }.build(2));
    fake.starts();
    fake.dies(["load", "--all"]);
    fake.starts();
    boot(&fake);
    assert!(fake.is_enabled("hotfix"));
    assert_eq!(fake.klp(["uninstall", "--now", "all"]), Exit::Done, "{}", fake.said());
    assert!(fake.is_enabled("hotfix"));
}

#[test]
fn a_patch_on_trial_is_shown_once() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    boot(&fake);
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert_eq!(fake.printed().matches("fix").count(), 1, "{}", fake.printed());
    assert!(fake.printed().starts_with("fix: in effect, on trial\n"), "{}", fake.printed());
}

#[test]
fn the_journal_has_each_action_once() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    boot(&fake);
    let lines = |text: String| text.lines().filter(|line| line.contains("fix: enabled")).count();
    assert_eq!((lines(fake.said()), lines(fake.read("dev/kmsg"))), (1, 1));
    fake.shuts_down();
    fake.runs_in_a_service();
    boot(&fake);
    assert_eq!((lines(fake.said()), lines(fake.read("dev/kmsg"))), (0, 1));
    // Where the kernel log can't be written, nothing is lost.
    fake.shuts_down();
    std::fs::remove_file(fake.path("dev/kmsg")).unwrap();
    std::fs::create_dir(fake.path("dev/kmsg")).unwrap();
    boot(&fake);
    assert_eq!(lines(fake.said()), 1);
}

#[test]
fn a_command_that_comes_second_leaves_the_trial_of_the_first() {
    let fake = machine();
    install(&fake, "fix", &Ours::new("fix").build(1));
    fake.answers(rustix::io::Errno::EXIST);
    assert_eq!(fake.klp(["load", "fix"]), Exit::Refused);
    assert!(fake.is_enabled("fix"));
    assert_eq!(fake.marks("trial"), ["01"]);
}

#[test]
fn a_disk_that_cannot_be_written_does_not_end_the_watch() {
    let fake = machine();
    install(&fake, "bad", &Ours::new("bad").build(1));
    fake.dies(["load", "bad"]);
    fake.starts();
    install(&fake, "good", &Ours::new("good").build(2));
    // No file can be made in it.
    fake.write("var/lib/klp/failed", "");
    assert_eq!(fake.klp(["load", "good"]), Exit::Done, "{}", fake.said());
    assert!(fake.said().contains("warning: good: not loaded at boot: cannot remove"), "{}", fake.said());
    assert_eq!(fake.klp(["confirm"]), Exit::Done, "{}", fake.said());
    assert_eq!(fake.said().matches("failed").count(), 2, "each once: {}", fake.said());
    assert_eq!(fake.marks("trial"), ["01"]);
    assert!(fake.read("dev/kmsg").contains("good: confirmed"));
}

#[test]
fn a_watch_without_a_trial_ends_and_does_not_start_again() {
    let fake = machine();
    fake.write("run/klp/trial/01", "");
    assert_eq!(fake.klp(["confirm"]), Exit::Done, "{}", fake.said());
    assert_eq!(std::fs::read_dir(fake.path("run/klp/trial")).unwrap().count(), 0);
}
