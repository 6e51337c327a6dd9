//! Boots a kernel in QEMU and runs one command there.
//!
//! The guest's root file system is the host's, shared read-only over 9p under an overlay in memory.
//! Any program of the host runs there as root, even a test binary that was just built, and nothing that it
//! writes reaches the host, except in [shared](Vm::share) directories. The initial file system consists of a
//! static busybox and the few modules that are needed; no service is started. That takes a few seconds under
//! emulation, where a distribution's own boot takes half a minute.
//!
//! A guest of another architecture sees the same files, but for the host's programs: those of busybox stand in their
//! places. A test binary of the guest's own architecture runs there, if it is linked statically.
//!
//! The command's streams and exit code come over virtio ports. The kernel log comes over the serial line, so that it
//! is complete even when the kernel dies.

mod image;
pub mod initramfs;
mod programs;
mod qemu;
mod stream;
mod terminal;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::report::{Reporter, Silent};
use crate::kernel::Kernel;
pub use programs::{fetch_busybox, static_busybox};
pub use qemu::has_kvm;
use qemu::{Guest, Qemu};
use stream::pass_on;

/// A machine to boot a kernel on.
#[derive(Clone, Debug)]
pub struct Vm<'a> {
    kernel: &'a Kernel,
    reporter: &'a dyn Reporter,
    memory_mib: u32,
    cpus: u32,
    shares: Vec<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    timeout: Option<Duration>,
    stdin: bool,
    counts: bool,
    firmware: Option<Firmware>,
    parameters: String,
}

/// UEFI firmware, in place of the machine's BIOS.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Its code.
    pub code: PathBuf,
    /// Its variables, which the guest may change.
    pub variables: PathBuf,
}

/// How a command in the guest ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit code; 127 if there is no such program.
    pub code: i32,
    /// The kernel log from the first line on, as on the serial console.
    pub kernel_log: String,
}

