//! Programs of a later Debian, with which this machine builds modules for its kernels.
//!
//! The programs of a kernel's headers need the C library that they were linked to, and the headers a compiler that an
//! older Debian lacks. Both come out of the later Debian's packages, with all the libraries that they load. A script
//! takes the place of each program: it starts the program by that Debian's own dynamic linker, so that nothing of this
//! machine is loaded into it, and nothing is installed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};

use super::build_dir::{CROSS_COMPILE, VARIABLES};
use super::installed::headers_dir;
use crate::error::{Error, Result};
use crate::host::debian::Apt;

/// The directory of an entry of the cache, beside the kernel's own files.
const DIRECTORY: &str = "programs";

/// What the names of compiler and binutils begin with.
const PREFIX: &str = "usr/bin/x86_64-linux-gnu-";

/// Where programs that are run by no name in `PATH` are.
const PROGRAMS: [&str; 2] = ["usr/bin", "usr/libexec"];

/// Fetches the compiler that a kernel's headers name, and what their programs need, into the kernel's entry of the
/// cache, which is at `entry` in the end and is made in `dir`; then has the headers use them.
pub(super) fn fetch(apt: &Apt<'_>, release: &str, dir: &Path, entry: &Path) -> Result<()> {
    let headers = apt.depends(&format!("linux-headers-{release}"))?;
    let mut packages = Vec::new();
    let is_kbuild = |name: &&String| name.starts_with("linux-kbuild-");
    for kbuild in headers.iter().filter(is_kbuild) {
        packages.extend(apt.depends(kbuild)?);
    }
    packages.extend(headers.iter().filter(|name| name.starts_with("gcc-")).cloned());
    let programs = dir.join(DIRECTORY);
    let what = format!("the compiler and libraries of {release}'s build");
    apt.download_and_extract_all(&what, &packages, &programs)?;
    let documents = programs.join("usr/share");
    fs::remove_dir_all(&documents).map_err(Error::io("remove", &documents))?;

    let linker = Linker::of(&entry.join(DIRECTORY));
    let mut directories = PROGRAMS.map(|directory| programs.join(directory)).to_vec();
    directories.extend(headers.iter().filter(is_kbuild).map(|name| dir.join("root/usr/lib").join(name)));
    for directory in directories {
        for program in programs_in(&directory)? {
            let place = entry.join(program.strip_prefix(dir).expect("it is in the directory"));
            linker.replace(&program, &place)?;
        }
    }
    find_binutils(&programs)?;
    name_programs(dir, entry, release)
}

/// Has scripts start programs of packages that were unpacked in a directory, which is at `entry` in the end.
pub(super) fn relocate(dir: &Path, entry: &Path, programs: &[String]) -> Result<()> {
    let linker = Linker::of(entry);
    programs.iter().try_for_each(|program| linker.replace(&dir.join(program), &entry.join(program)))
}

/// The dynamic linker of the packages, with their libraries.
struct Linker {
    program: PathBuf,
    libraries: PathBuf,
}

impl Linker {
    /// That of packages that were unpacked in a directory.
    fn of(programs: &Path) -> Self {
        let libraries = programs.join("usr/lib/x86_64-linux-gnu");
        Self { program: libraries.join("ld-linux-x86-64.so.2"), libraries }
    }

    /// Puts a script in place of a program, which is at `place` in the end.
    fn replace(&self, program: &Path, place: &Path) -> Result<()> {
        let real = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".real");
            PathBuf::from(name)
        };
        fs::rename(program, real(program)).map_err(Error::io("rename", program))?;
        fs::write(program, self.script(&real(place))).map_err(Error::io("write", program))?;
        let mode = Permissions::from_mode(0o755);
        fs::set_permissions(program, mode).map_err(Error::io("change the mode of", program))
    }

    /// The script that starts a program. gcc finds its parts by the name that it is called by.
    fn script(&self, program: &Path) -> String {
        format!(
            "#!/bin/sh\nexec '{}' --library-path '{}' --argv0 \"$0\" '{}' \"$@\"\n",
            self.program.display(),
            self.libraries.display(),
            program.display()
        )
    }
}

