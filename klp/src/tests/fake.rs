//! A machine for tests: a directory, and a kernel that does in it what the real one does to sysfs.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Parser;
use klp_format::manifest::NOTE_SECTION;
use klp_module::{About, Modinfo};
use object::{Object, ObjectSection};
use rustix::io::Errno;
use tempfile::TempDir;

use super::ko::{build_id_note, data};
use crate::error::Exit;
use crate::machine::Machine;
use crate::{Cli, run};

pub(super) const RELEASE: &str = "6.12.1-test";
pub(super) const KERNEL_ID: [u8; 2] = [0x12, 0xab];

/// A machine with a kernel that has livepatches, none of which is loaded.
pub(super) struct Fake {
    directory: TempDir,
    time: Cell<Duration>,
    /// What the kernel says to the next module, instead of loading it.
    answer: Cell<Option<Errno>>,
    /// The user's interruption comes at this time.
    interruption: Cell<Option<Duration>>,
    /// What the user types.
    typed: RefCell<String>,
    printed: RefCell<String>,
    said: RefCell<String>,
    parameters: RefCell<Vec<String>>,
    boots: Cell<u32>,
    /// The next module brings the machine down while it is loaded.
    is_fatal: Cell<bool>,
    /// The journal has what the command says.
    in_service: Cell<bool>,
    /// When the command last told that it has started.
    started: Cell<Option<Duration>>,
    /// The task that wakes at a time.
    alarm: Cell<Option<(u32, Duration)>>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self {
            directory: tempfile::tempdir().unwrap(),
            time: Cell::default(),
            answer: Cell::default(),
            interruption: Cell::default(),
            typed: RefCell::default(),
            printed: RefCell::default(),
            said: RefCell::default(),
            parameters: RefCell::default(),
            boots: Cell::default(),
            is_fatal: Cell::default(),
            in_service: Cell::default(),
            started: Cell::default(),
            alarm: Cell::default(),
        };
        fs::create_dir_all(fake.path("sys/kernel/livepatch")).unwrap();
        fake.write("proc/sys/kernel/osrelease", format!("{RELEASE}\n"));
        fake.write("proc/sys/kernel/tainted", "0\n");
        fake.write("sys/kernel/notes", build_id_note(&KERNEL_ID));
        fake.write("dev/kmsg", "");
        fake
    }

    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// A file of a module.
    pub(super) fn ko(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.path("tmp").join(name).with_extension("ko");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, data).unwrap();
        path
    }

    /// Runs `klp` with arguments; what it prints and says can be asked for afterwards.
    pub(super) fn klp<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Exit {
        self.printed.take();
        self.said.take();
        let cli = Cli::try_parse_from(std::iter::once("klp").chain(arguments)).unwrap();
        run(self, &cli.command)
    }

    /// Loads a patch that nothing refuses and nothing holds up.
    pub(super) fn load(&self, name: &str, data: &[u8]) {
        let path = self.ko(name, data);
        assert_eq!(self.klp(["load", path.to_str().unwrap()]), Exit::Done, "{}", self.said());
    }

    pub(super) fn printed(&self) -> String {
        self.printed.borrow().clone()
    }

    pub(super) fn said(&self) -> String {
        self.said.borrow().clone()
    }

    pub(super) fn types(&self, text: &str) {
        self.typed.replace(text.into());
    }

    /// The machine starts again, whatever it was doing: only the disk is as before.
    pub(super) fn starts(&self) {
        self.boots.set(self.boots.get() + 1);
        self.write("proc/sys/kernel/random/boot_id", format!("boot-{}\n", self.boots.get()));
        for directory in ["sys/kernel/livepatch", "sys/module", "run/klp"] {
            let _ = fs::remove_dir_all(self.path(directory));
        }
        fs::create_dir_all(self.path("sys/kernel/livepatch")).unwrap();
        // The path unit makes it.
        fs::create_dir_all(self.path("run/klp/trial")).unwrap();
        self.write("dev/kmsg", "");
    }

    /// The service that watches trials is told to end, as in a shutdown in good order.
    pub(super) fn shuts_down(&self) {
        self.interrupts_after(Duration::ZERO);
        assert_eq!(self.klp(["confirm"]), Exit::Done, "{}", self.said());
        self.interruption.set(None);
        self.starts();
    }

    /// Runs a command that loads a patch which brings the machine down.
    pub(super) fn dies<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) {
        self.is_fatal.set(true);
        let run = std::panic::AssertUnwindSafe(|| self.klp(arguments));
        std::panic::catch_unwind(run).expect_err("the machine is still there");
        self.is_fatal.set(false);
    }

    /// The marks of a kind, by build ID.
    pub(super) fn marks(&self, kind: &str) -> Vec<String> {
        crate::files::names(&self.path("var/lib/klp").join(kind)).unwrap()
    }

    pub(super) fn runs_in_a_service(&self) {
        self.in_service.set(true);
    }

    pub(super) fn answers(&self, errno: Errno) {
        self.answer.set(Some(errno));
    }

    pub(super) fn interrupts_after(&self, time: Duration) {
        self.interruption.set(Some(self.time.get() + time));
    }

    /// The parameters of the modules that were loaded.
    pub(super) fn parameters(&self) -> Vec<String> {
        self.parameters.borrow().clone()
    }

    pub(super) fn is_loaded(&self, name: &str) -> bool {
        self.path("sys/module").join(name).exists()
    }

    pub(super) fn is_enabled(&self, name: &str) -> bool {
        self.patch_file(name, "enabled").is_some_and(|text| text.trim() == "1")
    }

    /// A task that sleeps in a function, whose frame is `frame`. It runs the old code until it ends.
    pub(super) fn sleeper(&self, pid: u32, frame: &str) {
        let task = format!("proc/{pid}/task/{pid}");
        self.write(&format!("{task}/comm"), "cat\n");
        self.write(&format!("{task}/status"), "Name:\tcat\nState:\tS (sleeping)\n");
        self.write(&format!("{task}/stack"), format!("[<0>] {frame}\n[<0>] do_syscall_64+0x5/0x9\n"));
        self.write(&format!("{task}/patch_state"), "-1\n");
    }

    pub(super) fn wakes(&self, pid: u32) {
        fs::remove_dir_all(self.path("proc").join(pid.to_string())).unwrap();
    }

    /// The task wakes later, while a command runs.
    pub(super) fn wakes_after(&self, pid: u32, time: Duration) {
        self.alarm.set(Some((pid, self.time.get() + time)));
    }

    /// How long after the machine's start the command last told systemd that the service has started.
    pub(super) fn started(&self) -> Option<Duration> {
        self.started.get()
    }

    fn patch_file(&self, name: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.path("sys/kernel/livepatch").join(name).join(file)).ok()
    }

    fn set(&self, patch: &str, file: &str, text: &str) {
        self.write(&format!("sys/kernel/livepatch/{patch}/{file}"), text);
    }

    fn patches(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("sys/kernel/livepatch")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What the kernel does about once a second.
    fn step(&self) {
        for patch in self.patches() {
            let (Some(enabled), Some(transition)) =
                (self.patch_file(&patch, "enabled"), self.patch_file(&patch, "transition"))
            else {
                continue;
            };
            let target = enabled.trim() == "1";
            if self.patch_file(&patch, "force").is_some_and(|force| force.trim() == "1") {
                self.set(&patch, "force", "0");
                self.end(&patch, target);
            } else if (transition.trim() == "1" || !target) && !self.is_held_up(&patch, target) {
                self.end(&patch, target);
            }
        }
    }

    /// Whether tasks sleep in code that they should leave: in a function of the patch, or in an old one.
    fn is_held_up(&self, patch: &str, target: bool) -> bool {
        self.set(patch, "transition", "1");
        let mut held = false;
        for process in fs::read_dir(self.path("proc")).unwrap().map(|entry| entry.unwrap().path()) {
            let pid = process.file_name().unwrap().to_str().unwrap();
            let state = process.join("task").join(pid).join("patch_state");
            if state.exists() {
                let stack = fs::read_to_string(state.with_file_name("stack")).unwrap();
                let runs_new = stack.contains(&format!("[{patch}]"));
                fs::write(&state, if runs_new { "1\n" } else { "0\n" }).unwrap();
                held |= runs_new != target;
            }
        }
        held
    }

    fn end(&self, patch: &str, target: bool) {
        if target {
            self.set(patch, "transition", "0");
            if self.patch_file(patch, "replaces").is_some() {
                for other in self.patches().into_iter().filter(|other| other != patch) {
                    self.forget(&other);
                }
            }
        } else {
            self.forget(patch);
        }
    }

    fn forget(&self, patch: &str) {
        fs::remove_dir_all(self.path("sys/kernel/livepatch").join(patch)).unwrap();
        self.write(&format!("sys/module/{patch}/refcnt"), "0\n");
    }
}

