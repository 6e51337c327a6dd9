//! The manifest of a patch: everything that the macros emitted, as one structure.
//!
//! [`klp_format::manifest`] reads its lines. They are in a section of their own in the object and
//! the module, which the kernel does not load.

use klp_format::Table;
use klp_format::manifest::{
    self, Binding, CFunc, CStruct, CType, Fix, Func, Headers, Hook, Line, MODULE_SECTION, Native, Object,
    Param, Patch, SECTION, Shadow, State, Symbol, Wrapper,
};
use object::{Object as _, ObjectSection};
use serde::Serialize;

use crate::error::{Error, Result};

/// Everything that the macros emitted for a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The patch itself; absent if there is no `livepatch!`.
    pub patch: Option<Patch>,
    /// The redirected functions.
    pub funcs: Vec<Func>,
    /// The states.
    pub states: Vec<State>,
    /// The shadow variables.
    pub shadows: Vec<Shadow>,
    /// The objects with callbacks.
    pub objects: Vec<Object>,
    /// The states of the kernel's own table.
    pub natives: Vec<Native>,
    /// What the patch fixes.
    #[serde(skip)]
    pub fixes: Vec<Fix>,
    /// The hooks.
    pub hooks: Vec<Hook>,
    /// The module parameters.
    pub params: Vec<Param>,
    /// The symbols that the build must find.
    pub symbols: Vec<Symbol>,
    /// The kernel types that were declared for a certain kernel.
    #[serde(skip)]
    pub bindings: Vec<Binding>,
    /// The structs that C files see.
    #[serde(skip)]
    pub c_structs: Vec<CStruct>,
    /// The functions that C files may call.
    #[serde(skip)]
    pub c_funcs: Vec<CFunc>,
    /// The structures of the kernel that C files see.
    #[serde(skip)]
    pub c_types: Vec<CType>,
    /// The functions of C that call inline functions and macros of the kernel's headers.
    #[serde(skip)]
    pub wrappers: Vec<Wrapper>,
    /// What was learnt from the kernel's headers.
    #[serde(skip)]
    pub headers: Vec<Headers>,
}

/// The number of entries that one of a patch's tables must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The table.
    pub table: Table,
    /// The number of entries that the macros emitted.
    pub emitted: u64,
    /// The size of an entry in bytes.
    pub entry_size: u64,
}

impl Count {
    /// The name of the entries in messages.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self.table {
            Table::Patch => "patches",
            Table::Funcs => "functions",
            Table::States => "states",
            Table::Shadows => "shadow variables",
            Table::Objects => "objects",
            Table::Natives => "native states",
            Table::Hooks => "hooks",
        }
    }
}

impl Manifest {
    /// The required contents of the patch's tables; empty if there is no `livepatch!`.
    pub fn counts(&self) -> [Count; Table::COUNTED.len()] {
        let sizes = self.patch.as_ref().map_or([1; Table::COUNTED.len()], |patch| patch.entry_sizes);
        let mut sizes = sizes.into_iter();
        Table::COUNTED.map(|table| {
            let emitted = match table {
                Table::Patch => usize::from(self.patch.is_some()),
                Table::Funcs => self.funcs.len(),
                Table::States => self.states.len(),
                Table::Shadows => self.shadows.len(),
                Table::Objects => self.objects.len(),
                Table::Natives => self.natives.len(),
                Table::Hooks => self.hooks.len(),
            };
            let entry_size = sizes.next().unwrap_or(1).max(1);
            Count { table, emitted: emitted as u64, entry_size }
        })
    }

    /// The manifest of an object file; empty if it has none.
    pub fn read(file: &object::File<'_>) -> Result<Self> {
        let mut manifest = Self::default();
        manifest.add_file(file)?;
        Ok(manifest)
    }

    /// Adds the manifest of an object file.
    pub fn add_file(&mut self, file: &object::File<'_>) -> Result<()> {
        let is_manifest = |name: &str| [SECTION, MODULE_SECTION].contains(&name);
        for section in file.sections().filter(|section| section.name().is_ok_and(is_manifest)) {
            self.add(section.data().map_err(Error::elf("read the manifest of the patch"))?)?;
        }
        Ok(())
    }

