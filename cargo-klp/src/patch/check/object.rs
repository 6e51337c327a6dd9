//! Everything that this machine knows about vmlinux or a module.

use klp_btf::Types;

use crate::error::Result;
use crate::kernel::btf;
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::symbols::{Object, Sites, Symbols, VMLINUX};

/// Symbols, ftrace entries and types.
pub struct ObjectInfo<'a> {
    /// The symbols.
    pub object: Object<'a>,
    /// The ftrace entries; `None` if they are unknown.
    pub sites: Option<Sites>,
    /// The types; `None` if they are unknown.
    pub types: Option<Types>,
    /// The places of its functions; `None` without debug information.
    pub debug_info: Option<DebugInfo>,
}

impl<'a> ObjectInfo<'a> {
    /// Reads an object of a kernel.
    pub fn of(symbols: &'a Symbols<'a>, name: &str) -> Result<Self> {
        let object = symbols.object(name)?;
        let sites = object.sites()?;
        let base = btf::of_kernel(&symbols.target().kernel)?;
        let types = match base {
            Some(base) if name != VMLINUX => btf::of_module(&object, &base)?,
            base => base,
        };
        let debug_info = DebugInfo::of(symbols, &object)?;
        Ok(Self { object, sites, types, debug_info })
    }
}
