//! Signs modules in files.

use std::fs;
use std::io::Write;
use std::path::Path;

use klp_module::Signature;

use super::inspect::{self, modinfo};
use crate::error::{Error, Result};
use crate::kernel::signing::SigningKey;
use crate::kernel::{Kernel, KernelParts, KernelQuery};

/// Signs a module in place, for a kernel, by default the one that it is built for.
///
/// The file is the old one until the new one is whole.
///
/// # Errors
///
/// The file is not a module, or one that the kernel would misread; that kernel's headers are not on this machine; or as
/// [`SigningKey::sign`].
pub fn sign(path: &Path, key: &SigningKey, kernel: Option<&Kernel>) -> Result<Option<Signature>> {
    // What a link points to is signed, not replaced by a file.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let faults = inspect::faults(path)?;
    if !faults.is_empty() {
        return Err(Error::Unloadable { path: path.into(), faults });
    }
    let data = fs::read(path).map_err(Error::io("read", path))?;
    let file = object::File::parse(&*data).map_err(|_| Error::Request {
        message: format!("`{}` is compressed: the signature belongs to the module in it", path.display()),
        help: "unpack it with `unxz` or `unzstd`, sign it, and pack it again".into(),
    })?;
    let own;
    let kernel = match kernel {
        Some(kernel) => kernel,
        None => {
            let release = modinfo::read(&file)?.release().unwrap_or_default().to_owned();
            own = KernelQuery::Release(release).find(KernelParts::Headers)?;
            &own
        }
    };
    let signed = key.sign(&data, kernel)?;
    let directory = path.parent().expect("a file is in a directory");
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&signed)?;
        file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(Error::io("write", path))?;
    Ok(Signature::of(&signed).unwrap_or_default())
}
