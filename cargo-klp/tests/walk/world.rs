//! The directories in which the walk builds, and the ways to build there.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::state::{State, module_source};

/// What its steps need.
pub struct World {
    directory: tempfile::TempDir,
    /// Another generator than the walk's, so that how a file is written does not decide where it goes.
    random: fastrand::Rng,
    /// By series.
    kernels: BTreeMap<&'static str, Kernel>,
    /// The build directory of 6.12, whose exports change.
    kdir: PathBuf,
    /// The exports as the kernel has them.
    exports: String,
    /// The glue without what a state adds.
    glue: String,
    /// Modules by state, each built in a directory of its own.
    scratch: HashMap<State, Vec<u8>>,
    /// How long a build takes, in milliseconds: a kill or a change comes in that time.
    usual: u64,
}

impl World {
    pub fn new(random: fastrand::Rng) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let find = |series: &'static str| {
            let kernel = KernelQuery::Release(series.into()).find(KernelParts::Image);
            (series, kernel.unwrap_or_else(|error| panic!("{error}; {:?}", error.help())))
        };
        let kernels: BTreeMap<_, _> = ["6.12", "6.1"].into_iter().map(find).collect();
        copy_runtime(directory.path());
        fs::copy(env!("CARGO_BIN_EXE_cargo-klp"), directory.path().join("cargo-klp")).unwrap();
        let kdir = copy_cache(&directory.path().join("cache"), &kernels["6.12"]);
        let exports = fs::read_to_string(kdir.join("Module.symvers")).unwrap();
        fs::remove_file(kdir.join("Module.symvers")).unwrap();
        let glue = fs::read_to_string(directory.path().join("klp-runtime/kbuild/klp_glue.c")).unwrap();
        let scratch = HashMap::new();
        let mut world = Self { directory, random, kernels, kdir, exports, glue, scratch, usual: 0 };
        let state = State::default();
        for path in ["patch/src", "patch/part/src", "modules/6.12", "modules/6.1"] {
            fs::create_dir_all(world.path(path)).unwrap();
        }
        fs::write(
            world.path("patch/Kbuild"),
            "obj-m := walk.o\ninclude $(or $(shell $(CARGO_KLP) kbuild $(src)),$(error no cargo klp))\n",
        )
        .unwrap();
        world.write(&state);
        // What proc macros are made of, and all that they need, is for the host: nothing of it is in a module. What
        // other tests have compiled of it is not compiled again.
        let host = Path::new(env!("CARGO_TARGET_TMPDIR")).join("patches/klp/release");
        if host.exists() {
            copy(&host, &world.path("target/klp/release"));
        }
        let start = Instant::now();
        succeeded(world.command(&state, "patch", "target").output().unwrap());
        world.usual = start.elapsed().as_millis() as u64;
        copy(&world.path("target/klp/release"), &world.path("host"));
        world.scratch.insert(state, fs::read(world.ko(&state)).unwrap());
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// How many states have a module.
    pub fn built_from_scratch(&self) -> usize {
        self.scratch.len()
    }

    /// How long a build takes, in milliseconds.
    pub fn usual_duration(&self) -> u64 {
        self.usual
    }

    /// Gives the files the contents that a state has. Those that have them already are left alone.
    pub fn write(&mut self, state: &State) {
        for (path, text) in state.files() {
            self.write_file(&self.path("patch").join(path), text.as_bytes());
        }
        let glue = format!("{}{}", self.glue, state.glue());
        self.write_file(&self.path("klp-runtime/kbuild/klp_glue.c"), glue.as_bytes());
        let line = self.exports.lines().find(|line| line.contains("\tseq_printf\t")).unwrap();
        let (checksum, rest) = line.split_once('\t').unwrap();
        let checksum = [checksum, "0x12345678"][usize::from(state.checksum)];
        let exports = self.exports.replace(line, &format!("{checksum}\t{rest}"));
        self.write_file(&self.kdir.join("Module.symvers"), exports.as_bytes());
        for series in ["6.12", "6.1"].into_iter().filter(|_| state.module != 0) {
            let module = fs::read(self.module(series, state.module)).unwrap();
            self.write_file(&self.path(&format!("modules/{series}/my_mod.ko")), &module);
        }
    }

    /// Writes a file in place or as a new one, with the present time, an old one, or that of the file before.
    fn write_file(&mut self, path: &Path, contents: &[u8]) {
        if fs::read(path).is_ok_and(|old| old == contents) {
            return;
        }
        let old = fs::metadata(path).and_then(|metadata| metadata.modified());
        if self.random.bool() {
            let new = path.with_extension("new");
            fs::write(&new, contents).unwrap();
            fs::rename(&new, path).unwrap();
        } else {
            fs::write(path, contents).unwrap();
        }
        let time = match self.random.u8(..3) {
            0 => return,
            1 => SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
            _ => old.unwrap_or(SystemTime::now()),
        };
        fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }

    /// One of the modules for a kernel, built once.
    fn module(&self, series: &str, module: u8) -> PathBuf {
        let directory = self.path(&format!("my_mod/{series}/{module}"));
        let ko = directory.join("my_mod.ko");
        if !ko.exists() {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("my_mod.c"), module_source(module)).unwrap();
            fs::write(directory.join("Kbuild"), "obj-m := my_mod.o\n").unwrap();
            let mut make = Command::new("make");
            make.arg("-C").arg(&self.kernels[series].kdir).arg(format!("M={}", directory.display()));
            succeeded(make.arg("modules").env_remove("MAKEFLAGS").output().unwrap());
        }
        ko
    }

    fn kdir(&self, state: &State) -> PathBuf {
        match state.series() {
            "6.12" => self.kdir.clone(),
            other => self.kernels[other].kdir.clone(),
        }
    }

    /// The build of a state, in one of the directories here.
    fn command(&self, state: &State, krate: &str, target: &str) -> Command {
        let mut command = Command::new(self.path("cargo-klp"));
        command.args(["build", "--kdir"]).arg(self.kdir(state)).current_dir(self.path(krate));
        if state.module != 0 {
            command.arg("--module").arg(self.path(&format!("modules/{}/my_mod.ko", state.series())));
        }
        self.environment(command, state, target)
    }

    /// The same by plain make, which has its directory in the crate's.
    fn make_command(&self, state: &State) -> Command {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(self.kdir(state))
            .arg(format!("M={}", self.path("patch").display()))
            .arg(format!("CARGO_KLP={} klp", self.path("cargo-klp").display()));
        if state.module != 0 {
            let module = self.path(&format!("modules/{}/my_mod.ko", state.series()));
            command.arg(format!("KLP_MODULES={}", module.display()));
        }
        command.arg("modules");
        self.environment(command, state, "target")
    }

    fn environment(&self, mut command: Command, state: &State, target: &str) -> Command {
        command
            .env("CARGO_TARGET_DIR", self.path(target))
            .env("KLP_CACHE", self.path("cache"))
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if state.words != 0 {
            command.env("KLP_WALK_WORDS", "some");
        }
        if state.flags != 0 {
            command.env("KCFLAGS", "-DKLP_WALK");
        }
        command
    }

    /// The module of a state, whose files are in place, built in a fresh directory.
    pub fn build_from_scratch(&mut self, state: &State) {
        if state.is_refused() || self.scratch.contains_key(state) {
            return;
        }
        let fresh = tempfile::tempdir_in(self.directory.path()).unwrap();
        let name = fresh.path().file_name().unwrap().to_str().unwrap();
        // Beside the runtime, as the other one.
        let (krate, target) = (format!("{name}-patch"), format!("{name}/target"));
        copy(&self.path("host"), &fresh.path().join("target/klp/release"));
        for (path, text) in state.files() {
            let path = self.path(&krate).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let output = succeeded(self.command(state, &krate, &target).output().unwrap());
        let module = fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
        fs::remove_dir_all(self.path(&krate)).unwrap();
        self.scratch.insert(*state, module);
    }

    /// Where `cargo klp build` puts the module of a state.
    fn ko(&self, state: &State) -> PathBuf {
        let release = &self.kernels[state.series()].release;
        self.path(&format!("target/klp/{release}/walk/walk.ko"))
    }

    /// Builds, and compares.
    pub fn build(&mut self, state: &State) {
        let start = Instant::now();
        let output = self.command(state, "patch", "target").output().unwrap();
        if said(&output).contains("Building") {
            self.usual = start.elapsed().as_millis() as u64;
        }
        self.compare(&output, &self.ko(state), state);
    }

    /// Builds where nothing has changed.
    pub fn build_nothing(&mut self, state: &State) {
        let output = self.command(state, "patch", "target").output().unwrap();
        assert!(state.is_refused() || !said(&output).contains("Building"), "built twice: {}", said(&output));
        self.compare(&output, &self.ko(state), state);
    }

    /// Builds by plain make, and compares.
    pub fn make(&mut self, state: &State) {
        let output = self.make_command(state).output().unwrap();
        self.compare(&output, &self.path("patch/walk.ko"), state);
    }

    /// Starts a build.
    pub fn start(&self, state: &State) -> Child {
        self.command(state, "patch", "target").spawn().unwrap()
    }

    /// Starts a build and kills it and all that it runs. What it leaves is looked at by [`World::check_modules`].
    pub fn kill(&mut self, state: &State, by_make: bool) {
        self.build_from_scratch(state);
        let mut command =
            if by_make { self.make_command(state) } else { self.command(state, "patch", "target") };
        let mut child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(self.random.u64(..=self.usual)));
        let group = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        child.wait().unwrap();
    }

    /// Builds several states of the same files at once.
    pub fn build_at_once(&mut self, states: &[State]) {
        let running: Vec<Child> = states.iter().map(|state| self.start(state)).collect();
        let outputs: Vec<Output> =
            running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for (state, output) in states.iter().zip(&outputs) {
            assert_eq!(output.status.success(), !state.is_refused(), "{state:?}: {}", said(output));
            self.build_from_scratch(state);
        }
        for state in states.iter().filter(|state| !state.is_refused()) {
            let found = fs::read(self.ko(state)).unwrap();
            let mut others = states.iter().filter(|other| self.ko(other) == self.ko(state));
            assert!(others.any(|other| self.scratch[other] == found), "none of {states:?}");
        }
    }

    /// Waits for a build during which files changed. Only a change of one file makes one of two modules.
    pub fn finish_between(&mut self, running: Child, before: &State, after: &State) {
        let output = running.wait_with_output().unwrap();
        self.build_from_scratch(after);
        if !output.status.success() {
            return;
        }
        let found = fs::read(self.ko(before)).unwrap();
        let is_one = [before, after].into_iter().any(|state| self.scratch.get(state) == Some(&found));
        assert!(is_one || changed_files(before, after) > 1, "neither {before:?} nor {after:?}");
    }

    /// Removes one of the files that builds have made.
    pub fn remove_something(&mut self) {
        let mut files = Vec::new();
        for kernel in self.kernels.values() {
            let directory = self.path(&format!("target/klp/{}/walk", kernel.release));
            let entries = fs::read_dir(directory).into_iter().flatten();
            files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
        }
        files.sort();
        if !files.is_empty() {
            fs::remove_file(&files[self.random.usize(..files.len())]).unwrap();
        }
    }

    fn compare(&mut self, output: &Output, ko: &Path, state: &State) {
        let said = said(output);
        if state.is_refused() {
            assert!(!output.status.success(), "not refused: {said}");
            assert!(!ko.exists(), "a refused build left a module: {said}");
            return;
        }
        assert!(output.status.success(), "{state:?}: {said}");
        self.build_from_scratch(state);
        assert!(
            fs::read(ko).unwrap() == self.scratch[state],
            "{state:?}: another module in {}",
            self.keep(ko)
        );
    }

    /// Keeps the directory, for who looks at what failed.
    fn keep(&mut self, ko: &Path) -> String {
        self.directory.disable_cleanup(true);
        ko.display().to_string()
    }

    /// Every module that is there equals one that was built from scratch.
    pub fn check_modules(&mut self) {
        let releases = self.kernels.values().map(|kernel| format!("target/klp/{}/walk", kernel.release));
        let directories: Vec<String> = releases.chain(["patch".to_owned()]).collect();
        for ko in directories.iter().map(|directory| self.path(directory).join("walk.ko")) {
            let Ok(module) = fs::read(&ko) else { continue };
            assert!(self.scratch.values().any(|good| *good == module), "no state has {}", self.keep(&ko));
        }
    }
}

