//! The symbols of a kernel and its modules: their addresses, their positions among symbols of the same name, and
//! whether they are exported.
//!
//! They come from the image and the modules themselves. klp needs no `System.map`, which is a stub in Debian's
//! packages, and no running kernel.

mod build_id;
mod callers;
pub mod code;
mod exports;
mod flow;
mod given;
mod index;
pub mod kallsyms;
mod lookup;
mod module;
mod nearest;
mod sites;
mod table;
mod vmlinux;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::{Arch, Kernel, Target};
use exports::Exports;
use index::Index;
use module::Module;
use vmlinux::Vmlinux;

pub use crate::kernel::arch::Flow;
pub(crate) use build_id::build_id;
pub use callers::Calls;
pub use exports::{Access, Export};
pub(crate) use given::check_modules;
pub use lookup::LookupError;
pub(crate) use nearest::{message as nearest_message, nearest as nearest_names};
pub use sites::Sites;
pub use table::Table;
pub(crate) use vmlinux::image_file;

/// The object that is the kernel itself.
pub const VMLINUX: &str = "vmlinux";

/// The names of symbols are shorter, also with their kind in front: `KSYM_NAME_LEN`.
pub const NAME_LENGTH: usize = 512;

/// A symbol of the kernel or of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// The letter for its kind, as in `/proc/kallsyms`: `t` for code, `d`, `b` and `r` for data, …; a capital
    /// letter if it is global (vmlinux) or exported to all (a module). Where `/proc/kallsyms` calls a variable code,
    /// it is the letter of data.
    pub kind: char,
    /// The section of the module's file; `None` in vmlinux.
    pub section: Option<usize>,
    /// The address that the image is linked to; in a module, the offset in the section.
    pub address: u64,
    /// Its position among the symbols of the same name in its object, from 1, as livepatch counts (`sympos`).
    pub position: u64,
    /// Whether the kernel frees it after boot, or after the module's initialization.
    pub is_init: bool,
}

impl Symbol {
    /// Whether it is code.
    #[must_use]
    pub fn is_code(&self) -> bool {
        matches!(self.kind.to_ascii_lowercase(), 't' | 'w')
    }
}

/// The symbols of a kernel.
#[derive(Debug)]
pub struct Symbols<'a> {
    target: &'a Target,
    exports: Exports,
    reporter: &'a dyn Reporter,
}

impl<'a> Symbols<'a> {
    /// Opens those of the kernel and the modules of a target.
    ///
    /// # Errors
    ///
    /// The kernel's build directory has no `Module.symvers`.
    pub fn of(target: &'a Target, reporter: &'a dyn Reporter) -> Result<Self> {
        Ok(Self { target, exports: Exports::read(&target.kernel.kdir)?, reporter })
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// The reporter for work that takes long.
    pub(crate) fn reporter(&self) -> &'a dyn Reporter {
        self.reporter
    }

    /// The kernel's release.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.target.kernel.release
    }

    /// The modules that have a symbol of this name: the given ones and the kernel's own.
    pub fn modules_with(&self, name: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for file in &self.target.modules {
            if Module::read(file)?.symbols().iter().any(|symbol| symbol.name == name) {
                found.push(module::name(&file.to_string_lossy()));
            }
        }
        if let Some(index) = Index::open(&self.target.kernel, self.reporter)? {
            found.extend(index.modules(name).map(str::to_owned));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The names that resemble one that an object lacks, as a part of a message.
    #[must_use]
    pub fn similar(&self, object: &Object<'_>, name: &str) -> String {
        let near = object.nearest(name);
        let index = || Index::open(&self.target.kernel, self.reporter).ok()?;
        if near.is_empty() && object.name == VMLINUX {
            let in_modules = index().map(|index| index.nearest(name)).unwrap_or_default();
            if !in_modules.is_empty() {
                return nearest_message("in modules", &in_modules);
            }
        }
        nearest_message("there", &near)
    }

    /// Advice for a name that an object lacks but other objects have.
    #[must_use]
    pub fn elsewhere(&self, object: &str, name: &str) -> Option<String> {
        /// So many are shown.
        const MOST: usize = 5;
        let is_in_vmlinux = || self.object(VMLINUX).is_ok_and(|vmlinux| !vmlinux.named(name).is_empty());
        if object != VMLINUX && is_in_vmlinux() {
            return Some("vmlinux has it: leave `object` out".into());
        }
        match &*self.modules_with(name).ok()? {
            [] => None,
            [module] => Some(format!("{module} has it: write `object = {module:?}`")),
            several => {
                let shown = several[..several.len().min(MOST)].join(", ");
                let more = several.len().checked_sub(MOST + 1).map(|more| format!(" and {} more", more + 1));
                let more = more.unwrap_or_default();
                Some(format!("{shown}{more} have it: write `object = \"…\"` with the module you mean"))
            }
        }
    }

    /// How the kernel, one of its own modules or a given module exports a name, if one does.
    pub fn export(&self, name: &str) -> Option<Export> {
        let by = |file: &PathBuf| Module::read(file).ok()?.export(name);
        self.exports.of(name).next().or_else(|| self.target.modules.iter().find_map(by))
    }

    /// Reads an object: [`VMLINUX`], or a module by its name in `/proc/modules`.
    pub fn object(&self, name: &str) -> Result<Object<'_>> {
        let kind = if name == VMLINUX {
            Kind::Vmlinux(Vmlinux::open(&self.target.kernel)?)
        } else {
            let file = module::find(self.target, name)?;
            Kind::Module(Module::read(&file)?)
        };
        Ok(Object { name: name.into(), exports: &self.exports, kind })
    }
}

