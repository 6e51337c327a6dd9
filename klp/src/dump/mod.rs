//! A dump of a kernel's memory, as it was when it crashed or when the dump was taken.
//!
//! Nothing but the dump is needed: a kernel since 6.0 says in its VMCOREINFO where its page tables and its table of
//! symbols are, and its own BTF, in its memory, how its structures are laid out.
//!
//! Modules use those after them: `livepatches` → `structures` → `symbols` → `memory` → `vmcoreinfo`, `image` → `elf`,
//! `kdump` → `source` → `fault`.

mod elf;
mod fault;
mod image;
mod kdump;
mod livepatches;
mod memory;
mod source;
mod structures;
mod symbols;
mod vmcoreinfo;

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result};
use crate::loaded::Loaded;
use crate::tasks::Blocker;
use memory::Memory;
use structures::Kernel;
use vmcoreinfo::Vmcoreinfo;

pub use livepatches::Dumped;

/// What a dump tells of livepatches.
pub struct Dump {
    /// The kernel's release.
    pub release: String,
    /// The kernel's taints, a bit each.
    pub taint: u64,
    /// Whether the kernel has livepatches at all (CONFIG_LIVEPATCH).
    pub supported: bool,
    /// Whether the kernel verified signatures of modules.
    pub verifies: bool,
    /// The patches that the kernel knew, with their modules, and the tasks that held up a transition.
    pub patches: Vec<(Dumped, Loaded, Vec<Blocker>)>,
    /// Modules of livepatches that the kernel did not know as patches.
    pub others: Vec<Loaded>,
}

impl Dump {
    /// Reads a dump.
    ///
    /// # Errors
    ///
    /// The file can't be read, is no dump of Linux on x86_64, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        // Before it is opened: a pipe would wait for a writer.
        let kind = fs::metadata(path).map_err(Error::io("open", path))?;
        if !kind.is_file() {
            return Err(Error::Request {
                message: format!("`{}` is not a dump: it is a directory, a pipe or a device", path.display()),
                help: "give the dump's file".into(),
            });
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        Self::of_file(file).map_err(|fault| Error::Request {
            message: format!("the dump `{}` can't be read: {}", path.display(), fault.what),
            help: fault.help,
        })
    }

    fn of_file(file: File) -> fault::Result<Self> {
        let image = image::open(file)?;
        let info = Vmcoreinfo::of_notes(image.notes())?;
        let memory = Memory::new(image, &info)?;
        let symbols = symbols::find(&memory, &info, &livepatches::SYMBOLS)?;
        let kernel = Kernel::new(memory, symbols)?;
        let known = livepatches::patches(&kernel)?;
        let mut modules = livepatches::modules(&kernel)?;
        let mut patches = Vec::new();
        for mut dumped in known {
            let Some(at) = modules.iter().position(|(address, _)| *address == dumped.module) else {
                continue;
            };
            let (_, module) = modules.remove(at);
            let blockers = livepatches::blockers(&kernel, &mut dumped)?;
            patches.push((dumped, module, blockers));
        }
        Ok(Self {
            release: info.text("OSRELEASE").unwrap_or("an unknown kernel").into(),
            taint: kernel.number("tainted_mask")?.unwrap_or_default(),
            supported: kernel.variable("klp_patches").is_some(),
            verifies: kernel.variable("sig_enforce").is_some(),
            patches,
            others: modules.into_iter().map(|(_, module)| module).collect(),
        })
    }
}
