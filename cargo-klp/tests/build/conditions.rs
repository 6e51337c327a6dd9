//! Conditions on the kernel: what they are on two kernels, and what is wrong with those that ask for nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use super::record::like;
use super::{LIVEPATCH, Probe, build, result};
use crate::support::{kernel, klp, target_directory, write_crate};

/// Conditions, and whether they hold on 6.1 and on 6.12.
const ANSWERS: [(&str, bool, bool); 27] = [
    ("kernel_since = \"6.1\"", true, true),
    // Debian's release does not tell: 6.1.0-56-amd64.
    ("kernel_since = \"6.1.100\"", true, true),
    ("kernel_since = \"6.12-rc3\"", false, true),
    ("kernel_since = \"6.12\"", false, true),
    ("kernel_since = \"6.13-rc1\"", false, false),
    ("CONFIG_SMP", true, true),
    ("CONFIG_EXT4_FS", true, true),
    ("CONFIG_EXT4_FS = \"m\"", true, true),
    ("CONFIG_EXT4_FS = \"y\"", false, false),
    ("CONFIG_PREEMPT_RT", false, false),
    ("CONFIG_RETPOLINE", true, false),
    ("kernel_has = \"fn __seq_puts\"", false, true),
    ("kernel_has = \"fn pipe_max_size\"", false, false),
    ("kernel_has = \"static pipe_max_size\"", true, true),
    ("kernel_has = \"struct inode.i_ctime.tv_sec\"", true, false),
    ("kernel_has = \"struct inode.i_ctime_sec\"", false, true),
    ("kernel_has = \"union inode\"", false, false),
    ("kernel_has = \"const PIDTYPE_SID\"", true, true),
    ("kernel_has = \"nf_tables: struct nft_chain.name\"", true, true),
    ("kernel_has = \"no_such_module: fn f\"", false, false),
    ("kernel_has = \"linux/seq_file.h: inline fn seq_show_option\"", true, true),
    // A function before, then a macro, as memory is accounted.
    ("kernel_has = \"linux/slab.h: inline fn kmalloc\"", true, false),
    ("kernel_has = \"linux/slab.h: macro kmalloc\"", false, true),
    ("kernel_has = \"linux/no_such_header.h: macro kmalloc\"", false, false),
    ("kernel_has = \"header linux/slab.h\"", true, true),
    ("kernel_has = \"export tcp_hashinfo\"", true, false),
    ("kernel_has = \"header linux/spinlock_types_raw.h\"", true, true),
];

#[test]
fn explain_tells_whether_a_condition_holds() {
    let explain = |condition: &str| klp().args(["explain", condition, "--kernel", "6.12"]).output().unwrap();
    for (condition, expected) in [
        ("kernel_since = \"6.12\"", "kernel_since = \"6.12\" holds on 6.12"),
        ("kernel_has=fn __seq_puts", "kernel_has = \"fn __seq_puts\" holds on 6.12"),
        (
            "kernel_has = \"struct inode.i_ctime\"",
            "kernel_has = \"struct inode.i_ctime\" does not hold on 6.12",
        ),
        ("CONFIG_EXT4_FS", ": it is m"),
        ("CONFIG_PREEMPT_RT", "CONFIG_PREEMPT_RT does not hold on 6.12"),
    ] {
        let output = explain(condition);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{condition}: {said}");
    }
    let refused = explain("kernel_has = sock");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("expected `struct NAME`"), "{said}");
}

/// What `cargo klp check` makes of a crate with these items.
fn check(name: &str, items: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), name, items);
    let mut check = klp();
    check.arg("check").args(arguments).arg("--manifest-path").arg(directory.path().join("Cargo.toml"));
    check.env("CARGO_TARGET_DIR", target_directory()).output().unwrap()
}

