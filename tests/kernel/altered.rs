//! Patches built with a runtime in which one thing is altered: from a copy of the runtime, the macros and
//! the patches of the tests.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_klp::error::{Error, Result};

use crate::host::{entries, write_if_changed};

/// One thing that is altered in a source file.
pub(crate) struct Alteration {
    /// What that means.
    pub(crate) what: &'static str,
    /// The file, in the repository.
    pub(crate) file: &'static str,
    /// What stands there, once.
    pub(crate) from: &'static str,
    /// What the copy has instead.
    pub(crate) to: &'static str,
}

impl Alteration {
    /// The file, altered.
    ///
    /// # Panics
    ///
    /// If the source has changed, so that it can't be altered in this way.
    pub(crate) fn text(&self) -> Result<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Ok(replace_once(&read_text(&root.join(self.file))?, self.from, self.to))
    }
}

/// A later version of the tables.
pub(crate) const LATER_ABI: Alteration = Alteration {
    what: "a later version of the tables",
    file: "klp-runtime/src/module/abi.rs",
    from: "ABI_VERSION: u32 = ",
    to: "ABI_VERSION: u32 = 1 + ",
};

/// What the copy is made of.
const MEMBERS: [&str; 4] = ["klp-btf", "klp-macros", "klp-runtime", "tests/patches"];

/// Makes the copy; its folder. There is one: the next alteration takes the place of this one, and only what
/// depends on either is built again.
pub(crate) fn copy(alteration: &Alteration) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("altered");
    for member in MEMBERS {
        copy_folder(&root.join(member), &to.join(member), &to.join(alteration.file))?;
    }
    for file in ["Cargo.lock", "rust-toolchain.toml"] {
        write_if_changed(&to.join(file), &read(&root.join(file))?)?;
    }
    let text = read_text(&root.join("Cargo.toml"))?;
    let is_members = |line: &&str| line.starts_with("members = ");
    let members = text.lines().find(is_members).expect("the workspace lists its members");
    let text = replace_once(
        &text,
        members,
        r#"members = ["klp-btf", "klp-macros", "klp-runtime", "tests/patches/*"]"#,
    );
    // The profiles are for other packages.
    let text = text.split("\n[profile.").next().expect("the start");
    write_if_changed(&to.join("Cargo.toml"), text.as_bytes())?;

    write_if_changed(&to.join(alteration.file), alteration.text()?.as_bytes())?;
    Ok(to)
}

/// Copies what a folder has, but not what becomes the file `altered`.
fn copy_folder(from: &Path, to: &Path, altered: &Path) -> Result<()> {
    for entry in entries(from)? {
        let copy = to.join(entry.file_name().expect("an entry has a name"));
        if entry.is_dir() {
            copy_folder(&entry, &copy, altered)?;
        } else if copy != altered {
            write_if_changed(&copy, &read(&entry)?)?;
        }
    }
    Ok(())
}

/// # Panics
///
/// If `from` does not stand in the text once.
fn replace_once(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} should stand once in the source");
    text.replace(from, to)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("read", path))
}

fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}
