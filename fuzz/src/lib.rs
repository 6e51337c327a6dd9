//! What klp reads and did not write: kernels, modules, types, debug information, files of its cache that may be
//! damaged. Whatever is in them, a reader ends, in time and memory that its input explains, and returns what it found
//! or an error.
//!
//! A module for each target has `run`, which feeds bytes to a reader and calls all that works on the result.
//! `targets/` makes programs of them with libFuzzer; `cargo xtask fuzz` makes the [`seeds`] and runs them.

pub mod btf;
pub mod dwarf;
pub mod image;
pub mod index;
pub mod kallsyms;
pub mod link;
pub mod manifest;
pub mod module;
pub mod seeds;

/// A target: its name, and what feeds bytes to a reader.
pub type Target = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: [Target; 8] = [
    ("btf", btf::run),
    ("dwarf", dwarf::run),
    ("image", image::run),
    ("index", index::run),
    ("kallsyms", kallsyms::run),
    ("link", link::run),
    ("manifest", manifest::run),
    ("module", module::run),
];
