//! Conditions on the kernel: what they are on two kernels, and what is wrong with those that ask for nothing.

use std::process::Output;

use crate::support::{klp, target_directory, write_crate};

/// Conditions, and whether they hold on 6.1 and on 6.12.
const ANSWERS: [(&str, bool, bool); 20] = [
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
];

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
kernel_types! { struct inode { #[cfg(feature = \"x\")] i_ino } }";
    let output = check("conditions-refused", items, &["--kernel", "6.12"]);
    let said = String::from_utf8_lossy(&output.stderr);
    for expected in [
        "src/lib.rs:5:7: no kernel configuration on this machine has `CONFIG_SMPP`",
        "did you mean `CONFIG_SMP`?",
        "the layout of a structure must be known before this `#[cfg]` is",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}
