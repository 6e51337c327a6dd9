//! Every Rust snippet of the pages compiles as a reader pastes it, without a warning.
//!
//! A block marked `rust` is the `lib.rs` of a patch crate. A block marked `rust,test` is a test of one: it also runs.
//! A block that mdBook includes from a file is compiled where that file stands; see `guide.rs`.

use std::fs;
use std::path::Path;
use std::process::Command;

use klp_page_tests::{blocks, pages, path_with, root, succeed};

/// A block of a page.
struct Snippet {
    /// Page and number: also the name of its file.
    name: String,
    is_test: bool,
    code: String,
}

#[test]
fn every_snippet_compiles_as_pasted() {
    let snippets: Vec<_> = pages().iter().flat_map(|page| snippets_of(page)).collect();
    assert!(snippets.iter().any(|snippet| !snippet.is_test), "the pages have no patch: are they still read?");

    let package = root().join("target/pages");
    write_package(&package, &snippets);
    // `kernel_types!` asks the command for the types of a module.
    let path = path_with(&["cargo-klp"]);
    // A patch is not linked as a program: the kernel has its symbols.
    for arguments in [["build", "--examples"], ["test", "--tests"]] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).args(["--quiet", "--offline"]).current_dir(&package).env("PATH", &path);
        // The workspace's directory: dependencies are compiled there already.
        succeed(cargo.env("CARGO_TARGET_DIR", root().join("target")));
    }
}

fn snippets_of(page: &Path) -> Vec<Snippet> {
    let name = page.strip_prefix(root()).unwrap().with_extension("").display().to_string().to_lowercase();
    let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    let snippets = blocks(page).into_iter().filter(|block| block.is("rust") && !block.is_included());
    snippets
        .enumerate()
        .map(|(index, block)| Snippet {
            name: format!("{name}_{}", index + 1),
            is_test: block.has("test"),
            code: block.code,
        })
        .collect()
}

/// One package of all snippets: patches are libraries of their own, tests are tests.
fn write_package(package: &Path, snippets: &[Snippet]) {
    let mut manifest = format!(
        "[package]\nname = \"snippets\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = \"lib.rs\"\n\n\
         [dev-dependencies]\nklp-runtime = {{ path = {:?}, features = [\"sim\"] }}\n\n\
         [lints.rust]\nwarnings = \"deny\"\n",
        root().join("klp-runtime")
    );
    fs::create_dir_all(package).unwrap();
    fs::write(package.join("lib.rs"), "").unwrap();
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    for Snippet { name, is_test, code } in snippets {
        fs::write(package.join(format!("{name}.rs")), code).unwrap();
        let (kind, more) = if *is_test { ("test", "") } else { ("example", "crate-type = [\"lib\"]\n") };
        manifest += &format!("\n[[{kind}]]\nname = \"{name}\"\npath = \"{name}.rs\"\n{more}");
    }
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
}
