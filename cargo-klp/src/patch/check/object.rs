//! All that is known of the kernel itself, or of a module.

use klp_btf::Types;

use crate::error::Result;
use crate::kernel::btf;
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::symbols::{Object, Sites, Symbols, VMLINUX};

/// Symbols, places for ftrace and types.
pub struct ObjectInfo<'a> {
    /// The symbols.
    pub object: Object<'a>,
    /// The places for ftrace; `None` where they are not known.
    pub sites: Option<Sites>,
    /// The types; `None` where they are not known.
    pub types: Option<Types>,
    /// Where its functions are in the code; `None` where there is no debug information.
    pub debug_info: Option<DebugInfo>,
}

impl<'a> ObjectInfo<'a> {
    /// Reads what a kernel has of an object.
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
