//! Build IDs: the linker gives one to each build of a kernel or a module.

use std::fs::File;

use object::Object as _;
use object::read::{ReadCache, ReadRef};

use super::{Kind, Object};
use crate::error::{Error, Result};

impl Object<'_> {
    /// The build ID of the object, if its file contains one.
    pub fn build_id(&self) -> Result<Option<String>> {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => {
                let image = vmlinux.image();
                let parts = ReadCache::new(File::open(image).map_err(Error::io("open", image))?);
                build_id(&parts)
            }
            Kind::Module(module) => build_id(module.data()),
        }
        .map_err(Error::elf("read the build ID of a kernel or a module"))
    }
}

/// The build ID of an ELF file, as it is written.
pub(crate) fn build_id<'a>(data: impl ReadRef<'a>) -> object::Result<Option<String>> {
    let id = object::File::parse(data)?.build_id()?;
    Ok(id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()))
}
