//! Fixes of our own making: each changes a line or two of the kernel's source, and shows one thing that must be refused or
//! found. What they change is named, not quoted.

use cargo_klp::kernel::DEFAULT_SERIES;

use crate::line::{Line, log};
use crate::source::{diff, function, read};
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
    let workshop = Workshop::new(DEFAULT_SERIES);
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
    let workshop = Workshop::new(DEFAULT_SERIES);
    let member = |within| Line { file: "net/sched/sch_netem.c", within, line: "\tu64 added;\n" };
    let why = "changes its layout or values";
    assert_refused(&workshop, "layout", &[member("struct netem_skb_cb")], &[why]);
    assert_refused(&workshop, "layout_and_size", &[member("struct netem_sched_data")], &[why]);
}

/// A copy of a variable would be another one.
#[test]
fn variables_that_only_the_kernel_can_have_are_refused() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    assert_refused(
        &workshop,
        "of_a_function",
        &[log("fs/inode.c", "get_next_ino"), log("fs/stat.c", "cp_old_stat")],
        &["the patch would have a `warncount` of its own"],
    );
}

/// The kernel patches branches of a module that it loads before livepatch says where the keys of another one are: the copy
/// reads them. Static calls go by what KVM has for them; the header that only defines their keys is not copied.
#[test]
fn static_keys_and_calls_of_modules_are_those_of_the_module() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    let made = make(
        &workshop,
        "key",
        &[
            log("net/netfilter/nf_tables_core.c", "nft_do_chain"),
            log("arch/x86/kvm/x86.c", "kvm_vcpu_flush_tlb_guest"),
        ],
    );
    assert_eq!(made.unwrap().functions, ["kvm:kvm_vcpu_flush_tlb_guest", "nf_tables:nft_do_chain"]);
}

/// A diff that gives a function one parameter more, which it logs, and its callers in the file an argument.
fn with_parameter(workshop: &Workshop, file: &str, name: &str) -> String {
    let old = read(&workshop.source.join(file));
    let definition = function(&old, name);
    let (mut new, mut rest) = (String::new(), &*old);
    while let Some(at) = rest.find(&format!("{name}(")) {
        let at = at + name.len() + 1;
        let close = rest[at..].find(')').unwrap() + at;
        let is_definition = definition.contains(&(old.len() - rest.len() + at));
        new += &rest[..close];
        new += if is_definition && rest[close..].starts_with(")\n{") { ", int added" } else { ", 1" };
        rest = &rest[close..];
    }
    new += rest;
    let body = function(&new, name);
    let at = body.start + new[body].find("\n{\n").unwrap() + 3;
    new.insert_str(at, "\tpr_info_once(\"%d\\n\", added);\n");
    diff(file, &old, &new)
}

/// All commits of a series, all units that include a changed file, each function once.
#[test]
fn nothing_of_a_fix_is_left_out() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    let (first, second) =
        (log("fs/binfmt_elf.c", "load_elf_binary"), log("fs/binfmt_elf.c", "elf_core_dump"));
    let old = read(&workshop.source.join(first.file));
    let once = first.within(&old);
    let twice = second.within(&once);
    let series = diff(first.file, &old, &once) + &diff(first.file, &once, &twice);
    let syscall = log("kernel/sys.c", "SYSCALL_DEFINE0").diff(&workshop);
    let own = with_parameter(&workshop, "net/sched/sch_netem.c", "get_dist_table");
    let made = workshop.make("whole", &(series + &syscall + &own)).unwrap();
    // The 32-bit programs' loader includes that file; the kernel has one function for the call; the function with
    // another parameter is the patch's own.
    let expected = [
        "__x64_sys_getpid",
        "elf_core_dump",
        "elf_core_dump",
        "load_elf_binary",
        "load_elf_binary",
        "sch_netem:netem_change",
    ];
    assert_eq!(made.functions, expected);
}

#[test]
fn a_header_of_many_is_refused() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    assert_refused(
        &workshop,
        "header",
        &[Line { file: "include/linux/list.h", within: "list_add_tail", line: "\tnew->next = NULL;\n" }],
        &["changes headers that too many C files include"],
    );
}

/// A macro that a file defines before its headers is for a changed one, too.
#[test]
fn a_changed_header_comes_behind_the_macros_that_a_file_begins_with() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    let made = make(
        &workshop,
        "macros",
        &[log("include/net/gtp.h", "netif_is_gtp"), log("drivers/net/gtp.c", "gtp_dellink")],
    );
    let functions = made.unwrap().functions;
    assert_eq!(functions, ["gtp:gtp_dellink"]);
}

/// What the compiler made of a function has no entry of its own: its callers are replaced.
#[test]
fn callers_of_clones_and_functions_of_several_units_are_replaced() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    let made = make(
        &workshop,
        "several",
        &[log("net/can/proc.c", "can_init_stats"), log("net/sched/sch_netem.c", "netem_reset")],
    );
    let functions = made.unwrap().functions;
    assert_eq!(functions, ["can:can_reset_stats_proc_show", "can:can_stat_update", "sch_netem:netem_reset"]);
}

/// A weak function of which the kernel has another definition, a system call with its trace events, a header of the
/// kernel that includes a private one, a per-CPU variable, a constant within a function, and a file that the Makefile of
/// another directory names.
#[test]
fn what_only_looks_like_an_obstacle_is_none() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    let text = "\tNL_SET_ERR_MSG(extack, \"patched\");\n";
    let made = make(
        &workshop,
        "unhindered",
        &[
            log("kernel/sys.c", "SYSCALL_DEFINE1"),
            log("fs/dlm/lowcomms.c", "lowcomms_write_space"),
            log("fs/dcache.c", "get_nr_dentry"),
            Line { file: "net/sched/sch_netem.c", within: "netem_change", line: text },
            log("virt/kvm/binary_stats.c", "kvm_stats_read"),
        ],
    );
    let functions = made.unwrap().functions;
    let expected = [
        "__ia32_sys_setgid",
        "__x64_sys_setgid",
        "dlm:lowcomms_write_space",
        "kvm:kvm_stats_read",
        "proc_nr_dentry",
        "sch_netem:netem_change",
    ];
    assert_eq!(functions, expected);
}
