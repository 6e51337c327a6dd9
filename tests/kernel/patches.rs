//! What patches do beyond the lifecycle's order: redirect, shadow variables, states with effect.

use std::fs;
use std::process::Command;

use crate::guest::{Log, Patch};

crate::tests![
    redirect_is_seen_and_gone,
    a_replacement_is_traced_under_its_own_name,
    probes_see_the_calls_of_a_redirected_function,
    log_level_is_raised_taken_over_and_given_back,
    shadow_variables_of_tasks,
    shadow_variables_are_freed_once,
    a_hundred_rounds,
    a_callback_that_takes_long_is_named,
];

const CMDLINE: Patch = Patch("livepatch_cmdline");
const LOGLEVEL_V1: Patch = Patch("livepatch_loglevel_v1");
const LOGLEVEL_V2: Patch = Patch("livepatch_loglevel_v2");
const SLOW: Patch = Patch("slow");
const TASK_SHADOW: Patch = Patch("livepatch_task_shadow");

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn redirect_is_seen_and_gone() {
    let original = read("/proc/cmdline");
    CMDLINE.enable();
    assert_eq!(read("/proc/cmdline"), "this has been live patched\n");
    CMDLINE.end();
    assert_eq!(read("/proc/cmdline"), original);
}

fn a_replacement_is_traced_under_its_own_name() {
    let file = |name: &str| format!("/sys/kernel/tracing/{name}");
    let set = |name: &str, text: &str| fs::write(file(name), text).unwrap();
    CMDLINE.enable();
    set("set_ftrace_filter", "livepatch_cmdline_proc_show");
    set("current_tracer", "function");
    assert_eq!(read("/proc/cmdline"), "this has been live patched\n");
    let trace = read(&file("trace"));
    set("current_tracer", "nop");
    set("set_ftrace_filter", "");
    assert!(trace.contains(": livepatch_cmdline_proc_show <-"), "{trace}");
    assert_eq!(read("/proc/cmdline"), "this has been live patched\n");
    CMDLINE.end();
}

/// kprobes, at the entry and at the return: set before the patch, and while it is enabled.
fn probes_see_the_calls_of_a_redirected_function() {
    let file = |name: &str| format!("/sys/kernel/tracing/{name}");
    let set = |name: &str, text: &str| {
        fs::write(file(name), text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let probe = || {
        set(
            "kprobe_events",
            "p:klp/enters cmdline_proc_show\nr:klp/returns cmdline_proc_show result=$retval:s32",
        );
        set("events/klp/enable", "1");
    };
    let assert_seen = || {
        set("trace", "");
        assert_eq!(read("/proc/cmdline"), "this has been live patched\n");
        let trace = read(&file("trace"));
        assert_eq!(trace.matches(" enters: (cmdline_proc_show+").count(), 1, "{trace}");
        assert_eq!(trace.matches(" <- cmdline_proc_show) result=0").count(), 1, "{trace}");
    };
    let remove = || {
        set("events/klp/enable", "0");
        set("kprobe_events", "");
    };
    CMDLINE.enable();
    probe();
    assert_seen();
    remove();
    CMDLINE.end();
    probe();
    CMDLINE.enable();
    assert_seen();
    CMDLINE.end();
    remove();
}

fn console_log_level() -> String {
    read("/proc/sys/kernel/printk").split_whitespace().next().unwrap().to_owned()
}

fn log_level_is_raised_taken_over_and_given_back() {
    fs::write("/proc/sys/kernel/printk", "3").unwrap();
    LOGLEVEL_V1.enable();
    assert_eq!(console_log_level(), "8");
    LOGLEVEL_V2.enable();
    LOGLEVEL_V1.gone();
    LOGLEVEL_V1.remove();
    assert_eq!(console_log_level(), "7");
    assert_eq!(read("/proc/cmdline"), "this has been live patched, version 2\n");
    LOGLEVEL_V2.end();
    assert_eq!(console_log_level(), "3", "what version 1 saved came to version 2");
}

fn shadow_variables_of_tasks() {
    let mut log = Log::new();
    TASK_SHADOW.enable();
    assert_eq!(read("/proc/self/wchan"), "0 (looked at 1 times)");
    assert_eq!(read("/proc/self/wchan"), "0 (looked at 2 times)");
    assert_eq!(read("/proc/1/wchan"), "0 (looked at 1 times)");
    for _ in 0..3 {
        let other = Command::new("cat").arg("/proc/self/wchan").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&other.stdout), "0 (looked at 1 times)");
    }
    TASK_SHADOW.end();
    let lines = log.lines();
    let last = lines.iter().rfind(|line| line.starts_with("livepatch_task_shadow: ")).unwrap();
    assert_eq!(last, "livepatch_task_shadow: 5 tasks were looked at, 3 of them ended");
}

fn shadow_variables_are_freed_once() {
    const SHADOWS: Patch = Patch("shadows");
    let mut log = Log::new();
    SHADOWS.enable();
    assert_eq!(
        log.of_patches(),
        [
            "shadows.plain 1 found Some(1)",
            "shadows.plain 2 found Some(2)",
            "shadows.plain 3 found Some(3)",
            "shadows.a second one: Some(EEXIST)",
            "shadows.a constructor that fails: Some(ENODEV), none there: true",
            "shadows.a sleepable one: Some(EBUSY), none there: true",
            "shadows.get_or_alloc found sleepy 2",
            "shadows.dropped lone 8: Some(EDEADLK)",
            "shadows.dropped plain 3",
            "shadows.dropped sleepy 3",
            "shadows.freed: true true",
        ]
    );
    SHADOWS.end();
    let (mut freed, rest): (Vec<_>, Vec<_>) =
        log.of_patches().into_iter().partition(|line| line.contains("dropped"));
    freed.sort();
    assert_eq!(rest, ["shadows.post_unpatch"]);
    assert_eq!(
        freed,
        [
            "shadows.dropped lone 9: Some(EDEADLK)",
            "shadows.dropped plain 1",
            "shadows.dropped plain 2",
            "shadows.dropped sleepy 1",
            "shadows.dropped sleepy 2",
        ]
    );
}

fn a_hundred_rounds() {
    // A state, a shadow variable and two functions.
    for _ in 0..100 {
        TASK_SHADOW.enable();
        read("/proc/self/wchan");
        TASK_SHADOW.end();
    }
}

/// While it runs, as one that waits for a module never returns. It runs for a second more than it may.
fn a_callback_that_takes_long_is_named() {
    let mut log = Log::new();
    SLOW.enable();
    let named = "slow.a callback of Slow has not returned for 5 seconds: until it does, no module can be loaded \
                 and no patch enabled or disabled";
    assert_eq!(log.of_patches(), [named, "slow.pre_patch returns"]);
    SLOW.end();
    assert_eq!(log.of_patches(), [""; 0]);
}
