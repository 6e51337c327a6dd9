//! `klp`: loads, shows and unloads livepatches on the machine that they fix.
//!
//! It serves any livepatch, in Rust or C, and knows more of those made with klp, by the note that they keep in memory.
//! It is one static program and needs no other: what it reads is in sysfs and procfs, what it does are three system
//! calls and some files.
//!
//! Modules use those after them: `commands` (arguments, what is printed) → `report`, `fit`, `transition`, `marks` →
//! `dump`, `stuck`, `plan` → `guard`, `store`, `sysfs`, `loaded`, `tasks`, `file`, `record`, `log` → `machine`, `files` → `error`.

mod commands;
mod dump;
mod error;
mod file;
mod files;
mod fit;
mod guard;
mod keys;
mod loaded;
mod log;
mod machine;
mod marks;
mod plan;
mod record;
mod report;
mod show;
mod store;
mod stuck;
mod sysfs;
mod tasks;
#[cfg(test)]
mod tests;
mod transition;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::error::{Exit, Result};
use crate::machine::{Machine, ThisMachine};

/// Loads, shows and unloads Linux livepatches, in Rust or C.
#[derive(Debug, Parser)]
#[command(
    name = "klp",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done (status: every patch is in effect), 1 failed, 2 wrong arguments, 3 a patch does not fit, \
4 a transition is running, 5 a transition stalled and was taken back, 6 a patch that is installed is not in effect, 7 stuck until the machine is started again. After 1, 3 and 5 all is as before."
)]
struct Cli {
    /// The directory that has `sys` and `proc`.
    #[arg(long, global = true, value_name = "DIRECTORY", default_value = "/", hide = true)]
    root: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all patches: what they are, what they change, and whether they are in effect.
    Status(commands::status::Args),
    /// Print what `status` knows for Prometheus, in the format of node_exporter's textfile collector.
    Metrics(commands::metrics::Args),
    /// Install a patch, so that it is loaded at boot, in place of those of its series that it supersedes.
    Install(commands::install::Args),
    /// Take a patch away from those that are loaded at boot.
    Uninstall(commands::uninstall::Args),
    /// List the patches that are installed, with what becomes of each.
    List(commands::list::Args),
    /// Check whether a patch fits, load it, and wait until it is in effect; take it back if its transition stalls.
    Load(commands::load::Args),
    /// Disable a patch, and remove its module once no task runs its code.
    Unload(commands::unload::Args),
    /// Reverse the running transition.
    Reverse(commands::reverse::Args),
    /// Show the tasks that hold up the running transition.
    Blockers(commands::blockers::Args),
    /// Watch the patches on trial until each is confirmed: for the service that starts with a trial.
    Confirm(commands::confirm::Args),
    /// Force the running transition to end, whatever code tasks still run, after it has said what is lost.
    Force(commands::force::Args),
}

/// The command's arguments, for its manual pages and the shells' completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// The command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(run(&ThisMachine::new(&cli.root), &cli.command) as u8)
}

/// Runs a command, and says why it failed.
fn run(machine: &dyn Machine, command: &Command) -> Exit {
    try_run(machine, command).unwrap_or_else(|error| {
        show::failure(machine, &error);
        error.exit()
    })
}

fn try_run(machine: &dyn Machine, command: &Command) -> Result<Exit> {
    match command {
        Command::Status(args) => commands::status::main(machine, args),
        Command::Metrics(args) => commands::metrics::main(machine, args),
        Command::Install(args) => commands::install::main(machine, args),
        Command::Uninstall(args) => commands::uninstall::main(machine, args),
        Command::List(args) => commands::list::main(machine, args),
        Command::Load(args) => commands::load::main(machine, args),
        Command::Unload(args) => commands::unload::main(machine, args),
        Command::Reverse(args) => commands::reverse::main(machine, args),
        Command::Blockers(args) => commands::blockers::main(machine, args),
        Command::Confirm(args) => commands::confirm::main(machine, args),
        Command::Force(args) => commands::force::main(machine, args),
    }
}
