//! The source tree with the fix: a directory of links to the original, in which the files that the fix changes are of
//! its own; and the directory to build in, links to the kernel's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// A tree with files of its own.
#[derive(Debug)]
pub struct Tree {
    directory: TempDir,
}

impl Tree {
    /// A tree that differs from `source` in these files at most, and a directory to build it in that has what the
    /// kernel's build directory has.
    pub fn new<'a>(source: &Path, kdir: &Path, files: impl IntoIterator<Item = &'a Path>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("klp-fix-").tempdir();
        let tree = Self { directory: directory.map_err(Error::io("create", std::env::temp_dir()))? };
        link_entries(source, &tree.source())?;
        for file in files {
            let mut at = PathBuf::new();
            for part in file.parent().into_iter().flat_map(Path::components) {
                at.push(part);
                let own = tree.source().join(&at);
                // A link so far, or already a directory of links.
                if own.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                    fs::remove_file(&own).map_err(Error::io("remove", &own))?;
                    link_entries(&source.join(&at), &own)?;
                } else if !own.exists() {
                    fs::create_dir(&own).map_err(Error::io("create", &own))?;
                }
            }
        }
        link_entries(kdir, &tree.build())?;
        let makefile = tree.build().join("Makefile");
        remove_link(&makefile)?;
        let text = format!("include {}/Makefile\n", tree.source().display());
        fs::write(&makefile, text).map_err(Error::io("write", &makefile))?;
        Ok(tree)
    }

    /// The root of the tree.
    pub fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    /// The directory to build in.
    pub fn build(&self) -> PathBuf {
        self.directory.path().join("build")
    }

    /// A file for the results of a compilation.
    pub fn output(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Gives the tree a file of its own.
    pub fn write(&self, file: &Path, text: &str) -> Result<()> {
        let path = self.source().join(file);
        remove_link(&path)?;
        fs::write(&path, text).map_err(Error::io("write", &path))
    }
}

/// Makes a directory of links to what another has.
fn link_entries(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).map_err(Error::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let link = to.join(entry.file_name());
        symlink(entry.path(), &link).map_err(Error::io("create", link))?;
    }
    Ok(())
}

fn remove_link(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => fs::remove_file(path).map_err(Error::io("remove", path)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tree_sees_its_own_files() {
        let original = tempfile::tempdir().unwrap();
        let (source, kdir) = (original.path().join("source"), original.path().join("kdir"));
        for directory in ["net/sched", "net/core", "include"] {
            fs::create_dir_all(source.join(directory)).unwrap();
        }
        fs::create_dir(&kdir).unwrap();
        fs::write(kdir.join("Makefile"), "include x").unwrap();
        fs::write(kdir.join(".config"), "y").unwrap();
        for file in ["net/sched/a.c", "net/sched/b.c", "net/core/c.c"] {
            fs::write(source.join(file), file).unwrap();
        }
        let (changed, new) = (Path::new("net/sched/a.c"), Path::new("net/new/d.h"));
        let tree = Tree::new(&source, &kdir, [changed, new]).unwrap();
        tree.write(changed, "fixed").unwrap();
        tree.write(new, "new").unwrap();
        let read = |file: &str| fs::read_to_string(tree.source().join(file)).unwrap();
        assert_eq!(
            ["net/sched/a.c", "net/sched/b.c", "net/core/c.c"].map(read),
            ["fixed", "net/sched/b.c", "net/core/c.c"]
        );
        assert_eq!(fs::read_to_string(source.join(changed)).unwrap(), "net/sched/a.c");
        assert!(tree.source().join("include").is_symlink());
        assert_eq!(fs::read_to_string(kdir.join("Makefile")).unwrap(), "include x");
        assert!(fs::read_to_string(tree.build().join("Makefile")).unwrap().ends_with("source/Makefile\n"));
        assert_eq!(fs::read_to_string(tree.build().join(".config")).unwrap(), "y");
    }
}
