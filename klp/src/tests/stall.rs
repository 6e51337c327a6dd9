//! Transitions that stall, and the commands for them.

use std::time::Duration;

use super::fake::{Fake, c_patch};
use crate::error::Exit;

const SLEEPER: &str = "fifo_open+0x1f/0x300";

/// A machine on which the transition of `fix` stalls, and is left running.
fn stalled() -> Fake {
    let fake = Fake::new();
    fake.sleeper(7, SLEEPER);
    let path = fake.ko("fix", &c_patch("fix"));
    let exit = fake.klp(["load", path.to_str().unwrap(), "--wait", "20s", "--on-stall", "leave"]);
    assert_eq!(exit, Exit::InTransition, "{}", fake.said());
    fake
}

#[test]
fn a_stalled_load_names_what_holds_it_up_and_is_taken_back() {
    let fake = Fake::new();
    fake.sleeper(7, SLEEPER);
    let path = fake.ko("fix", &c_patch("fix"));
    assert_eq!(fake.klp(["load", path.to_str().unwrap(), "--wait", "20s"]), Exit::Reversed);
    let said = fake.said();
    for expected in [
        "fix: after 4 s, in transition",
        "1 task still runs old code:",
        "cat (pid 7) sleeps in fifo_open, which fix redirects",
        "fifo_open+0x1f/0x300",
        "fix: not enabled within 20s: taking it back",
        "fix: taken back; all is as before",
        "fix: unloaded",
    ] {
        assert!(said.contains(expected), "expected `{expected}`, found {said}");
    }
    // Said once, though it is looked at again.
    assert_eq!(said.matches("cat (pid 7)").count(), 1, "{said}");
    assert!(!fake.is_loaded("fix"));
    assert!(fake.read("dev/kmsg").contains("klp: fix: taken back; all is as before"));
}

#[test]
fn a_stalled_load_may_be_left_running_and_says_so() {
    let fake = stalled();
    let said = fake.said();
    assert!(said.contains("fix is still being enabled"), "{said}");
    assert!(said.contains("`klp blockers`"), "{said}");

    assert_eq!(fake.klp(["status"]), Exit::InTransition);
    let printed = fake.printed();
    assert!(printed.contains("fix: being enabled"), "{printed}");
    assert!(printed.contains("cat (pid 7) sleeps in fifo_open"), "{printed}");

    assert_eq!(fake.klp(["blockers"]), Exit::InTransition);
    assert!(fake.printed().contains("fix: 1 task still runs old code"), "{}", fake.printed());
    assert_eq!(fake.klp(["blockers", "--json"]), Exit::InTransition);
    assert!(fake.printed().contains("\"pid\": 7"), "{}", fake.printed());

    // Nothing else can begin.
    let other = fake.ko("other", &c_patch("other"));
    assert_eq!(fake.klp(["load", other.to_str().unwrap()]), Exit::InTransition);
    assert!(fake.said().contains("error: fix is in transition"), "{}", fake.said());
    assert_eq!(fake.klp(["unload", "fix"]), Exit::InTransition);

    fake.wakes(7);
    assert_eq!(fake.klp(["reverse"]), Exit::Done);
    assert!(!fake.is_loaded("fix"));
}

#[test]
fn a_transition_that_stalls_both_ways_is_left_and_says_so() {
    let fake = Fake::new();
    fake.sleeper(7, SLEEPER);
    fake.sleeper(8, "livepatch_fifo_open+0x1/0x2 [fix]");
    let path = fake.ko("fix", &c_patch("fix"));
    assert_eq!(fake.klp(["load", path.to_str().unwrap(), "--wait", "20s"]), Exit::InTransition);
    let said = fake.said();
    assert!(said.contains("taking it back"), "{said}");
    assert!(said.contains("cat (pid 8) sleeps in livepatch_fifo_open of fix"), "{said}");
    assert!(said.contains("fix is still being disabled"), "{said}");
}

#[test]
fn an_interrupted_load_says_what_goes_on() {
    let fake = Fake::new();
    fake.sleeper(7, SLEEPER);
    fake.interrupts_after(Duration::from_secs(2));
    let path = fake.ko("fix", &c_patch("fix"));
    assert_eq!(fake.klp(["load", path.to_str().unwrap()]), Exit::InTransition);
    assert!(fake.said().contains("fix is still being enabled"), "{}", fake.said());
}

#[test]
fn a_stalled_unload_leaves_the_patch_enabled() {
    let fake = Fake::new();
    fake.load("fix", &c_patch("fix"));
    fake.sleeper(8, "livepatch_fifo_open+0x1/0x2 [fix]");
    assert_eq!(fake.klp(["unload", "fix", "--wait", "20s"]), Exit::Reversed);
    assert!(fake.said().contains("1 task still runs new code"), "{}", fake.said());
    assert!(fake.is_enabled("fix") && fake.is_loaded("fix"));
}

