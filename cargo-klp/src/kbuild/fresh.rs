//! Whether a module that was built is still what a build would make: make takes most of a second to
//! find out.
//!
//! After a build, all that went into it is written down beside the module: each file with its time and
//! size, and what else decides. make is left out only if none of it has changed *and* cargo says that
//! the crate's library is the same: of sources, profiles and the compiler cargo knows best. Whatever is
//! in doubt is left to make.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::compile;
use super::flags::TARGET;
use super::workspace::Crate;
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::tools::find_program;
use crate::kernel::Target;
use crate::kernel::debug_info::stamp;

/// The file with what went into the module, in the folder where it was built.
const RECORD: &str = ".klp_record";

/// Variables that differ between sessions and are nothing to any tool here.
const SESSION: [&str; 14] = [
    "_",
    "SHLVL",
    "PWD",
    "OLDPWD",
    "TERM",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "WINDOWID",
    "DISPLAY",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "SSH_AUTH_SOCK",
];

/// Programs that Kbuild runs; the compiler is found in its own record.
const PROGRAMS: [&str; 8] = ["make", "ld", "as", "ar", "nm", "objcopy", "pahole", "cc1"];

/// Folders of a kernel's build directory whose files Kbuild reads or runs.
const KERNEL_FOLDERS: [&str; 10] = [
    "",
    "scripts",
    "scripts/mod",
    "scripts/basic",
    "tools/objtool",
    "tools/bpf/resolve_btfids",
    "include/config",
    "include/generated",
    "arch/x86",
    "arch/x86/include/generated",
];

/// One module and what it is built of.
pub(super) struct Build<'a> {
    /// The patch crate.
    pub krate: &'a Crate,
    /// What it is built for.
    pub target: &'a Target,
    /// Where it is built.
    pub dir: &'a Path,
    /// The module's name.
    pub module: &'a str,
    /// The folder of klp.mk and the glue.
    pub kbuild: &'a Path,
}

impl Build<'_> {
    /// Whether nothing has changed since the module was built. Compiles the crate if only cargo knows.
    pub(super) fn is_fresh(&self, reporter: &dyn Reporter) -> Result<bool> {
        let Ok(record) = fs::read_to_string(self.dir.join(RECORD)) else { return Ok(false) };
        if !self.is_unchanged(&record)? {
            return Ok(false);
        }
        let library = compile::library(self.krate, self.target, reporter)?;
        // It may have been made anew just now.
        Ok(library == self.library() && record.lines().any(|line| line == fact(&library)))
    }

    fn is_unchanged(&self, record: &str) -> Result<bool> {
        let Some((first, files)) = record.split_once('\n') else { return Ok(false) };
        let library = self.library();
        Ok(first == self.circumstances()?
            && files.lines().all(|line| {
                line.split_once('\t').is_some_and(|(_, path)| {
                    // Another kernel's build leaves its own there; cargo puts this one's back.
                    Path::new(path) == library || fact(Path::new(path)) == line
                })
            }))
    }

    /// Forgets what was recorded, and removes the module: for as long as it is being built, nothing is
    /// known of it.
    pub(super) fn forget(&self) -> Result<()> {
        for name in [RECORD, &format!("{}.ko", self.module)] {
            remove(&self.dir.join(name))?;
        }
        Ok(())
    }

    /// Leaves no module of a build that failed. Where a tool has warned, make would not run it again, so
    /// all that make has made goes.
    pub(super) fn discard(&self, error: &Error) -> Result<()> {
        self.forget()?;
        if let Error::Warnings { .. } = error {
            fs::remove_dir_all(self.dir).map_err(Error::io("remove", self.dir))?;
        }
        Ok(())
    }

    /// Writes down what went into the module, whose build began at `started`.
    pub(super) fn record(&self, started: SystemTime) -> Result<()> {
        // Where Kbuild or cargo writes something else than is known here, make is always run.
        let Some(inputs) = self.inputs() else { return Ok(()) };
        // What was changed meanwhile may or may not be in the module.
        let is_later = |path: &PathBuf| modified(path).is_some_and(|modified| modified >= started);
        if inputs.iter().any(is_later) {
            return Ok(());
        }
        let mut text = self.circumstances()? + "\n";
        let mut all = inputs;
        all.extend(files_in(self.dir).into_iter().filter(|path| !path.ends_with(RECORD)));
        all.insert(self.library());
        for path in &all {
            writeln!(text, "{}", fact(path)).expect("a string takes everything");
        }
        let path = self.dir.join(RECORD);
        fs::write(&path, text).map_err(Error::io("write", path))
    }

    /// What decides and is no file, in one line.
    fn circumstances(&self) -> Result<String> {
        let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
        let mut hasher = DefaultHasher::new();
        let mut variables: Vec<_> =
            std::env::vars_os().filter(|(name, _)| !SESSION.iter().any(|session| name == session)).collect();
        variables.sort();
        variables.hash(&mut hasher);
        PROGRAMS.map(find_program).hash(&mut hasher);
        self.krate.package.manifest_path.hash(&mut hasher);
        let Target { kernel, modules, debug_info } = self.target;
        (modules, debug_info).hash(&mut hasher);
        Ok(format!(
            "cargo-klp {} {} for {} in {}, {:016x}",
            env!("CARGO_PKG_VERSION"),
            fact(&this).replace('\t', " "),
            kernel.release,
            kernel.kdir.display(),
            hasher.finish()
        ))
    }

    /// The files that went into the module.
    fn inputs(&self) -> Option<BTreeSet<PathBuf>> {
        let Target { kernel, modules, debug_info } = self.target;
        let mut inputs: BTreeSet<PathBuf> = modules.iter().chain(debug_info).cloned().collect();
        inputs.extend(files_in(self.kbuild));
        inputs.extend(PROGRAMS.iter().filter_map(|program| find_program(program)));
        for base in [Some(kernel.kdir.clone()), common(&kernel.kdir)].into_iter().flatten() {
            for folder in KERNEL_FOLDERS {
                let folder = base.join(folder);
                inputs.extend(files_in(&folder));
                inputs.insert(folder);
            }
        }
        inputs.extend(kernel.image.clone());
        inputs.extend(stamp(&kernel.release));
        inputs.extend(kernel.modules.iter().flat_map(|modules| files_in(modules)));
        for object in [format!("{}_glue.o", self.module), format!("{}.mod.o", self.module)] {
            let path = self.dir.join(format!(".{object}.cmd"));
            let text = fs::read_to_string(&path).ok()?;
            let (compiler, prerequisites) = of_compiler(&text);
            inputs.extend(compiler.and_then(find_program));
            let prefix =
                compiler.and_then(|compiler| compiler.split_once("gcc")).map_or("", |(prefix, _)| prefix);
            inputs.extend(PROGRAMS.iter().filter_map(|program| find_program(&format!("{prefix}{program}"))));
            inputs.extend(prerequisites.map(|path| kernel.kdir.join(path)));
        }
        let depinfo = self.library().with_extension("d");
        inputs.extend(of_cargo(&fs::read_to_string(&depinfo).ok()?));
        inputs.retain(|path| !path.starts_with(self.dir));
        Some(inputs)
    }

    /// Where cargo puts the crate's library, so far as is known without it.
    fn library(&self) -> PathBuf {
        let folder = self.krate.target_directory.join("klp").join(TARGET).join("release");
        folder.join(format!("lib{}.a", self.module))
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A file's time and size, and its path: another line if it is another file.
fn fact(path: &Path) -> String {
    let Ok(metadata) = fs::metadata(path) else { return format!("none\t{}", path.display()) };
    let nanoseconds = time(&metadata)
        .map_or(0, |time| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos()));
    format!("{nanoseconds} {}\t{}", metadata.len(), path.display())
}

