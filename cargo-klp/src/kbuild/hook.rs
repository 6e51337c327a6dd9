//! Makes `cargo klp finish` a part of Kbuild's last step.
//!
//! Kbuild reads a patch's Kbuild in the step that compiles, not in the step that links the module. But in the
//! latter it reads a file of its own for each target that exists, so it also reads `.NAME.mod.o.cmd` if `NAME.mod.o`
//! exists: klp creates an empty `NAME.mod.o`, and has the file include `klp_final.mk`. Kbuild then compiles
//! `NAME.mod.o`, because the file lacks its command line. If some kernel's Kbuild stops reading the file, the build
//! fails, and the glue refuses to load a module with livepatch symbols.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result};

/// The define in the glue's header that says how many livepatch symbols there are, if there are any.
pub(super) const NR_SYMBOLS: &str = "KLP_NR_SYMBOLS";

/// The prefix of klp's lines in the file.
const START: &str = "klp-finish = ";

/// Has Kbuild finish a module.
pub(super) fn write(ko: &Path, kbuild: &Path) -> Result<()> {
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let object = ko.with_extension("mod.o");
    let name = object.file_name().expect("a module has a name").to_string_lossy();
    let file = object.with_file_name(format!(".{name}.cmd"));
    // Kbuild rewrites the file when it compiles; its own lines must stay.
    let old = fs::read_to_string(&file).unwrap_or_default();
    let kept = old.find(START).map_or(&*old, |at| &old[..at]);
    let text = format!(
        "{kept}{START}'{}' klp finish\nklp-kos += {}\ninclude {}\n",
        this.display(),
        ko.display(),
        kbuild.join("klp_final.mk").display()
    );
    if old != text {
        fs::write(&file, text).map_err(Error::io("write", &file))?;
    }
    if !object.exists() {
        File::create(&object).map_err(Error::io("create", &object))?;
    }
    Ok(())
}
