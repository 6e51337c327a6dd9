//! Modules of the kernel that the user names with `--module`.

use std::fs;

use super::{LIVEPATCH, Probe, assert_refused, build, dummy};

#[test]
fn modules_that_are_not_what_they_seem() {
    let patch = Probe::new(LIVEPATCH);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, data: &[u8]| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, data).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut other = dummy();
    let at = other.windows(14).position(|bytes| bytes == b"vermagic=6.12.").unwrap();
    other[at + 9] = b'5';
    let good = file("dummy.ko", &dummy());
    let refused = |modules: &[&str], texts: &[&str]| {
        let arguments = modules.iter().flat_map(|module| ["--module", module]);
        let arguments: Vec<&str> = ["--kernel", "6.12"].into_iter().chain(arguments).collect();
        assert_refused(build(patch.0.path(), &arguments), 1, texts);
    };
    for (name, data, why) in [
        ("gzip.ko.gz", &b"\x1f\x8b\x08"[..], "gzip.ko.gz` is compressed with gzip"),
        ("empty.ko", b"", "empty.ko` is not a kernel module"),
        ("text.ko", b"hello", "text.ko` is not a kernel module"),
        ("dummy", &dummy(), "dummy` is not called NAME.ko"),
        ("other/dummy.ko", &other, "is for kernel 5.12."),
        ("two words/dummy.ko", &dummy(), "has white space in its path"),
    ] {
        refused(&[&file(name, data)], &[why]);
    }
    refused(&[&good, &file("again/dummy.ko", &dummy())], &["has the same name, dummy, as `"]);
}
