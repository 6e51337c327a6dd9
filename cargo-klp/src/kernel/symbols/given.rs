//! Checks of modules that do not come with the kernel: each file must be one module, for this kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::{Object, ObjectSection};

use super::module::name;
use crate::error::{Error, Result};
use crate::kernel::Target;
use crate::kernel::image::decompress;

/// Refuses files that could be taken for the wrong module.
///
/// # Errors
///
/// A file is not a module, is for another kernel, or has the same name as another file.
pub(crate) fn check_modules(target: &Target) -> Result<()> {
    let mut names = BTreeMap::new();
    for file in &target.modules {
        let refuse = |what: String, help: &str| Error::Request {
            message: format!("the module `{}` {what}", file.display()),
            help: help.into(),
        };
        let release = release(file)
            .map_err(|what| refuse(what, "give the .ko file that Kbuild or `cargo klp build` made"))?;
        if release != target.kernel.release {
            let what = format!("is for kernel {release}, not for {}", target.kernel.release);
            let help = format!("build it for this kernel, or choose its own with `--kernel {release}`");
            return Err(refuse(what, &help));
        }
        let name = name(&file.to_string_lossy());
        if let Some(other) = names.insert(name.clone(), file) {
            let what = format!("has the same name, {name}, as `{}`", other.display());
            return Err(refuse(what, "give only one of them: a kernel has one module of each name"));
        }
    }
    Ok(())
}

/// The release that a module is for, or the defect of the file.
fn release(file: &Path) -> std::result::Result<String, String> {
    if name(&file.to_string_lossy()).is_empty() {
        return Err("is not called NAME.ko".into());
    }
    let data = fs::read(file).map_err(|error| format!("can't be read: {error}"))?;
    if data.starts_with(b"\x1f\x8b") {
        return Err("is compressed with gzip, which is not supported: unpack it with gunzip".into());
    }
    let data = decompress(&data).map_err(|error| format!("can't be unpacked: {error}"))?;
    let elf = object::File::parse(&*data).map_err(|error| format!("is not a kernel module: {error}"))?;
    let modinfo = elf.section_by_name(".modinfo").and_then(|section| section.data().ok()).unwrap_or_default();
    let vermagic = modinfo.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"vermagic="));
    let vermagic = vermagic.ok_or("is not a finished kernel module: it has no vermagic")?;
    let release = vermagic.split(|byte| *byte == b' ').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(release).into_owned())
}