/// Whether a module of this name comes with the kernel, or is built into it.
pub(crate) fn is_own_module(kernel: &Kernel, name: &str) -> bool {
    module::is_own(kernel, name)
}

/// The file of a module: a given one, or the kernel's own.
pub(crate) fn module_file(target: &Target, name: &str) -> Result<PathBuf> {
    module::find(target, name)
}

/// The BTF in a module's file, if any.
pub(crate) fn module_btf(file: &Path) -> Result<Option<Vec<u8>>> {
    Module::read(file)?.btf()
}

/// The symbols of vmlinux or of a module.
#[derive(Debug)]
pub struct Object<'a> {
    /// Its name.
    pub name: String,
    exports: &'a Exports,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Vmlinux(Vmlinux),
    Module(Module),
}

impl Object<'static> {
    /// A module by what its file has, unpacked; of a kernel that exports nothing.
    ///
    /// # Errors
    ///
    /// It is not a module.
    pub fn module(name: &str, data: Vec<u8>) -> Result<Self> {
        static NOTHING: Exports = Exports::none();
        let kind = Kind::Module(Module::new(name.as_ref(), data)?);
        Ok(Self { name: name.into(), exports: &NOTHING, kind })
    }
}

impl Object<'_> {
    /// The symbols with a name, in the order of their positions.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Symbol> {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => vmlinux.table().starting_with(name, |found| found == name),
            Kind::Module(module) => {
                module.symbols().iter().filter(|symbol| symbol.name == name).cloned().collect()
            }
        }
    }

    /// The symbols whose names have this prefix.
    #[must_use]
    pub fn starting_with(&self, start: &str) -> Vec<Symbol> {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => vmlinux.table().starting_with(start, |_| true),
            Kind::Module(module) => {
                let symbols = module.symbols().iter();
                symbols.filter(|symbol| symbol.name.starts_with(start)).cloned().collect()
            }
        }
    }

    /// All symbols, in the order of `/proc/kallsyms`.
    #[must_use]
    pub fn all(&self) -> Vec<Symbol> {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => vmlinux.table().all(),
            Kind::Module(module) => module.symbols().to_vec(),
        }
    }

    /// How the object exports a name, if it does.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<Export> {
        let own = self.exports.of(name).find(|export| export.object == self.name);
        own.or_else(|| match &self.kind {
            Kind::Module(module) => module.export(name),
            Kind::Vmlinux(_) => None,
        })
    }

    /// The names that resemble this one, the most similar first: names that the compiler made from it, then similar
    /// spellings.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Vec<String> {
        /// So many are shown.
        const MOST: usize = 5;
        // The suffixes that compilers add to a name.
        let mut near: Vec<String> =
            self.starting_with(&format!("{name}.")).into_iter().map(|symbol| symbol.name).collect();
        near.dedup();
        let names = self.all().into_iter().map(|symbol| symbol.name);
        near.extend(nearest_names(name, names.filter(|other| !other.starts_with("__pfx_"))));
        near.truncate(MOST);
        near
    }

    /// Whether each processor has its own copy of a variable, so that its address is an offset.
    #[must_use]
    pub fn is_per_cpu(&self, symbol: &Symbol) -> bool {
        match &self.kind {
            Kind::Vmlinux(_) => {
                let (starts, ends) = (self.named("__per_cpu_start"), self.named("__per_cpu_end"));
                let ([start], [end]) = (&*starts, &*ends) else { return false };
                !symbol.is_code() && (start.address..end.address).contains(&symbol.address)
            }
            Kind::Module(module) => module.is_per_cpu(symbol),
        }
    }

    /// The names before and after a symbol, which distinguish it from others of the same name.
    #[must_use]
    pub fn neighbours(&self, symbol: &Symbol) -> Option<[String; 2]> {
        let all = self.all();
        let at = all.iter().position(|other| other == symbol)?;
        // Names that several symbols have would not distinguish it.
        let is_telling = |other: &&Symbol| other.name != symbol.name && !other.name.starts_with("__pfx_");
        let before = all[..at].iter().rev().find(is_telling)?;
        let after = all[at + 1..].iter().find(is_telling)?;
        Some([before.name.clone(), after.name.clone()])
    }

    /// The file that the symbols were read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => vmlinux.image(),
            Kind::Module(module) => module.file(),
        }
    }

    /// The architecture of its code.
    fn arch(&self) -> &'static Arch {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => vmlinux.arch(),
            Kind::Module(module) => module.arch(),
        }
    }

    /// Access to the object's code and data.
    fn layout(&self) -> &dyn code::Layout {
        match &self.kind {
            Kind::Vmlinux(vmlinux) => vmlinux,
            Kind::Module(module) => module,
        }
    }
}

/// The error for an object that this machine lacks, even if the kernel has it.
fn no_information(kernel: &Kernel, name: &str, why: &str, help: String) -> Error {
    Error::Request {
        message: format!("no information about `{name}` for kernel {}: {why}", kernel.release),
        help,
    }
}
