//! What is known of a kernel's functions, and that replacements are held against it: on functions that are
//! picked at random, the same each time.
//!
//! Needs kernels 6.12 and 6.1: `cargo klp doctor --fix --kernel 6.12` gets them.

mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use cargo_klp::commands::new::func::{Body, Function, Position};
use cargo_klp::host::report::Silent;
use cargo_klp::kernel::symbols::{Symbols, VMLINUX};
use cargo_klp::patch::check::{ObjectInfo, fits};
use klp_btf::{Prototype, RUNTIME_TYPES, Types, Writer};
use klp_format::manifest::Passed;
use klp_format::{Class, ClassKind};
use serde_json::Value;
use support::{klp, shuffle, succeed, target, target_directory, write_crate};

/// So many functions of each kernel.
const COUNT: usize = 300;

/// Functions that a patch can replace, in an order by chance.
fn functions(info: &ObjectInfo<'_>, seed: u64) -> Vec<Prototype> {
    let symbols = info.object.all();
    let mut seen = HashSet::new();
    let twice: HashSet<_> =
        symbols.iter().map(|symbol| &symbol.name).filter(|name| !seen.insert(*name)).collect();
    let sites = info.sites.as_ref().unwrap();
    let traceable: HashSet<_> = symbols
        .iter()
        .filter(|symbol| !symbol.is_init && sites.has(symbol) && !twice.contains(&symbol.name))
        .map(|symbol| &*symbol.name)
        .collect();
    let mut functions = info.types.as_ref().unwrap().functions().unwrap();
    let names: Vec<_> = functions.iter().map(|function| function.name.clone()).collect();
    let mut once = HashSet::new();
    let several: HashSet<_> = names.iter().filter(|name| !once.insert(*name)).collect();
    functions.retain(|function| {
        traceable.contains(&*function.name) && !several.contains(&function.name) && !function.is_variadic
    });
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(functions.len() > 20_000, "{}", functions.len());
    shuffle(&mut functions, seed);
    functions.truncate(COUNT);
    functions
}

/// A signature as the macros describe it, where it is that of the kernel.
fn exact(types: &Types, prototype: &Prototype) -> Vec<Passed> {
    let ids = [prototype.returns].into_iter().chain(prototype.parameters.iter().map(|(_, id)| *id));
    ids.map(|id| passed(types.class(id).unwrap())).collect()
}

fn passed(class: Class) -> Passed {
    Passed { class: class.encode(), place: Some("1:1".into()) }
}

fn class(kind: ClassKind, size: u64) -> Passed {
    passed(Class { kind, size })
}

/// Each way to get a signature wrong, and what is said of it; none where the function has no such part.
fn mistakes(signature: &[Passed]) -> Vec<(&'static str, Vec<Passed>, &'static str)> {
    let mut all = Vec::new();
    let with = |index: usize, part: Passed| {
        let mut changed = signature.to_vec();
        changed[index] = part;
        changed
    };
    all.push(("added", [signature, &[class(ClassKind::Signed, 4)]].concat(), ": expected "));
    let returned = match signature[0].class().kind {
        ClassKind::Pointer => class(ClassKind::Signed, 4),
        ClassKind::Void => class(ClassKind::Pointer, 8),
        _ => class(ClassKind::Void, 0),
    };
    all.push(("returns", with(0, returned), "return value of"));
    if signature.len() > 1 {
        all.push(("dropped", signature[..signature.len() - 1].to_vec(), ": expected "));
    }
    let find =
        |wanted: fn(&Class) -> bool| (1..signature.len()).find(|&index| wanted(&signature[index].class()));
    if let Some(index) =
        find(|class| matches!(class.kind, ClassKind::Signed | ClassKind::Unsigned) && class.size > 1)
    {
        let Class { kind, size } = signature[index].class();
        all.push(("narrowed", with(index, class(kind, size / 2)), "parameter"));
        all.push(("pointer for integer", with(index, class(ClassKind::Pointer, 8)), "parameter"));
    }
    if let Some(index) = find(|class| class.kind == ClassKind::Pointer) {
        all.push(("integer for pointer", with(index, class(ClassKind::Unsigned, 8)), "parameter"));
    }
    all
}

/// What `cargo klp check` says of a crate, and whether it fits.
fn checked(dir: &Path, series: &str) -> (bool, Value) {
    checked_with(dir, series, &[])
}