/// How many files two states differ in.
fn changed_files(one: &State, other: &State) -> usize {
    let files = one.files().into_iter().zip(other.files()).filter(|(one, other)| one != other).count();
    files
        + usize::from(one.glue() != other.glue())
        + usize::from(one.module != other.module)
        + usize::from(one.checksum != other.checksum)
}

/// What a build said.
fn said(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[track_caller]
fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", said(&output));
    output
}

/// Copies a directory, with all times.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    succeeded(Command::new("cp").arg("-a").args([from, to]).output().unwrap());
}

/// The runtime and the macros, as a workspace of their own whose files can be changed.
fn copy_runtime(directory: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let parts = ["klp-runtime", "klp-macros", "klp-btf", "klp-format"];
    parts.iter().for_each(|part| copy(&root.join(part), &directory.join(part)));
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (start, rest) = workspace.split_once("members = [").unwrap();
    let (_, rest) = rest.split_once("]\n").unwrap();
    let workspace = format!("{start}members = {parts:?}\n{rest}");
    let (workspace, _) = workspace.split_once("[profile.test.package").unwrap();
    fs::write(directory.join("Cargo.toml"), workspace).unwrap();
}

/// A cache like that of this machine, in which a kernel has a build directory of its own: that directory.
fn copy_cache(to: &Path, kernel: &Kernel) -> PathBuf {
    let from = cargo_klp::host::cache::root().unwrap();
    let root = format!("kernels/{}/root", kernel.release);
    let kdir = to.join(&root).join("usr/src").join(kernel.kdir.file_name().unwrap());
    fs::create_dir_all(&kdir).unwrap();
    link_entries(&from, to);
    link_entries(&from.join("kernels"), &to.join("kernels"));
    link_entries(&from.join(&root), &to.join(&root));
    link_entries(&kernel.kdir, &kdir);
    kdir
}

/// Links to what a directory has in another one, but for what is there.
fn link_entries(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let link = to.join(entry.file_name());
        if !link.exists() {
            symlink(entry.path(), link).unwrap();
        }
    }
}
