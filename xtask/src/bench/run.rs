//! Runs programs and measures their time and memory.

use std::iter::Sum;
use std::process::{Command, Stdio};
use std::time::Instant;

use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::not_started;

use super::measure::median;

/// Time and memory of a program, including the programs that it ran and waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Wall time, in seconds.
    pub(crate) wall: f64,
    /// Processor time in user and kernel mode, in seconds.
    pub(crate) cpu: f64,
    /// The memory of the largest process, in MiB.
    pub(crate) memory: f64,
}

impl Sum for Usage {
    /// That of programs that run one after the other.
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self { wall: 0.0, cpu: 0.0, memory: 0.0 }, |sum, usage| Self {
            wall: sum.wall + usage.wall,
            cpu: sum.cpu + usage.cpu,
            memory: sum.memory.max(usage.memory),
        })
    }
}

/// Runs a program to its end.
///
/// # Errors
///
/// The program cannot be started, or fails.
pub(crate) fn run(command: &mut Command) -> Result<Usage> {
    let started = Instant::now();
    let directory = tempfile::tempfile().map_err(Error::io("create", "a temporary file"))?;
    let said = directory.try_clone().map_err(Error::io("open", "a temporary file"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(directory);
    let child = command.spawn().map_err(|source| not_started(command.get_program(), source))?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    let pid = libc::pid_t::try_from(child.id()).expect("a process id is one");
    // SAFETY: Both pointers are to our own memory; the child is waited for here only.
    let ended = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let wall = started.elapsed().as_secs_f64();
    if ended != pid || status != 0 {
        return Err(failed(command, said));
    }
    // SAFETY: `wait4` succeeded, so the kernel has filled in the structure; zeroes are valid too.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Usage {
        wall,
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        memory: usage.ru_maxrss as f64 / 1024.0,
    })
}

fn failed(command: &Command, mut said: std::fs::File) -> Error {
    use std::io::{Read, Seek};
    let mut text = String::new();
    // If its output cannot be read, the message is still true without it.
    let _ = said.rewind().and_then(|()| said.read_to_string(&mut text));
    Error::Request {
        message: format!("{command:?} failed while it was measured:\n{text}"),
        help: "run this command by hand to see why".into(),
    }
}

/// Measures several runs, and returns the median of each figure.
pub(crate) fn medians(runs: usize, mut once: impl FnMut() -> Result<Usage>) -> Result<Usage> {
    let usages = (0..runs).map(|_| once()).collect::<Result<Vec<_>>>()?;
    let of = |part: fn(&Usage) -> f64| median(usages.iter().map(part).collect());
    Ok(Usage { wall: of(|usage| usage.wall), cpu: of(|usage| usage.cpu), memory: of(|usage| usage.memory) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_an_error() {
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("no"), "{error}");
        run(Command::new("true").arg("-")).unwrap();
    }
}
