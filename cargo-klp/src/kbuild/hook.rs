//! How `cargo klp finish` becomes a part of Kbuild's last step.
//!
//! Kbuild reads a patch's Kbuild where it compiles, not where it links the module in the end. But there
//! it reads a file of its own about each target that exists, so also `.NAME.mod.o.cmd`: `NAME.mod.o` is
//! made to exist, empty, and the file includes `klp_final.mk`. Kbuild then compiles `NAME.mod.o`, whose
//! command line the file does not have. Should a kernel's Kbuild no longer read it, the build fails, and a
//! module with livepatch symbols is refused when it is loaded.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result};

/// The define in the glue's header that says how many livepatch symbols there are, if there are any.
pub(super) const NR_SYMBOLS: &str = "KLP_NR_SYMBOLS";

/// What the lines in the file start with.
const START: &str = "klp-finish = ";

/// Has Kbuild finish a module.
pub(super) fn write(ko: &Path, kbuild: &Path) -> Result<()> {
    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let object = ko.with_extension("mod.o");
    let name = object.file_name().expect("a module has a name").to_string_lossy();
    let file = object.with_file_name(format!(".{name}.cmd"));
    // Kbuild writes the file anew when it compiles; what it has to say there must stay.
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
