//! `cargo klp run`: boots a kernel, loads patches and runs a command there.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::args::{PackageArgs, SigningArgs, TargetArgs, absolute};
use super::ui::{self, Terminal};
use crate::error::{Error, Result, exit, last_lines};
use crate::host::processors;
use crate::kbuild;
use crate::kernel::symbols::check_modules;
use crate::kernel::{KernelParts, Target};
use crate::vm::{Outcome, Vm};

/// Arguments of `cargo klp run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp run                                 a shell with this directory's patch loaded
  cargo klp run -- cat /proc/cmdline            a command with the patch loaded
  cargo klp run --kernel 6.1 a.ko b.ko -- sh -c 'rmmod a; dmesg | tail'

The guest sees this machine's files under an overlay in memory: it can run, as root, every program
that is installed here, and changes nothing here. --share lets it write to a directory.

The exit code is that of the command, or 125 if the guest died or the kernel refused a patch.")]
pub struct Args {
    /// Modules to load, in this order, before the modules of packages, which may need their symbols.
    #[arg(value_name = "FILE.ko")]
    modules: Vec<PathBuf>,

    #[command(flatten)]
    packages: PackageArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    signing: SigningArgs,

    /// A directory that the guest may write to; may be given several times.
    #[arg(long, value_name = "DIR")]
    share: Vec<PathBuf>,

    /// An environment variable for the command; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    env: Vec<(String, String)>,

    /// Memory of the guest in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,

    /// Processors of the guest.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    cpus: u32,

    /// End the guest after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// Write the kernel log to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// The command to run. By default a shell on a terminal, else a summary of the loaded patches.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((pair.0.into(), pair.1.into()))
}

/// Loads the modules given after it and then runs a command, in the guest.
const LOAD: &str = include_str!("run/load.sh");

/// Runs the command.
pub fn main(args: &Args) -> Result<ExitCode> {
    let target = args.target.find(KernelParts::Image)?;
    let modules = modules(args, &target)?;
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();

    let mut vm = Vm::new(&target.kernel).report_to(&Terminal).memory_mib(args.memory).cpus(args.cpus);
    for directory in &args.share {
        vm = vm.share(directory);
    }
    for (name, value) in &args.env {
        vm = vm.env(name, value);
    }
    if let Some(seconds) = args.timeout {
        vm = vm.timeout(Duration::from_secs(seconds));
    }
    let command = load_and_run(&modules, &args.command, on_terminal);
    let outcome = if on_terminal { vm.run_on_terminal(&command) } else { vm.inherit_stdin().run(&command) };
    if let Some(file) = &args.log {
        let log = match &outcome {
            Ok(outcome) => &outcome.kernel_log,
            Err(Error::Guest { log, .. }) => log,
            Err(_) => "",
        };
        fs::write(file, log).map_err(Error::io("write", file))?;
    }
    report(&outcome?)
}

/// The modules to load: files first, then those of packages. Without either, the crate of this directory is built.
fn modules(args: &Args, target: &Target) -> Result<Vec<PathBuf>> {
    if let Some(word) = args.modules.iter().find(|file| !file.to_string_lossy().contains(".ko")) {
        return Err(Error::Request {
            message: format!("`{}` is not the name of a .ko file", word.display()),
            help: "write `--` before the guest's command: `cargo klp run -- cat /proc/cmdline`".into(),
        });
    }
    let mut modules = absolute(&args.modules)?;
    check_modules(&Target { modules: modules.clone(), ..target.clone() })?;
    if modules.is_empty() || args.packages.workspace || !args.packages.packages.is_empty() {
        let known = modules.iter().chain(&target.modules).cloned().collect();
        let signing = args.signing.find()?;
        let target = Target { modules: known, signing, ..target.clone() };
        let built = kbuild::build(&args.packages.query(), &target, processors(), &Terminal)?;
        modules.extend(built.into_iter().map(|built| built.ko));
    }
    Ok(modules)
}

/// The guest's command: the script, the modules, and what to run then.
fn load_and_run(modules: &[PathBuf], command: &[OsString], on_terminal: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["/bin/sh", "-c", LOAD, "klp-run"].map(OsString::from).into();
    words.extend(modules.iter().cloned().map(OsString::from));
    words.push("--".into());
    match command {
        [] if on_terminal => words.push("/bin/sh".into()),
        [] => {}
        command => words.extend_from_slice(command),
    }
    words
}

