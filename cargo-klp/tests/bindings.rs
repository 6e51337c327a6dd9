//! Kernel types in Rust: on structures that are picked at random, the same each time, and on the largest.
//!
//! Needs kernels 6.12 and 6.1: `cargo klp doctor --fix --kernel 6.12` gets them.

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use klp_btf::{Layout, Types, Writer, identifier};
use support::{kernel, klp, shuffle};

/// So many structures of each kernel, and so many of the largest.
const COUNT: usize = 100;
const LARGEST: usize = 20;

/// A patch crate with some items, checked as cargo and editors do it.
fn check(name: &str, items: &str, btf: Option<&Path>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../klp-runtime");
    let toml = format!(
        "[package]\nname = {name:?}\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n[workspace]\n"
    );
    let source = format!(
        "#![no_std]\n#![deny(warnings)]\nuse klp_runtime::prelude::*;\n\
         livepatch! {{ license: \"GPL\", authors: [\"A. Author\"], description: \"Bindings\" }}\n{items}"
    );
    fs::create_dir_all(folder.path().join("src")).unwrap();
    for (file, text) in [("Cargo.toml", &toml), ("src/lib.rs", &source)] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    let mut cargo = Command::new("cargo");
    cargo.arg("check").current_dir(&folder).env_remove("KLP_BTF").env("RUSTFLAGS", "");
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings"));
    if let Some(btf) = btf {
        cargo.env("KLP_BTF", btf);
    }
    cargo.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The path and the place of each field of a structure, also of its parts without a name.
fn places(types: &Types, layout: &Layout, path: &str, start: u64, places: &mut Vec<(String, u64)>) {
    for (number, field) in layout.fields.iter().enumerate().filter(|(_, field)| field.bits.is_none()) {
        let offset = start + field.offset / 8;
        if !field.name.is_empty() {
            places.push((format!("{path}{}", identifier(&field.name)), offset));
        } else if let Some(inner) = types.layout(field.id).unwrap() {
            self::places(types, &inner, &format!("{path}__anonymous_{number}."), offset, places);
        }
    }
}

fn structures_at_random(series: &str, seed: u64) {
    let types = cargo_klp::types::of_kernel(&kernel(series)).unwrap().unwrap();
    let mut by_name = BTreeMap::<_, Vec<_>>::new();
    for (name, id) in types.structures().unwrap() {
        by_name.entry(name).or_default().push(id);
    }
    // Of several of one name, which is meant can't be said.
    let unique = by_name.into_iter().filter(|(_, ids)| ids.len() == 1).map(|(name, ids)| (name, ids[0]));
    let mut all: Vec<_> = unique
        .map(|(name, id)| (types.layout(id).unwrap().unwrap(), name, id))
        .filter(|(layout, ..)| !layout.fields.is_empty())
        .collect();
    assert!(all.len() > 5_000, "{}", all.len());
    all.sort_by_key(|(layout, name, _)| (std::cmp::Reverse(layout.size), name.clone()));
    let mut chosen: Vec<_> = all.drain(..LARGEST).collect();
    shuffle(&mut all, seed);
    chosen.extend(all.into_iter().take(COUNT));

    let mut writer = Writer::new(&types, "::core::ffi::", [], "");
    let (mut asserts, mut count) = (String::new(), 0);
    for (layout, name, id) in &chosen {
        let ty = writer.whole(name, *id).unwrap();
        asserts.push_str(&format!("const _: () = assert!(size_of::<{ty}>() == {});\n", layout.size));
        let mut fields = Vec::new();
        places(&types, layout, "", 0, &mut fields);
        for (path, offset) in fields {
            asserts.push_str(&format!(
                "const _: () = assert!(core::mem::offset_of!({ty}, {path}) == {offset});\n"
            ));
            count += 1;
        }
    }
    let text = writer.finish();
    let declared = text.matches("#[repr(C, align").count();
    println!("{series}: {} structures with {count} fields, made of {declared}", chosen.len());
    let output =
        check(&format!("structures-{}", series.replace('.', "-")), &format!("{text}{asserts}"), None);
    assert!(output.status.success(), "{}", said(&output));
    // The assertions are looked at.
    let wrong = asserts.replacen(" == ", " == 1 + ", 1);
    let output = check(&format!("structures-{}", series.replace('.', "-")), &format!("{text}{wrong}"), None);
    assert!(said(&output).contains("evaluation panicked"), "{}", said(&output));
}

#[test]
fn structures_of_6_12_at_random() {
    structures_at_random("6.12", 1);
}

#[test]
fn structures_of_6_1_at_random() {
    structures_at_random("6.1", 2);
}

/// One source for two kernels, by the macro.
#[test]
fn one_source_for_two_kernels() {
    let files = ["6.12", "6.1"].map(|series| cargo_klp::types::file(&kernel(series)).unwrap().unwrap());
    let offset = |file: &Path| {
        let types = Types::open(file).unwrap();
        let id = types.find("task_struct").unwrap().unwrap();
        types.fields(id).unwrap().into_iter().find(|field| field.name == "pid").unwrap().offset / 8
    };
    let offsets: HashSet<_> = files.iter().map(|file| offset(file)).collect();
    assert_eq!(offsets.len(), 2, "the field is elsewhere in the other kernel");
    let source = |offset| {
        format!(
            "kernel_types! {{
                 struct task_struct {{ pid, comm, sched_reset_on_fork, tasks }}
                 struct list_head;
                 enum pid_type;
                 const PIDTYPE_SID;
                 fn seq_write;
                 #[klp_symbols] fn cmdline_proc_show;
             }}
             const _: () = assert!(core::mem::offset_of!(task_struct, pid) == {offset});
             /// # Safety
             /// The task is there.
             pub unsafe fn read(task: *const task_struct) -> (c_int, *mut list_head, u64, pid_type) {{
                 // SAFETY: As above.
                 unsafe {{ ((*task).pid, (*task).tasks.next, (*task).sched_reset_on_fork(), PIDTYPE_SID) }}
             }}"
        )
    };
    for file in &files {
        let output = check("two-kernels", &source(offset(file)), Some(file));
        assert!(output.status.success(), "{}", said(&output));
    }
    let output = check("two-kernels", &source(offset(&files[0])), None);
    assert!(output.status.success(), "the newest kernel is meant: {}", said(&output));
    let output = check("two-kernels", &source(offset(&files[0])), Some("".as_ref()));
    assert!(said(&output).contains("the kernel has no BTF on this machine"), "{}", said(&output));
}

