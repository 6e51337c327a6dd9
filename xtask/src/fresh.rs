//! `cargo xtask fresh`: the README's commands on a fresh machine.
//!
//! The machine is a bare Debian in a directory, made by debootstrap. It has a C compiler, which rustup asks
//! for, this machine's Rust toolchain (read-only), a clone of this repository, and this machine's network settings:
//! mirrors and proxies of apt and cargo, names of hosts, certificates. Its caches are empty, and it sees nothing else
//! of this machine.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cargo_klp::commands::doctor::{self, Requirement};
use cargo_klp::commands::ui;
use cargo_klp::error::{Error, Result, last_lines};
use cargo_klp::host::cache::Lock;
use cargo_klp::host::debian;
use cargo_klp::host::tools::{find_program, not_started, run_tool};

use crate::command::root;

/// Arguments of `cargo xtask fresh`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs root, 20 GB in target/fresh, and for `test` as long as `cargo xtask test` takes on a \
                        machine that has nothing yet. Changes that are not committed are left out."
)]
pub(crate) struct Args {
    /// The commands: first one after the other on one machine, then each of the later ones alone on its own.
    #[arg(value_enum, value_name = "COMMAND", default_values = ["demo", "test"])]
    commands: Vec<Task>,

    /// The release of Debian, by its code name: bookworm is Debian 12, trixie is Debian 13.
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,
}

