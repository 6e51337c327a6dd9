//! Checks whether a patch fits a kernel: compares what the macros emitted with the kernel's own data.
//!
//! Symbols and ftrace entries come from the image and the modules, prototypes and types from
//! BTF. If this machine lacks one of these, the outcome says so, and the rest is checked.

mod func;
mod inlining;
mod object;
mod rustc;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use klp_format::manifest::{Binding, Func, Shadow};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Target;
use crate::kernel::btf;
use crate::kernel::debug_info::help;
use crate::kernel::symbols::{Symbol, Symbols, VMLINUX};
use crate::patch::manifest::Manifest;

pub(crate) use func::freed_after_init;
pub use func::{fits, obstacle};
pub(crate) use inlining::absence;
pub use inlining::{InlineHost, InlineSites};
pub use object::ObjectInfo;

/// The result of checking a patch against a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The reasons why the patch must not be loaded.
    pub faults: Vec<Diagnostic>,
    /// Places where the patch may leave old code in use.
    pub warnings: Vec<Diagnostic>,
    /// The checks that were skipped, with the reasons.
    pub unchecked: Vec<String>,
    /// Checks that need something that few machines have.
    pub notes: Vec<String>,
}

/// An error or a warning about a patch on a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The place in the patch's source, `file:line:column`, if known.
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

/// Reads what [`Display`](fmt::Display) writes; the place may lack the column.
impl From<&str> for Diagnostic {
    fn from(text: &str) -> Self {
        let is_place = |place: &&str| {
            let mut parts = place.split(':');
            let file = parts.next().is_some_and(|file| file.contains('.') && !file.contains('`'));
            let mut is_number = |part: &str| part.parse::<usize>().is_ok();
            file && (1..=2).contains(&parts.clone().count()) && parts.all(&mut is_number)
        };
        match text.split_once(": ").filter(|(place, _)| is_place(place)) {
            Some((place, message)) => Self { place: Some(place.into()), message: message.into() },
            None => Self { place: None, message: text.into() },
        }
    }
}

impl Outcome {
    /// The outcome of a patch that fits.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] if it does not.
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
    if manifest.funcs.is_empty() && manifest.shadows.is_empty() && manifest.objects.is_empty() {
        return Ok(outcome);
    }
    let symbols = Symbols::of(target, reporter)?;
    let mut objects = Objects { symbols: &symbols, read: BTreeMap::new() };
    if objects.get(VMLINUX).is_ok_and(|vmlinux| vmlinux.types.is_none()) {
        outcome.unchecked.push(format!(
            "prototypes and types are not checked: this machine has no BTF of {}",
            target.kernel.release
        ));
    }
    let mut redirected = Redirected::default();
    for func in &manifest.funcs {
        match objects.get(&func.object) {
            Ok(info) => {
                if let Some(function) = func::check(&symbols, info, func, &manifest.funcs, &mut outcome)? {
                    outcome.faults.extend(redirected.add(func, &function));
                }
            }
            Err(missing) => missing.add_to(&mut outcome, &func.place),
        }
    }
    for shadow in &manifest.shadows {
        let object = shadow.object.as_deref().unwrap_or(VMLINUX);
        match objects.get(object) {
            Ok(info) => check_shadow(info, shadow, &mut outcome)?,
            Err(missing) => missing.add_to(&mut outcome, &shadow.place),
        }
    }
    for object in &manifest.objects {
        if let Err(missing) = objects.get(&object.name) {
            missing.add_to(&mut outcome, &None);
        }
    }
    for object in objects.without_debug_info(manifest.funcs.iter().map(|func| &*func.object)) {
        outcome.notes.push(format!(
            "no debug information of {object}: inlined copies of redirected functions are not looked for; {}",
            help(&target.kernel.release)
        ));
    }
    let place = |fault: &Diagnostic| fault.place.clone().unwrap_or_default();
    for list in [&mut outcome.faults, &mut outcome.warnings] {
        list.sort_by(|a, b| alphanumeric_sort::compare_str(place(a), place(b)));
    }
    outcome.faults.dedup();
    outcome.unchecked.sort();
    outcome.unchecked.dedup();
    Ok(outcome)
}

/// Checks whether the types of `kernel_types!` come from this kernel.
fn check_bindings(manifest: &Manifest, target: &Target, outcome: &mut Outcome) -> Result<()> {
    let mut files = BTreeMap::new();
    for Binding { name, object, btf } in &manifest.bindings {
        if !files.contains_key(object) {
            files.insert(object, btf::file_of(target, object)?);
        }
        if files[object].as_deref() == Some(Path::new(btf)) {
            continue;
        }
        let message = format!(
            "`{name}` was declared for another kernel (by `{btf}`): build the patch with `cargo klp`"
        );
        outcome.faults.push(Diagnostic { place: None, message });
    }
    Ok(())
}

