//! The compiler, with the flags that Kbuild gives it for a file of a module.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{kernel_files, note_files, of_kernel};
use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::tools::{not_started, run_tool};
use crate::kernel::{Kernel, Toolchain};

/// The module whose file Kbuild compiled to show its command.
const MODULE: &str = "klp_probe";

/// The compiler for one kernel.
pub(super) struct Compiler {
    /// Its command line for a file of [`MODULE`], without the names of files.
    command: String,
    /// Where Kbuild runs it.
    directory: PathBuf,
    is_clang: bool,
}

/// Has the object contain the types of what it defines, as BTF.
pub(super) const WITH_TYPES: &str = "-gbtf";

/// Flags of GCC, and what Clang calls them. It has nothing for BTF: pahole makes that of debug information.
const CLANG: [(&str, &str); 4] = [
    (WITH_TYPES, "-g"),
    ("-Werror=discarded-qualifiers", "-Werror=incompatible-pointer-types-discards-qualifiers"),
    ("-ftrack-macro-expansion=0", "-ferror-limit=0"),
    ("-fno-diagnostics-show-caret", "-fno-caret-diagnostics"),
];

/// What came of compiling a text.
pub(super) struct Compiled {
    /// The object; `None` where the compiler found errors.
    pub(super) object: Option<Vec<u8>>,
    /// What the compiler said, a line each.
    pub(super) said: Vec<String>,
    /// The files that it read, other than the text; all of them only where there is an object.
    pub(super) files: BTreeSet<PathBuf>,
}

impl Compiler {
    /// The compiler of a kernel: Kbuild compiles an empty file once to show its command, which the cache keeps.
    pub(super) fn of(kernel: &Kernel) -> Result<Self> {
        let entry = cache::entry(of_kernel(kernel).join("command"), |directory| {
            let file = directory.join(MODULE);
            fs::write(&file, command_of_kbuild(kernel)?).map_err(Error::io("write", &file))?;
            note_files(directory, kernel_files(kernel))
        })?;
        let file = entry.join(MODULE);
        let command = fs::read_to_string(&file).map_err(Error::io("read", file))?;
        let is_clang = matches!(kernel.toolchain(), Toolchain::Clang { .. });
        Ok(Self { command, directory: kernel.kdir.clone(), is_clang })
    }

    /// Compiles a text as a part of a module, with more flags, which are GCC's. What the text includes from files of this machine has
    /// no name in the object.
    pub(super) fn compile(&self, text: &str, module: &str, flags: &[&str]) -> Result<Compiled> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let path = |end: &str| directory.path().join(format!("{MODULE}.{end}"));
        let (source, object, depends) = (path("c"), path("o"), path("d"));
        fs::write(&source, text).map_err(Error::io("write", &source))?;
        let mut shell = self.shell(module);
        // Errors in the text of a macro stand where it is used.
        let all = ["-ftrack-macro-expansion=0", "-fno-diagnostics-show-caret", "-g0"].iter().chain(flags);
        shell.args(all.map(|flag| self.flag(flag)));
        shell.arg("-MMD").arg("-MF").arg(&depends).arg("-c").arg("-o").arg(&object).arg(&source);
        let output = shell.output().map_err(|error| not_started(shell.get_program(), error))?;
        let said = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        let files = fs::read_to_string(&depends).unwrap_or_default();
        let files =
            prerequisites(&files).map(|file| self.directory.join(file)).filter(|file| *file != source);
        let files = files.collect();
        if output.status.success() && self.is_clang && flags.contains(&WITH_TYPES) {
            run_tool(Command::new("pahole").arg("--btf_encode").arg(&object))?;
        }
        let object = match output.status.success() {
            true => Some(fs::read(&object).map_err(Error::io("read", &object))?),
            false => None,
        };
        Ok(Compiled { object, said, files })
    }

    /// The macros that are defined behind a text.
    pub(super) fn macros(&self, text: &str) -> Result<BTreeSet<String>> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let source = directory.path().join(format!("{MODULE}.c"));
        fs::write(&source, text).map_err(Error::io("write", &source))?;
        let mut shell = self.shell(MODULE);
        let output = run_tool(shell.args(["-E", "-dM"]).arg(&source))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|line| line.strip_prefix("#define "));
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        Ok(names
            .map(|name| name.split(|letter| !is_part(letter)).next().unwrap_or_default().to_owned())
            .collect())
    }

    /// A flag of GCC, as this compiler has it.
    fn flag<'a>(&self, flag: &'a str) -> &'a str {
        let of_clang = CLANG.iter().find(|(gcc, _)| self.is_clang && *gcc == flag);
        of_clang.map_or(flag, |(_, clang)| clang)
    }

    /// The command, to which arguments can be added.
    fn shell(&self, module: &str) -> Command {
        let mut shell = Command::new("sh");
        let command = self.command.replace(MODULE, module);
        shell.arg("-c").arg(format!("{command} \"$@\"")).arg("sh").current_dir(&self.directory);
        shell.env("LC_ALL", "C");
        shell
    }
}

