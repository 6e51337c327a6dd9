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
    #[cfg(any())] const NEITHER;
}
mod other {
    use klp_runtime::prelude::*;
    kernel_types! {
        use \"linux/no_such_header.h\";
        inline fn list_empty;
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
        ("has no header `linux/no_such_header.h`", "src/lib.rs:21:13"),
    ] {
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.contains(expected));
        let at = at.unwrap_or_else(|| panic!("{expected}: {said}"));
        assert!(lines[at + 1].contains(place), "{expected} is not at {place}: {said}");
    }
    assert!(!said.contains("NEITHER"), "{said}");
}
