//! A QEMU process, and the connection to the guest in it.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Firmware, Outcome};
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::host::tools::not_started;
use crate::kernel::Arch;

/// A command line of QEMU, and the files that QEMU inherits.
///
/// QEMU gets sockets and an unnamed file instead of paths, so that nothing is left to clean up
/// however this process ends.
pub struct Qemu {
    arch: &'static Arch,
    command: Command,
    inherited: Vec<OwnedFd>,
}

impl Qemu {
    /// A machine without any device but the controller of the ports.
    ///
    /// If instructions are counted, the guest's time and its time stamp counter show that count: one
    /// instruction takes a nanosecond, and sleeping takes none.
    pub fn new(arch: &'static Arch, memory_mib: u32, cpus: u32, counts: bool) -> Self {
        let mut qemu = Self { arch, command: Command::new(arch.qemu.program), inherited: Vec::new() };
        // One thread for all processors: with one each, a kernel that changes its own code while it
        // boots panics now and then.
        let accelerator =
            if has_kvm() && !arch.is_foreign() && !counts { "kvm" } else { "tcg,thread=single" };
        qemu.args(["-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"]);
        qemu.args(["-machine", arch.qemu.machine, "-accel", accelerator, "-cpu", arch.qemu.processor]);
        // Each processor has a socket of its own: a kernel without ACPI reads a table that lists only one
        // processor of each socket.
        qemu.args(["-smp", &format!("{cpus},sockets={cpus}"), "-m", &format!("{memory_mib}M")]);
        qemu.args(["-device", "virtio-serial-pci"]);
        if counts {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        qemu
    }

    /// Adds the kernel and the initial file system.
    pub fn kernel(&mut self, image: &Path, initrd: File, parameters: &str) {
        let initrd = self.inherit(initrd.into());
        self.args([OsStr::new("-kernel"), image.as_os_str()]);
        self.args(["-initrd", &format!("/proc/self/fd/{initrd}")]);
        // A panic reboots, and -no-reboot turns that into the end of QEMU; the log has every message.
        let of_arch = &self.arch.qemu;
        let own = of_arch.parameters.iter().map(|parameter| format!(" {parameter}")).collect::<String>();
        let append = format!("console={} panic=-1 ignore_loglevel{own}{parameters}", of_arch.console);
        self.args(["-append", &append]);
    }

    /// Starts from UEFI firmware.
    pub fn firmware(&mut self, firmware: &Firmware) {
        for (path, readonly) in [(&firmware.code, "on"), (&firmware.variables, "off")] {
            // A comma ends a value; two stand for one.
            let path = path.to_string_lossy().replace(',', ",,");
            self.args(["-drive", &format!("if=pflash,format=raw,readonly={readonly},file={path}")]);
        }
    }

    /// Adds a serial line.
    pub fn serial_console(&mut self) -> Result<UnixStream> {
        let socket = self.socket("serial")?;
        self.args(["-serial", "chardev:serial"]);
        Ok(socket)
    }

    /// Adds a port: `virtserialport`, or `virtconsole` for a terminal.
    pub fn port(&mut self, kind: &str, number: u32) -> Result<UnixStream> {
        let id = format!("port{number}");
        let socket = self.socket(&id)?;
        self.args(["-device", &format!("{kind},nr={number},chardev={id}")]);
        Ok(socket)
    }

    /// Shares a directory over 9p.
    pub fn directory(&mut self, tag: &str, path: &Path, writable: bool) {
        // A comma ends a value; two stand for one.
        let path = path.to_string_lossy().replace(',', ",,");
        let readonly = if writable { "off" } else { "on" };
        let share =
            format!("local,id={tag},path={path},security_model=none,readonly={readonly},multidevs=remap");
        self.args(["-fsdev", &share]);
        self.args(["-device", &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}")]);
    }

    fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) {
        self.command.args(args);
    }

    /// A character device whose other end this process holds.
    fn socket(&mut self, id: &str) -> Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair().map_err(Error::io("create", "a socket"))?;
        let fd = self.inherit(theirs.into());
        self.args(["-chardev", &format!("socket,id={id},fd={fd}")]);
        Ok(ours)
    }

    /// Keeps a file open in QEMU, under the same number as here.
    fn inherit(&mut self, fd: OwnedFd) -> i32 {
        let number = fd.as_raw_fd();
        self.inherited.push(fd);
        number
    }

