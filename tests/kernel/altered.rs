//! Patches built with a runtime in which one thing is altered: from a copy of the runtime, the macros and
//! the patches of the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_klp::error::{Error, Result};
use cargo_klp::host::cache::Lock;

use crate::host::{entries, write_if_changed};
use crate::place::{Change, Part, Place};

/// Something that is altered in the sources.
pub(crate) struct Alteration {
    /// What that means.
    pub(crate) what: &'static str,
    /// The directory of the files, in the repository.
    pub(crate) directory: &'static str,
    /// The places, and what is done there.
    pub(crate) changes: &'static [(Place, Change)],
}

impl Alteration {
    /// The files, by their paths in the repository, and what they become.
    ///
    /// # Errors
    ///
    /// Those of [`Place`], where the sources have changed so that they can't be altered in this way.
    pub(crate) fn texts(&self) -> Result<BTreeMap<PathBuf, String>> {
        let root = root();
        let mut texts = BTreeMap::new();
        for (place, change) in self.changes {
            let file = place.file(&root.join(self.directory))?;
            let text = read_text(&file)?;
            let path = file.strip_prefix(&root).expect("the file is in the repository").to_owned();
            let text = texts.entry(path).or_insert(text);
            *text = place.change(text, *change)?;
        }
        Ok(texts)
    }
}

/// A later version of the tables, in which every structure that another module follows a pointer to is longer.
pub(crate) const LATER_ABI: Alteration = Alteration {
    what: "a later version of the tables",
    directory: "klp-runtime/src",
    changes: &[
        (Place { item: "ABI_VERSION", part: Part::Value }, Change::Then(" + 1")),
        (Place { item: "PatchNode", part: Part::LastField }, LATER_FIELD),
        (Place { item: "PatchNode::new", part: Part::LastField }, LATER_VALUE),
        (Place { item: "StateEntry", part: Part::LastField }, LATER_FIELD),
        (Place { item: "StateEntry::of", part: Part::LastField }, LATER_VALUE),
        (Place { item: "StateEntry::implicit", part: Part::LastField }, LATER_VALUE),
        (Place { item: "Registry", part: Part::LastField }, LATER_FIELD),
        (Place { item: "LiveState", part: Part::LastField }, LATER_FIELD),
        (Place { item: "Claim", part: Part::LastField }, LATER_FIELD),
    ],
};

const LATER_FIELD: Change = Change::Then(r#", #[doc = "Added by a later release."] pub later: [u64; 4]"#);
const LATER_VALUE: Change = Change::Then(", later: [0; 4]");

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the copy is made of, as members of a workspace: the crates that patches are built of, the patches, and the
/// tests of the model.
const MEMBERS: &str = r#"members = ["klp-*", "tests/patches/*", "tests/model"]"#;

/// The copy, which no other process alters while this value is there.
pub(crate) struct Copy {
    path: PathBuf,
    _lock: Lock,
}

impl Copy {
    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the copy. There is one: the next alteration takes the place of this one, and only what depends on either
/// is built again.
pub(crate) fn copy(alteration: &Alteration) -> Result<Copy> {
    let (root, texts) = (root(), alteration.texts()?);
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("altered");
    let lock = Lock::beside(&to)?;
    let altered: Vec<PathBuf> = texts.keys().map(|file| to.join(file)).collect();
    let is_crate =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"klp-"));
    let tests = ["tests/patches", "tests/model"].map(|directory| root.join(directory));
    for directory in entries(&root)?.into_iter().filter(is_crate).chain(tests) {
        let member = directory.strip_prefix(&root).expect("the directory is in the repository");
        copy_directory(&directory, &to.join(member), &altered)?;
    }
    for file in ["Cargo.lock", "rust-toolchain.toml"] {
        write_if_changed(&to.join(file), &read(&root.join(file))?)?;
    }
    let text = read_text(&root.join("Cargo.toml"))?;
    let is_members = |line: &&str| line.starts_with("members = ");
    let members = text.lines().find(is_members).expect("the workspace lists its members");
    let text = replace_once(&text, members, MEMBERS);
    // The profiles are for other packages.
    let text = text.split("\n[profile.").next().expect("the start");
    write_if_changed(&to.join("Cargo.toml"), text.as_bytes())?;

    for (file, text) in texts {
        write_if_changed(&to.join(file), text.as_bytes())?;
    }
    Ok(Copy { path: to, _lock: lock })
}

/// Makes one directory have what another has, but for what becomes one of the files `altered`.
fn copy_directory(from: &Path, to: &Path, altered: &[PathBuf]) -> Result<()> {
    let originals = entries(from)?;
    for copy in if to.exists() { entries(to)? } else { Vec::new() } {
        // What an earlier copy had of something that has gone since.
        if !originals.iter().any(|original| original.file_name() == copy.file_name()) {
            let removed = if copy.is_dir() { fs::remove_dir_all(&copy) } else { fs::remove_file(&copy) };
            removed.map_err(Error::io("remove", copy))?;
        }
    }
    for entry in originals {
        let copy = to.join(entry.file_name().expect("an entry has a name"));
        if entry.is_dir() {
            copy_directory(&entry, &copy, altered)?;
        } else if !altered.contains(&copy) {
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

pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}