impl Machine for Fake {
    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn insert(&self, module: &File, parameters: &CStr) -> Result<(), Errno> {
        let answer = self.answer.take();
        if let Some(errno) = answer
            && errno != Errno::EXIST
        {
            let log = self.read("dev/kmsg");
            self.write(
                "dev/kmsg",
                format!("{log}3,1,1,-;livepatch: it does not like it\n3,2,2,-;other: line\n"),
            );
            return Err(errno);
        }
        let mut data = Vec::new();
        (&*module).read_to_end(&mut data).unwrap();
        let elf = object::File::parse(&*data).unwrap();
        let modinfo = Modinfo::read(&elf).unwrap();
        let name = modinfo.get("name").unwrap();
        self.parameters.borrow_mut().push(parameters.to_str().unwrap().into());
        assert!(!self.is_fatal.get(), "the machine goes down");
        for (file, text) in [("initstate", "live"), ("taint", "OEK"), ("refcnt", "1")] {
            self.write(&format!("sys/module/{name}/{file}"), text);
        }
        if let Some(version) = modinfo.get("version") {
            self.write(&format!("sys/module/{name}/version"), version);
        }
        let section = |section| elf.section_by_name(section).map(|section| section.data().unwrap());
        for note in [NOTE_SECTION, ".note.gnu.build-id"] {
            if let Some(contents) = section(note) {
                self.write(&format!("sys/module/{name}/notes/{note}"), contents);
            }
        }
        self.write("proc/sys/kernel/tainted", "32768\n");
        self.set(name, "vmlinux/fifo_open,0/.function", "");
        self.set(name, "absent/f,2/.function", "");
        self.set(name, "vmlinux/patched", "1\n");
        self.set(name, "absent/patched", "0\n");
        self.set(name, "enabled", "1\n");
        self.set(name, "transition", "1\n");
        self.set(name, "force", "0\n");
        if section(NOTE_SECTION).and_then(About::of_section).is_some_and(|about| about.replaces()) {
            self.set(name, "replaces", "");
        }
        self.is_held_up(name, true);
        // Another command has loaded it just before.
        answer.map_or(Ok(()), Err)
    }