/// A command of the README.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Task {
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask test`.
    Test,
    /// The first steps with a new patch: `cargo klp doctor --fix`, `new`, `check`, `build` and `run`.
    Patch,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Test => "test",
            Self::Patch => "patch",
        }
    }

    fn command(self) -> Vec<&'static str> {
        match self {
            Self::Demo | Self::Test => vec!["cargo", "xtask", self.name()],
            Self::Patch => vec!["/bin/sh", "-exc", FIRST_STEPS],
        }
    }
}

/// The first steps with a new patch, outside of the repository. Without `cargo install`, which takes longer than they do.
const FIRST_STEPS: &str = include_str!("fresh_patch.sh");

/// The linker and the C library without which rustup's compiler makes no program.
const LINKER: &str = "gcc,libc6-dev";

/// Mounts the parts of this machine that the fresh one sees, and runs a command there.
const SCRIPT: &str = include_str!("fresh.sh");

/// Variables that name the certificates on the fresh machine, which has none of its own.
const CERTIFICATES: &str = "/etc/ssl/certs/handed-in.crt";

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    doctor::ensure(&[
        Requirement::Program("debootstrap", "debootstrap", "makes a bare Debian"),
        Requirement::Program("git", "git", "clones the repository"),
        Requirement::Program("unshare", "util-linux", "keeps mounts apart"),
    ])?;
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Request {
            message: "`cargo xtask fresh` must run as root: it mounts, and enters another root directory"
                .into(),
            help: "run it as root, or with sudo".into(),
        });
    }
    let directory = root().join("target/fresh");
    let _lock = Lock::beside(&directory)?;
    remove(&directory)?;
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let bare = directory.join("bare");
    bootstrap(&bare, &args.suite)?;

    let alone = args.commands.iter().skip(1).map(std::slice::from_ref);
    let mut passed = true;
    for (number, tasks) in std::iter::once(&args.commands[..]).chain(alone).enumerate() {
        let machine = Machine::new(&bare, directory.join(format!("machine{number}")))?;
        for task in tasks {
            let log = directory.join(format!("machine{number}-{}.log", task.name()));
            if !machine.run(*task, &log)? {
                passed = false;
                break;
            }
        }
        remove(&machine.root)?;
    }
    remove(&bare)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the bare Debian.
fn bootstrap(bare: &Path, suite: &str) -> Result<()> {
    let start = Instant::now();
    let spinner = ui::spinner("Making", format_args!("a bare Debian, {suite}"));
    let debootstrap = find_program("debootstrap").unwrap_or_else(|| "debootstrap".into());
    let mut command = Command::new(debootstrap);
    command.args(["--variant=minbase", &format!("--include={LINKER}"), suite]).arg(bare);
    run_tool(command.arg(debian::archive(suite)))?;
    drop(spinner);

    // With the security updates, which debootstrap does not name.
    let own = bare.join("etc/apt/sources.list");
    fs::remove_file(&own).map_err(Error::io("remove", &own))?;
    let sources = bare.join("etc/apt/sources.list.d/debian.sources");
    fs::write(&sources, debian::sources(suite)).map_err(Error::io("write", &sources))?;
    let mut settings = apt_settings()?;
    settings.extend(["/etc/resolv.conf", "/etc/hosts"].map(PathBuf::from));
    for file in &settings {
        hand_in(file, bare, file)?;
    }
    if let Some(file) = certificates() {
        hand_in(&file, bare, Path::new(CERTIFICATES))?;
    }
    ui::status("Made", format_args!("a bare Debian, {suite}, in {}", seconds(start.elapsed())));
    Ok(())
}

/// A fresh machine.
struct Machine {
    root: PathBuf,
}

impl Machine {
    /// A copy of the bare Debian, with a clone of this repository.
    fn new(bare: &Path, machine: PathBuf) -> Result<Self> {
        run_tool(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(bare).arg(&machine))?;
        let changes = run_tool(Command::new("git").args(["status", "--porcelain"]).current_dir(root()))?;
        if !changes.stdout.is_empty() {
            ui::warning("changes of this repository that are not committed are left out");
        }
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--no-hardlinks"]).arg(root()).arg(machine.join("klp"));
        run_tool(&mut clone)?;
        Ok(Self { root: machine })
    }

    /// Does a task; whether it succeeded. Its output goes to `log`.
    fn run(&self, task: Task, log: &Path) -> Result<bool> {
        let name = task.name();
        let start = Instant::now();
        let spinner = ui::spinner("Running", format_args!("{name} (log: {})", log.display()));
        let status = self.execute(&task.command(), log)?;
        drop(spinner);
        let time = seconds(start.elapsed());
        if status.success() {
            ui::status("Passed", format_args!("{name} on a fresh machine, in {time}"));
            return Ok(true);
        }
        let text = fs::read(log).map_err(Error::io("read", log))?;
        eprintln!("{}", last_lines(&String::from_utf8_lossy(&text), 40));
        ui::warning(format_args!(
            "{name} failed on a fresh machine after {time} ({status}); the log is {}",
            log.display()
        ));
        Ok(false)
    }

    fn execute(&self, command: &[&str], log: &Path) -> Result<ExitStatus> {
        let output = File::create(log).map_err(Error::io("create", log))?;
        let errors = output.try_clone().map_err(Error::io("open", log))?;
        let (rustup, cargo) = (home("RUSTUP_HOME", ".rustup")?, home("CARGO_HOME", ".cargo")?);
        let path =
            format!("{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", cargo.display());
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", SCRIPT, "sh"]);
        unshare.args(command).stdin(Stdio::null()).stdout(output).stderr(errors);
        unshare.env_clear().envs(env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_network)));
        unshare.env("ROOT", &self.root).env("RUSTUP", &rustup).env("CARGO", &cargo);
        unshare.env("RUSTUP_HOME", &rustup).env("CARGO_HOME", &cargo);
        unshare.env("HOME", "/root").env("USER", "root").env("PATH", path);
        if self.root.join(&CERTIFICATES[1..]).exists() {
            unshare.env("CARGO_HTTP_CAINFO", CERTIFICATES);
        }
        unshare.status().map_err(|source| not_started("unshare".as_ref(), source))
    }
}

/// Whether a variable configures access to the network or a registry.
fn is_of_network(name: &str) -> bool {
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    is_proxy || ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR"].iter().any(|start| name.starts_with(start))
}

/// The directory that a variable names, or its default in the home directory.
fn home(variable: &str, default: &str) -> Result<PathBuf> {
    let set = env::var_os(variable).map(PathBuf::from);
    set.or_else(|| Some(env::home_dir()?.join(default))).ok_or_else(|| Error::Request {
        message: format!("the directory of {variable} is unknown"),
        help: format!("set {variable}"),
    })
}

/// The files of apt's configuration that say how to reach the archive.
fn apt_settings() -> Result<Vec<PathBuf>> {
    let mut settings = Vec::new();
    for directory in ["/etc/apt/apt.conf.d", "/etc/apt/auth.conf.d"].map(Path::new) {
        let entries = fs::read_dir(directory).into_iter().flatten();
        for entry in entries {
            let file = entry.map_err(Error::io("read", directory))?.path();
            let text = fs::read_to_string(&file).unwrap_or_default();
            if directory.ends_with("auth.conf.d") || text.contains("Acquire::http") {
                settings.push(file);
            }
        }
    }
    Ok(settings)
}

/// The certificates that this machine trusts, in one file.
fn certificates() -> Option<PathBuf> {
    let set = ["CARGO_HTTP_CAINFO", "SSL_CERT_FILE"].iter().find_map(env::var_os).map(PathBuf::from);
    set.or_else(|| Some("/etc/ssl/certs/ca-certificates.crt".into())).filter(|file| file.exists())
}

/// Copies a file of this machine to a path on the fresh one.
fn hand_in(file: &Path, bare: &Path, path: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let copy = bare.join(path.strip_prefix("/").expect("the path is absolute"));
    let directory = copy.parent().expect("a file stands in a directory");
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    // An existing entry may be a link to a file of this machine.
    let _ = fs::remove_file(&copy);
    fs::copy(file, &copy).map_err(Error::io("copy", file))?;
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", directory)(error))
        }
        _ => Ok(()),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}
