//! A guest with a disk of its own and systemd: Debian 12, as the distribution makes it.
//!
//! Each boot is a QEMU process that ends when the guest is switched off, starts again or panics. It is handed files and a
//! list of commands, which run once all services are up.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cargo_klp::error::{Error, Result};
use cargo_klp::host::debian;
use cargo_klp::host::tools::{not_started, run_tool};
use cargo_klp::kernel::Kernel;
use cargo_klp::kernel::arch::X86_64;
use cargo_klp::kernel::image::boot_image;
use cargo_klp::vm::initramfs::{Archive, load_order};
use cargo_klp::vm::{has_kvm, static_busybox};

pub(super) const CODENAME: &str = "bookworm";

/// Besides what dpkg itself needs.
const PACKAGES: &str = "systemd-sysv,kmod,udev,apt,rpm,debconf,kexec-tools,makedumpfile";

/// What nobody looks at here, and takes a third of a boot under emulation.
const MASKED: [&str; 9] = [
    "getty.target",
    "systemd-logind.service",
    "systemd-hwdb-update.service",
    "systemd-update-utmp.service",
    "systemd-random-seed.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
];

/// The file systems and devices that the kernel's image lacks; ext4 asks for its checksums by an alias.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/// What each boot is told.
const PARAMETERS: &str = "console=ttyS0 root=/dev/vda rw panic=-1 no_timer_check systemd.show_status=0";

/// Keeps the kernel ready that saves the memory of one that crashes.
const KDUMP: &str = "kexec -p --initrd=/run/klp-test/kdump-initrd /run/klp-test/kernel --append=";

/// Far above what a boot takes, also on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(1800);

const INIT: &[u8] = include_bytes!("init.sh");

/// Runs the commands of a boot.
const SERVICE: &str = "\
[Unit]
Description=Run the commands of a test
After=multi-user.target

[Service]
ExecStart=/bin/sh /run/klp-test/script

[Install]
WantedBy=multi-user.target
";

/// apt's sources, as a file.
pub(super) fn sources(directory: &Path) -> Result<PathBuf> {
    let sources = directory.join("debian.sources");
    fs::write(&sources, debian::sources(CODENAME)).map_err(Error::io("write", &sources))?;
    Ok(sources)
}

