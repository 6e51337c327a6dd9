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

use tempfile::TempDir;

use super::build::empty_cache;
use super::measure::{Figures, Measurement, median};
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

/// How often the change is changed.
const ROUNDS: usize = 3;

/// What this part needs besides the tools that build patches.
pub(crate) const NEEDS: [Requirement; 9] = [
    Requirement::Program("xz", "xz-utils", "unpacks the kernel's sources"),
    Requirement::Program("flex", "flex", "builds kernels"),
    Requirement::Program("bison", "bison", "builds kernels"),
    Requirement::Program("bc", "bc", "builds kernels"),
    Requirement::Program("/usr/include/libelf.h", "libelf-dev", "builds kernels and kpatch"),
    Requirement::Program("/usr/include/xxhash.h", "libxxhash-dev", "builds the kernel's objtool"),
    Requirement::Program("pahole", "dwarves", "gives a kernel its types"),
    Requirement::Program("recountdiff", "patchutils", "changes diffs for klp-build"),
    Requirement::Program("gawk", "gawk", "reads diffs for klp-build"),
];

/// Measures kpatch-build from a checkout of kpatch.
pub(crate) fn kpatch_build(workshop: &Workshop, kpatch: &Path) -> Result<Figures> {
    let kpatch = fs::canonicalize(kpatch).map_err(Error::io("open", kpatch))?;
    run_tool(Command::new("make").arg("-C").arg(kpatch.join("kpatch-build")))?;
    let [kernel, running] = Tree::new(workshop, KPATCH_SOURCE, || Apt::stable(&Terminal))?.built()?;
    let cache = kernel.sibling("kpatch");
    let vmlinux = running.source.join("vmlinux");
    let theirs = |_, diff: &Path, module: &Path| {
        let mut command = Command::new(kpatch.join("kpatch-build/kpatch-build"));
        command.env("CACHEDIR", &cache).arg("--sourcedir").arg(&kernel.source);
        command.arg("--config").arg(kernel.source.join(".config")).arg("--vmlinux").arg(&vmlinux);
        command.arg("--name").arg(module.file_stem().expect("it has a name"));
        command.arg("--output").arg(module.parent().expect("it is in a directory")).arg(diff);
        command
    };
    measure(workshop, &running, &kernel, &[&kernel.source, &cache], theirs)
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
    let [kernel, running] = Tree::new(workshop, &package, || Apt::rust(&Terminal))?.built()?;
    let theirs = |round, diff: &Path, module: &Path| {
        let mut command = Command::new("scripts/livepatch/klp-build");
        command.current_dir(&kernel.source).arg("--keep-tmp").arg("--output").arg(module);
        if round > 0 {
            command.args(["--short-circuit", "patched"]);
        }
        command.arg(diff);
        command
    };
    measure(workshop, &running, &kernel, &[&kernel.source], theirs)
}

/// Measures three ways of building in turn: from nothing, then each time another change. `theirs` makes the command of the
/// diff-based tool, which writes to `directories`.
fn measure(
    workshop: &Workshop,
    running: &Tree,
    kernel: &Tree,
    directories: &[&Path],
    theirs: impl Fn(usize, &Path, &Path) -> Command,
) -> Result<Figures> {
    let klp = Klp::new(workshop, running)?;
    let c = C::new(workshop, running)?;
    let (mut first, mut next) = (None, Vec::new());
    for round in 0..=ROUNDS {
        ui::status("Building", format!("the change in three ways: {} of {}", round + 1, ROUNDS + 1));
        let diff = kernel.diff(round)?;
        let steps = [klp.step(&diff)?, c.step(round)?, {
            // Both tools name the module after this file, and accept no dots.
            let module = kernel.source.with_file_name("diff_based_diff.ko");
            let _ = fs::remove_file(&module);
            let step = kernel.step(directories, &mut [theirs(round, &diff, &module)])?;
            fs::metadata(&module).map_err(Error::io("find", &module))?;
            step
        }];
        match first {
            None => first = Some(steps),
            Some(_) => next.push(steps),
        }
    }
    let mut figures = Figures::default();
    figures.add("the change", &[first.expect("the first round has made it")]);
    figures.add("the change changed", &next);
    Ok(figures)
}

/// The source tree of a small kernel.
struct Tree {
    source: PathBuf,
}

/// One way of building.
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

    /// The tree, clean and configured, and another one with the kernel that runs.
    fn built(self) -> Result<[Self; 2]> {
        let running = Self { source: self.sibling("running") };
        if !running.source.exists() {
            let _spinner = ui::spinner("Building", "the kernel to patch");
            let targets = ["vmlinux", "modules", "bzImage"];
            run_tool(self.make("all").args(targets).arg(format!("--jobs={}", processors())))?;
            // As CONFIG_DEBUG_INFO_BTF would, which needs the kernel's virtual machine too.
            run_tool(Command::new("pahole").arg("-J").arg(self.source.join("vmlinux")))?;
            let copy = self.sibling("copy");
            run_tool(Command::new("cp").arg("--archive").arg(&self.source).arg(&copy))?;
            fs::rename(&copy, &running.source).map_err(Error::io("create", &running.source))?;
        }
        run_tool(&mut self.make("clean"))?;
        Ok([self, running])
    }

    /// Measures commands, one after the other, which write to `directories`.
    fn step(&self, directories: &[&Path], commands: &mut [Command]) -> Result<Step> {
        let started = SystemTime::now();
        let usages =
            commands.iter_mut().map(|command| run(command.env_remove("MAKEFLAGS").env_remove("MFLAGS")));
        let usage = usages.sum::<Result<Usage>>()?;
        let mut written = Written::default();
        for directory in directories {
            written.add(directory, &self.source, started)?;
        }
        Ok(Step { usage, written })
    }

    /// The change as a diff of the source.
    fn diff(&self, round: usize) -> Result<PathBuf> {
        let path = self.sibling("patch");
        fs::write(&path, change(&self.source.join(FILE), round)?).map_err(Error::io("write", &path))?;
        Ok(path)
    }
}

