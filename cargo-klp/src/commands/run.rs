//! `cargo klp run`: boots a kernel, loads patches and runs a command there.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
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
  cargo klp run --param level=3                 the patch with a parameter
  cargo klp run --no-patch -- uname -r          the kernel as it is

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

    /// Load no patch.
    #[arg(long, conflicts_with_all = ["modules", "packages", "workspace", "params", "wait"])]
    no_patch: bool,

    /// A module's parameter; may be given several times. MODULE can be left out if there is only one module.
    #[arg(long = "param", value_name = "[MODULE.]NAME=VALUE", value_parser = parse_param)]
    params: Vec<Param>,

    /// How long to wait for each patch until no task runs old code, in seconds. With 0, the command runs at once,
    /// while the transition is under way.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,

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

/// A parameter of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Param {
    module: Option<String>,
    /// As insmod takes it: `NAME=VALUE`.
    assignment: String,
}

fn parse_param(text: &str) -> Result<Param, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE or MODULE.NAME=VALUE")?;
    let (module, name) = match name.split_once('.') {
        Some((module, name)) => (Some(module.replace('-', "_")), name),
        None => (None, name),
    };
    Ok(Param { module, assignment: format!("{name}={value}") })
}

/// Loads the modules given after it and then runs a command, in the guest.
const LOAD: &str = include_str!("run/load.sh");

/// Runs the command.
pub fn main(args: &Args) -> Result<ExitCode> {
    let target = args.target.find(KernelParts::Image)?;
    let modules = with_params(modules(args, &target)?, &args.params)?;
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
    let command = load_and_run(&modules, args.wait, &args.command, on_terminal);
    let outcome = if on_terminal { vm.run_on_terminal(&command) } else { vm.inherit_stdin().run(&command) };
    if let Some(file) = &args.log {
        let log = match &outcome {
            Ok(outcome) => &outcome.kernel_log,
            Err(Error::Guest { log, .. }) => log,
            Err(_) => "",
        };
        fs::write(file, log).map_err(Error::io("write", file))?;
    }
    if let Err(Error::Guest { log, .. }) = &outcome {
        warn_of_complaints(log);
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
    if args.no_patch {
        return Ok(Vec::new());
    }
    let mut modules = absolute(&args.modules)?;
    check_modules(&Target { modules: modules.clone(), ..target.clone() })?;
    if modules.is_empty() || args.packages.workspace || !args.packages.packages.is_empty() {
        let known = modules.iter().chain(&target.modules).cloned().collect();
        let signing = args.signing.find()?;
        let target = Target { modules: known, signing, ..target.clone() };
        let built = kbuild::build(&args.packages.query(), &target, processors(), None, &Terminal)?;
        modules.extend(built.into_iter().map(|built| built.ko));
    }
    Ok(modules)
}

/// A module's file and its parameters.
type WithParams = (PathBuf, Vec<String>);

/// Gives each parameter to its module.
fn with_params(modules: Vec<PathBuf>, params: &[Param]) -> Result<Vec<WithParams>> {
    let mut modules: Vec<WithParams> = modules.into_iter().map(|file| (file, Vec::new())).collect();
    for Param { module, assignment } in params {
        let names: Vec<String> = modules.iter().map(|(file, _)| name_of(file)).collect();
        let is_meant = |(file, _): &&mut WithParams| match module {
            Some(module) => name_of(file) == *module,
            None => names.len() == 1,
        };
        let (_, own) = modules.iter_mut().find(is_meant).ok_or_else(|| Error::Request {
            message: match module {
                Some(module) => format!("no module `{module}` is loaded that could have `{assignment}`"),
                None => format!("`{assignment}` may be meant for any of several modules"),
            },
            help: format!("write `--param MODULE.{assignment}` with one of: {}", names.join(", ")),
        })?;
        own.push(assignment.clone());
    }
    Ok(modules)
}

/// The name of a module in the kernel.
fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split(".ko").next().unwrap_or_default().replace('-', "_")
}

/// The guest's command: the script, how long it waits, the modules with their parameters, and what to run then.
fn load_and_run(modules: &[WithParams], wait: u32, command: &[OsString], on_terminal: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["/bin/sh", "-c", LOAD, "klp-run"].map(OsString::from).into();
    words.push(wait.to_string().into());
    for (file, params) in modules {
        words.push(file.clone().into());
        words.extend(params.iter().map(OsString::from));
    }
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
    let complained = warn_of_complaints(&outcome.kernel_log);
    if let Some(failure) = failure(log) {
        let message = match reason(log) {
            Some(reason) => format!("{failure}: {reason}"),
            None => failure.to_owned(),
        };
        return Err(Error::Guest { message, log: log.to_owned() });
    }
    if outcome.code != 0 || complained {
        ui::note(format_args!("the end of the kernel log:\n{}", last_lines(log, 40)));
    }
    let code = u8::try_from(outcome.code).unwrap_or(exit::FAILED);
    Ok(ExitCode::from(code))
}

