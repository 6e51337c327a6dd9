//! Hides the machine's own kernels, so that no test passes only because somebody has installed one.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use cargo_klp::error::{Error, Result};
use cargo_klp::host::cache;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::command::root;

/// Directories of the kernels that run or are installed on this machine: sources and headers, modules, images,
/// debug information, types. Tests use the kernels in the cache.
const HIDDEN: [&str; 5] = ["/usr/src", "/lib/modules", "/boot", "/usr/lib/debug", "/sys/kernel/btf"];

/// Makes the directories [`HIDDEN`] empty for this process and its children, and for no other process.
///
/// # Errors
///
/// [`Error::Request`] if the kernel does not allow it (it asks for root), or if the repository or the cache would be
/// hidden as well.
pub(crate) fn kernels_of_this_machine() -> Result<()> {
    let needed = [root().to_owned(), cache::root()?];
    let hidden: Vec<&Path> = HIDDEN.iter().map(Path::new).filter(|directory| directory.exists()).collect();
    for directory in &hidden {
        let real = fs::canonicalize(directory).map_err(Error::io("open", *directory))?;
        if let Some(inside) = needed.iter().find(|needed| needed.starts_with(&real)) {
            return Err(Error::Request {
                message: format!(
                    "`{}` is in {}, which the tests must not see",
                    inside.display(),
                    real.display()
                ),
                help: "move it, or let the tests see the kernels of this machine with `--no-hide`".into(),
            });
        }
    }
    hide(&hidden).map_err(|error| Error::Request {
        message: format!("cannot hide {} from the tests: {error}", HIDDEN.join(", ")),
        help: match error {
            // The root directory is no mount point.
            Errno::INVAL => {
                "where this is a chroot, mount its directory on itself first (`mount --bind ROOT ROOT`), or let the \
                 tests see the kernels of this machine with `--no-hide`"
            }
            _ => "run it as root, or let the tests see the kernels of this machine with `--no-hide`",
        }
        .into(),
    })?;
    for directory in hidden {
        match fs::read_dir(directory).map(|mut entries| entries.next()) {
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => panic!("{} is still visible", directory.display()),
        }
    }
    Ok(())
}

fn hide(directories: &[&Path]) -> Result<(), Errno> {
    // SAFETY: No file descriptor is unshared, only the namespace of mounts.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    // Mounts from here on stay in this namespace.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    directories.iter().try_for_each(|directory| mount("hidden", *directory, "tmpfs", flags, None))
}