/// How a command in the guest ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The command's exit code; 127 if there is no such program.
    pub code: i32,
    /// The kernel log from the first line on, as on the serial console.
    pub kernel_log: String,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl<'a> Vm<'a> {
    /// A machine with two processors and a gigabyte of memory.
    pub fn new(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            reporter: &Silent,
            memory_mib: 1024,
            cpus: 2,
            shares: Vec::new(),
            environment: Vec::new(),
            directory: None,
            timeout: None,
            stdin: false,
            counts: false,
            firmware: None,
            parameters: String::new(),
        }
    }

    /// Reports the progress of the boot.
    pub fn report_to(mut self, reporter: &'a dyn Reporter) -> Self {
        self.reporter = reporter;
        self
    }

    /// Sets the size of the memory.
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Sets the number of processors.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Makes the guest's clocks count instructions, a nanosecond each.
    pub fn count_instructions(mut self) -> Self {
        self.counts = true;
        self
    }

    /// Starts the kernel from UEFI firmware.
    pub fn firmware(mut self, firmware: Firmware) -> Self {
        self.firmware = Some(firmware);
        self
    }

    /// Adds parameters for the kernel.
    pub fn parameters(mut self, parameters: &str) -> Self {
        self.parameters = format!("{} {parameters}", self.parameters);
        self
    }

    /// Lets the guest write to a directory of the host.
    pub fn share(mut self, directory: impl Into<PathBuf>) -> Self {
        self.shares.push(directory.into());
        self
    }

    /// Sets a variable for the command. Its environment has only these, and `PATH`, `HOME`, `USER`
    /// and `TERM`.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the command's working directory, by default that of this process.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Ends the guest after this time, from its start.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Gives the command this process's stdin. Without it, it reads nothing.
    pub fn inherit_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Runs a command, and passes its output on to that of this process.
    pub fn run(&self, command: &[impl AsRef<OsStr>]) -> Result<Outcome> {
        self.run_with(command, io::stdout(), io::stderr())
    }

    /// Runs a command and returns its output.
    pub fn output(&self, command: &[impl AsRef<OsStr>]) -> Result<Captured> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let Outcome { code, kernel_log } = self.run_with(command, &mut stdout, &mut stderr)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Captured { code, kernel_log, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Runs a command, and writes its output to `stdout` and `stderr` as it comes.
    pub fn run_with(
        &self,
        command: &[impl AsRef<OsStr>],
        stdout: impl Write + Send,
        stderr: impl Write + Send,
    ) -> Result<Outcome> {
        let (mut guest, ports) = self.start(command, None)?;
        let [input, output, error_output] = ports.try_into().expect("three ports without a terminal");
        if self.stdin {
            forward_stdin(&input)?;
        } else {
            // An error would mean that nobody reads, which does no harm.
            let _ = input.shutdown(Shutdown::Write);
        }
        let mut code = guest.boot(self.reporter);
        if code.is_ok() {
            let marker = guest.marker().to_owned();
            code = thread::scope(|scope| {
                // Both end with the marker, and at the latest with the guest.
                scope.spawn(|| pass_on(output, stdout, marker.as_bytes()));
                scope.spawn(|| pass_on(error_output, stderr, marker.as_bytes()));
                guest.wait().inspect_err(|_| guest.kill())
            });
        }
        guest.finish(code)
    }

    /// Runs a command on this process's terminal.
    pub fn run_on_terminal(&self, command: &[impl AsRef<OsStr>]) -> Result<Outcome> {
        let (mut guest, ports) = self.start(command, Some(terminal::size()))?;
        let [console] = ports.try_into().expect("one port with a terminal");
        let mut code = guest.boot(self.reporter);
        if code.is_ok() {
            let marker = guest.marker().to_owned();
            forward_stdin(&console)?;
            let _raw = terminal::Raw::new();
            code = thread::scope(|scope| {
                scope.spawn(|| pass_on(&console, io::stdout(), marker.as_bytes()));
                guest.wait().inspect_err(|_| guest.kill())
            });
        }
        guest.finish(code)
    }

    fn start(
        &self,
        command: &[impl AsRef<OsStr>],
        terminal: Option<(u16, u16)>,
    ) -> Result<(Guest, Vec<UnixStream>)> {
        let missing = || Error::NoKernel {
            wanted: format!("{} with its image and modules", self.kernel.release),
            series: self.kernel.release.clone(),
            available: Vec::new(),
        };
        let image = self.kernel.image.as_ref().ok_or_else(missing)?;
        let modules = self.kernel.modules.as_ref().ok_or_else(|| no_modules(self.kernel))?;
        // Firmware starts the packed image, which is a program of UEFI.
        let image = match self.firmware {
            Some(_) => image.clone(),
            None => image::of(self.kernel, image)?,
        };

        // Random, and with a rare first character: no program writes this by chance.
        let marker = format!("\u{1}klp-{:016x}", RandomState::new().hash_one(command.len()));
        let shares = self.shares.iter().enumerate().map(|(number, directory)| {
            let directory = fs::canonicalize(directory).map_err(Error::io("share", directory))?;
            Ok((format!("share{number}"), directory))
        });
        let shares = shares.collect::<Result<Vec<_>>>()?;
        let contents = initramfs::Contents {
            busybox: &static_busybox(self.kernel.arch())?,
            modules,
            config: format!(
                "RELEASE='{}'\nMARKER='{marker}'\nTERMINAL='{}'\nSTDIN='{}'\nFOREIGN='{}'\n",
                self.kernel.release,
                terminal.map(|(rows, columns)| format!("{rows} {columns}")).unwrap_or_default(),
                if self.stdin { "1" } else { "" },
                if self.kernel.arch().is_foreign() { "1" } else { "" },
            ),
            shares: share_lines(&shares),
            command: self.script(command)?,
        };
        let mut initrd = tempfile::tempfile().map_err(Error::io("create", env::temp_dir()))?;
        initramfs::write(&contents, io::BufWriter::new(&mut initrd))?;

        let mut qemu = Qemu::new(self.kernel.arch(), self.memory_mib, self.cpus, self.counts);
        qemu.kernel(&image, initrd, &self.parameters);
        if let Some(firmware) = &self.firmware {
            qemu.firmware(firmware);
        }
        let log = qemu.serial_console()?;
        let control = qemu.port("virtserialport", 1)?;
        let kinds: &[_] = if terminal.is_some() { &["virtconsole"] } else { &["virtserialport"; 3] };
        let ports = kinds.iter().zip(2..).map(|(kind, number)| qemu.port(kind, number));
        let ports = ports.collect::<Result<Vec<_>>>()?;
        qemu.directory("root", Path::new("/"), false);
        qemu.directory("modules", modules, false);
        for (tag, directory) in &shares {
            qemu.directory(tag, directory, true);
        }
        Ok((Guest::start(qemu, log, control, marker, self.timeout, self.reporter)?, ports))
    }

    /// The command as a shell script, run at the root of the guest.
    fn script(&self, command: &[impl AsRef<OsStr>]) -> Result<Vec<u8>> {
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => env::current_dir().map_err(Error::io("find", "."))?,
        };
        let mut path = env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let variable = |name: &str, value: OsString| (OsString::from(name), value);
        let defaults = [
            variable("PATH", path),
            variable("HOME", "/root".into()),
            variable("USER", "root".into()),
            variable("TERM", env::var_os("TERM").unwrap_or_else(|| "dumb".into())),
        ];
        let mut script = b"cd ".to_vec();
        script.extend(initramfs::quoted(directory.as_os_str()));
        script.extend_from_slice(b" || exit 126\nexec env -i");
        let assignments = defaults.iter().chain(&self.environment).map(|(name, value)| {
            let mut assignment = name.clone();
            assignment.push("=");
            assignment.push(value);
            assignment
        });
        for word in assignments.chain(command.iter().map(|word| word.as_ref().to_owned())) {
            script.push(b' ');
            script.extend(initramfs::quoted(&word));
        }
        script.push(b'\n');
        Ok(script)
    }
}

fn share_lines(shares: &[(String, PathBuf)]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (tag, directory) in shares {
        lines.extend_from_slice(tag.as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(directory.as_os_str().as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Sends this process's stdin to the guest. The thread ends with stdin or with the process: there
/// is no way to wake a read of stdin.
///
/// The caller keeps its end open: QEMU drops what it has not read of a socket closed on both sides.
fn forward_stdin(to: &UnixStream) -> Result<()> {
    let mut to = to.try_clone().map_err(Error::io("open", "the guest's stdin"))?;
    thread::spawn(move || {
        // An error would mean that the guest is gone, which others notice.
        let _ = io::copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    Ok(())
}

/// The error for a kernel with an image and without modules, as a tree has it in which someone built a kernel.
fn no_modules(kernel: &Kernel) -> Error {
    Error::Request {
        message: format!(
            "the modules of kernel {} are not installed: the guest needs some of them",
            kernel.release
        ),
        help: format!("run `sudo make -C {} modules_install`", kernel.kdir.display()),
    }
}
