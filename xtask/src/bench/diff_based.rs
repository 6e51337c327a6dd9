//! The diff-based tools: `kpatch-build` and `klp-build`, beside `cargo klp build` and `make`, for the same
//! change of the same kernel.
//!
//! Both build the kernel that they patch from its source. `diff_based.config` leaves nearly everything out of
//! that kernel, so that this takes minutes rather than hours.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use cargo_klp::commands::doctor::Requirement;
use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::debian::Apt;
use cargo_klp::host::processors;
use cargo_klp::host::tools::{not_started, run_tool};

use super::build::empty_cache;
use super::measure::{Figures, Measurement};
use super::run::{Usage, run};
use super::sources::Spec;
use super::workshop::{Workshop, write_if_changed};

/// The configuration of the kernels, for `make allnoconfig`.
const CONFIG: &str = include_str!("diff_based.config");

/// The source package of the kernel that kpatch-build patches: a kernel that it supports.
const KPATCH_SOURCE: &str = "linux-source-6.12";

/// The package that depends on the newest kernel source, which contains klp-build.
const NEWEST_SOURCE: &str = "linux-source";

/// The file that the change edits.
pub(super) const FILE: &str = "fs/proc/cmdline.c";
/// The statement that the change replaces.
const STATEMENT: &str = "seq_puts(m, saved_command_line);";
/// What `/proc/cmdline` shows after the change, and after the change was changed.
const TEXTS: [&str; 2] = ["this has been live patched", "this has been live patched again"];

/// What this part needs besides the tools that build patches.
pub(crate) const NEEDS: [Requirement; 8] = [
    Requirement::Program("xz", "xz-utils", "unpacks the kernel's sources"),
    Requirement::Program("flex", "flex", "builds kernels"),
    Requirement::Program("bison", "bison", "builds kernels"),
    Requirement::Program("bc", "bc", "builds kernels"),
    Requirement::Program("/usr/include/libelf.h", "libelf-dev", "builds kernels and kpatch"),
    Requirement::Program("/usr/include/xxhash.h", "libxxhash-dev", "builds the kernel's objtool"),
    Requirement::Program("recountdiff", "patchutils", "changes diffs for klp-build"),
    Requirement::Program("gawk", "gawk", "reads diffs for klp-build"),
];

/// Measures kpatch-build from a checkout of kpatch.
pub(crate) fn kpatch_build(workshop: &Workshop, kpatch: &Path) -> Result<Figures> {
    let kpatch = fs::canonicalize(kpatch).map_err(Error::io("open", kpatch))?;
    run_tool(Command::new("make").arg("-C").arg(kpatch.join("kpatch-build")))?;
    let kernel = Tree::new(workshop, KPATCH_SOURCE, || Apt::stable(&Terminal))?;
    // kpatch-build replaces the vmlinux in the tree, so the one that would run is copied before.
    let running = kernel.sibling("vmlinux");
    if !running.exists() || !kernel.source.join("Module.symvers").exists() {
        kernel.build()?;
        fs::copy(kernel.source.join("vmlinux"), &running).map_err(Error::io("write", &running))?;
    }
    let [ours, c] = with_headers(workshop, &kernel)?;

    // kpatch-build compiles with flags of its own, and reuses only what it has built itself.
    run_tool(&mut kernel.make("clean"))?;
    let cache = kernel.sibling("kpatch");
    let theirs = kernel.steps(&[&kernel.source, &cache], |_, diff, module| {
        let mut command = Command::new(kpatch.join("kpatch-build/kpatch-build"));
        command.env("CACHEDIR", &cache).arg("--sourcedir").arg(&kernel.source);
        command.arg("--config").arg(kernel.source.join(".config")).arg("--vmlinux").arg(&running);
        command.arg("--name").arg(module.file_stem().expect("it has a name"));
        command.arg("--output").arg(module.parent().expect("it is in a directory")).arg(diff);
        Ok(command)
    })?;
    Ok(figures([ours, c, theirs]))
}

/// Measures klp-build on the newest kernel.
pub(crate) fn klp_build(workshop: &Workshop) -> Result<Figures> {
    let apt = Apt::rust(&Terminal)?;
    let package = apt.depends(NEWEST_SOURCE)?.into_iter().find(|name| name.starts_with(NEWEST_SOURCE));
    let package = package.ok_or_else(|| Error::Missing {
        what: format!("the package that {NEWEST_SOURCE} depends on"),
        needed_for: "it is the kernel source that has klp-build (Linux 6.19 and newer)".into(),
    })?;
    drop(apt);
    let kernel = Tree::new(workshop, &package, || Apt::rust(&Terminal))?;
    // klp-build builds the kernel itself, and reuses nothing that was built before.
    let theirs = kernel.steps(&[&kernel.source], |step, diff, module| {
        let mut command = Command::new("scripts/livepatch/klp-build");
        command.current_dir(&kernel.source).arg("--keep-tmp").arg("--output").arg(module);
        if step > 0 {
            command.args(["--short-circuit", "patched"]);
        }
        command.arg(diff);
        Ok(command)
    })?;
    let [ours, c] = with_headers(workshop, &kernel)?;
    Ok(figures([ours, c, theirs]))
}