/// Has Kbuild compile an empty file of a module, and returns its command without the names of files.
fn command_of_kbuild(kernel: &Kernel) -> Result<String> {
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).map_err(Error::io("write", file))
    };
    write("Kbuild", &format!("obj-m := {MODULE}.o\n"))?;
    write(&format!("{MODULE}.c"), "")?;
    let mut make = Command::new("make");
    // A make that runs already has variables that would make this one skip steps.
    make.env_clear().envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == *kept)));
    make.arg("-C")
        .arg(&kernel.kdir)
        .arg(format!("M={}", directory.path().display()))
        .args(kernel.make_variables())
        .arg(format!("{MODULE}.o"));
    run_tool(&mut make)?;
    let file = directory.path().join(format!(".{MODULE}.o.cmd"));
    let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    flags(&text).ok_or_else(|| Error::Request {
        message: format!("the Kbuild of {} does not show how it compiles C", kernel.kdir.display()),
        help: "install a newer cargo-klp, or report this kernel release".into(),
    })
}

/// The variables of the environment that a build may depend on.
const KEPT: [&str; 5] = ["PATH", "HOME", "TMPDIR", "KCFLAGS", "KCPPFLAGS"];

/// The compiler and its flags, from Kbuild's record of a file that was compiled.
fn flags(cmd: &str) -> Option<String> {
    let (_, command) = cmd.lines().next()?.split_once(":= ")?;
    let (command, _) = command.split_once(" -c -o ")?;
    // Debug information would name files of this machine.
    let is_kept = |word: &&str| !word.starts_with("-Wp,-M") && !word.starts_with("-g");
    Some(command.split_whitespace().filter(is_kept).collect::<Vec<_>>().join(" "))
}

/// The files that a rule for make names as prerequisites.
fn prerequisites(rule: &str) -> impl Iterator<Item = &Path> {
    let (_, files) = rule.split_once(':').unwrap_or_default();
    files.split_whitespace().filter(|word| *word != "\\").map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_what_kbuild_records() {
        let cmd = "savedcmd_/t/klp_probe.o := gcc-12 -Wp,-MMD,/t/.klp_probe.o.d -nostdinc -O2 -g -gdwarf-5 \
                   -DKBUILD_MODNAME='\"klp_probe\"' -c -o /t/klp_probe.o /t/klp_probe.c ; objtool /t/klp_probe.o\n\n\
                   source_/t/klp_probe.o := /t/klp_probe.c\n";
        assert_eq!(flags(cmd).unwrap(), "gcc-12 -nostdinc -O2 -DKBUILD_MODNAME='\"klp_probe\"'");
        assert_eq!(flags("# nothing\n"), None);
    }

    #[test]
    fn files_of_a_rule() {
        let files: Vec<_> = prerequisites("x.o: x.c \\\n ./a.h \\\n /b.h\n").collect();
        assert_eq!(files, [Path::new("x.c"), Path::new("./a.h"), Path::new("/b.h")]);
    }
}