/// Makes the disk image, with the distribution's own tools.
pub(super) fn make_disk(image: &Path, sources: &Path, directory: &Path) -> Result<()> {
    let root = directory.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).map_err(Error::io("remove", &root))?;
    }
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--mode=root", "--variant=essential", &format!("--include={PACKAGES}")]);
    command.arg(r#"--aptopt=Acquire::Languages "none""#);
    for left_out in ["doc", "man", "locale", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{left_out}/*"));
    }
    run_tool(command.arg(CODENAME).arg(&root).arg(sources))?;

    let units = root.join("etc/systemd/system");
    for unit in MASKED {
        link(Path::new("/dev/null"), &units.join(unit))?;
    }
    let service = units.join("klp-test.service");
    fs::write(&service, SERVICE).map_err(Error::io("write", &service))?;
    let wants = units.join("multi-user.target.wants");
    link(Path::new("../klp-test.service"), &wants.join("klp-test.service"))?;
    // A network that starts, to see that it starts after the patches.
    link(Path::new("/lib/systemd/system/systemd-networkd.service"), &wants.join("systemd-networkd.service"))?;
    for (file, text) in [
        ("etc/fstab", ""),
        ("etc/machine-id", "6b6c702d746573742d6d616368696e65\n"),
        ("etc/hostname", "klp\n"),
    ] {
        let file = root.join(file);
        fs::write(&file, text).map_err(Error::io("write", &file))?;
    }
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&root).arg(image).arg("500M");
    run_tool(&mut command)?;
    fs::remove_dir_all(&root).map_err(Error::io("remove", &root))
}

fn link(target: &Path, link: &Path) -> Result<()> {
    let directory = link.parent().expect("a link stands in a directory");
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    symlink(target, link).map_err(Error::io("create", link))
}

/// A machine that is off.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    /// Its disk.
    pub(super) disk: PathBuf,
    /// For the files of a boot.
    pub(super) directory: PathBuf,
    /// What each boot is handed: names in `/run/klp-test`, and the files.
    pub(super) files: Vec<(String, PathBuf)>,
}

/// How a boot went.
pub(super) struct Boot {
    /// What the commands have answered, up to the one that brought the machine down.
    pub(super) answers: Vec<Answer>,
    /// All that was written to the serial line of the commands.
    output: String,
    /// What the kernel has written to the console.
    pub(super) console: String,
}

/// How a command ended.
pub(super) struct Answer {
    pub(super) command: String,
    /// What it has written, to stdout and stderr.
    pub(super) text: String,
    /// Its exit code; none where the machine went down.
    pub(super) code: Option<i32>,
}

impl Machine<'_> {
    /// Starts the machine with these boot parameters, and runs the commands. It is started again in good order then,
    /// which ends QEMU.
    pub(super) fn boot(&self, parameters: &str, commands: &[&str]) -> Result<Boot> {
        self.run(parameters, commands, &self.files)
    }

    /// As [`boot`](Self::boot), where the last of the commands brings the machine down: a kernel that finds its memory
    /// in `/proc/vmcore` starts then, with the same system, and runs the other commands. The first answer is that of
    /// making it ready.
    pub(super) fn crash(&self, commands: &[&str], in_kdump: &[&str]) -> Result<Boot> {
        let initrd = self.directory.join("kdump-initrd");
        self.write_initrd(&initrd, in_kdump, &[])?;
        let mut files = self.files.clone();
        let kernel = self.kernel.image.clone().expect("the kernel was found with its image");
        files.extend([("kdump-initrd".into(), initrd), ("kernel".into(), kernel)]);
        let kdump = format!("{KDUMP}'{PARAMETERS} nr_cpus=1 reset_devices'");
        let commands = [&[&*kdump], commands].concat();
        let mut boot = self.run("crashkernel=256M", &commands, &files)?;
        // Both kernels write to the same line.
        boot.answers = answers(&[&commands, in_kdump].concat(), &boot.output);
        Ok(boot)
    }

    fn run(&self, parameters: &str, commands: &[&str], files: &[(String, PathBuf)]) -> Result<Boot> {
        let image = self.kernel.image.as_ref().expect("the kernel was found with its image");
        let image = boot_image(self.kernel, image)?;
        let initrd = self.directory.join("initrd");
        self.write_initrd(&initrd, commands, files)?;
        let [console, output] = ["console", "output"].map(|name| self.directory.join(name));
        let mut qemu = Command::new(X86_64.qemu.program);
        qemu.args(["-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-machine", "pc"]);
        qemu.args(["-accel", if has_kvm() { "kvm" } else { "tcg" }, "-cpu", "max", "-smp", "1", "-m", "1G"]);
        qemu.arg("-kernel").arg(&image).arg("-initrd").arg(&initrd);
        qemu.args(["-append", &format!("{PARAMETERS} {parameters}")]);
        for serial in [&console, &output] {
            qemu.arg("-serial").arg(format!("file:{}", serial.display()));
        }
        qemu.arg("-drive").arg(format!("file={},format=raw,if=virtio,cache=unsafe", self.disk.display()));
        let child = qemu
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| not_started(X86_64.qemu.program.as_ref(), source))?;
        Running(child).wait()?;
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).map_err(Error::io("read", path))?;
            Ok::<_, Error>(String::from_utf8_lossy(&bytes).replace('\r', ""))
        };
        let output = read(&output)?;
        Ok(Boot { answers: answers(commands, &output), output, console: read(&console)? })
    }

    fn write_initrd(&self, initrd: &Path, commands: &[&str], handed: &[(String, PathBuf)]) -> Result<()> {
        let modules = self.kernel.modules.as_ref().expect("the kernel was found with its modules");
        let modules = load_order(modules, &MODULES)?;
        let read = |path: &Path| fs::read(path).map_err(Error::io("read", path));
        let busybox = read(&static_busybox(&X86_64)?)?;
        let mut files = vec![("script".to_owned(), script(commands).into_bytes())];
        for (name, file) in handed {
            files.push((name.clone(), read(file)?));
        }
        let write = || -> io::Result<()> {
            let out = BufWriter::new(File::create(initrd)?);
            let mut archive = Archive::new(out, &["bin", "dev", "klp", "klp/files", "proc", "root", "sys"])?;
            archive.file("bin/busybox", &busybox)?;
            archive.file("init", INIT)?;
            archive.modules(&modules)?;
            for (name, data) in &files {
                archive.file(&format!("klp/files/{name}"), data)?;
            }
            archive.finish()
        };
        write().map_err(Error::io("write", initrd))
    }
}

/// A QEMU process. It ends when this is dropped.
struct Running(Child);

impl Running {
    fn wait(mut self) -> Result<()> {
        let start = Instant::now();
        while self.0.try_wait().map_err(Error::io("wait for", X86_64.qemu.program))?.is_none() {
            if start.elapsed() > LIMIT {
                return Err(Error::Request {
                    message: format!("the guest did not end within {} s", LIMIT.as_secs()),
                    help: "the files `console` and `output` in target/operate show how far it came".into(),
                });
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const BEGIN: &str = "\u{1}begin";
const END: &str = "\u{1}end";

/// The second serial line has what the commands write, between marks.
fn script(commands: &[&str]) -> String {
    let mut script = String::from("cd /run/klp-test\nexec > /dev/ttyS1 2>&1 < /dev/null\n");
    for (number, command) in commands.iter().enumerate() {
        write!(script, "printf '{BEGIN} {number}\\n'\n(\n{command}\n)\nprintf '{END} %s\\n' $?\n")
            .expect("a string takes everything");
    }
    // The line is closed once all is sent.
    script.push_str("exec > /dev/null 2>&1\nsystemctl reboot\n");
    script
}

fn answers(commands: &[&str], output: &str) -> Vec<Answer> {
    let parts = output.split(BEGIN).skip(1);
    let answer = |(command, part): (&&str, &str)| {
        let text = part.split_once('\n').map_or("", |(_, text)| text);
        let (text, code) = match text.split_once(END) {
            Some((text, code)) => (text, code.trim().parse().ok()),
            None => (text, None),
        };
        Answer { command: (*command).into(), text: text.trim_end().into(), code }
    };
    commands.iter().zip(parts).map(answer).collect()
}
