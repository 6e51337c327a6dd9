//! Everything that goes into a module except the patch crate, which is cargo's business.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use klp_format::env::CARGO_FLAGS;

use crate::error::{Error, Result};
use crate::host::digest::Digest;
use crate::host::tools::find_program;
use crate::kbuild::workspace::Crate;
use crate::kernel::debug_info::stamp;
use crate::kernel::headers::common;
use crate::kernel::signing;
use crate::kernel::{Kernel, Target, symbols};
use crate::patch::manifest::Manifest;

/// The variable with the digest of the environment of `cargo klp build`; make changes its own environment.
pub(in crate::kbuild) const ENVIRONMENT: &str = "KLP_ENVIRONMENT";

/// Variables that differ between sessions, or that make sets for itself, and that affect no tool here.
const SESSION: [&str; 27] = [
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
    "CLICOLOR_FORCE",
    "CARGO_TERM_COLOR",
    "KLP_STDERR",
    // The target has the key; its PIN is a secret.
    signing::VARIABLES[0],
    signing::VARIABLES[1],
    signing::PIN,
    // What it changes is in the library.
    CARGO_FLAGS,
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKE_TERMOUT",
    "MAKE_TERMERR",
    "GNUMAKEFLAGS",
];

/// Programs that Kbuild runs; Kbuild's own record names the compiler.
const PROGRAMS: [&str; 8] = ["make", "ld", "as", "ar", "nm", "objcopy", "pahole", "cc1"];

/// Directories in a kernel's build directory whose files Kbuild reads or runs.
const KERNEL_DIRECTORIES: [&str; 8] = [
    "",
    "scripts",
    "scripts/mod",
    "scripts/basic",
    "tools/objtool",
    "tools/bpf/resolve_btfids",
    "include/config",
    "include/generated",
];

/// The digest of the environment, without variables that can't matter.
pub(in crate::kbuild) fn environment() -> String {
    if let Ok(given) = std::env::var(ENVIRONMENT) {
        return given;
    }
    let is_session = |name: &OsStr| SESSION.iter().any(|session| name == *session);
    let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| !is_session(name)).collect();
    variables.sort();
    let programs = PROGRAMS.map(find_program);
    Digest::of(format!("{variables:?} {programs:?}")).to_string()
}

/// The digest of everything that matters and is not a file.
pub(super) fn circumstances(krate: &Crate, target: &Target) -> Digest {
    let Target { kernel, modules, debug_info, unknown_modules, signing } = target;
    let canonical = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.into());
    Digest::of(format!(
        "{} {} {:?} {:?} {:?} {modules:?} {debug_info:?} {unknown_modules:?} {signing:?} {}",
        env!("CARGO_PKG_VERSION"),
        kernel.release,
        canonical(&kernel.kdir),
        canonical(krate.package.manifest_path.as_std_path()),
        c_files(krate),
        environment()
    ))
}

/// The names of the C files of a crate: `klp.mk` compiles them all.
fn c_files(krate: &Crate) -> Vec<PathBuf> {
    let mut files = files_in(krate.package.manifest_path.with_file_name("src").as_std_path());
    files.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    files.sort();
    files
}

/// The names of the objects that Kbuild has made of the patch's C files in `dir`.
pub(super) fn c_objects(dir: &Path, module: &str) -> Vec<String> {
    let names = files_in(dir).into_iter().filter_map(|file| Some(file.file_name()?.to_str()?.to_owned()));
    let start = format!("{module}_c_");
    names.filter(|name| name.starts_with(&start) && name.ends_with(".o")).collect()
}

/// The files that are known when a build begins: this program, the rules and the glue in `kbuild`, tools,
/// the kernel's build directory, image and modules, and the modules that the patch names.
pub(super) fn files(target: &Target, kbuild: &Path, manifest: &Manifest) -> Result<BTreeSet<PathBuf>> {
    let Target { kernel, modules, debug_info, signing, .. } = target;
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let mut files: BTreeSet<PathBuf> = modules.iter().chain(debug_info).cloned().chain([this]).collect();
    files.extend(signing.iter().map(|signing| signing.certificate().to_owned()));
    files.extend(files_in(kbuild));
    files.extend(PROGRAMS.iter().filter_map(|program| find_program(program)));
    files.extend(kernel_files(kernel));
    files.extend(kernel.packed_image());
    files.insert(stamp(&kernel.release)?);
    files.extend(kernel.modules_dir().iter().flat_map(|modules| files_in(modules)));
    let objects = manifest.symbols.iter().map(|symbol| &symbol.object);
    let objects = objects.chain(manifest.funcs.iter().map(|func| &func.object));
    let objects = objects.chain(manifest.c_types.iter().map(|structure| &structure.object));
    for object in objects.filter(|object| *object != symbols::VMLINUX).collect::<BTreeSet<_>>() {
        // If a missing one is installed later, modules.dep changes with it.
        files.extend(symbols::module_file(target, object));
    }
    Ok(files)
}

/// The files of a kernel's build directory that Kbuild reads or runs.
pub(in crate::kbuild) fn kernel_files(kernel: &Kernel) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for base in [Some(kernel.kdir.clone()), common(&kernel.kdir)].into_iter().flatten() {
        let of_arch = base.join("arch").join(kernel.arch().name);
        let generated = of_arch.join("include/generated");
        let directories = KERNEL_DIRECTORIES.map(|directory| base.join(directory));
        for directory in directories.into_iter().chain([of_arch, generated]) {
            files.extend(files_in(&directory));
            files.insert(directory);
        }
    }
    files
}

/// The files that Kbuild's own records name for what it compiled in `dir`: headers and compilers. `None` if Kbuild
/// has written no record, or one in an unknown format.
pub(super) fn compiled(dir: &Path, module: &str, kdir: &Path) -> Option<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let kbuilds = [format!("{module}_glue.o"), format!("{module}.mod.o")];
    for object in c_objects(dir, module).into_iter().chain(kbuilds) {
        let text = fs::read_to_string(dir.join(format!(".{object}.cmd"))).ok()?;
        let (compiler, prerequisites) = of_compiler(&text);
        files.extend(compiler.and_then(find_program));
        let prefix =
            compiler.and_then(|compiler| compiler.rsplit_once("gcc")).map_or("", |(prefix, _)| prefix);
        files.extend(PROGRAMS.iter().filter_map(|program| find_program(&format!("{prefix}{program}"))));
        files.extend(prerequisites.map(|path| kdir.join(path)));
    }
    // What was made there is made of the others.
    files.retain(|path| path.parent() != Some(dir));
    Some(files)
}

/// The files of a directory, without those of its subdirectories.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// Reads Kbuild's record of a compiled file: the compiler, and the files that it read.
fn of_compiler(cmd: &str) -> (Option<&str>, impl Iterator<Item = &str>) {
    let (command, rest) = cmd.split_once('\n').unwrap_or((cmd, ""));
    let compiler = command.split_once(":= ").and_then(|(_, words)| words.split_whitespace().next());
    // A wildcard of a configuration option stands for a file that exists if the option has changed.
    let words = rest.split_whitespace().filter(|word| !word.starts_with(['$', '\\']) && word.contains('/'));
    (compiler, words.map(|word| word.trim_end_matches([')', ':'])).filter(|word| !word.contains('$')))
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
}
