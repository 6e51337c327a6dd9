//! Reads what a kernel module says of itself.
//!
//! `cargo klp` reads modules while it builds them, `klp` before it loads them; and what a loaded module keeps in
//! memory, `klp` reads from sysfs. Nothing here knows how a module is made.

mod about;
mod modinfo;
mod note;

pub use about::About;
pub use modinfo::Modinfo;
pub use note::{Note, build_id, notes};

/// The mark that the kernel's `scripts/sign-file` appends: the last bytes of a signed module.
pub const SIGNATURE_MARK: &[u8] = b"~Module signature appended~\n";
