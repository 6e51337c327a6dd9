//! Processes that keep a transition from ending.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::guest::wait;

/// A process that sleeps in the kernel's `fifo_open`, or in what replaces it.
pub(crate) struct Sleeper(Child, PathBuf);

impl Sleeper {
    /// Starts it; it sleeps where its stack has `function`.
    pub(crate) fn opening_a_fifo(name: &str, function: &str) -> Self {
        let fifo = std::env::temp_dir().join(format!("klp-{name}"));
        // A sleeper of that name may have been there before.
        let _ = std::fs::remove_file(&fifo);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        let child = Command::new("cat").arg(&fifo).stderr(Stdio::null()).spawn().unwrap();
        let of_child = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
        // Only a task that sleeps has a stack that stays as it is while the kernel walks it: KASAN reports others.
        let is_asleep =
            || of_child("stat").rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S'));
        let sleeps = || is_asleep() && of_child("stack").contains(function);
        wait(sleeps, || "the process does not open the FIFO".into());
        Self(child, fifo)
    }

    /// Opens the FIFO's other end, so that the process ends well, which its exit code says.
    pub(crate) fn let_go(self) {
        drop(std::fs::File::options().write(true).open(&self.1).unwrap());
        assert_eq!(self.ends_by_itself(), Some(0));
    }

    /// Waits until it ends without being killed; its exit code.
    pub(crate) fn ends_by_itself(mut self) -> Option<i32> {
        let mut status = None;
        wait(
            || {
                status = self.0.try_wait().unwrap();
                status.is_some()
            },
            || "the process goes on".into(),
        );
        status.and_then(|status| status.code())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
