//! The half that runs in the guest: loads patches and reads the kernel log.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::cleanup;

/// The variable that says what the guest was booted for.
pub(crate) const BOOT: &str = "KLP_TEST_BOOT";
/// The variable that holds the directory of the modules.
pub(crate) const MODULES: &str = "KLP_TEST_MODULES";
/// The variable that holds the release of the kernel that should be up.
pub(crate) const KERNEL: &str = "KLP_TEST_KERNEL";

/// A transition that nothing holds up takes one try, or a second for each one more.
const TRANSITION: Duration = Duration::from_secs(60);

/// What a guest was booted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Tests that leave the kernel as it was.
    Sound,
    /// Tests that don't.
    Crash,
    /// Tests with several processes on several processors.
    Parallel,
    /// Tests that provoke the kernel's own checkers, on a kernel that has them.
    Checkers,
    /// Calls by pointer of a wrong type.
    Types,
    /// A patch that uses the kernel's own Rust crate, which must have been made.
    KernelCrate,
    /// What takes too long for every run.
    Soak,
}

impl Boot {
    /// Those of an ordinary run, in their order.
    pub(crate) const ORDINARY: [Self; 4] = [Self::Sound, Self::Parallel, Self::Crash, Self::Checkers];

    /// Its name in [`BOOT`].
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Crash => "crash",
            Self::Parallel => "parallel",
            Self::Checkers => "checkers",
            Self::Types => "types",
            Self::KernelCrate => "kernel-crate",
            Self::Soak => "soak",
        }
    }

    /// The one of a name.
    pub(crate) fn named(name: &str) -> Self {
        let ordinary = Self::ORDINARY.into_iter();
        let mut all = ordinary.chain([Self::Types, Self::KernelCrate, Self::Soak]);
        all.find(|boot| boot.name() == name).unwrap_or_else(|| panic!("{BOOT}: {name:?}"))
    }

    /// Whether the kernel must be as sound after its tests as before.
    pub(crate) const fn is_sound(self) -> bool {
        !matches!(self, Self::Crash | Self::Checkers | Self::Types)
    }

    /// How many processors. On one no task is running elsewhere when a transition begins: the kernel
    /// need not wait a second for its next try.
    pub(crate) const fn cpus(self) -> u32 {
        match self {
            Self::Parallel => 2,
            _ => 1,
        }
    }
}

/// Runs a test: after it no patch is left, and the kernel has nothing to complain of. What a test leaves that
/// fails is put away, so that the next one does not fail for it.
pub(crate) fn run(test: fn()) {
    run_excusing(test, |_| false);
}

/// Runs a test, during which the kernel may complain in some lines.
pub(crate) fn run_excusing(test: fn(), is_excused: fn(&str) -> bool) {
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim(),
        std::env::var(KERNEL).unwrap(),
        "another kernel is up than the modules are for"
    );
    let before = modules();
    let outcome = panic::catch_unwind(|| {
        let lines = watched(test);
        assert_eq!(modules(), before, "modules were left behind");
        assert_eq!(patches(), Vec::<String>::new(), "patches were left behind");
        let complaint = lines.iter().find(|line| is_complaint(line) && !is_excused(line));
        assert!(complaint.is_none(), "the kernel complained: {}\n{}", complaint.unwrap(), lines.join("\n"));
    });
    if let Err(failure) = outcome {
        cleanup::put_away(&before);
        panic::resume_unwind(failure);
    }
}

/// Runs a test, and returns what the kernel logged meanwhile: read as it comes, or the kernel would overwrite
/// some of it in a long test.
fn watched(test: fn()) -> Vec<String> {
    /// Says that the test is over, however it ends.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    let (mut log, is_over) = (Log::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut lines = Vec::new();
            while !is_over.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(50));
                lines.extend(log.lines());
            }
            lines.extend(log.lines());
            lines
        });
        let over = Over(&is_over);
        test();
        drop(over);
        reader.join().unwrap()
    })
}