fn checked_with(dir: &Path, series: &str, arguments: &[&str]) -> (bool, Value) {
    let mut command = klp();
    command
        .args(["check", "--message-format", "json", "--kernel", series])
        .args(arguments)
        .arg("--manifest-path");
    let output = command
        .arg(dir.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target_directory())
        .env("RUSTFLAGS", "")
        .output()
        .unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    (output.status.success(), line)
}

fn messages(line: &Value) -> Vec<String> {
    diagnostics(line, "faults")
}

fn diagnostics(line: &Value, list: &str) -> Vec<String> {
    let text = |fault: &Value| {
        format!("{}: {}", fault["place"].as_str().unwrap_or("-"), fault["message"].as_str().unwrap())
    };
    line[list].as_array().unwrap().iter().map(text).collect()
}

/// Prototypes as `cargo klp new --func` writes them compile and are accepted; with a mistake they are refused.
fn functions_at_random(series: &str, seed: u64) {
    let target = target(series);
    let symbols = Symbols::of(&target, &Silent).unwrap();
    let info = ObjectInfo::of(&symbols, VMLINUX).unwrap();
    let types = info.types.as_ref().unwrap();
    let functions = functions(&info, seed);
    assert_eq!(functions.len(), COUNT);

    let mut counts = std::collections::BTreeMap::<_, usize>::new();
    for function in &functions {
        let signature = exact(types, function);
        let accepted = fits(types, function, &signature).unwrap();
        assert!(accepted.is_empty(), "{accepted:?}");
        for (mistake, changed, expected) in mistakes(&signature) {
            let found = fits(types, function, &changed).unwrap();
            assert!(
                !found.is_empty() && found[0].1.contains(expected) && found[0].1.contains(&function.name),
                "{mistake}: {function:?}: {found:?}"
            );
            *counts.entry(mistake).or_default() += 1;
        }
    }
    println!("{series}: {counts:?} of {COUNT}");
    assert!(counts.values().all(|&count| count > COUNT / 4), "{counts:?}");

    let mut writer = Writer::new(types, "", RUNTIME_TYPES, "");
    let mut items = String::new();
    for function in &functions {
        let replaced = Function { object: VMLINUX, symbol: &function.name, sympos: 0, body: Body::Original };
        items.push_str(&replaced.item(
            &types.c_prototype(function).unwrap(),
            writer.signature(function).unwrap(),
            Position::default(),
        ));
    }
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("crate");
    let declarations = writer.finish();
    let name = format!("checked-{}", series.replace('.', "-"));
    write_crate(&dir, &name, &format!("{declarations}{items}"));
    let (fits, line) = checked(&dir, series);
    assert!(fits, "{:#?}", messages(&line));
    assert_eq!(line["unchecked"].as_array().unwrap().len(), 0, "{line}");

    // The same with a parameter more, by way of the macros: declared, and handed on to the original.
    let more = |line: &str| {
        let with = |before: &str, added: &str| {
            let (start, rest) = line.split_once(before)?;
            let (name, rest) = rest.split_once('(')?;
            Some(format!("{start}{before}{name}({added}{rest}\n"))
        };
        with("fn livepatch_", "more: c_int, ")
            .or_else(|| with("original_", "more, "))
            .unwrap_or_else(|| format!("{line}\n"))
    };
    write_crate(&dir, &name, &format!("{declarations}{}", items.lines().map(more).collect::<String>()));
    let (fits, line) = checked(&dir, series);
    assert!(!fits);
    let said = messages(&line);
    assert_eq!(said.len(), COUNT, "{said:#?}");
    assert!(said.iter().all(|message| message.contains("src/lib.rs:") && message.contains(": expected ")));
}

#[test]
fn functions_of_6_12_at_random() {
    functions_at_random("6.12", 1);
}

#[test]
fn functions_of_6_1_at_random() {
    functions_at_random("6.1", 2);
}

/// A crate with some items, checked against 6.12.
fn refused(items: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let dir: PathBuf = directory.path().join("crate");
    write_crate(&dir, "checked", items);
    let (fits, line) = checked(&dir, "6.12");
    let said = messages(&line);
    assert_eq!(fits, said.is_empty());
    said
}

