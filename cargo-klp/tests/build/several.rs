//! Several patches of a workspace, at the same time.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{LIVEPATCH, build, name_of_this_test, target_directory};

/// Writes patches as members of a workspace.
fn write_workspace(root: &Path, patches: &[(&str, String)]) {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    for (name, items) in patches {
        fs::create_dir_all(root.join(name).join("src")).unwrap();
        fs::write(root.join(name).join("src/lib.rs"), format!("{LIVEPATCH}{items}")).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\nklp-runtime = {{ path = {runtime:?} }}\n"
        );
        fs::write(root.join(name).join("Cargo.toml"), manifest).unwrap();
    }
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();
}

/// One patch that fails hides neither what is wrong with the next one nor that a third is fine.
#[test]
fn what_is_wrong_with_each_patch_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let name = name_of_this_test();
    let [condition, good, symbol, type_] =
        ["condition", "good", "symbol", "type"].map(|end| format!("{name}_{end}"));
    write_workspace(
        root,
        &[
            (&condition, "#[cfg(kernel_since = \"new\")]\nfn f() {}\n".into()),
            (&good, String::new()),
            (
                &symbol,
                "#[klp_symbols]\nunsafe extern \"C\" { fn no_such_function(); }\n\
                 #[klp_func(symbol = \"cmdline_proc_show\")]\n\
                 unsafe extern \"C\" fn shows(_m: *mut seq_file, _v: *mut c_void) -> c_int {\n\
                 unsafe { no_such_function() };\n0\n}\n"
                    .into(),
            ),
            (&type_, "pub const X: u8 = \"text\";\n".into()),
        ],
    );
    let causes = [
        (&condition, "found `new`"),
        (&symbol, "`no_such_function` does not exist"),
        (&type_, "mismatched types"),
    ];
    for jobs in ["1", "3"] {
        let of = |format: &str| {
            let arguments = ["--kernel", "6.12", "--workspace", "--jobs", jobs, "--message-format", format];
            let output = build(root, &arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        };
        let (modules, said) = of("human");
        assert_eq!(modules, "");
        for (_, cause) in causes {
            assert!(said.contains(cause), "{cause}: {said}");
        }
        let (lines, _) = of("json");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), causes.len(), "{lines:#?}");
        for (line, (package, cause)) in lines.iter().zip(causes) {
            assert_eq!(line["package"], **package);
            assert!(line["causes"][0].as_str().unwrap().contains(cause), "{line}");
        }
        let (lines, _) = of("cargo");
        for (package, cause) in causes {
            let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let is_it = |line: &Value| {
                line["package_id"].as_str().is_some_and(|id| id.contains(&**package))
                    && line["message"]["message"].as_str().is_some_and(|text| text.contains(cause))
            };
            assert_eq!(lines.filter(is_it).count(), 1, "{cause}");
        }
    }
    let modules = target_directory();
    assert!(
        modules
            .join("klp")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|release| { release.path().join(&good).join(format!("{good}.ko")).exists() })
    );

    let mut check = Command::new(env!("CARGO_BIN_EXE_cargo-klp"));
    check.args(["check", "--kernel", "6.12", "--workspace", "--message-format", "json"]);
    let output = check.current_dir(root).env("CARGO_TARGET_DIR", target_directory()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fits = |package: &str| lines.iter().find(|line| line["package"] == *package).unwrap()["fits"].clone();
    assert_eq!(fits(&good), true);
    assert_eq!(fits(&symbol), false);
    assert_eq!(fits(&type_), false);
    let failure = lines.iter().find(|line| line["package"] == *condition).unwrap();
    assert!(failure["causes"][0].as_str().unwrap().contains("found `new`"), "{failure}");
}

/// The modules are named in the order of the arguments, and what is said of one patch stands together.
#[test]
fn patches_are_built_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let names = ["b", "a", "c"].map(|end| format!("{}_{end}", name_of_this_test()));
    write_workspace(
        root,
        &names
            .each_ref()
            .map(|name| (&**name, format!("fn first_of_{name}() {{}}\nfn second_of_{name}() {{}}\n"))),
    );

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
