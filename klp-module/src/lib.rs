//! Reads what a kernel module says of itself.
//!
//! `cargo klp` reads modules while it builds them, `klp` before it loads them; and what a loaded module keeps in
//! memory, `klp` reads from sysfs. Nothing here knows how a module is made.

mod about;
mod modinfo;
mod note;
pub mod signature;

pub use about::About;
pub use modinfo::Modinfo;
pub use note::{Note, build_id, notes};
pub use signature::Signature;
