//! What a kernel says in its dump for those who read it: lines of `NAME=VALUE`.

use std::collections::HashMap;

use klp_module::notes;

use super::fault::{Fault, Result};

/// The lines.
pub struct Vmcoreinfo(HashMap<String, String>);

impl Vmcoreinfo {
    /// Finds them among the notes of a dump.
    ///
    /// # Errors
    ///
    /// There are none.
    pub fn of_notes(section: &[u8]) -> Result<Self> {
        let note = notes(section).find(|note| note.owner == b"VMCOREINFO").ok_or_else(|| {
            Fault::new(
                "it has no VMCOREINFO, with which a kernel says where its memory begins",
                "take it by kdump; or give the guest QEMU's `-device vmcoreinfo` (libvirt: `<vmcoreinfo state='on'/>` in \
                 `<features>`), and the module qemu_fw_cfg",
            )
        })?;
        let text = String::from_utf8_lossy(note.contents);
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Ok(Self(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    /// A line's value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(&format!("NUMBER({name})"))?.parse().ok()
    }

    /// The address of a symbol.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.text(&format!("SYMBOL({name})"))?, 16).ok()
    }
}
