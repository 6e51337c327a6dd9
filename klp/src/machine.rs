//! The machine that a command works on: files below one root, and the few system calls that are no file.
//!
//! Tests have a machine of their own: a directory in place of the root, and a kernel that they write themselves.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// A machine.
pub trait Machine {
    /// The directory that has `sys` and `proc`.
    fn root(&self) -> &Path;

    /// Loads a module; returns when its init function has returned. This task dies with it if it oopses.
    ///
    /// # Errors
    ///
    /// The kernel's answer.
    fn insert(&self, module: &File, parameters: &CStr) -> Result<(), Errno>;

    /// Unloads a module, unless something uses it.
    ///
    /// # Errors
    ///
    /// The kernel's answer.
    fn remove(&self, module: &str) -> Result<(), Errno>;

    /// The time since some moment; it never goes back.
    fn elapsed(&self) -> Duration;

    /// The time of day.
    fn now(&self) -> SystemTime;

    /// Waits, for less time if the user wants the command to end.
    fn pause(&self, time: Duration);

    /// Whether the user wants the command to end.
    fn is_interrupted(&self) -> bool;

    /// Prints a part of the result.
    fn print(&self, text: &str);

    /// Says how the work goes on, or what is wrong.
    fn say(&self, text: &str);

    /// Whether what it [says](Self::say) goes to the journal, which also has the kernel log.
    fn says_to_journal(&self) -> bool;

    /// Tells systemd that the service has started, if this command is one.
    fn has_started(&self);

    /// Asks the user for a line; empty where nobody answers, or the user wants the command to end.
    fn ask(&self, prompt: &str) -> String;

    /// A path of the machine, given from its root.
    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }
}

/// The machine that the command runs on.
#[derive(Debug)]
pub struct ThisMachine {
    root: PathBuf,
    start: Instant,
    interrupted: Arc<AtomicBool>,
}

impl ThisMachine {
    /// From now on, a signal to end (INT, TERM, HUP) lets the command say how things stand before it ends.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        let ignored = ignored_signals();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Who started the command with `nohup` wants it to go on.
            if ignored & (1 << (signal - 1)) == 0 {
                // Without it, the signal ends the command at once.
                let _ = signal_hook::flag::register(signal, Arc::clone(&interrupted));
            }
        }
        Self { root: root.into(), start: Instant::now(), interrupted }
    }
}

/// The signals that this process was started to ignore: a bit each, from 1.
fn ignored_signals() -> u64 {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

impl Machine for ThisMachine {
    fn root(&self) -> &Path {
        &self.root
    }

    fn insert(&self, module: &File, parameters: &CStr) -> Result<(), Errno> {
        rustix::system::finit_module(module, parameters, 0)
    }

    fn remove(&self, module: &str) -> Result<(), Errno> {
        let name = CString::new(module).map_err(|_| Errno::INVAL)?;
        rustix::system::delete_module(&name, OFlags::NONBLOCK.bits().cast_signed())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn pause(&self, time: Duration) {
        // A signal wakes no `thread::sleep`.
        const STEP: Duration = Duration::from_millis(50);
        let end = self.start.elapsed() + time;
        while !self.is_interrupted()
            && let Some(left) = end.checked_sub(self.start.elapsed())
            && !left.is_zero()
        {
            std::thread::sleep(left.min(STEP));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn print(&self, text: &str) {
        // A reader that has gone away needs no more of it.
        let _ = writeln!(io::stdout(), "{text}");
    }

    fn say(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn says_to_journal(&self) -> bool {
        // systemd sets it for what it starts; a program in between may have sent the stream elsewhere.
        let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
        rustix::fs::fstat(io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
    }

    fn has_started(&self) {
        // Nobody else to tell: systemd sees it when the command ends.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    fn ask(&self, prompt: &str) -> String {
        let _ = write!(io::stderr(), "{prompt}");
        let mut line = String::new();
        if comes(io::stdin(), || self.is_interrupted()) {
            let _ = io::stdin().lock().read_line(&mut line);
        }
        line
    }
}

/// Waits until something can be read, or its end; false where the user wants the command to end first. A signal that is
/// handled ends no `read`.
fn comes(input: impl AsFd, is_interrupted: impl Fn() -> bool) -> bool {
    const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    while !is_interrupted() {
        let mut input = [PollFd::new(&input, PollFlags::IN)];
        if !matches!(poll(&mut input, Some(&STEP)), Ok(0) | Err(Errno::INTR)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_question_that_nobody_answers_can_be_left() {
        let (input, mut user) = io::pipe().unwrap();
        let asked = Cell::new(0);
        let at_the_third_look = || asked.replace(asked.get() + 1) == 2;
        assert!(!comes(&input, at_the_third_look));
        user.write_all(b"yes\n").unwrap();
        assert!(comes(&input, || false));
    }

    /// A terminal that is closed, too, lets a command say how it leaves the machine; what `load` does then is a test of its
    /// own.
    #[test]
    fn a_signal_to_end_is_an_interruption() {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let machine = ThisMachine::new(Path::new("/"));
            assert!(!machine.is_interrupted());
            signal_hook::low_level::raise(signal).unwrap();
            // `nohup` and shells start programs that ignore some: these go on.
            let is_ignored = ignored_signals() & (1 << (signal - 1)) != 0;
            assert_eq!(machine.is_interrupted(), !is_ignored, "{signal}");
        }
    }
}
