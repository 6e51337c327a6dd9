//! The kernel log: what klp does is written there, whence the journal takes it, and what the kernel says of it is
//! read there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use crate::machine::Machine;

const KMSG: &str = "dev/kmsg";
/// `KERN_NOTICE`.
const NOTICE: u8 = 5;

/// Writes a line to the kernel log; whether it is there. A machine that has none loses it.
pub fn write(machine: &dyn Machine, line: &str) -> bool {
    // One record for each write.
    let record = format!("<{NOTICE}>klp: {line}\n");
    let log = OpenOptions::new().append(true).open(machine.path(KMSG));
    log.and_then(|mut log| log.write_all(record.as_bytes())).is_ok()
}

/// The kernel log from a moment on.
#[derive(Debug)]
pub struct Log(Option<File>);

impl Log {
    /// From now on; empty where the log can't be read.
    pub fn new(machine: &dyn Machine) -> Self {
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(machine.path(KMSG));
        Self(file.ok().filter(|mut file| file.seek(SeekFrom::End(0)).is_ok()))
    }

    /// What has come since then of a patch and of the livepatch core, without numbers and times.
    pub fn lines_of(&mut self, patch: &str) -> Vec<String> {
        let mut text = String::new();
        let mut record = [0; 8192];
        // One read gives one record; the last one fails, as nothing more is there.
        while let Some(log) = &mut self.0
            && let Ok(length @ 1..) = log.read(&mut record)
        {
            text.push_str(&String::from_utf8_lossy(&record[..length]));
        }
        let messages = text.lines().filter_map(|line| Some(line.split_once(';')?.1));
        let is_of_it = |line: &&str| {
            [patch, "livepatch"].iter().any(|from| line.starts_with(&format!("{from}: ")))
                || line.starts_with("Loading of ")
        };
        messages.filter(is_of_it).map(str::to_owned).collect()
    }
}