/// The answers are those of the list, rustc has the same ones, and `kernel_types!` has the fields and items for which
/// they hold.
#[test]
fn one_source_for_kernels_that_differ() {
    let mut items = "kernel_types! {
        struct inode {
            #[cfg(kernel_has = \"struct inode.i_ctime_sec\")] i_ctime_sec,
            #[cfg(not(kernel_has = \"struct inode.i_ctime_sec\"))] i_ctime,
        }
        #[cfg(kernel_has = \"fn __seq_puts\")] fn __seq_puts;
        #[cfg(not(kernel_has = \"fn __seq_puts\"))] fn seq_puts;
    }
    #[cfg(kernel_has = \"fn __seq_puts\")]
    use __seq_puts as seq_puts;
    /// # Safety
    /// They are there.
    pub unsafe fn show(m: *mut seq_file, inode: *const inode) -> i64 {
        // SAFETY: The caller's word.
        unsafe {
            seq_puts(m, c\"x\".as_ptr());
            cfg_select! {
                kernel_has = \"struct inode.i_ctime_sec\" => { (*inode).i_ctime_sec }
                _ => { (*inode).i_ctime.tv_sec }
            }
        }
    }\n"
    .to_owned();
    for (condition, on_6_1, on_6_12) in ANSWERS {
        items.push_str(&format!(
            "const _: () = assert!(cfg!({condition}) == if cfg!(kernel_since = \"6.12\") {{ {on_6_12} }} else {{ {on_6_1} }});\n"
        ));
    }
    let arguments = ["--kernel", "6.1", "--kernel", "6.12", "--message-format", "json"];
    let output = check("conditions", &items, &arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [on_6_1, on_6_12] = &*lines else { panic!("{stdout}") };
    for (condition, expected_on_6_1, expected_on_6_12) in ANSWERS {
        for (line, expected) in [(on_6_1, expected_on_6_1), (on_6_12, expected_on_6_12)] {
            assert_eq!(line["conditions"][condition], expected, "{condition} on {}", line["release"]);
        }
    }
}

#[test]
fn conditions_that_ask_for_nothing() {
    let items = "#[cfg(kernel_since = \"6.12.x\")] use c_int as a;
#[cfg(any(kernel_has = \"sock.sk_refcnt\", test))] use c_int as b;
#[cfg(kernel_since)] use c_int as c;
";
    let output = check("conditions-refused", items, &["--kernel", "6.12"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for expected in [
        "src/lib.rs:5:7: expected a release such as `6.12`, `6.12.30` or `6.12-rc3`, found `6.12.x`",
        "src/lib.rs:6:11: expected `struct NAME`",
        "src/lib.rs:7:7: expected a value: write `kernel_since = \"6.12\"`",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let items = "#[cfg(CONFIG_SMPP)] use c_int as a;
#[cfg(CONFIG_HAVE_NO_SUCH_THING)] use c_int as b;
kernel_types! { struct inode { #[cfg(feature = \"x\")] i_ino } }";
    let output = check("conditions-refused", items, &["--kernel", "6.12"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("CONFIG_HAVE_NO_SUCH_THING"), "{said}");
    for expected in [
        "src/lib.rs:5:7: no kernel configuration on this machine has `CONFIG_SMPP`",
        "did you mean `CONFIG_SMP`?",
        "the layout of a structure must be known before this `#[cfg]` is",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

/// A module follows the kernel's configuration, there and back, by this command and by plain make.
#[test]
fn a_module_follows_the_answers() {
    let source = format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn seq_printf(m: *mut seq_file, format: *const c_char, ...); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, _v: *mut c_void) -> c_int {{
    let text = if cfg!(CONFIG_EXT4_FS) {{ c\"ext4 is there\" }} else {{ c\"ext4 is absent\" }};
    unsafe {{ seq_printf(m, text.as_ptr()) }};
    0
}}
"
    );
    let patch = Probe::new(&source);
    patch.write_kbuild();
    // A build directory whose configuration is a file of its own.
    let kdir = like(&kernel("6.12").kdir);
    let directory = |name: &str| {
        let path = kdir.path().join(name);
        let real = fs::canonicalize(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        for entry in fs::read_dir(real).unwrap().map(Result::unwrap) {
            symlink(entry.path(), path.join(entry.file_name())).unwrap();
        }
    };
    directory("include");
    directory("include/config");
    let config = kdir.path().join("include/config/auto.conf");
    let with = fs::read_to_string(&config).unwrap();
    let without = with.replace("CONFIG_EXT4_FS=m\n", "");
    assert_ne!(with, without);
    fs::remove_file(&config).unwrap();
    let tells = |ko: &Path| {
        let data = fs::read(ko).unwrap();
        let has = |text: &str| data.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert_ne!(has("ext4 is there"), has("ext4 is absent"));
        has("ext4 is there")
    };
    for (text, is_there) in [(&with, true), (&without, false), (&with, true)] {
        fs::write(&config, text).unwrap();
        let arguments = ["--kdir", kdir.path().to_str().unwrap()];
        let output = build(patch.0.path(), &arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            tells(Path::new(String::from_utf8(output.stdout).unwrap().trim())),
            is_there,
            "cargo klp build"
        );
        let mut make = patch.make(&["-C", kdir.path().to_str().unwrap()]);
        let (code, said) = result(&mut make);
        assert_eq!(code, 0, "{said}");
        let ko = patch.0.path().join("a_module_follows_the_answers.ko");
        assert_eq!(tells(&ko), is_there, "make");
    }
}

/// A macro puts a condition together, or a library of the workspace has it, which no build script has answered.
#[test]
fn conditions_that_klp_does_not_find() {
    let items = "macro_rules! only_with { ($option:meta) => { #[cfg($option)] use c_int as a; } }
only_with!(CONFIG_SMP);
";
    let output = check("conditions-composed", items, &["--kernel", "6.12"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("src/lib.rs:6:12: klp reads conditions before any macro is expanded"), "{said}");
}

/// In a library, in `cargo test` and in an editor, a build script has the conditions answered, for the same kernel.
#[test]
fn a_build_script_answers_where_the_command_does_not() {
    const ASK: &str = "fn main() { klp_cfg::answer_conditions() }";
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let klp_cfg = concat!(env!("CARGO_MANIFEST_DIR"), "/../klp-cfg");
    let build = format!("\n[build-dependencies]\nklp-cfg = {{ path = {klp_cfg:?} }}\n");
    let add = |file: &Path, text: &str| {
        let old = fs::read_to_string(file).unwrap();
        fs::write(file, old + text).unwrap();
    };
    for name in ["asking", "library"] {
        fs::create_dir(path(name)).unwrap();
        write_crate(&path(name), name, "");
    }
    let library = "#![no_std]\npub const IS_NEW: bool = cfg!(kernel_has = \"struct inode.i_ctime_sec\");\n";
    fs::write(path("library/src/lib.rs"), library).unwrap();
    add(
        &path("asking/src/lib.rs"),
        "const IS_NEW: bool = cfg!(kernel_has = \"struct inode.i_ctime_sec\");
kernel_types! { struct inode { #[cfg(kernel_has = \"struct inode.i_ctime_sec\")] i_ctime_sec } }
const _: () = assert!(IS_NEW == library::IS_NEW && IS_NEW == cfg!(kernel_since = \"6.12\"));
#[test]
fn is_new() { assert!(IS_NEW) }
",
    );
    for name in ["asking", "library"] {
        // Two packages of one workspace.
        let manifest = fs::read_to_string(path(name).join("Cargo.toml")).unwrap();
        fs::write(path(name).join("Cargo.toml"), manifest.replace("[workspace]", "")).unwrap();
    }
    fs::write(path("Cargo.toml"), "[workspace]\nmembers = [\"asking\", \"library\"]\nresolver = \"3\"\n")
        .unwrap();
    add(&path("asking/Cargo.toml"), "\n[dependencies.library]\npath = \"../library\"\n");
    let check = |kernel: &str| {
        let mut check = klp();
        check.args(["check", "--kernel", kernel, "-p", "asking", "--manifest-path"]).arg(path("Cargo.toml"));
        let output = check.env("CARGO_TARGET_DIR", target_directory()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (succeeds, said) = check("6.12");
    assert!(
        !succeeds && said.contains("in the library `library`") && said.contains("add `klp-cfg` to"),
        "{said}"
    );

    for name in ["asking", "library"] {
        add(&path(name).join("Cargo.toml"), &build);
        fs::write(path(name).join("build.rs"), ASK).unwrap();
    }
    for kernel in ["6.1", "6.12"] {
        let (succeeds, said) = check(kernel);
        assert!(succeeds, "{kernel}: {said}");
    }
    let command = Path::new(env!("CARGO_BIN_EXE_cargo-klp"));
    let programs = std::env::join_paths(
        [command.parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    for (kernel, is_new) in [("6.1", false), ("6.12", true)] {
        let mut test = std::process::Command::new(env!("CARGO"));
        test.args(["test", "-p", "asking", "--manifest-path"]).arg(path("Cargo.toml"));
        test.env("CARGO_TARGET_DIR", target_directory()).env("KLP_KERNEL", kernel);
        let output = test.env("PATH", programs.as_ref().unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), is_new, "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(if is_new { "is_new ... ok" } else { "is_new ... FAILED" }), "{said}");
    }
}
