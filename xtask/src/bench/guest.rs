//! The half that runs in the guest: it loads modules and measures the instructions or the time of each step.
//!
//! Where the guest's clocks count instructions, a thread's processor time is the number of instructions that ran
//! for it, in the kernel too. Instructions that ran while the thread slept are not included.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use cargo_klp::commands::ui::Terminal;
use cargo_klp::error::{Error, Result};
use cargo_klp::vm::Vm;
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::workshop::Workshop;

/// Arguments of the hidden command `cargo xtask bench-guest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file with the steps, as JSON.
    steps: PathBuf,
}

/// One step in the guest. Its figures go to stdout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Loads a module.
    Load(PathBuf),
    /// Disables a patch.
    Disable(String),
    /// Unloads a module.
    Unload(String),
    /// Calls a function of the target module this many times, and measures the calls alone.
    Call(String, u32),
}

/// What the guest's clocks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Instructions, a nanosecond each.
    Instructions,
    /// Time.
    Time,
}

/// The figures of a step.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Processor time of the thread in nanoseconds: its instructions, where clocks count instructions.
    pub(crate) thread: f64,
    /// The guest's time in nanoseconds until the transition is over. It includes the time in which the thread did
    /// not run.
    pub(crate) time: f64,
}

impl Spent {
    /// The figure that this clock measures.
    pub(crate) fn by(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Instructions => self.thread,
            Clock::Time => self.time,
        }
    }
}

/// Boots the kernel with this clock, and runs the steps in the guest.
pub(crate) fn run(workshop: &Workshop, steps: &[Step], clock: Clock) -> Result<Vec<Spent>> {
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let steps_text = serde_json::to_string(steps).expect("plain data");
    // On one processor no task runs elsewhere: a transition ends at its first try, within insmod.
    let mut vm = Vm::new(&workshop.kernel).report_to(&Terminal).cpus(1).timeout(Duration::from_secs(1800));
    if clock == Clock::Instructions {
        vm = vm.count_instructions();
    }
    let list = workshop.directory().join("steps.json");
    fs::write(&list, steps_text).map_err(Error::io("write", &list))?;
    let command = [this.into_os_string(), "bench-guest".into(), list.into()];
    let output = vm.output(&command)?;
    let spent: Vec<Spent> =
        output.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if output.code != 0 || spent.len() != steps.len() {
        let message = format!("the benchmark failed in the guest: {}", output.stderr);
        return Err(Error::Guest { message, log: output.kernel_log });
    }
    Ok(spent)
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let text = fs::read_to_string(&args.steps).map_err(Error::io("read", &args.steps))?;
    let steps: Vec<Step> = serde_json::from_str(&text).expect("`run` has written it");
    for step in steps {
        let spent = step.run()?;
        println!("{}", serde_json::to_string(&spent).expect("plain data"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Step {
    fn run(&self) -> Result<Spent> {
        match self {
            Self::Load(ko) => {
                let file = File::open(ko).map_err(Error::io("open", ko))?;
                let none = CString::default();
                // Brings the file into the page cache, so that the host's disk does not count.
                fs::read(ko).map_err(Error::io("read", ko))?;
                let load = || {
                    rustix::system::finit_module(&file, &none, 0)
                        .map_err(|errno| Error::io("load", ko)(errno.into()))
                };
                spend(load, || settle(&name(ko)))
            }
            Self::Disable(name) => {
                let enabled = format!("/sys/kernel/livepatch/{name}/enabled");
                let disable = || fs::write(&enabled, "0").map_err(Error::io("write", &enabled));
                let spent = spend(disable, || settle(name))?;
                while Path::new(&enabled).exists() {
                    thread::sleep(Duration::from_millis(10));
                }
                Ok(spent)
            }
            Self::Unload(name) => {
                let c_name = CString::new(name.as_str()).expect("a name without NUL");
                let unload = || {
                    rustix::system::delete_module(&c_name, OFlags::NONBLOCK.bits() as i32)
                        .map_err(|errno| Error::io("unload", name)(errno.into()))
                };
                spend(unload, || ())
            }
            Self::Call(function, times) => {
                let parameters = Path::new("/sys/module").join(super::sources::TARGET).join("parameters");
                let path = parameters.join(function);
                fs::write(&path, times.to_string()).map_err(Error::io("write", &path))?;
                let ticks = parameters.join("ticks");
                let text = fs::read_to_string(&ticks).map_err(Error::io("read", &ticks))?;
                let instructions = text.trim().parse().expect("the kernel writes a number");
                Ok(Spent { thread: instructions, time: instructions })
            }
        }
    }
}

/// Waits until a patch's transition is over.
fn settle(name: &str) {
    let transition = format!("/sys/kernel/livepatch/{name}/transition");
    while fs::read_to_string(&transition).is_ok_and(|text| text.trim() != "0") {
        thread::sleep(Duration::from_millis(1));
    }
}

fn name(ko: &Path) -> String {
    ko.file_stem().expect("a module has a name").to_string_lossy().into_owned()
}

/// Measures the processor time of `work`, and the time until `settle` returns.
fn spend<T>(work: impl FnOnce() -> Result<T>, settle: impl FnOnce()) -> Result<Spent> {
    let now = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let before = (now(ClockId::ThreadCPUTime), now(ClockId::Monotonic));
    work()?;
    let thread = now(ClockId::ThreadCPUTime) - before.0;
    settle();
    Ok(Spent { thread, time: now(ClockId::Monotonic) - before.1 })
}