/// The source tree of a small kernel.
struct Tree {
    source: PathBuf,
}

/// The figures of one way of building: for the change, and after the change was changed.
type Steps = [Step; 2];

struct Step {
    usage: Usage,
    written: Written,
}

/// Counts files that were written after a given time.
#[derive(Default)]
struct Written {
    bytes: u64,
    /// Number of the kernel's `.o` files among them.
    objects: usize,
}

impl Tree {
    /// Downloads the source unless it is here, and configures it.
    fn new(workshop: &Workshop, package: &str, apt: impl Fn() -> Result<Apt<'static>>) -> Result<Self> {
        let directory = workshop.directory().join("diff-based");
        let source = directory.join(package);
        if !source.exists() {
            fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
            let unpacked = tempfile::tempdir_in(&directory).map_err(Error::io("create", &directory))?;
            apt()?.download_and_extract(package, None, unpacked.path())?;
            let _spinner = ui::spinner("Unpacking", package);
            let archive = unpacked.path().join(format!("usr/src/{package}.tar.xz"));
            let mut tar = Command::new("tar");
            run_tool(
                tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(unpacked.path()),
            )?;
            fs::rename(unpacked.path().join(package), &source).map_err(Error::io("create", &source))?;
        }
        let tree = Self { source };
        let options = tree.sibling("config");
        write_if_changed(&options, CONFIG)?;
        run_tool(tree.make("allnoconfig").arg(format!("KCONFIG_ALLCONFIG={}", options.display())))?;
        Ok(tree)
    }

    /// A path beside the tree, named after the tree.
    fn sibling(&self, kind: &str) -> PathBuf {
        self.source.with_added_extension(kind)
    }

    fn make(&self, target: &str) -> Command {
        let mut command = Command::new("make");
        command.arg("--silent").arg("-C").arg(&self.source).arg(target);
        command.env_remove("MAKEFLAGS").env_remove("MFLAGS");
        command
    }

    fn build(&self) -> Result<()> {
        let _spinner = ui::spinner("Building", "the kernel to patch");
        let processors = processors();
        run_tool(self.make("vmlinux").arg("modules").arg(format!("--jobs={processors}")))?;
        Ok(())
    }

    /// Builds a patch from the change, then from the changed change, and counts the files written in `directories`.
    fn steps(
        &self,
        directories: &[&Path],
        build: impl Fn(usize, &Path, &Path) -> Result<Command>,
    ) -> Result<Steps> {
        let step = |step: usize| {
            let diff = self.diff(step)?;
            // Both tools name the module after this file, and accept no dots.
            let module = self.source.with_file_name("diff_based_diff.ko");
            self.step(directories, &mut build(step, &diff, &module)?, &module)
        };
        Ok([step(0)?, step(1)?])
    }

    /// Measures a command that writes `module`.
    fn step(&self, directories: &[&Path], command: &mut Command, module: &Path) -> Result<Step> {
        let _ = fs::remove_file(module);
        let started = SystemTime::now();
        let usage = run(command.env_remove("MAKEFLAGS").env_remove("MFLAGS"))?;
        fs::metadata(module).map_err(Error::io("find", module))?;
        let mut written = Written::default();
        for directory in directories {
            written.add(directory, &self.source, started)?;
        }
        Ok(Step { usage, written })
    }

    /// The change as a diff of the source.
    fn diff(&self, step: usize) -> Result<PathBuf> {
        let path = self.sibling("patch");
        fs::write(&path, change(&self.source.join(FILE), step)?).map_err(Error::io("write", &path))?;
        Ok(path)
    }
}

/// The change, or the changed one, of the file in a tree, as a diff.
pub(super) fn change(original: &Path, step: usize) -> Result<Vec<u8>> {
    let source = fs::read_to_string(original).map_err(Error::io("read", original))?;
    let changed = source.replace(STATEMENT, &format!("seq_puts(m, \"{}\");", TEXTS[step]));
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    write_if_changed(&directory.path().join("a").join(FILE), &source)?;
    write_if_changed(&directory.path().join("b").join(FILE), &changed)?;
    let mut diff = Command::new("diff");
    diff.args(["-u", &format!("a/{FILE}"), &format!("b/{FILE}")]).current_dir(directory.path());
    Ok(diff.output().map_err(|source| not_started(diff.get_program(), source))?.stdout)
}

