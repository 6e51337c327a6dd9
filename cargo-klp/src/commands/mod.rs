//! The command line of `cargo klp`.

pub mod args;
mod build;
mod cargo_messages;
mod check;
mod clean;
pub mod doctor;
mod explain;
mod finish;
mod help;
mod inspect;
mod kbuild;
pub mod new;
mod object;
mod objtool;
mod package;
mod run;
mod sign;
mod symbols;
mod timeline;
mod tips;
mod types;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, Parser, Subcommand};

use crate::error::Result;
use crate::host::report::Reporter;
use crate::kbuild::steps::Step;
use ui::{Terminal, Verbosity};

/// The place of the options that every subcommand has: after its own.
const LAST: usize = 900;

/// Livepatches for stock kernels, written in Rust.
///
/// A patch is an ordinary crate that uses the macros of klp-runtime. The target kernel's own Kbuild
/// turns it into a module, which insmod loads on a kernel with CONFIG_LIVEPATCH=y.
#[derive(Debug, Parser)]
#[command(
    name = "cargo klp",
    bin_name = "cargo klp",
    version,
    arg_required_else_help = true,
    after_help = "First steps:
  cargo klp doctor --fix                    get a kernel and the tools
  cargo klp new fix_x && cd fix_x           create a patch
  cargo klp build                           build the module
  cargo klp run -- cat /proc/cmdline        see it work on a real kernel, in QEMU

Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 something is missing on this machine.
`run` exits with the guest command's code, or with 125 if the guest or a patch failed.

KLP_CACHE names the directory for kernels and what is made of them, ~/.cache/klp by default.
CARGO_TARGET_DIR names the one for what is built, as for cargo."
)]
struct Cli {
    /// Print warnings and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    quiet: bool,

    /// Print more, such as the commands that are run.
    #[arg(short, long, global = true, display_order = LAST)]
    verbose: bool,

    /// When to print in color; by default as CARGO_TERM_COLOR says, or else on a terminal.
    #[arg(long, global = true, value_enum, value_name = "WHEN", display_order = LAST)]
    color: Option<ColorChoice>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what this machine has and lacks for building and running patches, and install what it lacks.
    Doctor(doctor::Args),
    /// Create a patch crate.
    New(new::Args),
    /// Build patches into modules, through the target kernel's Kbuild.
    Build(build::Args),
    /// Check which kernels patches fit, without building the modules.
    Check(check::Args),
    /// Boot a kernel in QEMU, load patches and run a command there.
    Run(run::Args),
    /// Show what a livepatch module does, in Rust or C, without loading it.
    Inspect(inspect::Args),
    /// Draw what is called in which order when patches are loaded, replaced, taken back, disabled, or fail.
    Timeline(timeline::Args),
    /// Sign modules, for kernels that enforce signatures.
    Sign(sign::Args),
    /// Make a package of modules, which loads the patch when it is installed and at each boot.
    Package(package::Args),
    /// Show what a kernel has under a name, whether it can be patched, and where it is inlined.
    Explain(explain::Args),
    /// Remove what patches share in the cache: the macros and the runtime, compiled.
    Clean(clean::Args),
    /// Put what `kernel_types!` asks for into the cache, from within the macro.
    #[command(hide = true)]
    Types(types::Args),
    /// Make the Rust half of a module, from within Kbuild.
    #[command(hide = true)]
    Object(object::Args),
    /// Find what the parts of a module leave undefined, from within Kbuild.
    #[command(hide = true)]
    Symbols(symbols::Args),
    /// Run objtool on a part of a module, from within Kbuild.
    #[command(hide = true)]
    Objtool(objtool::Args),
    /// Make the livepatch relocations of a linked module, from within Kbuild.
    #[command(hide = true)]
    Finish(finish::Args),
    /// Print the path of klp.mk, for a patch's Kbuild.
    #[command(hide = true)]
    Kbuild(kbuild::Args),
}

impl Command {
    /// Whether it is a step of a build, which Kbuild's rules call.
    fn is_step(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Symbols(_) | Self::Objtool(_) | Self::Finish(_))
    }
}

/// The command line, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    help::unwrapped(Cli::command())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = tips::parse(arguments(std::env::args_os())).unwrap_or_else(|error| error.exit());
    ui::set_color(cli.color);
    ui::set_verbosity(match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    });
    let step = cli.command.is_step().then(Step::of_build).flatten();
    let reporter = step.as_ref().map_or(&Terminal as &dyn Reporter, |step| step);
    dispatch(cli.command, reporter).unwrap_or_else(|error| {
        match &step {
            Some(step) => step.fail(&error),
            None => ui::failure(&error),
        }
        ExitCode::from(error.exit_code())
    })
}

/// Lets a command that only prints end as soon as nobody reads that any more, as in `cargo klp inspect x.ko | head`.
/// Rust ignores the signal, and printing then panics.
fn end_with_reader() {
    // SAFETY: The signal's default action calls nothing of this process.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Runs a command. `reporter` is for the steps of a build.
fn dispatch(command: Command, reporter: &dyn Reporter) -> Result<ExitCode> {
    if let Command::Inspect(_)
    | Command::Explain(_)
    | Command::Check(_)
    | Command::Doctor(_)
    | Command::Timeline(_) = command
    {
        end_with_reader();
    }
    match command {
        Command::Doctor(args) => doctor::main(&args),
        Command::New(args) => new::main(&args),
        Command::Build(args) => build::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Run(args) => run::main(&args),
        Command::Inspect(args) => inspect::main(&args),
        Command::Timeline(args) => timeline::main(&args),
        Command::Sign(args) => sign::main(&args),
        Command::Package(args) => package::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Clean(args) => clean::main(&args),
        Command::Types(args) => types::main(&args),
        Command::Object(args) => object::main(args, reporter),
        Command::Symbols(args) => symbols::main(args, reporter),
        Command::Objtool(args) => objtool::main(&args),
        Command::Finish(args) => finish::main(&args),
        Command::Kbuild(args) => kbuild::main(&args),
    }
}

/// cargo calls its subcommands as `cargo-klp klp …`; by hand it is `cargo-klp …`.
fn arguments(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == "klp") {
        arguments.remove(1);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn called_by_cargo_and_by_hand() {
        for words in [&["cargo-klp", "klp", "doctor", "--fix"][..], &["cargo-klp", "doctor", "--fix"]] {
            let cli = Cli::try_parse_from(arguments(words.iter().map(OsString::from))).unwrap();
            assert!(matches!(cli.command, Command::Doctor(doctor::Args { fix: true, .. })));
        }
    }
}