    fn spawn(mut self, stderr: File) -> Result<Child> {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let inherited = self.inherited;
        let prepare = move || {
            for fd in &inherited {
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
            }
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        };
        // SAFETY: Between fork and exec, `prepare` only makes system calls; it neither allocates nor
        // takes locks.
        unsafe { self.command.pre_exec(prepare) };
        self.command.spawn().map_err(|source| not_started(self.arch.qemu.program.as_ref(), source))
    }
}

/// Whether QEMU can use the processor's virtualization. A processor without it may still have a `/dev/kvm` that can be
/// opened, but no guest gets far with that.
pub fn has_kvm() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm")
        && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// A message of the guest's first program.
enum Event {
    Ready,
    Exit(i32),
}

/// Why there is no exit code.
pub enum Death {
    /// It took too long.
    Late,
    /// QEMU ended.
    Gone,
}

/// A running guest. It ends when this is dropped.
pub struct Guest {
    qemu: Child,
    stderr: File,
    events: mpsc::Receiver<Event>,
    log: Option<JoinHandle<String>>,
    marker: String,
    started: Instant,
    timeout: Option<Duration>,
}

impl Guest {
    /// Starts QEMU.
    pub fn start(
        qemu: Qemu,
        log: UnixStream,
        control: UnixStream,
        marker: String,
        timeout: Option<Duration>,
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        reporter.detail("Running", &format!("{:?}", qemu.command));
        let started = Instant::now();
        let stderr = tempfile::tempfile().map_err(Error::io("create", env::temp_dir()))?;
        let child = qemu.spawn(stderr.try_clone().map_err(Error::io("open", env::temp_dir()))?)?;
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(control).lines().map_while(io::Result::ok) {
                let code = line.strip_prefix("exit ").and_then(|code| code.parse().ok());
                if sender.send(code.map_or(Event::Ready, Event::Exit)).is_err() {
                    break;
                }
            }
        });
        let log = thread::spawn(move || {
            let mut text = Vec::new();
            // Whatever was read stays when the connection breaks.
            let _ = BufReader::new(log).read_to_end(&mut text);
            String::from_utf8_lossy(&text).replace('\r', "")
        });
        Ok(Self { qemu: child, stderr, events, log: Some(log), marker, started, timeout })
    }

    /// The marker that the guest writes at the end of each of the command's streams.
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// Waits until the command starts.
    pub fn boot(&self, reporter: &dyn Reporter) -> Result<i32, Death> {
        let _progress = reporter.progress("Booting", "the kernel");
        self.wait_for(|event| matches!(event, Event::Ready).then_some(0))
    }

    /// Waits for the command's exit code.
    pub fn wait(&self) -> Result<i32, Death> {
        self.wait_for(|event| match event {
            Event::Exit(code) => Some(code),
            Event::Ready => None,
        })
    }

    fn wait_for(&self, wanted: impl Fn(Event) -> Option<i32>) -> Result<i32, Death> {
        loop {
            let event = match self.timeout {
                Some(timeout) => self.events.recv_timeout(timeout.saturating_sub(self.started.elapsed())),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event.map(&wanted) {
                Ok(Some(code)) => return Ok(code),
                Ok(None) => {}
                Err(RecvTimeoutError::Timeout) => return Err(Death::Late),
                Err(RecvTimeoutError::Disconnected) => return Err(Death::Gone),
            }
        }
    }

    /// Ends the guest.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// Ends the guest and says how it went.
    pub fn finish(mut self, code: Result<i32, Death>) -> Result<Outcome> {
        self.kill();
        let log = self.log.take().map(JoinHandle::join);
        let kernel_log = log.and_then(Result::ok).unwrap_or_default();
        let mut message: String = match code {
            Ok(code) => return Ok(Outcome { code, kernel_log }),
            Err(Death::Late) => {
                format!("the guest did not end within {:?}", self.timeout.unwrap_or_default())
            }
            Err(Death::Gone) => match kernel_log.split_once("Kernel panic - not syncing: ") {
                Some((_, why)) => {
                    format!("the guest's kernel panicked: {}", why.lines().next().unwrap_or_default())
                }
                None => "the guest ended before its command did".into(),
            },
        };
        let mut said = String::new();
        // The message is true without QEMU's own words as well.
        let _ = self.stderr.rewind().and_then(|()| self.stderr.read_to_string(&mut said));
        if !said.is_empty() {
            message = format!("{message}; QEMU says: {}", said.trim());
        }
        Err(Error::Guest { message, log: kernel_log })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
    }
}
