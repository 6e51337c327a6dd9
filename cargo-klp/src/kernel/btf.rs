//! The types of a kernel and its modules: their BTF, in files of the cache.
//!
//! `kernel_types!` reads them there: `klp-macros/src/macros/kernel_types/source.rs`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use btf_rs::Btf;
use klp_btf::Types;
use klp_format::env;
use object::read::ReadCache;
use object::{Object as _, ObjectSection};

use crate::error::{Error, Result};
use crate::host::cache;
use crate::kernel::symbols::{self, VMLINUX};
use crate::kernel::{Kernel, KernelParts, KernelQuery, Target, available};

/// The command `cargo klp types` for a kernel, with these modules besides the kernel's own; `kernel_types!` appends
/// the module's name. Its words are separated as cargo separates encoded flags.
pub(crate) fn command(target: &Target) -> Result<OsString> {
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let words = [
        this.as_os_str(),
        "klp".as_ref(),
        "types".as_ref(),
        "--kdir".as_ref(),
        target.kernel.kdir.as_os_str(),
    ];
    let given = target.modules.iter().flat_map(|module| ["--module".as_ref(), module.as_os_str()]);
    Ok(words
        .into_iter()
        .chain(given)
        .collect::<Vec<_>>()
        .join(OsStr::new(&env::COMMAND_SEPARATOR.to_string())))
}

/// The file with the BTF of a kernel; `None` if nothing on this machine has it.
///
/// The image contains it, and Debian's headers do from 6.12 on.
pub fn file(kernel: &Kernel) -> Result<Option<PathBuf>> {
    let image = match kernel.packed_image() {
        Some(packed) => crate::kernel::image::unpacked_image(kernel, &packed)?,
        None => None,
    };
    for elf in image.into_iter().chain([kernel.kdir.join("vmlinux")]) {
        if let Some(file) = extracted(kernel, &elf)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The types of a kernel; `None` if nothing on this machine has them.
pub fn of_kernel(kernel: &Kernel) -> Result<Option<Types>> {
    file(kernel)?.map(|file| Types::open(&file).map_err(|error| cache::unusable(&file, error))).transpose()
}

/// The BTF of a release's kernel, from whatever this machine has: the debug package, the kernel itself if it runs,
/// the image or the headers.
pub fn of_release(release: &str) -> Option<Btf> {
    let debug_files = [
        format!("/usr/lib/debug/boot/vmlinux-{release}"),
        format!("/usr/lib/debug/lib/modules/{release}/vmlinux"),
    ];
    let of_elf = |path: &String| Btf::from_bytes(&section(Path::new(path)).ok()?).ok();
    let running = || {
        let is_running = rustix::system::uname().release().to_bytes() == release.as_bytes();
        is_running.then(|| Btf::from_file("/sys/kernel/btf/vmlinux").ok())?
    };
    let installed = || {
        let kernel = KernelQuery::Release(release.into()).find(KernelParts::Headers).ok()?;
        // A release may be a prefix of another one.
        let file = if kernel.release == release { file(&kernel).ok()? } else { None };
        Btf::from_file(file?).ok()
    };
    debug_files.iter().find_map(of_elf).or_else(running).or_else(installed)
}

/// The file with the BTF of an object: vmlinux, or a module.
pub fn file_of(target: &Target, object: &str) -> Result<Option<PathBuf>> {
    if object == VMLINUX {
        return file(&target.kernel);
    }
    Ok(Some(module_directory(target, object)?.join("btf")))
}

/// The directory of the cache with the BTF of a module, and the path of the module.
pub fn module_directory(target: &Target, name: &str) -> Result<PathBuf> {
    let kernel = &target.kernel;
    let ko = symbols::module_file(target, name)?;
    let unknown = |why: &str, help: &str| Error::Request {
        message: format!("the types of `{name}` in kernel {} are unknown: {why}", kernel.release),
        help: help.into(),
    };
    let Some(base) = file(kernel)? else {
        let help = format!("install its image with `cargo klp doctor --fix --kernel {}`", kernel.release);
        return Err(unknown("this machine has no BTF of the kernel", &help));
    };
    let key = base.with_file_name(format!("{name}-{}", cache::hash(&ko)));
    cache::entry(key, |dir| {
        let btf = symbols::module_btf(&ko)?.ok_or_else(|| {
            unknown(
                &format!("`{}` has no BTF on top of the kernel's", ko.display()),
                "Kbuild makes it for a module with debug information, where the kernel's build directory has \
                 `vmlinux` and pahole is installed",
            )
        })?;
        let path = ko.as_os_str().as_encoded_bytes();
        for (name, text) in [("btf", &*btf), ("path", path)] {
            let file = dir.join(name);
            fs::write(&file, text).map_err(Error::io("write", &file))?;
        }
        Ok(())
    })
}

/// Puts the types of all kernels on this machine into the cache, where `kernel_types!` finds them in an editor.
pub fn prepare() -> Result<()> {
    for release in available(KernelParts::Headers)? {
        // Skips kernels that can't be patched.
        if let Ok(kernel) = KernelQuery::Release(release).find(KernelParts::Headers) {
            file(&kernel)?;
        }
    }
    Ok(())
}

/// The types of a module on top of those of its kernel; `None` if the module has none.
pub fn of_module(module: &symbols::Object<'_>, base: &Types) -> Result<Option<Types>> {
    let Some(data) = module.btf()? else { return Ok(None) };
    base.module(&data).map(Some).map_err(Error::btf(&module.name))
}

/// The file in an entry of the cache that says that the ELF file has no BTF.
const NONE: &str = "none";

/// The BTF of an ELF file, in the cache; `None` if the ELF file has none.
fn extracted(kernel: &Kernel, elf: &Path) -> Result<Option<PathBuf>> {
    if !elf.exists() {
        return Ok(None);
    }
    let key = format!("btf/{}-{}", kernel.release, cache::hash(elf));
    let entry = cache::entry(key, |dir| {
        let types = section(elf)?;
        let file = dir.join(if types.is_empty() { NONE } else { "vmlinux" });
        fs::write(&file, types).map_err(Error::io("write", &file))
    })?;
    if entry.join(NONE).exists() {
        return Ok(None);
    }
    let file = entry.join("vmlinux");
    match fs::metadata(&file) {
        Ok(found) if found.len() > 0 => Ok(Some(file)),
        Ok(_) => Err(cache::unusable(&file, "it is empty")),
        Err(error) => Err(cache::unusable(&file, error)),
    }
}

/// The section of an ELF file; empty if the file has none.
fn section(elf: &Path) -> Result<Vec<u8>> {
    let parts = ReadCache::new(fs::File::open(elf).map_err(Error::io("open", elf))?);
    let read = || {
        let file = object::File::parse(&parts)?;
        file.section_by_name(".BTF").map_or(Ok(Vec::new()), |section| section.data().map(<[u8]>::to_vec))
    };
    read().map_err(Error::elf("read the BTF of a kernel"))
}