/// Measures the change with klp and in C, which need the kernel's headers only.
fn with_headers(workshop: &Workshop, kernel: &Tree) -> Result<[Steps; 2]> {
    let name = |language| format!("diff_based_{language}");
    let cold =
        tempfile::tempdir_in(workshop.directory()).map_err(Error::io("create", workshop.directory()))?;
    let (target, cache) = (cold.path().join("target"), empty_cache(cold.path())?);
    let c = kernel.sibling("c");
    if c.exists() {
        fs::remove_dir_all(&c).map_err(Error::io("remove", &c))?;
    }
    let spec = Spec { cmdline: true, ..Spec::default() };
    let in_rust = |step: usize| {
        let package = name("klp");
        workshop.write_crate(&package, &spec.rust().replace(TEXTS[0], TEXTS[step]))?;
        let mut command = Command::new(workshop.command());
        command.args(["klp", "build", "--quiet", "--package", &package, "--kdir"]).arg(&kernel.source);
        command.current_dir(workshop.directory().join("patches"));
        command.env("CARGO_TARGET_DIR", &target).env("KLP_CACHE", &cache);
        let release = kernel.source.join("include/config/kernel.release");
        let release = fs::read_to_string(&release).map_err(Error::io("read", &release))?;
        let built = target.join("klp").join(release.trim()).join(&package).join(format!("{package}.ko"));
        let step = kernel.step(&[cold.path(), &kernel.source], &mut command, &built)?;
        fs::copy(&built, kernel.sibling("klp.ko")).map_err(Error::io("read", &built))?;
        Ok(step)
    };
    let in_c = |step: usize| {
        let name = name("c");
        write_if_changed(&c.join("Kbuild"), &format!("obj-m := {name}.o\n"))?;
        write_if_changed(&c.join(format!("{name}.c")), &spec.c().replace(TEXTS[0], TEXTS[step]))?;
        let mut command = workshop.make_for(&kernel.source, &c, "modules");
        kernel.step(&[&c, &kernel.source], &mut command, &c.join(format!("{name}.ko")))
    };
    Ok([[in_rust(0)?, in_rust(1)?], [in_c(0)?, in_c(1)?]])
}

impl Written {
    /// Adds the files in a directory and its subdirectories, without following links. `.o` files count as objects if
    /// they are in the directory `kernel`.
    fn add(&mut self, directory: &Path, kernel: &Path, since: SystemTime) -> Result<()> {
        let is_newer = |metadata: &Metadata| metadata.modified().is_ok_and(|time| time >= since);
        let mut directories = vec![directory.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).map_err(Error::io("read", &directory))? {
                let entry = entry.map_err(Error::io("read", &directory))?;
                let metadata = entry.metadata().map_err(Error::io("read", entry.path()))?;
                let path = entry.path();
                if metadata.is_dir() {
                    directories.push(path);
                } else if metadata.is_file() && is_newer(&metadata) {
                    self.bytes += metadata.len();
                    // klp-build keeps copies of objects there.
                    let is_copy = path.starts_with(kernel.join("klp-tmp"));
                    let is_object = path.extension().is_some_and(|extension| extension == "o");
                    self.objects += usize::from(is_object && path.starts_with(kernel) && !is_copy);
                }
            }
        }
        Ok(())
    }
}

/// The table of three ways of building: klp, C and the diff-based tool.
fn figures(ways: [Steps; 3]) -> Figures {
    let mut figures = Figures::default();
    for (index, step) in ["the change", "the change changed"].into_iter().enumerate() {
        let mut add = |what: &str, unit: &str, of: fn(&Step) -> f64| {
            let [ours, c, theirs] = ways.each_ref().map(|steps| of(&steps[index]));
            let figure = Measurement::new(format!("{step}: {what}"), unit, ours, Some(c));
            figures.measurements.push(figure.diff_based(theirs));
        };
        add("wall", "s", |step| step.usage.wall);
        add("CPU", "s", |step| step.usage.cpu);
        add("memory", "MiB", |step| step.usage.memory);
        add("written to disk", "MiB", |step| step.written.bytes as f64 / f64::from(1 << 20));
        add("the kernel's objects built", "files", |step| step.written.objects as f64);
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn newer_files_count_and_copies_are_not_objects() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = directory.path().join("kernel");
        for (file, text) in [
            ("kernel/fs/a.o", "12"),
            ("kernel/fs/a.c", "345"),
            ("kernel/klp-tmp/a.o", "67"),
            ("other/b.o", "8"),
            ("kernel/old.o", "9"),
        ] {
            write_if_changed(&directory.path().join(file), text).unwrap();
        }
        let old = fs::File::options().append(true).open(kernel.join("old.o")).unwrap();
        let since = SystemTime::now() - Duration::from_secs(60);
        old.set_modified(since - Duration::from_secs(1)).unwrap();
        let mut written = Written::default();
        written.add(directory.path(), &kernel, since).unwrap();
        assert_eq!((written.bytes, written.objects), (8, 1));
    }
}