/// The programs in a directory and below it that a dynamic linker starts.
fn programs_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    let io = || Error::io("read", directory);
    for entry in fs::read_dir(directory).map_err(io())? {
        let entry = entry.map_err(io())?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(io())?);
        if kind.is_dir() {
            programs.extend(programs_in(&path)?);
        } else if kind.is_file() && is_program(&fs::read(&path).map_err(Error::io("read", &path))?) {
            programs.push(path);
        }
    }
    Ok(programs)
}

/// Whether a file names a dynamic linker.
fn is_program(data: &[u8]) -> bool {
    let segments = || {
        let header = FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let mut segments = header.program_headers(endian, data).ok()?.iter();
        Some(segments.any(|segment| segment.p_type(endian) == PT_INTERP))
    };
    segments().unwrap_or(false)
}

/// Lets gcc find the assembler and the linker: it looks for them in a directory that Debian leaves out, then in `PATH`.
fn find_binutils(programs: &Path) -> Result<()> {
    let directory = programs.join("usr/x86_64-linux-gnu/bin");
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    for name in ["as", "ld"] {
        let link = directory.join(name);
        symlink(Path::new("../../..").join(PREFIX).with_file_name(format!("x86_64-linux-gnu-{name}")), &link)
            .map_err(Error::io("create", link))?;
    }
    Ok(())
}

/// Has the headers name the compiler, the binutils and pahole by their paths.
fn name_programs(dir: &Path, entry: &Path, release: &str) -> Result<()> {
    let file = headers_dir(&dir.join("root"), release).join(VARIABLES);
    let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    let programs = entry.join(DIRECTORY);
    fs::write(&file, named(&text, &programs)).map_err(Error::io("write", &file))
}

/// The headers' variables, with programs in a directory.
fn named(variables: &str, programs: &Path) -> String {
    let kept = variables.lines().filter(|line| !line.starts_with(CROSS_COMPILE));
    let mut text: String = kept.flat_map(|line| [line, "\n"]).collect();
    text.push_str(&format!("{CROSS_COMPILE}{}\n", programs.join(PREFIX).display()));
    text.push_str(&format!("PAHOLE = {}\n", programs.join("usr/bin/pahole").display()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: &str =
        "override ARCH = x86\nCC = $(CROSS_COMPILE)gcc-14\noverride CROSS_COMPILE = x86_64-linux-gnu-\n";

    #[test]
    fn the_headers_name_programs_of_the_cache() {
        assert_eq!(
            named(VARIABLES, "/c/programs".as_ref()),
            "override ARCH = x86\nCC = $(CROSS_COMPILE)gcc-14\n\
             override CROSS_COMPILE = /c/programs/usr/bin/x86_64-linux-gnu-\n\
             PAHOLE = /c/programs/usr/bin/pahole\n"
        );
    }

    /// The dynamic linker of this machine can take the place of another one.
    #[test]
    fn a_script_starts_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let own = Linker { program: "/lib64/ld-linux-x86-64.so.2".into(), libraries: "/nowhere".into() };
        let program = directory.path().join("bin/printf");
        fs::create_dir(directory.path().join("bin")).unwrap();
        fs::copy("/usr/bin/printf", &program).unwrap();
        fs::write(directory.path().join("bin/script"), "#!/bin/sh\n").unwrap();
        assert_eq!(programs_in(directory.path()).unwrap(), std::slice::from_ref(&program));
        own.replace(&program, &program).unwrap();
        let output = std::process::Command::new(&program).args(["%s,", "a b", "c"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a b,c,");
        let error = std::process::Command::new(&program).output().unwrap();
        assert!(String::from_utf8_lossy(&error.stderr).contains(&format!("{}: ", program.display())));
    }

    #[test]
    fn a_library_is_no_program() {
        assert!(is_program(&fs::read("/usr/bin/env").unwrap()));
        assert!(!is_program(b"#!/bin/sh\n"));
        assert!(!is_program(&fs::read("/usr/lib/x86_64-linux-gnu/libm.so.6").unwrap()));
    }
}
