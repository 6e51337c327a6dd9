//! The half that runs in the guest: loads modules and reads how many instructions that took.
//!
//! The guest's clocks count instructions. What a thread has spent on the processor is then the number
//! of instructions that ran for it, in the kernel too, and not those that ran while it slept.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use cargo_klp::error::{Error, Result};
use cargo_klp::vm::Vm;
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::workshop::Workshop;

/// Arguments of the hidden command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The steps, as JSON.
    steps: String,
}

/// What is done in the guest, in this order. Each step's figure goes to stdout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Loads a module.
    Load(PathBuf),
    /// Disables a patch.
    Disable(String),
    /// Unloads a module.
    Unload(String),
    /// Calls a function of the target module so often; the figure is that of the calls alone.
    Call(String, u32),
}

/// What a step took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Instructions of the thread.
    pub(crate) instructions: f64,
    /// Nanoseconds of the guest's time, those included in which others ran or nobody.
    pub(crate) time: f64,
}

/// Boots a kernel whose clocks count instructions, and has the steps done there.
pub(crate) fn run(workshop: &Workshop, steps: &[Step]) -> Result<Vec<Spent>> {
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let steps_text = serde_json::to_string(steps).expect("plain data");
    // On one processor no task runs elsewhere: a transition ends at its first try, within insmod.
    let vm = Vm::new(&workshop.kernel).cpus(1).count_instructions().timeout(Duration::from_secs(1800));
    let command = [this.into_os_string(), "bench-guest".into(), steps_text.into()];
    let said = vm.output(&command)?;
    let spent: Vec<Spent> = said.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if said.code != 0 || spent.len() != steps.len() {
        let message = format!("the guest's half of the benchmark failed: {}", said.stderr);
        return Err(Error::Guest { message, log: said.kernel_log });
    }
    Ok(spent)
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let steps: Vec<Step> = serde_json::from_str(&args.steps).expect("the other half has written it");
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
                // In the page cache, so that reading it costs nothing that depends on the host.
                fs::read(ko).map_err(Error::io("read", ko))?;
                let spent = spend(|| {
                    rustix::system::finit_module(&file, &none, 0)
                        .map_err(|errno| Error::io("load", ko)(errno.into()))
                })?;
                settle(&name(ko))?;
                Ok(spent)
            }
            Self::Disable(name) => {
                let enabled = format!("/sys/kernel/livepatch/{name}/enabled");
                let spent = spend(|| fs::write(&enabled, "0").map_err(Error::io("write", &enabled)))?;
                while Path::new(&enabled).exists() {
                    thread::sleep(Duration::from_millis(10));
                }
                Ok(spent)
            }
            Self::Unload(name) => {
                let c_name = CString::new(name.as_str()).expect("a name without NUL");
                spend(|| {
                    rustix::system::delete_module(&c_name, OFlags::NONBLOCK.bits() as i32)
                        .map_err(|errno| Error::io("unload", name)(errno.into()))
                })
            }
            Self::Call(function, times) => {
                let parameters = Path::new("/sys/module").join(super::sources::TARGET).join("parameters");
                let path = parameters.join(function);
                fs::write(&path, times.to_string()).map_err(Error::io("write", &path))?;
                let ticks = parameters.join("ticks");
                let text = fs::read_to_string(&ticks).map_err(Error::io("read", &ticks))?;
                let instructions = text.trim().parse().expect("the kernel writes a number");
                Ok(Spent { instructions, time: instructions })
            }
        }
    }
}

/// Waits for the end of a patch's transition, which is over already if nothing held it up.
fn settle(name: &str) -> Result<()> {
    let transition = format!("/sys/kernel/livepatch/{name}/transition");
    while fs::read_to_string(&transition).is_ok_and(|text| text.trim() != "0") {
        eprintln!("{name}: its transition did not end at the first try");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn name(ko: &Path) -> String {
    ko.file_stem().expect("a module has a name").to_string_lossy().into_owned()
}

/// What `work` costs.
fn spend<T>(work: impl FnOnce() -> Result<T>) -> Result<Spent> {
    let now = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let before = (now(ClockId::ThreadCPUTime), now(ClockId::Monotonic));
    work()?;
    let (instructions, time) = (now(ClockId::ThreadCPUTime) - before.0, now(ClockId::Monotonic) - before.1);
    Ok(Spent { instructions, time })
}
