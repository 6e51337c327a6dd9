//! Several patches of a workspace, at the same time.

use std::fs;
use std::path::Path;

use super::{LIVEPATCH, build, name_of_this_test, target_directory};

/// The modules are named in the order of the arguments, and what is said of one patch stands together.
#[test]
fn patches_are_built_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    let names = ["b", "a", "c"].map(|end| format!("{}_{end}", name_of_this_test()));
    for name in &names {
        fs::create_dir_all(root.join(name).join("src")).unwrap();
        let source = format!("{LIVEPATCH}fn first_of_{name}() {{}}\nfn second_of_{name}() {{}}\n");
        fs::write(root.join(name).join("src/lib.rs"), source).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n"
        );
        fs::write(root.join(name).join("Cargo.toml"), manifest).unwrap();
    }
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();

    let arguments = names.iter().flat_map(|name| ["--package", name]);
    let arguments: Vec<&str> = ["--kernel", "6.12", "--jobs", "3"].into_iter().chain(arguments).collect();
    let output = build(root, &arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let modules = String::from_utf8(output.stdout).unwrap();
    let modules: Vec<&Path> = modules.lines().map(Path::new).collect();
    assert_eq!(modules.len(), names.len());
    for (module, name) in modules.iter().zip(&names) {
        assert!(module.starts_with(target_directory()) && module.ends_with(format!("{name}/{name}.ko")));
        assert!(module.exists());
    }
    // The same modules, copied; a build that fails leaves no older copy.
    let elsewhere = tempfile::tempdir().unwrap();
    let artifacts = elsewhere.path().join("out");
    let copied = || {
        let arguments = ["--kernel", "6.12", "--workspace", "--artifact-dir", artifacts.to_str().unwrap()];
        build(root, &arguments).output().unwrap()
    };
    let output = copied();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copies = String::from_utf8(output.stdout).unwrap();
    assert_eq!(copies.lines().count(), names.len());
    for copy in copies.lines().map(Path::new) {
        assert_eq!(copy.parent(), Some(&*artifacts));
        let name = copy.file_name().unwrap();
        let original = modules.iter().find(|module| module.ends_with(name)).unwrap();
        assert!(fs::read(copy).unwrap() == fs::read(original).unwrap());
    }
    let broken = root.join(&names[1]).join("src/lib.rs");
    let source = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, format!("{source}const X: u8 = true;\n")).unwrap();
    assert!(!copied().status.success());
    assert!(!artifacts.join(format!("{}.ko", names[1])).exists());
    fs::write(&broken, source).unwrap();

    let workspace = build(root, &["--kernel", "6.12", "--workspace", "--jobs", "1"]).output().unwrap();
    let modules = String::from_utf8(workspace.stdout).unwrap();
    assert_eq!(modules.lines().count(), names.len(), "{}", String::from_utf8_lossy(&workspace.stderr));

    // rustc's warnings, two of each patch.
    let of = |line: &str| names.iter().position(|name| line.contains(&format!("_of_{name}` is never used")));
    let warned: Vec<usize> = said.lines().filter_map(of).collect();
    assert_eq!(warned.len(), 2 * names.len(), "{said}");
    assert!(warned.chunks(2).all(|of_one| of_one[0] == of_one[1]), "{said}");
    assert!(!said.contains("Waiting"), "{said}");
}
