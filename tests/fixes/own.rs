//! Fixes of our own making: each changes a line or two of the kernel's source, and shows one thing that must be refused or
//! found. What they change is named, not quoted.

use crate::line::{Line, log};
use crate::workshop::{Made, Workshop};

/// What becomes of a diff that puts these lines in.
fn make(workshop: &Workshop, name: &str, lines: &[Line]) -> Result<Made, String> {
    let diffs: String = lines.iter().map(|line| line.diff(workshop)).collect();
    workshop.make(name, &diffs)
}

#[track_caller]
fn assert_refused(workshop: &Workshop, name: &str, lines: &[Line], whys: &[&str]) {
    let said = make(workshop, name, lines).expect_err("it is refused");
    for why in whys {
        assert_eq!(said.matches(why).count(), 1, "{why:?} must be said once in:\n{said}");
    }
}

#[test]
fn what_has_run_already_is_refused_once() {
    let workshop = Workshop::new();
    // Of a module, its first function has a second name.
    assert_refused(
        &workshop,
        "init",
        &[log("net/sched/sch_netem.c", "netem_module_init")],
        &["can't become a patch as it is", "has run when the patch is loaded", "init.patch:"],
    );
}

/// The kernel has objects of the old layout, whether or not code changes with it.
#[test]
fn a_changed_layout_is_refused() {
    let workshop = Workshop::new();
    let member = |within| Line { file: "net/sched/sch_netem.c", within, line: "\tu64 added;\n" };
    let why = "changes its layout or values";
    assert_refused(&workshop, "layout", &[member("struct netem_skb_cb")], &[why]);
    assert_refused(&workshop, "layout_and_size", &[member("struct netem_sched_data")], &[why]);
}

/// A copy of a variable would be another one.
#[test]
fn variables_that_only_the_kernel_can_have_are_refused() {
    let workshop = Workshop::new();
    assert_refused(
        &workshop,
        "of_a_function",
        &[log("fs/inode.c", "get_next_ino"), log("fs/stat.c", "cp_old_stat")],
        &["the patch would have a `warncount` of its own"],
    );
    assert_refused(
        &workshop,
        "of_processors",
        &[log("fs/dcache.c", "get_nr_dentry")],
        &["`nr_dentry` of vmlinux is a variable of each processor"],
    );
}

/// The kernel patches branches of a module that it loads before livepatch says where the keys of another one are.
#[test]
fn static_keys_and_tracepoints_of_modules_are_refused() {
    let workshop = Workshop::new();
    assert_refused(
        &workshop,
        "key",
        &[log("net/netfilter/nf_tables_core.c", "nft_do_chain")],
        &["`nft_counters_enabled` is a static key or a tracepoint of nf_tables"],
    );
}

#[test]
fn a_header_of_many_is_refused() {
    let workshop = Workshop::new();
    assert_refused(
        &workshop,
        "header",
        &[Line { file: "include/linux/list.h", within: "list_add_tail", line: "\tnew->next = NULL;\n" }],
        &["changes headers that too many C files include"],
    );
}

/// What the compiler made of a function has no entry of its own: its callers are replaced.
#[test]
fn callers_of_clones_and_functions_of_several_units_are_replaced() {
    let workshop = Workshop::new();
    let made = make(
        &workshop,
        "several",
        &[log("net/can/proc.c", "can_init_stats"), log("net/sched/sch_netem.c", "netem_reset")],
    );
    let functions = made.unwrap().functions;
    assert_eq!(functions, ["can:can_reset_stats_proc_show", "can:can_stat_update", "sch_netem:netem_reset"]);
}