#[test]
fn each_mistake_is_said_at_its_place() {
    let said = refused(
        "#[klp_func(symbol = \"cmdline_proc_sho\")]
unsafe extern \"C\" fn absent() {}
#[klp_func(symbol = \"c_start\")]
unsafe extern \"C\" fn ambiguous(m: *mut seq_file, pos: *mut i64) -> *mut c_void { let _ = (m, pos); core::ptr::null_mut() }
#[klp_func(symbol = \"c_start\", sympos = 40)]
unsafe extern \"C\" fn nowhere() {}
#[klp_func(symbol = \"start_kernel\")]
unsafe extern \"C\" fn init() {}
#[klp_func(symbol = \"do_syscall_64\")]
unsafe extern \"C\" fn notrace() {}
#[klp_func(symbol = \"jiffies\")]
unsafe extern \"C\" fn data() {}
#[klp_func(symbol = \"vfs_read\")]
unsafe extern \"C\" fn parts(f: usize, buf: *mut c_char, count: u32, _pos: *mut i64) -> c_int { let _ = (f, buf, count); 0 }
#[klp_func(symbol = \"xfs_file_open\", object = \"xfs\")]
unsafe extern \"C\" fn of_module(_inode: *mut inode) -> c_int { 0 }
#[klp_func(symbol = \"do_exit\")]
unsafe extern \"C\" fn never(code: c_long) -> ! { let _ = code; loop {} }
#[klp_func(symbol = \"no_such_function\", unchecked)]
unsafe extern \"C\" fn unchecked() {}
#[klp_func(symbol = \"kernel_init_freeable\", unchecked)]
unsafe extern \"C\" fn unchecked_init() {}
klp_runtime::opaque! { struct task_strct; }
#[shadow(id = 1, of = task_strct)]
#[repr(C)]
struct Typo { x: u32 }
#[klp_func(symbol = \"nf_tables_newtable\")]
unsafe extern \"C\" fn elsewhere() {}
#[klp_func(symbol = \"cmdline_proc_show\", object = \"xfs\")]
unsafe extern \"C\" fn of_vmlinux() {}
#[klp_symbols]
unsafe extern \"C\" { pub fn nf_tables_getchain(); }
",
    );
    // Where symbols are differs from build to build of the kernel.
    let said = said.join("\n");
    // Said only where there is no debug information, which may be at hand.
    let said = said.replace("; if the compiler inlined it into its callers, patch those", "");
    let without =
        said.split("` at 0x").map(|part| part.split_once(", between").map_or(part, |(_, rest)| rest));
    insta::assert_snapshot!(without.collect::<Vec<_>>().join("` between"));
}

/// A crate with some items, checked against a kernel: what `check` prints of it.
fn checked_items(name: &str, items: &str, series: &str, arguments: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let dir: PathBuf = directory.path().join("crate");
    write_crate(&dir, name, items);
    checked_with(&dir, series, arguments).1
}