/// Shows what went wrong in the guest and returns the exit code.
fn report(outcome: &Outcome) -> Result<ExitCode> {
    let log = from_last(&outcome.kernel_log, "klp-run: load ");
    if let Some(failure) = failure(log) {
        return Err(Error::Guest { message: failure.to_owned(), log: log.to_owned() });
    }
    let complaints = complaints(&outcome.kernel_log);
    for complaint in &complaints {
        ui::warning(format_args!("the kernel says: {complaint}"));
    }
    if outcome.code != 0 || !complaints.is_empty() {
        ui::note(format_args!("the end of the kernel log:\n{}", last_lines(log, 40)));
    }
    let code = u8::try_from(outcome.code).unwrap_or(exit::FAILED);
    Ok(ExitCode::from(code))
}

/// The log from the last line that contains the words, or all of it.
fn from_last<'a>(log: &'a str, words: &str) -> &'a str {
    let at = log.rfind(words).unwrap_or_default();
    let line = log[..at].rfind('\n').map_or(0, |end| end + 1);
    &log[line..]
}

/// The message of the guest's script when it gives up.
fn failure(log: &str) -> Option<&str> {
    log.lines().find_map(|line| Some(line.split_once("klp-run: failed: ")?.1))
}

/// The lines of the log, from the first load on, in which the kernel reports that something is broken.
fn complaints(log: &str) -> Vec<&str> {
    const SIGNS: [&str; 7] =
        ["WARNING:", "BUG:", "kernel BUG at", "Oops", "general protection fault", "INFO: task ", "INFO: rcu"];
    let after = log.split_once("klp-run: load ").map_or("", |(_, after)| after);
    after.lines().filter(|line| SIGNS.iter().any(|sign| line.contains(sign))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LOG: &str = "\
[    1.0] WARNING: at boot
[    2.0] klp-run: load a.ko
[    2.1] a: loading out-of-tree module taints kernel.
[    2.2] klp-run: load b.ko
[    2.3] BUG: kernel NULL pointer dereference
[    2.4] klp-run: failed: the kernel refused b.ko
";

    #[test]
    fn the_log_from_the_last_load() {
        assert!(from_last(LOG, "klp-run: load ").starts_with("[    2.2] klp-run: load b.ko\n"));
        assert_eq!(from_last(LOG, "no such words"), LOG);
    }

    #[test]
    fn what_the_script_gave_up_on() {
        assert_eq!(failure(LOG), Some("the kernel refused b.ko"));
        assert_eq!(failure("[    1.0] all is well"), None);
    }

    #[test]
    fn complaints_since_the_first_load() {
        assert_eq!(complaints(LOG), ["[    2.3] BUG: kernel NULL pointer dereference"]);
    }

    /// Runs the script with a directory in place of sysfs. Its `insmod` begins a transition, which ends later.
    #[test]
    fn the_command_runs_when_the_transition_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let insmod = directory.path().join("insmod");
        let root = directory.path().display();
        fs::write(
            &insmod,
            format!(
                "#!/bin/sh\nmkdir -p {root}/livepatch/p\ncd {root}/livepatch/p\necho 1 > transition\n\
                 (sleep 0.5; echo 0 > transition) > {root}/output 2>&1 &\n"
            ),
        )
        .unwrap();
        fs::set_permissions(&insmod, fs::Permissions::from_mode(0o755)).unwrap();
        let script = LOAD
            .replace("/sys/kernel/livepatch", &format!("{root}/livepatch"))
            .replace("/dev/kmsg", &format!("{root}/kmsg"));
        let path = format!("{root}:{}", std::env::var("PATH").unwrap());
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", &script, "klp-run", "no_name.ko", "--", "cat"]).env("PATH", path);
        let started = std::time::Instant::now();
        let output = command.arg(directory.path().join("livepatch/p/transition")).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "0\n");
        assert!(started.elapsed() < Duration::from_secs(30), "it waits for something else");
    }

    #[test]
    fn the_guests_command() {
        let words = load_and_run(&["/a.ko".into()], &["cat".into(), "f".into()], false);
        assert_eq!(words[3..], ["klp-run", "/a.ko", "--", "cat", "f"]);
        assert_eq!(load_and_run(&[], &[], true).last().unwrap(), "/bin/sh");
        assert_eq!(load_and_run(&[], &[], false).last().unwrap(), "--");
    }
}
