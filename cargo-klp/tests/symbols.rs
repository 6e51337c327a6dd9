//! The symbols that are read out of images and modules, against those of kernels that are up.
//!
//! Needs kernels 6.12 and 6.1, and QEMU: `cargo klp doctor --fix --kernel 6.12` gets them.

mod support;

use std::fs;

use cargo_klp::host::report::Silent;
use cargo_klp::kernel::symbols::{Symbol, Symbols, VMLINUX};
use cargo_klp::kernel::{Kernel, Target};
use support::{kernel, klp, succeed, target, target_directory};

/// Modules with many symbols, and with names that are not unique.
const MODULES: [&str; 2] = ["xfs", "nf_tables"];

/// A line of `/proc/kallsyms`.
struct Line {
    address: u64,
    kind: char,
    name: String,
    module: Option<String>,
}

/// What a kernel says of itself once it is up, and the modules are loaded.
fn kallsyms(series: &str) -> Vec<Line> {
    let script = format!("for m in {}; do modprobe $m; done; cat /proc/kallsyms", MODULES.join(" "));
    let mut run = klp();
    run.args(["run", "--kernel", series, "-p", "livepatch-cmdline", "--", "sh", "-c", &script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target_directory());
    let output = succeed(&mut run);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        Some(Line {
            address: u64::from_str_radix(fields.next()?, 16).ok()?,
            kind: fields.next()?.chars().next()?,
            name: fields.next()?.into(),
            module: fields.next().map(|module| module.trim_matches(['[', ']']).into()),
        })
    };
    text.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text}"))).collect()
}

/// Counts as livepatch does: the symbols of each name, in the order of the list.
fn assert_positions(symbols: &[Symbol]) {
    let mut positions = std::collections::HashMap::new();
    for symbol in symbols {
        let position = positions.entry(&symbol.name).or_insert(0);
        *position += 1;
        assert_eq!(symbol.position, *position, "{}", symbol.name);
    }
    assert!(positions.values().any(|&count| count > 1), "some name is not unique");
}

fn compare(series: &str) {
    let target = target(series);
    let symbols = Symbols::of(&target, &Silent).unwrap();
    let lines = kallsyms(series);

    let ours = symbols.object(VMLINUX).unwrap().all();
    let theirs: Vec<_> = lines.iter().take_while(|line| line.module.is_none()).collect();
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.len() > 50_000);
    let text = |name: &str| ours.iter().find(|symbol| symbol.name == name).unwrap().address;
    let moved = theirs.iter().find(|line| line.name == "_text").unwrap().address - text("_text");
    for (our, their) in ours.iter().zip(&theirs) {
        // What each processor has of its own is not moved.
        let address = if our.address < text("_text") { our.address } else { our.address + moved };
        assert_eq!((&our.name, our.kind, address), (&their.name, their.kind, their.address));
    }
    assert_positions(&ours);

    for name in MODULES {
        let ours = symbols.object(name).unwrap().all();
        assert_positions(&ours);
        let kept = ours.iter().filter(|symbol| !symbol.is_init);
        let kept: Vec<_> = kept.map(|symbol| (symbol.kind, &*symbol.name)).collect();
        let theirs = lines.iter().filter(|line| line.module.as_deref() == Some(name));
        let theirs: Vec<_> = theirs.map(|line| (line.kind, &*line.name)).collect();
        // ftrace remembers functions that are gone after init: what livepatch counts does not have them.
        let (theirs, gone) = theirs.split_at(kept.len());
        assert_eq!(kept, theirs, "{name}");
        let is_init = |name| ours.iter().any(|symbol| symbol.name == name && symbol.is_init);
        assert!(gone.iter().all(|(_, name)| is_init(*name)), "{gone:?}");
    }
}

#[test]
fn those_of_6_12_are_those_of_the_kernel_that_is_up() {
    compare("6.12");
}

#[test]
fn those_of_6_1_are_those_of_the_kernel_that_is_up() {
    compare("6.1");
}

#[test]
fn what_is_exported() {
    let target = target("6.12");
    let symbols = Symbols::of(&target, &Silent).unwrap();
    let vmlinux = symbols.object(VMLINUX).unwrap();
    assert!(vmlinux.export("seq_printf").is_some());
    assert!(vmlinux.export("cmdline_proc_show").is_none());
    let module = symbols.object("nf_tables").unwrap();
    assert!(module.export("nft_do_chain").is_some());
    assert!(module.export("nf_tables_newtable").is_none());
}