/// The functions that are redirected, by their code.
#[derive(Default)]
struct Redirected<'a>(BTreeMap<(&'a str, Option<usize>, u64), &'a str>);

impl<'a> Redirected<'a> {
    /// Adds a function, unless another redirected one has the same code, as functions with several names do (such as
    /// the entries of a system call). Two redirections of one address would be stacked in one patch: a task that has
    /// not switched yet would run the lower one instead of the original.
    fn add(&mut self, func: &'a Func, function: &Symbol) -> Option<Diagnostic> {
        let code = (&*func.object, function.section, function.address);
        let other = self.0.insert(code, &func.symbol)?;
        let (symbol, object, address) = (&func.symbol, &func.object, function.address);
        let message = format!(
            "`{symbol}` and `{other}` of {object} are one function, at {address:#x}: redirect it once, by either name"
        );
        Some(Diagnostic { place: func.place.clone(), message })
    }
}

/// The objects that a patch concerns, each read once.
struct Objects<'a> {
    symbols: &'a Symbols<'a>,
    read: BTreeMap<String, std::result::Result<ObjectInfo<'a>, Missing>>,
}

/// An object that could not be read.
#[derive(Clone)]
struct Missing {
    message: String,
    /// Whether the kernel has no such object; otherwise only this machine lacks it.
    is_absent: bool,
}

impl Missing {
    /// Adds it to an outcome, for an item at a place of the source.
    fn add_to(self, outcome: &mut Outcome, place: &Option<String>) {
        let Self { message, is_absent } = self;
        if is_absent {
            outcome.faults.push(Diagnostic { place: place.clone(), message });
        } else {
            outcome.unchecked.push(message);
        }
    }
}

impl<'a> Objects<'a> {
    /// An object, or the reason why it could not be read.
    fn get(&mut self, name: &str) -> std::result::Result<&ObjectInfo<'a>, Missing> {
        let symbols = self.symbols;
        let read = || {
            ObjectInfo::of(symbols, name).map_err(|error| {
                let is_unknown = symbols.target().unknown_modules.iter().any(|module| module == name);
                match error {
                    Error::NoModule { .. } if is_unknown => Missing {
                        message: format!(
                            "the patch's parts for `{name}` are not checked: it is an unknown module"
                        ),
                        is_absent: false,
                    },
                    Error::NoModule { .. } => Missing { message: error.with_help(), is_absent: true },
                    _ => Missing {
                        message: format!(
                            "the patch's parts for `{name}` are not checked: {}",
                            error.with_help()
                        ),
                        is_absent: false,
                    },
                }
            })
        };
        self.read.entry(name.into()).or_insert_with(read).as_ref().map_err(Clone::clone)
    }

    /// The objects among these that have no debug information.
    fn without_debug_info<'b>(&self, names: impl Iterator<Item = &'b str>) -> Vec<&'b str> {
        let is_without =
            |name: &&str| matches!(self.read.get(*name), Some(Ok(info)) if info.debug_info.is_none());
        names.filter(is_without).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Looks for the type of a shadow variable's object.
fn check_shadow(info: &ObjectInfo<'_>, shadow: &Shadow, outcome: &mut Outcome) -> Result<()> {
    let Some(known) = &info.types else { return Ok(()) };
    // Names of kernel types are in small letters; other names are the author's own types.
    let is_own = shadow.of.contains(|letter: char| letter.is_ascii_uppercase()) || shadow.of == "c_void";
    if is_own || known.find(&shadow.of).map_err(Error::btf(&info.object.name))?.is_some() {
        return Ok(());
    }
    let (name, of, object) = (&shadow.name, &shadow.of, &info.object.name);
    let place = shadow.place.clone();
    let message = if object == VMLINUX {
        format!(
            "`{name}` is for objects of `{of}`, and vmlinux has no such type: write its C name, and `object = \"…\"` for a \
             module's type"
        )
    } else {
        format!(
            "`{name}` is for objects of `{of}`, and neither {object} nor vmlinux has such a type: write its C name"
        )
    };
    outcome.faults.push(Diagnostic { place, message });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_is_read_as_it_is_written() {
        for (place, message) in
            [(Some("src/lib.rs:3:14"), "`f` is absent: write `g`"), (None, "`f::g:1:2` is absent: write `g`")]
        {
            let diagnostic = Diagnostic { place: place.map(str::to_owned), message: message.into() };
            assert_eq!(Diagnostic::from(&*diagnostic.to_string()), diagnostic);
        }
    }
}
