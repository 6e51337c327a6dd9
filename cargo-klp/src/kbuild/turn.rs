//! Lets one make at a time build in a directory.
//!
//! Two makes in one directory would write the same files. `cargo klp object`, the first step of each, waits until the
//! other make has ended. No step can hold a lock until the module is finished, because each is a process of its own.
//! Instead, a file names the make that builds: the outermost one that runs in the kernel's build directory.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process;
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::report::Reporter;

/// The time between two looks whether the other make has ended.
const INTERVAL: Duration = Duration::from_millis(100);

/// A process; its start tells it from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    /// In clock ticks since boot.
    start: u64,
}

/// Waits until no other make builds, then names the make that runs this process in `file`.
pub(super) fn wait(file: &Path, kdir: &Path, reporter: &dyn Reporter) -> Result<()> {
    let Some(make) = make_of_this_process(kdir) else { return Ok(()) };
    let Some(other) = take(file, &make)? else { return Ok(()) };
    let directory = file.parent().unwrap_or(Path::new(".")).display();
    let what = format!("for the make with process id {}, which builds in `{directory}` too", other.pid);
    let _progress = reporter.progress("Waiting", &what);
    while take(file, &make)?.is_some() {
        sleep(INTERVAL);
    }
    Ok(())
}

/// Names `make` in the file, unless the file names another one that still runs, which is returned.
fn take(path: &Path, make: &Process) -> Result<Option<Process>> {
    let mut file = File::options()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io("open", path))?;
    file.lock().map_err(Error::io("lock", path))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(Error::io("read", path))?;
    if let Some(other) = Process::parse(&text).filter(|other| other != make && other.runs()) {
        return Ok(Some(other));
    }
    let write = |file: &mut File| {
        file.rewind()?;
        file.set_len(0)?;
        write!(file, "{} {}", make.pid, make.start)
    };
    write(&mut file).map_err(Error::io("write", path))?;
    Ok(None)
}

/// The outermost make among the ancestors of this process that runs in a directory; `None` if no make does.
fn make_of_this_process(kdir: &Path) -> Option<Process> {
    let kdir = fs::canonicalize(kdir).ok()?;
    let mut found = None;
    let mut pid = process::id();
    while let Some(stat) = Stat::of(pid) {
        let is_make = stat.name.ends_with("make")
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == kdir);
        if is_make {
            found = Some(Process { pid, start: stat.start });
        }
        pid = stat.parent;
    }
    found
}

impl Process {
    fn parse(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, start: start.parse().ok()? })
    }

    fn runs(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != "Z")
    }
}

/// The part of `/proc/PID/stat` that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: String,
    parent: u32,
    start: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may contain anything, parentheses and blanks too.
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_whitespace();
        let (state, parent) = (fields.next()?.to_owned(), fields.next()?.parse().ok()?);
        Some(Self { name: name.into(), state, parent, start: fields.nth(17)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process() {
        let text = "12 (a) b (c)) S 7 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 4711 21 22 23";
        let expected = Stat { name: "a) b (c)".into(), state: "S".into(), parent: 7, start: 4711 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::of(process::id()).unwrap().parent, std::os::unix::process::parent_id());
    }

    #[test]
    fn a_make_that_runs_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("make");
        let running = |pid| Process { pid, start: Stat::of(pid).unwrap().start };
        let (first, second) = (running(process::id()), running(std::os::unix::process::parent_id()));
        assert_eq!(take(&file, &first).unwrap(), None);
        assert_eq!(take(&file, &first).unwrap(), None, "it is the same make");
        assert_eq!(take(&file, &second).unwrap(), Some(first.clone()));
        let ended = Process { start: first.start + 1, ..first };
        fs::write(&file, format!("{} {}", ended.pid, ended.start)).unwrap();
        assert_eq!(take(&file, &second).unwrap(), None);
    }
}
