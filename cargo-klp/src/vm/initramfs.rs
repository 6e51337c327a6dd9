//! The initial file system of a guest.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cpio::newc::{Builder, ModeFileType};

use crate::error::{Error, Result};
use crate::kernel::image::decompress;

/// The modules that the guest needs to reach the host: the bus, the ports, the host's files, an overlay.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"];

const INIT: &[u8] = include_bytes!("init.sh");

/// Writes an archive in the format that the kernel unpacks.
#[derive(Debug)]
pub struct Archive<W: Write> {
    out: W,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// An archive with some directories, each after those that it stands in.
    ///
    /// # Errors
    ///
    /// Those of writing, as for the other functions.
    pub fn new(out: W, directories: &[&str]) -> io::Result<Self> {
        let mut archive = Self { out, inode: 0 };
        for directory in directories {
            archive.add(directory, ModeFileType::Directory, &[])?;
        }
        Ok(archive)
    }

    /// Adds a file that may be run.
    pub fn file(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.add(name, ModeFileType::Regular, data)
    }

    /// Adds modules with the list `klp/modules`, in the order in which they must be loaded.
    pub fn modules(&mut self, modules: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut order = String::new();
        for (name, data) in modules {
            self.file(&format!("klp/{name}"), data)?;
            order.push_str(&format!("{name}\n"));
        }
        self.file("klp/modules", order.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(self) -> io::Result<()> {
        cpio::newc::trailer(self.out).map(drop)
    }

    fn add(&mut self, name: &str, kind: ModeFileType, data: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let entry = Builder::new(name).ino(self.inode).mode(0o755).set_mode_file_type(kind);
        let mut entry = entry.write(&mut self.out, size);
        entry.write_all(data)?;
        entry.finish()?;
        Ok(())
    }
}

/// The parts in which guests differ.
pub struct Contents<'a> {
    /// A statically linked busybox.
    pub busybox: &'a Path,
    /// The kernel's own `lib/modules/RELEASE`.
    pub modules: &'a Path,
    /// Settings for the script that starts the guest.
    pub config: String,
    /// Tags and directories shared writable.
    pub shares: Vec<u8>,
    /// The script that runs the command.
    pub command: Vec<u8>,
}

/// Writes the initial file system.
pub fn write(contents: &Contents<'_>, out: impl Write) -> Result<()> {
    let busybox = fs::read(contents.busybox).map_err(Error::io("read", contents.busybox))?;
    let modules = load_order(contents.modules, &MODULES)?;
    let archive = || -> io::Result<()> {
        let mut archive = Archive::new(out, &["bin", "dev", "klp", "lower", "proc", "root", "sys", "upper"])?;
        archive.file("bin/busybox", &busybox)?;
        archive.file("init", INIT)?;
        archive.modules(&modules)?;
        archive.file("klp/config", contents.config.as_bytes())?;
        archive.file("klp/shares", &contents.shares)?;
        archive.file("klp/command", &contents.command)?;
        archive.finish()
    };
    archive().map_err(Error::io("write", "the initial file system"))
}

/// Modules of `lib/modules/RELEASE` and what they need, unpacked, in the order in which they must be loaded.
///
/// # Errors
///
/// One is absent, or a file cannot be read.
pub fn load_order(modules: &Path, wanted: &[&'static str]) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |name: &str| {
        let file = modules.join(name);
        fs::read_to_string(&file).map_err(Error::io("read", file))
    };
    let (dependencies, builtin) = (read("modules.dep")?, read("modules.builtin")?);
    let order = resolve(wanted, &dependencies, &builtin).map_err(|name| Error::Missing {
        what: format!("the module {name} in `{}`", modules.display()),
        needed_for: "the guest cannot start without it".into(),
    })?;
    let load = |path: &&str| {
        let file = modules.join(path);
        let data = fs::read(&file).and_then(|data| decompress(&data)).map_err(Error::io("read", &file))?;
        Ok((format!("{}.ko", module_name(path)), data))
    };
    order.iter().map(load).collect()
}

/// The paths of the wanted modules and of all their dependencies, each after its own dependencies.
///
/// A line of `modules.dep` lists all dependencies of a module, also the indirect ones, in the order
/// in which to unload them. `Err` is the name of a module that is missing.
fn resolve<'a>(
    wanted: &[&'static str],
    dependencies: &'a str,
    builtin: &str,
) -> Result<Vec<&'a str>, &'static str> {
    let builtin: Vec<_> = builtin.lines().map(module_name).collect();
    let lines = dependencies.lines().filter_map(|line| line.split_once(':'));
    let lines: HashMap<_, _> = lines.map(|(path, needs)| (module_name(path), (path, needs))).collect();
    let mut order = Vec::new();
    for &name in wanted {
        if builtin.iter().any(|builtin| builtin == name) {
            continue;
        }
        let (path, needs) = lines.get(name).ok_or(name)?;
        for path in needs.split_whitespace().rev().chain([*path]) {
            if !order.contains(&path) {
                order.push(path);
            }
        }
    }
    Ok(order)
}

/// The name of a module by its file: `kernel/fs/9p/9p.ko.xz` is `9p`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// A word of a shell script.
pub fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "\
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz
kernel/net/9p/9pnet.ko.xz:
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz
kernel/fs/netfs/netfs.ko.xz:
";

    #[test]
    fn each_module_comes_once_and_after_what_it_needs() {
        let order = resolve(&["9p", "9pnet_virtio"], DEPENDENCIES, "").unwrap();
        let expected = ["fs/netfs/netfs", "net/9p/9pnet", "fs/9p/9p", "net/9p/9pnet_virtio"];
        assert_eq!(order, expected.map(|path| format!("kernel/{path}.ko.xz")));
    }

    #[test]
    fn what_is_built_in_is_not_loaded() {
        let builtin = "kernel/drivers/virtio/virtio-pci.ko\n";
        let order = resolve(&["virtio_pci", "9pnet_virtio"], DEPENDENCIES, builtin).unwrap();
        assert_eq!(order.len(), 2);
    }

    #[test]
    fn an_absent_module_is_named() {
        assert_eq!(resolve(&["overlay"], DEPENDENCIES, ""), Err("overlay"));
    }

    #[test]
    fn words_survive_the_shell() {
        let word = OsStr::new("a 'b'\n$c");
        let mut script = b"printf %s ".to_vec();
        script.extend(quoted(word));
        let output =
            std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
        assert_eq!(output.stdout, word.as_bytes());
    }
}
