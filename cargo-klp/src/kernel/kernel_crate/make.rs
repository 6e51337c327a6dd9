//! Makes the `kernel` crate of one of Debian's kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{COMMAND, CONFIGURATION, TARGET, entry, rustc_text};
use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::debian::Apt;
use crate::host::processors;
use crate::host::report::Reporter;
use crate::host::tools::run_tool;
use crate::kernel::build_dir::VARIABLES;
use crate::kernel::{Kernel, programs, source};

/// What a patch needs of the directory in which the crate is made: files, and the files of directories.
const FILES: [&str; 3] = [COMMAND, CONFIGURATION, TARGET];
const DIRECTORIES: [&str; 2] = ["rust", "rust/kernel"];

/// Makes the crate and keeps it in the cache; fetches the kernel's rustc and source for it.
///
/// # Errors
///
/// Debian's archive does not have what the kernel was built from and with, or what is made is not what is in the
/// kernel.
pub fn make(kernel: &Kernel, reporter: &dyn Reporter) -> Result<PathBuf> {
    let text = rustc_text(kernel)?;
    let entry = entry(kernel)?;
    cache::entry(&entry, |dir| {
        let tools = Tools::get(kernel, text, reporter)?;
        let work = tempfile::tempdir_in(dir).map_err(Error::io("create", dir))?;
        let tree = work.path().join("tree");
        fs::create_dir(&tree).map_err(Error::io("create", &tree))?;
        source::fetch_for_crate(kernel, &tree, reporter)?;
        let objtree = work.path().join("objtree");
        fs::create_dir(&objtree).map_err(Error::io("create", &objtree))?;
        for file in [".config", VARIABLES] {
            copy(&kernel.kdir.join(file), &objtree.join(file))?;
        }
        let what = format!("the `kernel` crate of {}, once", kernel.release);
        let _progress = reporter.progress("Compiling", &what);
        tools.run_make(&tree, &objtree, "olddefconfig")?;
        tools.run_make(&tree, &objtree, "modules_prepare")?;
        check(kernel, &objtree)?;
        for file in FILES {
            copy(&objtree.join(file), &dir.join(file))?;
        }
        for directory in DIRECTORIES {
            for name in crate_files(&objtree.join(directory))? {
                copy(&objtree.join(directory).join(&name), &dir.join(directory).join(&name))?;
            }
        }
        Ok(())
    })
}

/// The rustc that says this of its version; it may not be there.
pub(super) fn rustc(text: &str) -> Result<PathBuf> {
    Ok(Tools::entry(text)?.join("usr/bin/rustc"))
}

/// What Debian compiles the Rust code of a kernel with.
struct Tools(PathBuf);

impl Tools {
    fn entry(text: &str) -> Result<PathBuf> {
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '.');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        Ok(cache::root()?.join("rustc").join(words.join("-")))
    }

    /// Fetches them, unless they are there.
    fn get(kernel: &Kernel, text: &str, reporter: &dyn Reporter) -> Result<Self> {
        let entry = Self::entry(text)?;
        cache::entry(&entry, |dir| {
            let apt = Apt::of_kernel(&kernel.release, reporter)?;
            let number = text.split_whitespace().nth(1).unwrap_or_default();
            let versions = apt.versions("rustc")?;
            let version = versions.iter().find(|version| version.starts_with(number)).ok_or_else(|| {
                Error::Request {
                    message: format!(
                        "Debian's archive does not have the rustc of {}: that is {number}, and it has {}",
                        kernel.release,
                        versions.join(", ")
                    ),
                    help: "build for a newer kernel of Debian".into(),
                }
            })?;
            let packages = [format!("rustc={version}"), format!("rust-src={version}"), "bindgen".into()];
            apt.download_and_extract_all(&format!("the rustc of {}", kernel.release), &packages, dir)?;
            let documents = dir.join("usr/share");
            fs::remove_dir_all(&documents).map_err(Error::io("remove", &documents))?;
            let names = ["rustc", "rustdoc", "bindgen"].map(|name| format!("usr/bin/{name}"));
            programs::relocate(dir, &entry, &names)
        })?;
        let tools = Self(entry);
        let said = run_tool(Command::new(tools.program("rustc")).arg("--version"))?.stdout;
        let said = String::from_utf8_lossy(&said);
        if said.trim() != text {
            return Err(Error::Request {
                message: format!(
                    "kernel {} was built with `{text}`, and Debian's archive now has `{}`",
                    kernel.release,
                    said.trim()
                ),
                help: format!(
                    "remove it with `rm -r {}`, and build for a newer kernel of Debian",
                    tools.0.display()
                ),
            });
        }
        Ok(tools)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.0.join("usr/bin").join(name)
    }

    /// Has Kbuild make a target.
    fn run_make(&self, tree: &Path, objtree: &Path, target: &str) -> Result<()> {
        let library = fs::read_dir(self.0.join("usr/src")).map_err(Error::io("read", &self.0))?;
        let library = library.flatten().map(|source| source.path().join("library"));
        let library = library.into_iter().find(|library| library.join("core").exists()).unwrap_or_default();
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(tree)
            .arg(format!("-j{}", processors()))
            .arg(format!("O={}", objtree.display()))
            .arg(format!("RUST_LIB_SRC={}", library.display()));
        for (variable, name) in
            [("RUSTC", "rustc"), ("HOSTRUSTC", "rustc"), ("RUSTDOC", "rustdoc"), ("BINDGEN", "bindgen")]
        {
            command.arg(format!("{variable}={}", self.program(name).display()));
        }
        run_tool(command.arg(target).env_remove("MAKEFLAGS").env_remove("MFLAGS")).map(drop)
    }
}

/// Checks that what was made is what is in the kernel: it defines no name that the kernel does not export. The names
/// have a part that differs with the compiler.
fn check(kernel: &Kernel, objtree: &Path) -> Result<()> {
    let symvers = kernel.kdir.join("Module.symvers");
    let exported = fs::read_to_string(&symvers).map_err(Error::io("read", &symvers))?;
    let exported: std::collections::BTreeSet<&str> =
        exported.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    for part in ["core", "kernel"] {
        let file = objtree.join(format!("rust/exports_{part}_generated.h"));
        let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        let names = text.lines().filter_map(|line| line.split_once('(')?.1.split_once(')'));
        if let Some((name, _)) = names.into_iter().find(|(name, _)| !exported.contains(name)) {
            return Err(Error::Request {
                message: format!(
                    "the `{part}` crate that was made is not that of kernel {}, which does not export `{name}`",
                    kernel.release
                ),
                help: "report this kernel release with the version of its rustc".into(),
            });
        }
    }
    Ok(())
}

/// The files of a directory in which crates were made that other crates are compiled with.
fn crate_files(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(Error::io("read", directory))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| [".rmeta", ".so", ".rs"].iter().any(|end| name.ends_with(end))).collect())
}

/// Copies a file, with the directories that it is in.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    fs::copy(from, to).map(drop).map_err(Error::io("copy", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rustc_has_a_place_of_its_own() {
        let place =
            Tools::entry("rustc 1.85.1 (4eb161250 2025-03-15) (built from a source tarball)").unwrap();
        let name = place.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, "rustc-1.85.1-4eb161250-2025-03-15-built-from-a-source-tarball");
    }
}
