//! Modules in files.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use klp_format::manifest::NOTE_SECTION;
use klp_module::{About, Modinfo, Signature, build_id};
use object::{Object, ObjectKind, ObjectSection};

use crate::error::{Error, Result};

/// A livepatch module in a file.
#[derive(Debug)]
pub struct ModuleFile {
    /// The open file: what is loaded is what was looked at, also where the path gets another file meanwhile.
    pub file: File,
    /// Its path.
    pub path: PathBuf,
    /// The name that the module will have.
    pub name: String,
    /// The kernel release that it is built for.
    pub release: Option<String>,
    /// The linker's identification of the build, in hexadecimal.
    pub build_id: Option<String>,
    /// What it says of itself, if it is made with klp.
    pub about: Option<About>,
    /// The signature at its end, or why the kernel would not read it. Only the kernel can verify it.
    pub signature: Result<Option<Signature>, &'static str>,
    /// The modules that must be loaded before it.
    pub depends: Vec<String>,
}

impl ModuleFile {
    /// Opens and reads a module.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is not a livepatch.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |what: &str, help: &str| Error::Request {
            message: format!("`{}` is not a livepatch: {what}", path.display()),
            help: help.into(),
        };
        // Before it is opened: a pipe would wait for a writer, and a device may never end.
        if !fs::metadata(path).map_err(Error::io("open", path))?.is_file() {
            return Err(refuse("it is a directory, a pipe or a device", "give the .ko file"));
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        let data = contents(&file).map_err(Error::io("read", path))?;
        if !data.starts_with(b"\x7fELF") {
            return Err(match &data[..data.len().min(4)] {
                b"\xfd7zX" | b"\x28\xb5\x2f\xfd" | [0x1f, 0x8b, ..] => {
                    refuse("it is compressed", "unpack it with `unxz`, `unzstd` or `gunzip` first")
                }
                _ => refuse("it is not an ELF file", "give the .ko file"),
            });
        }
        let damaged =
            |error: object::Error| refuse(&format!("it is damaged ({error})"), "copy or build it again");
        let elf = object::File::parse(&*data).map_err(damaged)?;
        if elf.kind() != ObjectKind::Relocatable {
            return Err(refuse("it is a program or a library", "give the .ko file"));
        }
        let modinfo = Modinfo::read(&elf).map_err(damaged)?;
        if !modinfo.has("livepatch") {
            return Err(refuse(
                "it has no livepatch=Y in its .modinfo",
                "load an ordinary module with modprobe",
            ));
        }
        let section =
            |name| elf.section_by_name(name).and_then(|section: object::Section<'_, '_>| section.data().ok());
        let owned = |key| modinfo.get(key).map(str::to_owned);
        let depends = modinfo.get("depends").unwrap_or_default().split(',');
        Ok(Self {
            file,
            path: path.into(),
            name: owned("name").unwrap_or_else(|| stem(path)),
            release: modinfo.release().map(str::to_owned),
            build_id: section(".note.gnu.build-id").and_then(build_id),
            about: section(NOTE_SECTION).and_then(About::of_section),
            signature: Signature::of(&data),
            depends: depends.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// The whole file.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        contents(&self.file).map_err(Error::io("read", &self.path))
    }
}

fn contents(mut file: &File) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut data)?;
    file.rewind()?;
    Ok(data)
}

/// The name that the kernel gives to a module without one.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}
