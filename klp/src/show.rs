//! What people read: progress, actions, errors, and the text of blockers.

use std::fmt::Write;

use serde::Serialize;

use crate::error::Error;
use crate::log;
use crate::machine::Machine;
use crate::tasks::{Blocker, demangled};

/// Prints the result of a command, for people.
pub fn text(machine: &dyn Machine, text: &str) {
    machine.print(text.trim_end());
}

/// Prints the result of a command, for programs.
pub fn json(machine: &dyn Machine, value: &impl Serialize) {
    machine.print(&serde_json::to_string_pretty(value).expect("texts and numbers have a form in JSON"));
}

/// Says how the work goes on.
pub fn progress(machine: &dyn Machine, text: &str) {
    machine.say(text.trim_end());
}

/// Says what was done to the machine, and writes it to the kernel log. The journal takes it from there: what a service says
/// would be in it twice.
pub fn action(machine: &dyn Machine, text: &str) {
    let is_logged = log::write(machine, text);
    if !(is_logged && machine.says_to_journal()) {
        progress(machine, text);
    }
}

/// Says something that the administrator should look at.
pub fn warning(machine: &dyn Machine, text: &str) {
    machine.say(&format!("warning: {text}"));
}

/// Says what to do next.
pub fn help(machine: &dyn Machine, text: &str) {
    machine.say(&format!("  help: {text}"));
}

/// Says why the command failed, and what to do next.
pub fn failure(machine: &dyn Machine, error: &Error) {
    machine.say(&format!("error: {error}"));
    if let Some(text) = error.help() {
        help(machine, &text);
    }
}

/// The tasks that hold up a patch's transition.
#[must_use]
pub fn blockers(patch: &str, enabling: bool, blockers: &[Blocker]) -> String {
    let code = if enabling { "old" } else { "new" };
    let mut text = match blockers.len() {
        // Idle tasks have no entry in procfs.
        0 => format!("no task in /proc runs {code} code: the kernel tries again each second\n"),
        1 => format!("1 task still runs {code} code:\n"),
        number => format!("{number} tasks still run {code} code:\n"),
    };
    for blocker in blockers {
        writeln!(text, "  {}", blocker_line(patch, blocker)).expect("a string takes everything");
        for frame in &blocker.stack {
            writeln!(text, "      {}", frame_line(frame)).expect("a string takes everything");
        }
    }
    text
}

fn blocker_line(patch: &str, blocker: &Blocker) -> String {
    let Blocker { pid, tid, name, state, function, stack } = blocker;
    let thread = if pid == tid { String::new() } else { format!(", thread {tid}") };
    let does = match &**state {
        "R" => "runs",
        "S" => "sleeps",
        "D" => "sleeps and can't be woken",
        "T" | "t" => "is stopped",
        "Z" | "X" => "ends",
        "I" => "is idle",
        _ => "waits",
    };
    let place = match function {
        Some(held) => match &held.module {
            Some(module) => format!(" in {} of {module}", held.name),
            None => format!(" in {}, which {patch} redirects", held.name),
        },
        None if stack.is_empty() => ", and its stack can't be read".into(),
        None => ", in no function of a patch: the kernel has not looked at it again".into(),
    };
    format!("{name} (pid {pid}{thread}) {does}{place}")
}

/// A frame, with names as in the source.
fn frame_line(frame: &str) -> String {
    match frame.split_once('+') {
        Some((symbol, rest)) => format!("{}+{rest}", demangled(symbol)),
        None => demangled(frame),
    }
}
