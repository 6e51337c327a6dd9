//! Finds out what a livepatch module does, in Rust or C, without loading it.

mod c_patch;
mod image;
mod klp_patch;
mod layout;
mod memory;
pub mod modinfo;
pub mod report;
pub mod symbols;

use std::fs;
use std::io;
use std::path::Path;

use klp_format::Table;
use klp_module::{Modinfo, Signature};
use object::{Object, ObjectKind};

use crate::error::{Error, Result};
use crate::kernel::Arch;
use crate::kernel::signing::{Certificate, Verdict};
use crate::patch::manifest::Manifest;
use crate::patch::tables::start;
use crate::patch::verify;
pub(crate) use image::name_in_source;
use layout::Layout;
use report::{Language, Patch, Report};

/// Reads a livepatch module.
///
/// # Errors
///
/// The file is not a livepatch module, or is a klp module whose tables have lost entries.
pub fn inspect(path: &Path) -> Result<Report> {
    report(path, &read(path)?)
}

/// Reads a livepatch module that has been read from a file and unpacked.
///
/// # Errors
///
/// As [`inspect`].
pub fn report(path: &Path, data: &[u8]) -> Result<Report> {
    let file = parse(path, data)?;
    let modinfo = modinfo::read(&file)?;
    if !modinfo.has("livepatch") && Manifest::read(&file)?.patch.is_none_or(|patch| patch.enable) {
        return Err(not_a_livepatch(path, &modinfo));
    }
    if file.symbols().next().is_none() {
        return Err(Error::Request {
            message: format!("`{}` is stripped of its symbols: no kernel can load it", path.display()),
            help: "build it again; `strip --strip-debug` removes only what the kernel does not need".into(),
        });
    }
    let (language, patch) = patch(path, &file, &modinfo)?;
    let (patch, unknown) = match patch {
        Ok(patch) => (Some(patch), None),
        Err(error) => (None, Some(error.with_help())),
    };
    // One that can't be read is among the faults.
    let signature = Signature::of(data).unwrap_or_default();
    let owned = |key| modinfo.get(key).map(str::to_owned);
    let depends = modinfo.get("depends").unwrap_or_default().split(',');
    Ok(Report {
        name: owned("name").unwrap_or_else(|| stem(path)),
        language,
        license: owned("license"),
        authors: modinfo.all("author").map(str::to_owned).collect(),
        description: owned("description"),
        version: owned("version"),
        release: modinfo.release().map(str::to_owned),
        vermagic: owned("vermagic").map(|vermagic| vermagic.trim_end().to_owned()),
        depends: depends.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        kernel_crate: owned("rustc"),
        fixes: modinfo.all("fixes").map(str::to_owned).collect(),
        imports: modinfo.all("import_ns").map(str::to_owned).collect(),
        intree: modinfo.has("intree"),
        machine: Arch::of_elf(data).map(|arch| arch.machine),
        retpoline: modinfo.has("retpoline"),
        signed: signature.is_some(),
        signature,
        verified: None,
        patch,
        unknown,
        parameters: modinfo::parameters(&modinfo),
        symbols: symbols::read(&file),
        memory: memory::read(&file),
        faults: verify::faults(data)?,
    })
}

/// Everything in a module that the kernel would refuse or misread. This works on any module, livepatch or not.
///
/// # Errors
///
/// The file is not a module.
pub fn faults(path: &Path) -> Result<Vec<String>> {
    let data = read(path)?;
    parse(path, &data)?;
    verify::faults(&data)
}

/// Verifies a module's signature with the certificate that its signer should have: what is wrong with it, or `None`.
///
/// # Errors
///
/// The file is not a module, or `openssl` is missing.
pub fn signature_fault(path: &Path, certificate: &Certificate) -> Result<Option<String>> {
    let data = read(path)?;
    parse(path, &data)?;
    Ok(match certificate.verify(&data)? {
        Some(Verdict::Verified) => None,
        Some(Verdict::Mismatch) => {
            Some("its signature does not match its contents: they have changed since it was signed".into())
        }
        Some(Verdict::OtherSigner) => Some(format!(
            "another certificate has signed it than `{}` ({})",
            certificate.path().display(),
            certificate.subject()
        )),
        None => Some("it has no signature that can be read".into()),
    })
}