fn time(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

fn modified(path: &Path) -> Option<SystemTime> {
    time(&fs::metadata(path).ok()?)
}

/// The files of a folder that are there, not those of folders in it.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// The folder that a distribution's build directory shares with others of the version: its Makefile
/// includes the one there.
fn common(kdir: &Path) -> Option<PathBuf> {
    let makefile = fs::read_to_string(kdir.join("Makefile")).ok()?;
    let included = makefile.lines().find_map(|line| line.strip_prefix("include "))?;
    Path::new(included.trim()).parent().map(Path::to_owned)
}

/// What Kbuild's record of a compiled file says: the compiler, and the files that were read.
fn of_compiler(cmd: &str) -> (Option<&str>, impl Iterator<Item = &str>) {
    let (command, rest) = cmd.split_once('\n').unwrap_or((cmd, ""));
    let compiler = command.split_once(":= ").and_then(|(_, words)| words.split_whitespace().next());
    // Behind a wildcard of a configuration option is a file that exists if the option has changed.
    let words = rest.split_whitespace().filter(|word| !word.starts_with(['$', '\\']) && word.contains('/'));
    (compiler, words.map(|word| word.trim_end_matches([')', ':'])).filter(|word| !word.contains('$')))
}

/// The sources that cargo's list of what a library depends on has; white space in a path is escaped.
fn of_cargo(depinfo: &str) -> Vec<PathBuf> {
    let sources = depinfo.lines().filter_map(|line| line.split_once(": ")).map(|(_, sources)| sources);
    let words = sources.flat_map(|sources| {
        let marked = sources.replace("\\ ", "\0");
        marked.split(' ').map(|word| PathBuf::from(word.replace('\0', " "))).collect::<Vec<_>>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kbuilds_record_of_a_file() {
        let cmd = "savedcmd_/t/x_glue.o := gcc-12 -Wp,-MMD,/t/.x_glue.o.d -c -o /t/x_glue.o /t/x_glue.c\n\n\
                   source_/t/x_glue.o := /t/x_glue.c\n\n\
                   deps_/t/x_glue.o := \\\n    $(wildcard include/config/SMP) \\\n  /usr/src/c/include/linux/kernel.h \\\n  \
                   ./include/generated/rustc_cfg \\\n\n/t/x_glue.o: $(deps_/t/x_glue.o)\n";
        let (compiler, read) = of_compiler(cmd);
        assert_eq!(compiler, Some("gcc-12"));
        let read: Vec<&str> = read.collect();
        for file in ["/t/x_glue.c", "/usr/src/c/include/linux/kernel.h", "./include/generated/rustc_cfg"] {
            assert!(read.contains(&file), "{file} is not in {read:?}");
        }
    }

    #[test]
    fn sources_of_a_library() {
        let depinfo = "/t/libx.a: /p/src/lib.rs /a\\ b/macros.rs\n";
        assert_eq!(of_cargo(depinfo), [PathBuf::from("/p/src/lib.rs"), PathBuf::from("/a b/macros.rs")]);
    }

    #[test]
    fn another_time_or_size_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let absent = fact(&path);
        fs::write(&path, "1").unwrap();
        let first = fact(&path);
        fs::write(&path, "22").unwrap();
        let second = fact(&path);
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let facts = BTreeSet::from([absent, first, second, fact(&path)]);
        assert_eq!(facts.len(), 4, "{facts:?}");
    }
}
