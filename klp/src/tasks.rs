//! Tasks that hold a transition up.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::files::{directories, text};
use crate::machine::Machine;
use crate::sysfs::Patch;

/// A task that still runs the code that it should leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The process.
    pub pid: u32,
    /// The thread of it.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// The kernel's letter for what it does: R runs, S sleeps, D sleeps and can't be woken, …
    pub state: String,
    /// The function that holds it, if one of its stack belongs to a patch.
    pub function: Option<Held>,
    /// Its kernel stack, innermost first; empty for a task that runs, and for users other than root.
    pub stack: Vec<String>,
}

/// A function on a stack that a task must leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The function.
    pub name: String,
    /// The module that has it; `None` for the kernel itself.
    pub module: Option<String>,
}

/// The tasks that hold up a patch's transition, by their numbers.
///
/// # Errors
///
/// Those of reading procfs.
pub fn blockers(machine: &dyn Machine, patch: &Patch) -> Result<Vec<Blocker>> {
    let processes = machine.path("proc");
    let mut blockers = Vec::new();
    for pid in numbers(&processes)? {
        let threads = processes.join(pid.to_string()).join("task");
        for tid in numbers(&threads)? {
            let task = threads.join(tid.to_string());
            if !is_behind(&task, patch.enabled)? {
                continue;
            }
            let stack = fs::read_to_string(task.join("stack")).unwrap_or_default();
            let stack: Vec<_> = stack.lines().filter_map(frame).map(str::to_owned).collect();
            blockers.push(Blocker {
                pid,
                tid,
                // Any user chooses it, and root's terminal would obey what is in it.
                name: text(&task.join("comm"))?.unwrap_or_default().replace(char::is_control, "?"),
                state: state(&task)?,
                function: stack.iter().find_map(|frame| held(frame, patch, machine)),
                stack,
            });
        }
    }
    blockers.sort_by_key(|blocker| (blocker.pid, blocker.tid));
    Ok(blockers)
}

/// Whether some task is inside the system call that loads a module; `None` where that can't be seen.
///
/// # Errors
///
/// Those of reading procfs.
pub fn is_loading(machine: &dyn Machine) -> Result<Option<bool>> {
    let processes = machine.path("proc");
    let mut sees = false;
    for pid in numbers(&processes)? {
        let threads = processes.join(pid.to_string()).join("task");
        for tid in numbers(&threads)? {
            let Ok(stack) = fs::read_to_string(threads.join(tid.to_string()).join("stack")) else { continue };
            sees = true;
            if stack.contains("do_init_module") || stack.contains("init_module_from_file") {
                return Ok(Some(true));
            }
        }
    }
    Ok(sees.then_some(false))
}

/// `patch_state` is -1 outside of a transition, else whether the task runs new code.
fn is_behind(task: &Path, target: bool) -> Result<bool> {
    let state = text(&task.join("patch_state"))?;
    Ok(match state.as_deref() {
        Some("0") => target,
        Some("1") => !target,
        _ => false,
    })
}

fn numbers(directory: &Path) -> Result<Vec<u32>> {
    Ok(directories(directory)?.into_iter().filter_map(|name| name.parse().ok()).collect())
}

fn state(task: &Path) -> Result<String> {
    let status = text(&task.join("status"))?.unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    Ok(state.and_then(|state| state.trim().get(..1)).unwrap_or("?").to_owned())
}

/// The function of a line of `stack`: `[<0>] fifo_open+0x1f/0x300`, and ` [MODULE]` behind it.
fn frame(line: &str) -> Option<&str> {
    let (_, frame) = line.split_once("] ")?;
    Some(frame.trim())
}

/// The function of a frame if it is one that the task must leave: one that the patch redirects, or one of a
/// livepatch module, the patch itself or one that it replaces.
fn held(frame: &str, patch: &Patch, machine: &dyn Machine) -> Option<Held> {
    let (symbol, place) = frame.split_once('+').unwrap_or((frame, ""));
    let module = place.split_once('[').and_then(|(_, module)| module.split([' ', ']']).next());
    let is_patch = |module: &str| machine.path("sys/kernel/livepatch").join(module).is_dir();
    let is_held = match module {
        Some(module) if is_patch(module) => true,
        _ => patch.enabled && patch.redirects(symbol),
    };
    is_held.then(|| Held { name: demangled(symbol), module: module.map(str::to_owned) })
}

/// The name of a function as in the source.
#[must_use]
pub fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}