/// What the patch does. The inner error is for a sound module that does not show it.
fn patch(path: &Path, file: &object::File<'_>, modinfo: &Modinfo) -> Result<(Language, Result<Patch>)> {
    let manifest = Manifest::read(file)?;
    // A klp module must not pass for one in C, even if the manifest itself was lost.
    let has_tables = file.symbol_by_name(&start(Table::Patch)).is_some();
    if manifest.patch.is_none() && has_tables {
        return Err(Error::LostEntries {
            path: path.into(),
            what: "patch in its manifest",
            emitted: 1,
            found: 0,
        });
    }
    if manifest.patch.is_some() {
        return Ok((Language::Klp, Ok(klp_patch::read(path, file, manifest)?)));
    }
    let layout = Layout::find(file, modinfo.release());
    Ok((Language::C, layout.and_then(|layout| c_patch::read(file, &layout))))
}

/// The unpacked file.
fn read(path: &Path) -> Result<Vec<u8>> {
    let data = fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => Error::Request {
            message: format!("there is no file `{}`", path.display()),
            help: "give the path of a .ko file: `cargo klp build` prints the path of each module".into(),
        },
        _ => Error::Io { what: "read", path: path.into(), source },
    })?;
    if data.starts_with(b"\x1f\x8b") {
        return Err(Error::Request {
            message: format!("`{}` is compressed with gzip, which is not supported", path.display()),
            help: "unpack it with gunzip".into(),
        });
    }
    crate::kernel::image::decompress(&data).map_err(Error::io("unpack", path))
}

/// Parses the file, which must be a relocatable object with a `.modinfo`.
fn parse<'a>(path: &Path, data: &'a [u8]) -> Result<object::File<'a>> {
    let refuse = |what: &str| Error::Request {
        message: format!("`{}` is not a kernel module: {what}", path.display()),
        help: "give the .ko file that Kbuild or `cargo klp build` made".into(),
    };
    if !data.starts_with(&object::elf::ELFMAG) {
        return Err(refuse("it is not an ELF file"));
    }
    let file = object::File::parse(data).map_err(|error| refuse(&format!("it is damaged ({error})")))?;
    if file.kind() != ObjectKind::Relocatable {
        return Err(refuse("it is a program or a library"));
    }
    if file.section_by_name(".modinfo").is_none() {
        return Err(refuse("it has no .modinfo"));
    }
    Ok(file)
}

fn not_a_livepatch(path: &Path, modinfo: &Modinfo) -> Error {
    let name = modinfo.get("name").unwrap_or("a module");
    Error::Request {
        message: format!(
            "`{}` is not a livepatch: {name} has no livepatch=Y in its .modinfo",
            path.display()
        ),
        help: "use modinfo for an ordinary module; a livepatch in C has MODULE_INFO(livepatch, \"Y\")".into(),
    }
}

/// The name that the kernel gives to a module without one.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_module() {
        assert_eq!(stem("/x/livepatch-sample.ko.xz".as_ref()), "livepatch_sample");
    }

    #[test]
    fn what_is_no_module_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let said = |name: &str, data: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, data).unwrap();
            let error = inspect(&path).unwrap_err();
            assert!(error.help().is_some(), "{error}");
            error.to_string()
        };
        assert!(said("text.ko", b"hello").contains("not an ELF file"));
        assert!(said("empty.ko", b"").contains("not an ELF file"));
        assert!(said("half.ko", b"\x7fELF\x02\x01\x01").contains("damaged"));
        assert!(said("module.ko.gz", b"\x1f\x8b\x08").contains("gzip"));
        let this = std::env::current_exe().unwrap();
        assert!(inspect(&this).unwrap_err().to_string().contains("a program"));
        let absent = inspect(&directory.path().join("absent.ko")).unwrap_err();
        assert!(absent.to_string().contains("no file"));
    }
}
