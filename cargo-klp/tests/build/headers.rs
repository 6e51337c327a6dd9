//! Inline functions, macros and constants of the kernel's headers: what is wrong stands at the item.

use crate::support::{klp, target_directory, write_crate};

#[test]
fn what_the_headers_refuse() {
    let items = "kernel_types! {
    use \"linux/list.h\";
    use \"linux/jiffies.h\";
    use \"linux/slab.h\";
    struct list_head;
    inline fn list_emty;
    inline fn kmalloc;
    macro fn list_empty(head: *const task_struct) -> c_int;
    macro fn list_is_singular(head: *const list_head) -> c_ulong;
    const jiffies;
    const NO_SUCH_MACRO;
    macro fn by_value(of: [c_int; 2]) -> c_int = \"of[0]\";
    macro fn wrong_argument(of: c_int) -> c_int = \"list_empty(of)\";
    const NARROW: u8 = \"256\";
    const NEGATIVE: usize = \"-1\";
    const TRUTH: bool = \"2\";
    const TEXT = \"\\\"text\\\"\"; macro fn spin_lock_irqsave(lock: *mut spinlock_t, flags: c_ulong);
    #[cfg(any())] const NEITHER;
}
mod other {
    use klp_runtime::prelude::*;
    kernel_types! {
        use \"linux/no_such_header.h\";
        use \"<net/sock.h>\";
        use \"asm/bitops.h\";
        inline fn list_empty;
    }
}
mod elsewhere {
    use klp_runtime::prelude::*;
    kernel_types! {
        use \"linux/list.h\";
        inline fn sock_put;
        inline fn spin_lock;
        const NETDEV_HASHENTRIES;
        fn skb_dst;
        struct sock { sk_refcnt, sk_err }
    }
}";
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), "headers-refuse", items);
    let mut check = klp();
    check.args(["check", "--kernel", "6.12", "--manifest-path"]).arg(directory.path().join("Cargo.toml"));
    let output = check.env("CARGO_TARGET_DIR", target_directory()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for (expected, place) in [
        ("'list_emty' undeclared", "src/lib.rs:10:15"),
        ("`kmalloc` is a macro", "src/lib.rs:11:15"),
        ("incompatible pointer type", "src/lib.rs:12:14"),
        ("a signed integer of 4 bytes, not `unsigned long`: write `-> c_int`", "src/lib.rs:13:14"),
        ("`jiffies` is not a constant", "src/lib.rs:14:11"),
        ("'NO_SUCH_MACRO' undeclared", "src/lib.rs:15:11"),
        ("C has no such type", "src/lib.rs:16:27"),
        ("makes pointer from integer", "src/lib.rs:17:14"),
        ("`NARROW` is 256, for which `u8` has no room", "src/lib.rs:18:19"),
        ("`NEGATIVE` is -1, for which `usize` has no room", "src/lib.rs:19:21"),
        ("`TRUTH` is 2, not a `bool`", "src/lib.rs:20:18"),
        ("`TEXT` of the headers is neither an integer nor a `bool`", "src/lib.rs:21:11"),
        (
            "what `spin_lock_irqsave` writes to an argument would be lost, as Rust passes a copy: pass a pointer, and write the \
             expression with `= \"…\"`; use `klp_runtime::sync::kernel::spin_lock_irqsave`",
            "src/lib.rs:21:39",
        ),
        ("has no header `linux/no_such_header.h`", "src/lib.rs:27:13"),
        ("has no header `<net/sock.h>`: write `use \"net/sock.h\";`", "src/lib.rs:28:13"),
        ("`asm/bitops.h` of kernel 6.12", "src/lib.rs:29:13"),
        (
            "refuse it: 'sock_put' undeclared here (not in a function); it is an inline function of `net/sock.h`: write `use \
             \"net/sock.h\"; inline fn sock_put;`",
            "src/lib.rs:37:19",
        ),
        ("use `klp_runtime::sync::kernel::spin_lock`", "src/lib.rs:38:19"),
        ("`use \"net/net_namespace.h\"; const NETDEV_HASHENTRIES;`", "src/lib.rs:39:15"),
        (
            "has no prototype of `skb_dst` in its BTF: it is an inline function of `linux/skbuff.h`",
            "src/lib.rs:40:12",
        ),
        ("C has a macro of that name for `__sk_common.skc_refcnt`", "src/lib.rs:41:23"),
    ] {
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.contains(expected));
        let at = at.unwrap_or_else(|| panic!("{expected}: {said}"));
        assert!(lines[at + 1].contains(place), "{expected} is not at {place}: {said}");
    }
    assert!(!said.contains("NEITHER"), "{said}");
}

/// What rustc does not find and the kernel has: types that only a signature names, functions, constants, macros.
#[test]
fn names_that_the_kernel_has() {
    let items = "#[klp_func(symbol = \"switch_task_namespaces\")]
unsafe extern \"C\" fn switch(_task: *mut task_struct, _new: *mut nsproxy) {
    let _ = (sock_put(), PIDTYPE_SID, HZ, seq_printf(), no_such_name(), READ_ONCE!(0));
}";
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), "headers-names", items);
    let mut check = klp();
    check.args(["check", "--kernel", "6.12", "--manifest-path"]).arg(directory.path().join("Cargo.toml"));
    let output = check.env("CARGO_TARGET_DIR", target_directory()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for expected in [
        "note: the kernel has `nsproxy`: write `struct nsproxy { … }` in `kernel_types!`",
        "note: the kernel has `sock_put`: it is an inline function of `net/sock.h`",
        "note: the kernel has `PIDTYPE_SID`: write `const PIDTYPE_SID;` in `kernel_types!`",
        "note: the kernel has `HZ`: it is a macro of `linux/param.h`",
        "note: the kernel has `seq_printf`: write `fn seq_printf;` in `kernel_types!`",
        "note: the kernel has `READ_ONCE`: use `klp_runtime::sync::read_once`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("the kernel has `no_such_name`"), "{said}");
}