#[test]
fn what_the_kernel_lacks() {
    let file = cargo_klp::types::file(&kernel("6.12")).unwrap().unwrap();
    let items = "kernel_types! {
    struct task_struct { pidd, comm, comm }
    struct task_strct;
    struct u32;
    enum task_struct;
    const NO_SUCH_CONSTANT;
    fn no_such_function;
    struct page { lru, pp_magic }
}";
    let said = said(&check("lacking", items, Some(&file)));
    for expected in [
        "`task_struct` of kernel 6.12",
        "has no field `pidd`: did you mean `pid`?",
        "`comm` is written twice",
        "has no type `task_strct`",
        "`u32` of kernel 6.12",
        "is no structure or union",
        "is no enumeration",
        "has no enumeration with `NO_SUCH_CONSTANT`",
        "has no prototype of `no_such_function`",
        "`pp_magic` is in a union with `lru`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// The check is for each kernel anew, where a patch has types of the kernel.
#[test]
fn a_structure_that_one_kernel_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../klp-runtime");
    fs::create_dir_all(folder.path().join("src")).unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        format!(
            "[package]\nname = \"lacks\"\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n[workspace]\n"
        ),
    )
    .unwrap();
    fs::write(
        folder.path().join("src/lib.rs"),
        "#![no_std]\nuse klp_runtime::prelude::*;\n\
         livepatch! { license: \"GPL\", authors: [\"A. Author\"], description: \"Bindings\" }\n\
         kernel_types! { struct eventfs_inode; }\n",
    )
    .unwrap();
    let output = klp()
        .args(["check", "--kernel", "6.12", "--kernel", "6.1", "--manifest-path"])
        .arg(folder.path().join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings"))
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["lacks", "fits", "does", "not", "fit"], "{table}\n{}", said(&output));
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("kernel 6.1.0") && said(&output).contains("has no type `eventfs_inode`"));
}