/// Whether a line of the log means that something is wrong with the kernel. What kmemleak finds is read
/// from its own file, after a test that leaks on purpose too.
pub(crate) fn is_complaint(line: &str) -> bool {
    const SIGNS: [&str; 15] = [
        "WARNING:",
        "BUG:",
        // Of slub_debug, without a colon.
        "BUG ",
        "Oops",
        "general protection",
        "Call Trace",
        "INFO: task",
        // Of lockdep, of a lock without a key.
        "INFO: trying to register",
        "refcount_t",
        "list_add corruption",
        "list_del corruption",
        "UBSAN:",
        "ODEBUG:",
        // A checker that gives up.
        "leak detector disabled",
        "lockdep is turned off",
    ];
    SIGNS.iter().any(|sign| line.contains(sign))
}

/// The modules that are loaded, by name.
pub(crate) fn modules() -> Vec<String> {
    let text = fs::read_to_string("/proc/modules").unwrap();
    let mut names: Vec<_> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names
}

/// The patches that the kernel knows.
pub(crate) fn patches() -> Vec<String> {
    let entries = fs::read_dir("/sys/kernel/livepatch").unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A patch or another module of the tests or examples, by the name of its module without `klp_test_`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch(pub(crate) &'static str);

impl Patch {
    /// The module's name.
    pub(crate) fn module(self) -> String {
        if self.0.starts_with("livepatch_") { self.0.into() } else { format!("klp_test_{}", self.0) }
    }

    /// The module's file.
    pub(crate) fn file(self) -> PathBuf {
        let directory = PathBuf::from(std::env::var_os(MODULES).unwrap());
        directory.join(self.module()).join(self.module()).with_extension("ko")
    }

    fn sysfs(self, file: &str) -> PathBuf {
        Path::new("/sys/kernel/livepatch").join(self.module()).join(file)
    }

    /// Loads the module; the transition that it starts may not be over.
    pub(crate) fn insert(self) -> Result<(), Errno> {
        self.insert_with(c"")
    }

    /// Loads the module with parameters.
    pub(crate) fn insert_with(self, parameters: &CStr) -> Result<(), Errno> {
        load(&self.open(), parameters)
    }

    /// Opens the module's file.
    pub(crate) fn open(self) -> OwnedFd {
        let ko = self.file();
        rustix::fs::open(&ko, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .unwrap_or_else(|error| panic!("{}: {error}", ko.display()))
    }

    /// Loads the module and waits until its transition is over.
    pub(crate) fn enable(self) {
        self.insert().unwrap_or_else(|error| panic!("insmod {}: {error}", self.0));
        self.settle();
    }

    /// Loads the module, which must fail with this error and leave nothing.
    pub(crate) fn refused(self, error: Errno) {
        assert_eq!(self.insert(), Err(error), "insmod {}", self.0);
        assert!(!self.sysfs("enabled").exists());
        assert!(!self.is_loaded());
    }

    /// Writes to the patch's `enabled`.
    pub(crate) fn set_enabled(self, enabled: bool) {
        fs::write(self.sysfs("enabled"), if enabled { "1" } else { "0" })
            .unwrap_or_else(|error| panic!("enabled of {}: {error}", self.0));
    }

    /// Tries to write to the patch's `enabled`.
    pub(crate) fn try_set_enabled(self, enabled: bool) -> Result<(), Errno> {
        let result = fs::write(self.sysfs("enabled"), if enabled { "1" } else { "0" });
        result.map_err(|error| Errno::from_io_error(&error).expect("the kernel's error"))
    }

    /// Ends its transition, whatever tasks run.
    pub(crate) fn force(self) {
        fs::write(self.sysfs("force"), "1").unwrap_or_else(|error| panic!("force of {}: {error}", self.0));
    }

    /// Whether its transition is running.
    pub(crate) fn in_transition(self) -> bool {
        fs::read_to_string(self.sysfs("transition")).is_ok_and(|text| text.trim() == "1")
    }

    /// Waits until its transition is over.
    pub(crate) fn settle(self) {
        wait(|| !self.in_transition(), || format!("the transition of {} does not end", self.0));
    }

    /// Disables it and waits until no task runs its code: the kernel then forgets it.
    pub(crate) fn disable(self) {
        self.set_enabled(false);
        self.gone();
    }

    /// Waits until the kernel has forgotten it: disabled, or replaced.
    pub(crate) fn gone(self) {
        wait(|| !self.sysfs("enabled").exists(), || format!("{} does not go", self.0));
    }

    /// Unloads the module, once nothing holds it.
    pub(crate) fn remove(self) {
        let mut result = Ok(());
        wait(
            || {
                result = self.try_remove();
                result != Err(Errno::AGAIN) && result != Err(Errno::BUSY)
            },
            || format!("{} can't be unloaded", self.0),
        );
        result.unwrap_or_else(|error| panic!("rmmod {}: {error}", self.0));
    }

    /// Tries to unload the module.
    pub(crate) fn try_remove(self) -> Result<(), Errno> {
        unload(&self.module())
    }

    /// Whether the module is loaded.
    pub(crate) fn is_loaded(self) -> bool {
        Path::new("/sys/module").join(self.module()).exists()
    }

    /// Disables and unloads it.
    pub(crate) fn end(self) {
        self.disable();
        self.remove();
    }
}

/// Whether the kernel is of the series 6.1.
pub(crate) fn is_6_1() -> bool {
    std::env::var(KERNEL).unwrap().starts_with("6.1.")
}

/// Loads a module file.
pub(crate) fn load(ko: &OwnedFd, parameters: &CStr) -> Result<(), Errno> {
    rustix::system::finit_module(ko, parameters, 0)
}

/// Tries to unload a module.
pub(crate) fn unload(module: &str) -> Result<(), Errno> {
    let name = CString::new(module).unwrap();
    rustix::system::delete_module(&name, OFlags::NONBLOCK.bits() as i32)
}

/// Waits until something is so.
pub(crate) fn wait(mut condition: impl FnMut() -> bool, otherwise: impl Fn() -> String) {
    assert!(is_within_limit(&mut condition), "{}", otherwise());
}

/// Waits until something is so; whether it is, after a time that is long enough.
pub(crate) fn is_within_limit(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > TRANSITION {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The kernel log from a moment on.
pub(crate) struct Log(fs::File);

impl Log {
    /// From now on.
    pub(crate) fn new() -> Self {
        let file = fs::File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open("/dev/kmsg")
            .unwrap();
        rustix::fs::seek(&file, SeekFrom::End(0)).unwrap();
        Self(file)
    }

    /// What has come since the last call.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        self.records().into_iter().map(|(_, line)| line).collect()
    }

    /// What has come since the last call, each line with its level.
    fn records(&mut self) -> Vec<(u32, String)> {
        let mut lines = Vec::new();
        // One read gives one record: priority, number and time, a semicolon, the text.
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    let (numbers, text) = record.split_once(';').unwrap();
                    let priority: u32 = numbers.split(',').next().unwrap().parse().unwrap();
                    lines.extend(text.lines().next().map(|line| (priority % 8, line.to_owned())));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return lines,
                // Records were overwritten before they were read.
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }

    /// What the patches of the tests have logged since the last call, as `PATCH.CALLBACK`.
    pub(crate) fn of_patches(&mut self) -> Vec<String> {
        self.lines().iter().filter_map(|line| of_patch(line)).collect()
    }

    /// Those of them that are errors, or worse.
    pub(crate) fn errors_of_patches(&mut self) -> Vec<String> {
        const KERN_ERR: u32 = 3;
        let errors = self.records().into_iter().filter(|(level, _)| *level <= KERN_ERR);
        errors.filter_map(|(_, line)| of_patch(&line)).collect()
    }

    /// The state callbacks of the patches since the last call, without whose data they were given.
    pub(crate) fn callbacks(&mut self) -> Vec<String> {
        let without_maker = |line: String| line.split(" (").next().unwrap_or_default().to_owned();
        self.of_patches().into_iter().map(without_maker).collect()
    }
}

/// `PATCH.TEXT` of a line that a patch of the tests has logged.
pub(crate) fn of_patch(line: &str) -> Option<String> {
    let (patch, text) = line.strip_prefix("klp_test_")?.split_once(": ")?;
    // What the kernel's module loader says of each.
    let loader = ["loading out-of-tree", "module verification failed", "tainting kernel"];
    (!loader.iter().any(|start| text.starts_with(start))).then(|| format!("{patch}.{text}"))
}