    fn remove(&self, module: &str) -> Result<(), Errno> {
        if !self.is_loaded(module) {
            return Err(Errno::NOENT);
        }
        if self.read(&format!("sys/module/{module}/refcnt")).trim() != "0" {
            return Err(Errno::AGAIN);
        }
        fs::remove_dir_all(self.path("sys/module").join(module)).unwrap();
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.time.get()
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.time.get()
    }

    fn pause(&self, time: Duration) {
        self.time.set(self.time.get() + time);
        assert!(self.time.get() < Duration::from_secs(86_400), "the command never ends");
        if let Some((pid, time)) = self.alarm.get()
            && self.time.get() >= time
        {
            self.alarm.set(None);
            self.wakes(pid);
        }
        self.step();
    }

    fn is_interrupted(&self) -> bool {
        self.interruption.get().is_some_and(|time| self.time.get() >= time)
    }

    fn print(&self, text: &str) {
        self.printed.borrow_mut().push_str(&format!("{text}\n"));
    }

    fn say(&self, text: &str) {
        self.said.borrow_mut().push_str(&format!("{text}\n"));
    }

    fn says_to_journal(&self) -> bool {
        self.in_service.get()
    }

    fn has_started(&self) {
        self.started.set(Some(self.time.get()));
    }

    fn ask(&self, prompt: &str) -> String {
        self.say(prompt);
        self.typed.borrow().clone()
    }
}

/// A patch in C with this name.
pub(super) fn c_patch(name: &str) -> Vec<u8> {
    data(name, None, &[name.len() as u8, 1])
}
