//! Whether a patch fits a kernel: what the macros emitted, held against the kernel's own data.
//!
//! Symbols and the places for ftrace come from the image and the modules, prototypes and types from
//! BTF. What this machine lacks of a kernel is said, and the rest is checked.

mod func;
mod inlining;
mod object;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use klp_format::manifest::{Binding, Shadow};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Target;
use crate::kernel::btf;
use crate::kernel::symbols::{Symbols, VMLINUX};
use crate::patch::manifest::Manifest;

pub use func::{fits, obstacle};
pub(crate) use inlining::absence;
pub use inlining::{InlineHost, InlineSites};
pub use object::ObjectInfo;

/// What is wrong with a patch on a kernel, and what could not be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Why the patch must not be info.
    pub faults: Vec<Diagnostic>,
    /// What the patch leaves as it was, though it seems to change it.
    pub warnings: Vec<Diagnostic>,
    /// What was not checked, and why.
    pub unchecked: Vec<String>,
}

/// Why a patch does not fit a kernel, or what to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Where it stands in the source, `file:line:column`, if that is known.
    pub place: Option<String>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Outcome {
    /// An error, if something is wrong; else what is to be said besides.
    pub fn into_error(self, release: &str) -> Result<Self> {
        if self.faults.is_empty() {
            return Ok(self);
        }
        let faults = self.faults.iter().map(Diagnostic::to_string).collect();
        Err(Error::Unfit { release: release.into(), faults })
    }
}

/// Checks the functions and shadow variables of a patch.
pub fn check(manifest: &Manifest, target: &Target, reporter: &dyn Reporter) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    check_bindings(manifest, target, &mut outcome)?;
    if manifest.funcs.is_empty() && manifest.shadows.is_empty() {
        return Ok(outcome);
    }
    let symbols = Symbols::of(target, reporter)?;
    let mut objects = Objects { symbols: &symbols, read: BTreeMap::new() };
    if objects.get(VMLINUX).is_ok_and(|vmlinux| vmlinux.types.is_none()) {
        outcome.unchecked.push(format!(
            "{} has no BTF on this machine: prototypes and types are not checked",
            target.kernel.release
        ));
    }
    for func in &manifest.funcs {
        match objects.get(&func.object) {
            Ok(info) => func::check(&symbols, info, func, &manifest.funcs, &mut outcome)?,
            Err(why) => outcome.unchecked.push(why),
        }
    }
    for shadow in &manifest.shadows {
        let object = shadow.object.as_deref().unwrap_or(VMLINUX);
        match objects.get(object) {
            Ok(info) => check_shadow(info, shadow, &mut outcome)?,
            Err(why) => outcome.unchecked.push(why),
        }
    }
    let place = |fault: &Diagnostic| fault.place.clone().unwrap_or_default();
    for list in [&mut outcome.faults, &mut outcome.warnings] {
        list.sort_by(|a, b| alphanumeric_sort::compare_str(place(a), place(b)));
    }
    outcome.unchecked.sort();
    outcome.unchecked.dedup();
    Ok(outcome)
}

/// Looks whether the types of `kernel_types!` are those of this kernel.
fn check_bindings(manifest: &Manifest, target: &Target, outcome: &mut Outcome) -> Result<()> {
    let mut files = BTreeMap::new();
    for Binding { name, object, btf } in &manifest.bindings {
        if !files.contains_key(object) {
            files.insert(object, btf::file_of(target, object)?);
        }
        if files[object].as_deref() == Some(Path::new(btf)) {
            continue;
        }
        let message =
            format!("`{name}` is that of another kernel, by `{btf}`: build the patch with `cargo klp`");
        outcome.faults.push(Diagnostic { place: None, message });
    }
    Ok(())
}

/// The objects that a patch is about, each read once.
struct Objects<'a> {
    symbols: &'a Symbols<'a>,
    read: BTreeMap<String, std::result::Result<ObjectInfo<'a>, String>>,
}

impl<'a> Objects<'a> {
    /// An object, or why it is not known.
    fn get(&mut self, name: &str) -> std::result::Result<&ObjectInfo<'a>, String> {
        let read = || {
            ObjectInfo::of(self.symbols, name).map_err(|error| {
                let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
                format!("what the patch has of `{name}` is not checked: {error}{help}")
            })
        };
        self.read.entry(name.into()).or_insert_with(read).as_ref().map_err(Clone::clone)
    }
}

/// Looks for the type that a shadow variable hangs on.
fn check_shadow(info: &ObjectInfo<'_>, shadow: &Shadow, outcome: &mut Outcome) -> Result<()> {
    let Some(known) = &info.types else { return Ok(()) };
    // A type of the author's own is no type of the kernel, of which names are in small letters.
    let is_own = shadow.of.contains(|letter: char| letter.is_ascii_uppercase()) || shadow.of == "c_void";
    if is_own || known.find(&shadow.of).map_err(Error::btf(&info.object.name))?.is_some() {
        return Ok(());
    }
    let (name, of, object) = (&shadow.name, &shadow.of, &info.object.name);
    let place = shadow.place.clone();
    let message = if object == VMLINUX {
        format!(
            "`{name}` hangs on `{of}`, which is no type of vmlinux: write its name as C has it, and \
             `object = \"…\"` for a type of a module"
        )
    } else {
        format!(
            "`{name}` hangs on `{of}`, which is no type of {object} or vmlinux: write its name as C has it"
        )
    };
    outcome.faults.push(Diagnostic { place, message });
    Ok(())
}