    /// Adds the lines of one section.
    ///
    /// # Errors
    ///
    /// A line that is not one of a manifest, or the second crate with `livepatch!`.
    pub fn add(&mut self, section: &[u8]) -> Result<()> {
        let refuse = |what: String| Error::Request {
            message: format!("the patch's manifest can't be read: {what}"),
            help: "install the cargo-klp that belongs to the patch's klp-runtime".into(),
        };
        let text = String::from_utf8_lossy(section);
        for line in text.split('\0').filter(|line| !line.is_empty()) {
            match manifest::read(line).map_err(|error| refuse(error.to_string()))? {
                Line::Patch(patch) => self.add_patch(patch)?,
                Line::Func(func) => self.funcs.push(func),
                Line::State(state) => self.states.push(state),
                Line::Shadow(shadow) => self.shadows.push(shadow),
                Line::Object(object) => self.objects.push(object),
                Line::Native(native) => self.natives.push(native),
                Line::Hook(hook) => self.hooks.push(hook),
                Line::Param(param) => self.params.push(param),
                Line::Symbol(symbol) => self.symbols.push(symbol),
                Line::Binding(binding) => self.bindings.push(binding),
                Line::CStruct(structure) => self.c_structs.push(structure),
                Line::CFunc(function) => self.c_funcs.push(function),
                Line::CType(structure) => self.c_types.push(structure),
                Line::Wrapper(wrapper) => self.wrappers.push(wrapper),
                Line::Headers(headers) => self.headers.push(headers),
                Line::Fix(fix) => self.fixes.push(fix),
                // The build writes it, into the note that stays in memory.
                Line::Kernel(_) => return Err(refuse("it has a `kernel` line".into())),
            }
        }
        Ok(())
    }

    /// Sets the patch.
    fn add_patch(&mut self, patch: Patch) -> Result<()> {
        let krate = patch.krate.clone();
        match self.patch.replace(patch) {
            None => Ok(()),
            Some(first) => Err(Error::Request {
                message: format!(
                    "two crates of this module have `livepatch!`: `{}` and `{krate}`",
                    first.krate
                ),
                help:
                    "a module is one patch: remove `livepatch!` from the crate that the other one depends on"
                        .into(),
            }),
        }
    }

    /// Whether the patch may need the state engine: it has states, shadow variables or a series, or it replaces
    /// others, which an init hook may decide.
    pub fn needs_engine(&self) -> bool {
        !self.states.is_empty()
            || !self.shadows.is_empty()
            || self.hooks.contains(&Hook::Init)
            || self.patch.as_ref().is_some_and(|patch| patch.replace != 0 || patch.series.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(section: &[u8]) -> Manifest {
        let mut manifest = Manifest::default();
        manifest.add(section).unwrap();
        manifest
    }

    #[test]
    fn lines_are_counted_by_table() {
        let manifest = manifest(
            b"patch\tfix\t1\t1\t1\t-\t0\t32\t104\t72\t40\t16\t16\0func\tvmlinux\tcmdline_proc_show\t0\t-\t-\0\
              state\t7\t2\tLevel\t1\tpre_patch,post_unpatch\0state\t8\t1\tPlain\t0\t-\0\
              shadow\t9\t7\tCounter\ttask_struct\t0\t-\t-\0object\tnf_tables\tpre_patch\0native\t1\t3\0\
              hook\texit\0param\ttries\t3\t0\t420\tHow often\0symbol\txfs\tf\t2\tfunction\tf\tp\t-\0\
              binding\tsock\tvmlinux\t/btf\0",
        );
        let counts = manifest.counts();
        assert_eq!(counts.map(|count| count.emitted), [1, 2, 1, 1, 1, 1]);
        assert_eq!(counts.map(|count| count.entry_size), [32, 104, 72, 40, 16, 16]);
        assert_eq!((manifest.params.len(), manifest.symbols.len(), manifest.bindings.len()), (1, 1, 1));
    }

    #[test]
    fn a_bad_line_is_refused_with_the_reason() {
        for (section, reason) in [
            (&b"func\tvmlinux\0"[..], "column `symbol` of `func` is missing"),
            (
                b"patch\tfix\t0\t1\t1\t-\t0\t1\t1\t1\t1\t1\t1\0patch\tlib\t0\t1\t1\t-\t0\t1\t1\t1\t1\t1\t1\0",
                "two crates of this module have `livepatch!`: `fix` and `lib`",
            ),
        ] {
            let error = Manifest::default().add(section).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn a_patch_of_functions_needs_no_engine() {
        let mut manifest =
            manifest(b"patch\tfix\t0\t1\t1\t-\t0\t32\t104\t72\t40\t16\t16\0func\tvmlinux\tf\t0\t-\t-\0");
        assert!(!manifest.needs_engine());
        manifest.add(b"hook\texit\0").unwrap();
        assert!(!manifest.needs_engine());
        manifest.add(b"hook\tinit\0").unwrap();
        assert!(manifest.needs_engine());
        let series = self::manifest(b"patch\tfix\t0\t1\t1\tfixes\t2\t32\t104\t72\t40\t16\t16\0");
        assert!(series.needs_engine());
    }
}