/// Shows the lines in which the kernel reports that something is broken, and returns whether there are any.
fn warn_of_complaints(log: &str) -> bool {
    let complaints = complaints(log);
    for complaint in &complaints {
        ui::warning(format_args!("the kernel says: {complaint}"));
    }
    !complaints.is_empty()
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

/// What the last module in the log says of itself, or the kernel of it, before the script gave up.
fn reason(log: &str) -> Option<&str> {
    let (_, after) = log.split_once("klp-run: load ")?;
    let (file, after) = after.split_once('\n')?;
    let (before, _) = after.split_once("klp-run: failed: ")?;
    let start = format!("{}: ", name_of(file.as_ref()));
    let mut texts = before.lines().filter_map(|line| Some(line.split_once("] ")?.1));
    texts.rfind(|text| text.starts_with(&start) && !text.contains("taint"))
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
[    2.4] b: refused: it has no state
[    2.4] livepatch: failed to enable patch 'b'
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
        assert_eq!(reason(from_last(LOG, "klp-run: load ")), Some("b: refused: it has no state"));
        let no_reason = "[ 1.0] klp-run: load /a/b-c.ko\n[ 1.1] b_c: loading out-of-tree module taints kernel.\n\
                         [ 1.2] klp-run: failed: the kernel refused /a/b-c.ko\n";
        assert_eq!(reason(no_reason), None);
    }

    #[test]
    fn complaints_since_the_first_load() {
        assert_eq!(complaints(LOG), ["[    2.3] BUG: kernel NULL pointer dereference"]);
    }

    /// Runs the script with a directory in place of sysfs. Its `insmod` begins a transition, which ends after this many
    /// seconds. The command prints what is said of the transition, and what insmod was told.
    fn run_script(wait: u32, seconds: f32) -> std::process::Output {
        let directory = tempfile::tempdir().unwrap();
        let insmod = directory.path().join("insmod");
        let root = directory.path().display();
        fs::write(
            &insmod,
            format!(
                "#!/bin/sh\nmkdir -p {root}/livepatch/p\ncd {root}/livepatch/p\necho 1 > transition\n\
                 printf '<%s>' \"$@\" > {root}/told\n\
                 (sleep {seconds}; echo 0 > transition) > {root}/output 2>&1 &\n"
            ),
        )
        .unwrap();
        fs::set_permissions(&insmod, fs::Permissions::from_mode(0o755)).unwrap();
        let script = LOAD
            .replace("/sys/kernel/livepatch", &format!("{root}/livepatch"))
            .replace("/dev/kmsg", &format!("{root}/kmsg"));
        let path = format!("{root}:{}", std::env::var("PATH").unwrap());
        let mut command = std::process::Command::new("/bin/sh");
        let modules = [("/no_name.ko".into(), vec!["text=two words".into(), "level=3".into()])];
        let files = ["livepatch/p/transition", "told"].map(|file| directory.path().join(file));
        let to_run = [OsString::from("cat")].into_iter().chain(files.map(OsString::from));
        let words = load_and_run(&modules, wait, &to_run.collect::<Vec<_>>(), false);
        command.args(["-c", &script]).args(&words[3..]).env("PATH", path);
        let started = std::time::Instant::now();
        let output = command.output().unwrap();
        assert!(started.elapsed() < Duration::from_secs(30), "it waits for something else");
        output
    }

    #[test]
    fn the_command_runs_when_the_transition_is_over() {
        let said = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
        assert_eq!(said(run_script(60, 0.5)), "0\n</no_name.ko><text=two words><level=3>");
        assert!(said(run_script(0, 5.0)).starts_with("1\n"), "it does not wait");
    }

    #[test]
    fn the_script_gives_up() {
        let output = run_script(1, 5.0);
        assert_eq!(output.status.code(), Some(i32::from(exit::GUEST)));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("tasks that still run old code"), "{said}");
    }

    #[test]
    fn each_parameter_goes_to_its_module() {
        let params = ["a-b.x=1", "c.y=z=2"].map(|text| parse_param(text).unwrap());
        let files = || vec![PathBuf::from("/d/a_b.ko"), PathBuf::from("/d/c.ko.xz")];
        let of = |own: &str| vec![own.to_owned()];
        let expected = [("/d/a_b.ko".into(), of("x=1")), ("/d/c.ko.xz".into(), of("y=z=2"))];
        assert_eq!(with_params(files(), &params).unwrap(), expected);
        let any = [parse_param("x=1").unwrap()];
        let error = with_params(files(), &any).unwrap_err();
        assert!(
            error.with_help().contains("`--param MODULE.x=1` with one of: a_b, c"),
            "{}",
            error.with_help()
        );
        assert_eq!(with_params(files()[..1].to_vec(), &any).unwrap()[0].1, of("x=1"));
        with_params(files(), &[parse_param("d.x=1").unwrap()]).unwrap_err();
        parse_param("x").unwrap_err();
    }

    #[test]
    fn the_guests_command() {
        let words = load_and_run(&[("/a.ko".into(), Vec::new())], 60, &["cat".into(), "f".into()], false);
        assert_eq!(words[3..], ["klp-run", "60", "/a.ko", "--", "cat", "f"]);
        assert_eq!(load_and_run(&[], 60, &[], true).last().unwrap(), "/bin/sh");
        assert_eq!(load_and_run(&[], 60, &[], false).last().unwrap(), "--");
    }
}