#[test]
fn a_function_that_is_called_and_not_exported() {
    let items = "kernel_types! { fn switch_task_namespaces; fn seq_puts; fn do_exit; }
pub unsafe fn calls(m: *mut seq_file) { unsafe {
    seq_puts(m, c\"x\".as_ptr());
    switch_task_namespaces(core::ptr::null_mut(), core::ptr::null_mut());
} }
";
    let outcome = checked_items("calls-unexported", items, "6.1", &[]);
    let faults: Vec<&str> = outcome["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["message"].as_str().unwrap())
        .collect();
    assert!(
        matches!(&*faults, [fault] if fault.starts_with("`switch_task_namespaces` exists but is not exported: write `#[klp_symbols]`")),
        "{faults:?}"
    );
}

/// A replacement of a function with one parameter and no result.
fn replacement(name: &str, arguments: &str) -> String {
    format!("#[klp_func({arguments}, unchecked)] unsafe extern \"C\" fn {name}(_a: usize) {{}}\n")
}

#[test]
fn a_module_that_no_kernel_has_is_an_error() {
    let items = replacement("typo", "symbol = \"nft_do_chain\", object = \"nf_table\"")
        + &replacement("built_in", "symbol = \"amd_uncore_init\", object = \"amd_uncore\"")
        + "struct Xfs; #[klp_object(name = \"xfss\")] impl Object for Xfs { fn post_patch(_o: &ObjectContext<'_>) {} }";
    let line = checked_items("checked-objects", &items, "6.12", &[]);
    let said = messages(&line).join("\n");
    for expected in [
        "src/lib.rs:5:21: kernel 6.12.",
        "has no module `nf_table`: the nearest name there is nf_tables",
        "has no module `amd_uncore`: it is built in; leave `object` out",
        "has no module `xfss`: the nearest name there is xfs",
        "`--module PATH`",
        "`--unknown-module nf_table`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }

    // One that is given by its path, under the name that its file has.
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("nf-table.ko");
    let target = target("6.12");
    let symbols = Symbols::of(&target, &Silent).unwrap();
    std::fs::copy(symbols.object("nf_tables").unwrap().file(), &own).unwrap();
    let items = replacement("given", "symbol = \"nft_do_chain\", object = \"nf_table\"");
    let line = checked_items("checked-objects", &items, "6.12", &["--module", own.to_str().unwrap()]);
    assert_eq!((messages(&line), &line["unchecked"]), (vec![], &Value::Array(vec![])));
    // One that is expected to be absent, by its name.
    let line = checked_items("checked-objects", &items, "6.12", &["--unknown-module", "nf_table"]);
    assert_eq!(messages(&line), [""; 0]);
    assert!(line["unchecked"][0].as_str().unwrap().contains("`nf_table` are not checked"), "{line}");
    let line = checked_items("checked-objects", &items, "6.12", &["--unknown-module", "nf_tablez"]);
    assert_eq!(messages(&line).len(), 1);
}

#[test]
fn unchecked_is_for_types_alone() {
    let line = checked_items(
        "checked-unchecked",
        &replacement("notrace", "symbol = \"do_syscall_64\""),
        "6.12",
        &[],
    );
    assert_eq!(messages(&line), [""; 0]);
    let warned = diagnostics(&line, "warnings").join("\n");
    assert!(
        warned.contains("`do_syscall_64` of vmlinux can't be redirected: it has no ftrace entry"),
        "{warned}"
    );
    let line =
        checked_items("checked-unchecked", &replacement("init", "symbol = \"start_kernel\""), "6.12", &[]);
    assert!(messages(&line)[0].contains("it is `__init`, which the kernel frees after boot"), "{line}");
}

/// Case `part`: two symbols of one address.
#[test]
fn one_function_is_redirected_once() {
    let items = replacement("native", "symbol = \"__x64_sys_getppid\"")
        + &replacement("compat", "symbol = \"__ia32_sys_getppid\"")
        + &replacement("other", "symbol = \"__x64_sys_getpgrp\"");
    let said = messages(&checked_items("checked-twice", &items, "6.12", &[]));
    assert_eq!(said.len(), 1, "{said:?}");
    let expected = "src/lib.rs:6:21: `__ia32_sys_getppid` and `__x64_sys_getppid` of vmlinux are one function, at 0xffff";
    assert!(said[0].starts_with(expected), "{said:?}");
}

/// Case `partial`: without debug information, names alone say that some code may be elsewhere.
#[test]
fn parts_that_the_compiler_made_are_warned_of() {
    let whole = replacement("whole", "symbol = \"getname_flags\"");
    let line = checked_items("checked-parts", &whole, "6.12", &[]);
    assert_eq!(line["fits"], true);
    let warned = diagnostics(&line, "warnings");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("redirecting `getname_flags`") && warned[0].contains("`getname_flags.part.0`"),
        "{warned:?}"
    );
    let both = whole + &replacement("part", "symbol = \"getname_flags.part.0\"");
    assert_eq!(diagnostics(&checked_items("checked-parts", &both, "6.12", &[]), "warnings"), [""; 0]);

    let line = checked_items("checked-parts", &replacement("cold", "symbol = \"seq_read_iter\""), "6.1", &[]);
    let warned = diagnostics(&line, "warnings");
    assert!(warned[0].contains("moved code of `seq_read_iter` to `seq_read_iter.cold`"), "{warned:?}");
    let notes = line["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].as_str().unwrap().starts_with("no debug information of vmlinux: "), "{notes:?}");
}

#[test]
fn what_explain_says() {
    let explain = |arguments: &[&str]| {
        let output = succeed(klp().args(["explain", "--kernel", "6.12"]).args(arguments));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explain(&["cmdline_proc_show"]);
    assert!(text.contains("int cmdline_proc_show(struct seq_file *m, void *v);"), "{text}");
    assert!(text.contains("sympos = 0") && text.contains("can be redirected"), "{text}");
    let several = explain(&["c_start"]);
    assert!(several.contains("sympos = 1") && several.contains("sympos = 2"), "{several}");
    let json: Value =
        serde_json::from_str(&explain(&["xfs:xfs_file_open", "--message-format", "json"])).unwrap();
    assert_eq!(json["object"], "xfs");
    assert_eq!(json["prototypes"][0], "int xfs_file_open(struct inode *inode, struct file *file)");
    assert_eq!(json["places"][0]["obstacle"], Value::Null);
    // Exported, and static.
    for name in ["nft_do_chain", "nf_tables_newtable"] {
        let text = explain(&[name]);
        assert!(text.starts_with(&format!("{name} of nf_tables, 6.12")), "{text}");
    }
    for (name, expected) in [
        ("list_head", "type        struct list_head, 16 bytes"),
        ("list_head", "8  struct list_head *prev"),
        ("nf_tables:nft_chain", "type        struct nft_chain, "),
        ("pid_type", "3  PIDTYPE_SID"),
        ("PIDTYPE_SID", "constant    3, of enum pid_type"),
        ("HZ", "`use \"linux/param.h\"; const HZ;`"),
        (
            "kmalloc",
            "it is a macro of `linux/slab.h`: write `use \"linux/slab.h\"; macro fn kmalloc(…) -> …;`",
        ),
        ("kfree_skb", "it is an inline function of `linux/skbuff.h`"),
        ("sk_refcnt", "it is a macro of `net/sock.h` for `__sk_common.skc_refcnt`"),
        ("spin_lock", "`klp_runtime::sync::kernel::spin_lock` does it"),
        (
            "sethostname",
            "system call __x64_sys_sethostname, __ia32_sys_sethostname: `#[klp_syscall(name = \"sethostname\", compat)]`",
        ),
        ("sys_sysinfo", "`#[klp_syscall(name = \"sysinfo\", compat = \"compat_sys_sysinfo\")]`"),
        ("compat_sys_sysinfo", "`#[klp_syscall(name = \"sysinfo\", compat = \"compat_sys_sysinfo\")]`"),
        // Programs and the kernel name it differently.
        ("uname", "system call __x64_sys_newuname, "),
    ] {
        let text = explain(&[name]);
        assert!(text.contains(expected) && !text.contains("exported"), "{name}: {text}");
    }
    let entry = explain(&["__x64_sys_getpid"]);
    assert!(entry.contains("exported    no") && entry.contains("(name = \"getpid\", compat)]"), "{entry}");
    let of_two = explain(&["kvm_machine_check"]);
    assert!(of_two.contains(" of kvm_amd,") && of_two.contains(" of kvm_intel,"), "{of_two}");
    for (name, expected) in [
        ("cmdline_proc_sho", "the nearest name there is"),
        ("nft_no_such_function", "no module has this one"),
        ("nf_tables:nft_verdict_init", "the compiler may have inlined it, which debug information tells"),
        ("init_module", "modules of 6.12"),
        ("xfs:nf_tables_newtable", "nf_tables has it: write `nf_tables:nf_tables_newtable`"),
    ] {
        let absent = klp().args(["explain", name, "--kernel", "6.12"]).output().unwrap();
        assert_eq!(absent.status.code(), Some(1));
        let said = String::from_utf8(absent.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

/// A task that stays in a function can't be switched: the transition waits for it (`kthreadd` has no return, the
/// others have, and loop until their thread is stopped).
#[test]
fn functions_in_which_tasks_stay() {
    let items = ["kthreadd", "worker_thread", "kswapd"].map(|name| {
        format!(
            "#[klp_func(symbol = {name:?})] unsafe extern \"C\" fn {name}(_: *mut c_void) -> c_int {{ 0 }}\n"
        )
    });
    let quiet = "#[klp_func(symbol = \"cmdline_proc_show\")]
                 unsafe extern \"C\" fn show(_m: *mut seq_file, _v: *mut c_void) -> c_int { 0 }";
    for series in ["6.12", "6.1"] {
        let line = checked_items("checked-threads", &(items.concat() + quiet), series, &[]);
        let warned: Vec<String> = diagnostics(&line, "warnings")
            .into_iter()
            .filter(|warning| warning.contains("the transition waits for it"))
            .collect();
        assert_eq!(warned.len(), 3, "{warned:?}");
        for (warning, text) in warned.iter().zip([
            "`kthreadd` never returns",
            "`worker_thread` is the main function of kernel threads",
            "`kswapd` is the main function of kernel threads",
        ]) {
            assert!(warning.contains(text), "{warning}");
        }
    }
}