#[test]
fn taking_back_a_disable_below_another_patch_warns() {
    let warning =
        "warning: other redirects f as well: if it was enabled after fix, this reversal may not end";
    for others in [vec![], vec!["other"]] {
        let fake = Fake::new();
        fake.load("fix", &c_patch("fix"));
        others.iter().for_each(|other| fake.load(other, &c_patch(other)));
        fake.sleeper(8, "livepatch_fifo_open+0x1/0x2 [fix]");
        assert_eq!(fake.klp(["unload", "fix", "--wait", "20s"]), Exit::Reversed);
        assert_eq!(fake.said().contains(warning), !others.is_empty(), "{}", fake.said());
    }
}

#[test]
fn what_no_transition_runs_for_says_so() {
    let fake = Fake::new();
    for command in ["reverse", "blockers", "force"] {
        assert_eq!(fake.klp([command]), Exit::Failed, "{command}");
        assert!(fake.said().contains("no patch is in transition"), "{}", fake.said());
    }
}

#[test]
fn a_transition_is_forced_by_a_sentence_only() {
    let fake = stalled();
    fake.types("yes\n");
    assert_eq!(fake.klp(["force"]), Exit::Failed);
    let said = fake.said();
    assert!(said.contains("can never be unloaded"), "{said}");
    assert!(said.contains("cat (pid 7)"), "{said}");
    assert!(said.contains("was not forced"), "{said}");
    assert!(!fake.read("dev/kmsg").contains("forced"));

    fake.types("force fix, whatever its tasks do\n");
    assert_eq!(fake.klp(["force"]), Exit::Done, "{}", fake.said());
    let log = fake.read("dev/kmsg");
    assert!(log.contains("klp: fix: cat (pid 7) is still in it"), "{log}");
    assert!(log.contains("klp: fix: its transition is forced"), "{log}");
    assert_eq!(fake.klp(["status"]), Exit::Done);
    assert!(fake.printed().contains("its transition was forced"), "{}", fake.printed());
}

#[test]
fn who_interrupts_the_question_forces_nothing() {
    let fake = stalled();
    fake.types("force fix, whatever its tasks do\n");
    fake.interrupts_after(Duration::ZERO);
    assert_eq!(fake.klp(["force"]), Exit::Failed);
    assert!(fake.said().contains("was not forced: interrupted"), "{}", fake.said());
    assert!(!fake.read("dev/kmsg").contains("forced"));
}

/// An oops in a callback kills the loader and leaves the livepatch mutex locked.
#[test]
fn a_loader_that_died_is_told_apart_and_nothing_is_touched() {
    let fake = stalled();
    fake.write("sys/kernel/livepatch/fix/enabled", "0\n");
    fake.write("sys/module/fix/initstate", "coming\n");
    assert_eq!(fake.klp(["status"]), Exit::Stuck);
    assert!(fake.printed().contains("STUCK"), "{}", fake.printed());
    let path = fake.ko("other", &c_patch("other"));
    for command in
        [vec!["load", path.to_str().unwrap()], vec!["unload", "fix"], vec!["reverse"], vec!["force"]]
    {
        assert_eq!(fake.klp(command), Exit::Stuck);
        assert!(fake.said().contains("reboot -ff"), "{}", fake.said());
    }
    assert!(!fake.is_loaded("other"));

    // A loader that is still in a callback has not died.
    fake.sleeper(9, "do_init_module+0x1/0x2");
    assert_eq!(fake.klp(["status"]), Exit::InTransition);
}

#[test]
fn a_task_may_have_any_name() {
    let fake = stalled();
    fake.write("proc/7/task/7/comm", b"\x1b[2J\xff\n");
    fake.write("proc/7/task/7/status", b"Name:\t\x1b[2J\xff\nState:\tS (sleeping)\n");
    for command in [&["status"][..], &["blockers"], &["blockers", "--json"], &["status", "--json"]] {
        assert_eq!(fake.klp(command.iter().copied()), Exit::InTransition, "{}", fake.said());
        assert!(fake.printed().contains("?[2J\u{fffd}"), "{}", fake.printed());
    }
    fake.types("force fix, whatever its tasks do\n");
    assert_eq!(fake.klp(["force"]), Exit::Done, "{}", fake.said());
    let said = fake.said() + &fake.read("dev/kmsg");
    assert!(said.matches("?[2J").count() >= 2 && !said.contains('\u{1b}'), "{said}");
}