/// The change of the file in a tree, as a diff: another one than in the round before.
pub(super) fn change(original: &Path, round: usize) -> Result<Vec<u8>> {
    let source = fs::read_to_string(original).map_err(Error::io("read", original))?;
    let changed = source.replace(STATEMENT, &format!("seq_puts(m, \"{}\");", TEXTS[round % 2]));
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    write_if_changed(&directory.path().join("a").join(FILE), &source)?;
    write_if_changed(&directory.path().join("b").join(FILE), &changed)?;
    let mut diff = Command::new("diff");
    diff.args(["-u", &format!("a/{FILE}"), &format!("b/{FILE}")]).current_dir(directory.path());
    Ok(diff.output().map_err(|source| not_started(diff.get_program(), source))?.stdout)
}

/// The change with klp: a crate made of the diff, and its module.
struct Klp<'a> {
    workshop: &'a Workshop,
    running: &'a Tree,
    /// A directory with nothing cached.
    directory: TempDir,
    cache: PathBuf,
}

impl<'a> Klp<'a> {
    fn new(workshop: &'a Workshop, running: &'a Tree) -> Result<Self> {
        let directory = tempfile::tempdir_in(workshop.directory());
        let directory = directory.map_err(Error::io("create", workshop.directory()))?;
        let cache = empty_cache(directory.path())?;
        Ok(Self { workshop, running, directory, cache })
    }

    fn step(&self, diff: &Path) -> Result<Step> {
        let (name, directory, source) = ("diff_based_klp", self.directory.path(), &self.running.source);
        let crate_dir = directory.join(name);
        if crate_dir.exists() {
            fs::remove_dir_all(&crate_dir).map_err(Error::io("remove", &crate_dir))?;
        }
        let target = directory.join("target");
        let klp = |arguments: &[&str]| {
            let mut command = Command::new(self.workshop.command());
            command.args(["klp", arguments[0], "--kdir"]).arg(source).args(&arguments[1..]);
            command.env("CARGO_TARGET_DIR", &target).env("KLP_CACHE", &self.cache);
            command
        };
        let mut new = klp(&["new", name]);
        new.arg("--diff").arg(diff).arg("--source").arg(source).current_dir(directory);
        // The crate's directory is not there before.
        let mut build = klp(&["build", "--quiet", "--manifest-path"]);
        build.arg(crate_dir.join("Cargo.toml")).current_dir(directory);
        let step = self.running.step(&[directory, source], &mut [new, build])?;
        let release = source.join("include/config/kernel.release");
        let release = fs::read_to_string(&release).map_err(Error::io("read", &release))?;
        let built = target.join("klp").join(release.trim()).join(name).join(format!("{name}.ko"));
        fs::copy(&built, self.running.sibling("klp.ko")).map_err(Error::io("read", &built))?;
        Ok(step)
    }
}

/// The change in C, by hand.
struct C<'a> {
    workshop: &'a Workshop,
    running: &'a Tree,
    directory: PathBuf,
}

impl<'a> C<'a> {
    fn new(workshop: &'a Workshop, running: &'a Tree) -> Result<Self> {
        let directory = running.sibling("c");
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(Error::io("remove", &directory))?;
        }
        Ok(Self { workshop, running, directory })
    }

    fn step(&self, round: usize) -> Result<Step> {
        let (name, spec) = ("diff_based_c", Spec { cmdline: true, ..Spec::default() });
        write_if_changed(&self.directory.join("Kbuild"), &format!("obj-m := {name}.o\n"))?;
        let text = spec.c().replace(TEXTS[0], TEXTS[round % 2]);
        write_if_changed(&self.directory.join(format!("{name}.c")), &text)?;
        let source = &self.running.source;
        let make = self.workshop.make_for(source, &self.directory, "modules");
        self.running.step(&[&self.directory, source], &mut [make])
    }
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

impl Figures {
    /// Adds the medians of rounds with klp, in C and with the diff-based tool.
    fn add(&mut self, what: &str, rounds: &[[Step; 3]]) {
        let mut add = |figure: &str, unit: &str, of: fn(&Step) -> f64| {
            let [ours, c, theirs] =
                [0, 1, 2].map(|way| median(rounds.iter().map(|steps| of(&steps[way])).collect()));
            let figure = Measurement::new(format!("{what}: {figure}"), unit, ours, Some(c));
            self.measurements.push(figure.diff_based(theirs));
        };
        add("wall", "s", |step| step.usage.wall);
        add("CPU", "s", |step| step.usage.cpu);
        add("memory", "MiB", |step| step.usage.memory);
        add("written to disk", "MiB", |step| step.written.bytes as f64 / f64::from(1 << 20));
        add("the kernel's objects built", "files", |step| step.written.objects as f64);
    }
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
