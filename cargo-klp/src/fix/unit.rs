//! A unit of translation: a C file, and the command by which the kernel's build compiles it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::headers::{is_public, normal, relative};
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::host::tools::run_tool;
use crate::kernel::symbols::VMLINUX;

/// What changes nothing in the object: no debug information, which would take most of the time, and errors that are short.
const FLAGS: [&str; 5] = ["-g0", "-fmax-errors=3", "-ftrack-macro-expansion=0", "-c", "-o"];

/// A C file of the kernel.
#[derive(Debug)]
pub struct Unit {
    /// The file, relative to the root of the source.
    pub file: PathBuf,
    /// vmlinux, or the module that it is a part of.
    pub object: String,
    /// The words of the command.
    words: Vec<String>,
}

impl Unit {
    /// Asks Kbuild for the command of a file.
    ///
    /// # Errors
    ///
    /// The kernel's configuration does not have the file compiled.
    pub fn of(tree: &Tree, file: &Path) -> Result<Self> {
        Self::within(tree, file, &makefile_of(tree, file))
    }

    /// Asks Kbuild for the command of a file in the directory whose Makefile names it.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn within(tree: &Tree, file: &Path, directory: &Path) -> Result<Self> {
        let target = relative(file, directory).with_extension("o");
        let mut make = Command::new("make");
        make.args(["--always-make", "--dry-run", "V=1", "-C"])
            .arg(tree.build())
            .arg(format!("M={}", tree.source().join(directory).display()))
            .arg(&target)
            .env("LC_ALL", "C")
            .env_remove("MAKEFLAGS")
            .env_remove("MFLAGS");
        let not_built = |why: &str| Error::Request {
            message: format!("`{}` is not compiled for this kernel: {why}", file.display()),
            help: "leave it out of the diff, if its configuration has nothing of that file".into(),
        };
        let output = match run_tool(&mut make) {
            Err(Error::Tool { output, .. }) => {
                return Err(not_built(output.lines().last().unwrap_or_default()));
            }
            output => output?.stdout,
        };
        let source = tree.source().join(file);
        let words = command(&String::from_utf8_lossy(&output), &source)
            .ok_or_else(|| not_built("Kbuild has no command for it"))?;
        let is_module = words.iter().any(|word| word == "-DMODULE");
        let name = words.iter().find_map(|word| word.strip_prefix("-DKBUILD_MODNAME="));
        let object = match name {
            Some(name) if is_module => name.trim_matches('"').to_owned(),
            _ => VMLINUX.to_owned(),
        };
        Ok(Self { file: file.into(), object, words })
    }

    /// Whether it is compiled as a part of a module.
    pub fn is_module(&self) -> bool {
        self.object != VMLINUX
    }

    /// Compiles the file.
    ///
    /// # Errors
    ///
    /// What the compiler says.
    pub fn compile(&self, tree: &Tree, output: &Path) -> Result<()> {
        let mut command = self.command(tree, &self.words);
        command.args(FLAGS).arg(output).arg(tree.source().join(&self.file));
        run_tool(&mut command).map(drop)
    }

    /// Compiles another file in its place, which finds the kernel's headers only.
    ///
    /// # Errors
    ///
    /// What the compiler says.
    pub fn compile_copy(&self, tree: &Tree, file: &Path, output: &Path) -> Result<()> {
        let source = tree.source();
        let is_kept = |word: &&String| {
            let directory = word.strip_prefix("-I").map(|directory| normal(&tree.build().join(directory)));
            directory.is_none_or(|path| path.strip_prefix(&source).map_or(true, is_public))
        };
        let words: Vec<String> = self.words.iter().filter(is_kept).cloned().collect();
        run_tool(self.command(tree, &words).args(FLAGS).arg(output).arg(file)).map(drop)
    }

    /// What the compiler sees of the file: all of its headers, and macros expanded.
    pub fn preprocess(&self, tree: &Tree) -> Result<String> {
        let mut command = self.command(tree, &self.words);
        let output = run_tool(command.arg("-E").arg(tree.source().join(&self.file)))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The macros of the command line that are this unit's alone, as `NAME=VALUE`.
    pub fn macros(&self) -> impl Iterator<Item = &str> {
        let own = self.words.iter().filter_map(|word| word.strip_prefix("-D"));
        own.filter(|definition| {
            let name = definition.split('=').next().unwrap_or_default();
            !name.starts_with("KBUILD_") && !["__KERNEL__", "MODULE", "__KBUILD_MODNAME"].contains(&name)
        })
    }

    /// The directories in which the command looks for headers, in the source tree.
    pub fn include_directories(&self, tree: &Tree) -> Vec<PathBuf> {
        let source = tree.source();
        let mut words = self.words.iter();
        let mut directories = Vec::new();
        while let Some(word) = words.next() {
            let directory = match word.strip_prefix("-I") {
                Some("") => words.next().map(String::as_str),
                other => other,
            };
            let directory = directory.map(|directory| tree.build().join(directory));
            directories.extend(
                directory.and_then(|path| Some(normal(&path).strip_prefix(&source).ok()?.to_owned())),
            );
        }
        directories
    }

    /// The command, without what it makes and of what.
    fn command(&self, tree: &Tree, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(tree.build()).env("LC_ALL", "C");
        command
    }
}

/// The nearest directory upwards that Kbuild can be asked about.
fn makefile_of(tree: &Tree, file: &Path) -> PathBuf {
    let has = |directory: &&Path| {
        ["Kbuild", "Makefile"].iter().any(|name| tree.source().join(directory).join(name).exists())
    };
    file.ancestors().skip(1).find(has).unwrap_or("".as_ref()).to_owned()
}

/// The words of the command that compiles `source`, among the commands that make would run; without what it makes.
fn command(output: &str, source: &Path) -> Option<Vec<String>> {
    let commands = output.lines().flat_map(|line| line.split("; "));
    let words = commands.filter(|command| command.contains(" -c -o ")).find_map(|command| {
        let words = shlex::split(command)?;
        (words.last().is_some_and(|last| normal(last.as_ref()) == source)).then_some(words)
    })?;
    let at = words.windows(2).position(|pair| pair == ["-c", "-o"])?;
    let kept =
        words[..at].iter().filter(|word| !word.starts_with("-Wp,-MMD,") && !word.starts_with("-Wp,-MD,"));
    Some(kept.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_in_what_make_prints() {
        let output = "make -C x\nset -e; echo 'gcc -c -o a.o /s/a.c'; gcc -Wp,-MMD,/s/.a.o.d -nostdinc -I./include \
                      -DKBUILD_MODNAME='\"a b\"' -DMODULE -c -o /s/a.o /s/a.c; ./tools/objtool /s/a.o\n";
        let words = command(output, "/s/a.c".as_ref()).unwrap();
        assert_eq!(words, ["gcc", "-nostdinc", "-I./include", "-DKBUILD_MODNAME=\"a b\"", "-DMODULE"]);
        assert_eq!(command(output, "/s/b.c".as_ref()), None);
        let of_another_directory = "gcc -c -o /s/x/../a.o /s/x/../a.c\n";
        assert_eq!(command(of_another_directory, "/s/a.c".as_ref()).unwrap(), ["gcc"]);
    }
}
