//! Crates that stand alone share a directory of the cache, in which cargo compiles what all patches are made of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::{Probe, name_of_this_test, result};

/// A cache with what this machine's has, and a shared directory of its own, which stays for the next run.
fn cache() -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    fs::create_dir_all(&cache).unwrap();
    for entry in fs::read_dir(cargo_klp::host::cache::root().unwrap()).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if name != "target" && entry.file_type().unwrap().is_dir() {
            let _ = symlink(entry.path(), cache.join(name));
        }
    }
    cache
}

/// A command on a crate that chooses no target directory.
fn alone(command: &mut Command, cache: &Path) -> (i32, String) {
    result(command.env_remove("CARGO_TARGET_DIR").env("KLP_CACHE", cache))
}

/// Where the files of one kind are and when they were written: those whose names start and end like this.
fn files(directory: &Path, start: &str, end: &str) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path, start, end));
        } else if name.starts_with(start) && name.ends_with(end) {
            let written = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path, written);
        }
    }
    found
}

fn source(text: &str) -> String {
    format!(
        "#![no_std]
use klp_runtime::prelude::*;
livepatch! {{ license: \"GPL\", authors: [\"a\"], description: \"d\" }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{
    pr_info!({text:?});
    0
}}
"
    )
}

/// The second crate compiles nothing but itself, and crates of one name do not get in each other's way: by
/// `cargo klp build`, by plain make and by `cargo klp check`.
#[test]
fn what_crates_share_is_compiled_once() {
    let cache = cache();
    let (first, second) = (Probe::new(&source("it is the first")), Probe::new(&source("it is the second")));
    let name = name_of_this_test();
    let has = |ko: &Path, text: &str| {
        let data = fs::read(ko).unwrap_or_else(|error| panic!("{}: {error}", ko.display()));
        data.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    };
    let built = |probe: &Probe| {
        let mut command = probe.build();
        let output = command.env_remove("CARGO_TARGET_DIR").env("KLP_CACHE", &cache).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let ko = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        assert!(ko.starts_with(probe.0.path().canonicalize().unwrap()), "{}", ko.display());
        (ko, said)
    };
    let shared = || {
        let target = cache.join("target");
        [("libklp_macros", ".so"), ("libsyn", ".rlib"), ("libklp_runtime", ".rlib")]
            .map(|(start, end)| files(&target, start, end))
    };

    let (ko, _) = built(&first);
    assert!(has(&ko, "it is the first"));
    let before = shared();
    assert!(before.iter().all(|files| !files.is_empty()), "{before:?}");

    let (other, _) = built(&second);
    assert!(has(&other, "it is the second"));
    assert_eq!(shared(), before, "the second crate has compiled what the first one had");
    assert!(has(&ko, "it is the first"));
    let (_, said) = built(&first);
    assert!(!said.contains("Building"), "the second crate has put the first out of date:\n{said}");

    for (probe, text) in [(&first, "it is the first"), (&second, "it is the second")] {
        probe.write_kbuild();
        let (code, said) = alone(&mut probe.make(&["modules"]), &cache);
        assert_eq!(code, 0, "{said}");
        assert!(has(&probe.0.path().join(format!("{name}.ko")), text));
        assert_eq!(files(&probe.0.path().join("target"), "libklp_runtime", ""), BTreeMap::new());
    }
    assert_eq!(shared(), before, "plain make has compiled it again");

    let [macros, ..] = before;
    for probe in [&first, &second] {
        let mut check = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
        check.args(["check", "--kernel", "6.12"]).current_dir(probe.0.path());
        let (code, said) = alone(&mut check, &cache);
        assert_eq!(code, 0, "{said}");
    }
    let [now, ..] = shared();
    assert_eq!(now, macros, "the check has compiled the macros again");
}

/// The same source makes the same module, bit for bit, whether crates share or not.
#[test]
fn a_shared_directory_changes_no_module() {
    let patch = Probe::new(&source("the same"));
    let module = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap()
    };
    let own = module(&mut patch.build());
    let shared = module(patch.build().env_remove("CARGO_TARGET_DIR").env("KLP_CACHE", cache()));
    assert!(own == shared, "the module depends on where cargo compiles");
}

/// `clean` removes what crates share, and nothing else of the cache.
#[test]
fn what_crates_share_is_removed() {
    let cache = tempfile::tempdir().unwrap();
    for file in ["target/release/library", "kernels/kernel"] {
        let file = cache.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    let clean = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
        alone(command.arg("clean"), cache.path())
    };
    let (code, said) = clean();
    assert!(code == 0 && said.contains("Removed"), "{said}");
    assert!(!cache.path().join("target").exists());
    assert!(cache.path().join("kernels/kernel").exists());
    let (code, said) = clean();
    assert!(code == 0 && said.contains("there is nothing to remove"), "{said}");
}