/// Which modules have a name, also one that nobody else sees.
#[test]
fn names_of_all_modules() {
    for series in ["6.12", "6.1"] {
        let target = target(series);
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("own-module.ko");
        let loop_ko = Symbols::of(&target, &Silent).unwrap().object("loop").unwrap().file().to_owned();
        fs::copy(loop_ko, &own).unwrap();
        let given = Target { modules: vec![own], ..target.clone() };
        for (target, expected) in [(&target, &["loop"][..]), (&given, &["loop", "own_module"])] {
            let symbols = Symbols::of(target, &Silent).unwrap();
            let all = symbols.object("loop").unwrap().all();
            let functions: Vec<_> =
                all.iter().filter(|symbol| symbol.name.starts_with("loop_") && symbol.is_code()).collect();
            assert!(functions.len() > 20, "{functions:?}");
            for function in functions {
                let found = symbols.modules_with(&function.name).unwrap();
                assert!(expected.iter().all(|module| found.iter().any(|other| other == module)), "{found:?}");
            }
            assert_eq!(symbols.modules_with("loop_get_status").unwrap(), expected);
            assert_eq!(symbols.modules_with("loop_get_statu").unwrap(), [""; 0]);
            assert!(symbols.modules_with("init_module").unwrap().len() > 3_000);
        }
    }
}

#[test]
fn objects_that_are_not_there() {
    let target = target("6.12");
    let symbols = Symbols::of(&target, &Silent).unwrap();
    let said = |name| {
        let error = symbols.object(name).unwrap_err();
        format!("{error}\n{}", error.help().unwrap())
    };
    let built_in = said("amd_uncore");
    assert!(
        built_in.contains("has no module `amd_uncore`: it is built in")
            && built_in.contains("leave `object` out"),
        "{built_in}"
    );
    let absent = said("no_such_module");
    assert!(
        absent.contains("has no module `no_such_module`: no module there has a similar name")
            && absent.contains("--module PATH"),
        "{absent}"
    );
}

/// ftrace's place at the start of functions, and variables of functions by the code that names them.
#[test]
fn the_code_of_functions() {
    for (series, entry_length) in [("6.12", 9), ("6.1", 5)] {
        let target = target(series);
        let symbols = Symbols::of(&target, &Silent).unwrap();
        let vmlinux = symbols.object(VMLINUX).unwrap();
        let one = |name: &str| match vmlinux.named(name).as_slice() {
            [one] => one.clone(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(vmlinux.entry_length(&one("cmdline_proc_show")).unwrap(), Some(entry_length));
        // Written in assembly.
        assert_eq!(vmlinux.entry_length(&one("entry_SYSCALL_64")).unwrap(), None);
        assert!(vmlinux.refers(&one("cmdline_proc_show"), &one("saved_command_line")).unwrap());
        assert!(!vmlinux.refers(&one("version_proc_show"), &one("saved_command_line")).unwrap());

        let xfs = symbols.object("xfs").unwrap();
        let function = &xfs.named("xfs_file_open")[0];
        assert_eq!(xfs.entry_length(function).unwrap(), Some(entry_length));
    }
}

/// A kernel that stands where it was built: its own `vmlinux` has the symbols and the places for ftrace.
#[test]
fn a_kernel_in_its_own_tree() {
    let known = kernel("6.12");
    let all = Symbols::of(&known.clone().into(), &Silent).unwrap().object(VMLINUX).unwrap().all();
    let image =
        cargo_klp::kernel::image::unpacked_image(&known, known.image.as_ref().unwrap()).unwrap().unwrap();
    let tree = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&known.kdir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "vmlinux" && entry.file_name() != ".kernelvariables" {
            std::os::unix::fs::symlink(entry.path(), tree.path().join(entry.file_name())).unwrap();
        }
    }
    // One that is installed nowhere.
    fs::write(tree.path().join(".kernelvariables"), "override KERNELRELEASE =6.12.0-own\n").unwrap();
    let in_tree = Target::from(Kernel::from_kdir(tree.path()).unwrap());
    let lacking = Symbols::of(&in_tree, &Silent).and_then(|symbols| symbols.object(VMLINUX).map(drop));
    assert!(lacking.unwrap_err().to_string().contains("with its image"));

    std::os::unix::fs::symlink(image, tree.path().join("vmlinux")).unwrap();
    let symbols = Symbols::of(&in_tree, &Silent).unwrap();
    assert!(symbols.object(VMLINUX).unwrap().all() == all);
    let mut explain = klp();
    explain.args(["explain", "cmdline_proc_show", "--kdir"]).arg(tree.path());
    let output = succeed(&mut explain);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("can be redirected") && !text.contains("can't be"), "{text}");
}
