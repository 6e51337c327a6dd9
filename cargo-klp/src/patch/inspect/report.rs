//! The findings of `cargo klp inspect`: one structure, shown to people and programs alike.

use klp_module::Signature;
use serde::Serialize;

/// A livepatch module. With `--message-format json` this is the line on stdout; its names are
/// stable, and fields may be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The module's name in the kernel.
    pub name: String,
    /// The language that the module is written in.
    pub language: Language,
    /// Its license, as the kernel reads it.
    pub license: Option<String>,
    /// Its authors.
    pub authors: Vec<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// The kernel release that it is for.
    pub release: Option<String>,
    /// The string that must be equal in the kernel and the module; its first word is the release.
    pub vermagic: Option<String>,
    /// Modules that must be loaded before it.
    pub depends: Vec<String>,
    /// Namespaces of symbols that it imports.
    pub imports: Vec<String>,
    /// Whether it was built in the kernel's own tree; others taint the kernel.
    pub intree: bool,
    /// The machine that it is for, as `uname -m` calls it; absent if it is one that klp does not know.
    pub machine: Option<&'static str>,
    /// Whether its compiler was told to use retpolines, which only x86 has.
    pub retpoline: bool,
    /// Whether a signature is appended.
    pub signed: bool,
    /// What that signature says of itself.
    pub signature: Option<Signature>,
    /// Whether the signature is that of the given certificate's owner, and matches; absent if no certificate was given.
    pub verified: Option<bool>,
    /// What it does; absent if `unknown` gives a reason.
    pub patch: Option<Patch>,
    /// The reason why `patch` is absent.
    pub unknown: Option<String>,
    /// The parameters for insmod.
    pub parameters: Vec<Parameter>,
    /// What the rustc that compiled it says of its version, if it uses the kernel's `kernel` crate.
    pub kernel_crate: Option<String>,
    /// What it fixes, by identifiers such as `CVE-2026-12345`: the lines `fixes` of its modinfo.
    pub fixes: Vec<String>,
    /// The symbols that it needs.
    pub symbols: Symbols,
    /// The memory that it takes.
    pub memory: Memory,
    /// Everything that the kernel would refuse or misread: reasons not to load it.
    pub faults: Vec<String>,
}

/// The language of a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, with the macros of klp.
    #[default]
    Klp,
    /// C.
    C,
}

/// What a livepatch does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Whether it replaces all other patches.
    pub replace: bool,
    /// The series of cumulative patches that it belongs to; `None` for a patch in C.
    pub series: Option<Series>,
    /// Whether it is enabled when it is loaded; otherwise the module has hooks only.
    pub enable: bool,
    /// The functions that it redirects, in the order of its table.
    pub redirects: Vec<Redirect>,
    /// Callbacks of objects.
    pub callbacks: Vec<Callback>,
    /// The states that it provides.
    pub states: Vec<State>,
    /// The shadow variables that it declares.
    pub shadows: Vec<Shadow>,
    /// Its hooks: `init`, which may change all of this when it is loaded, and `exit`. For patches in C, whose init
    /// functions may do anything, this is unknown.
    pub hooks: Vec<String>,
}

/// A series of cumulative patches: none replaces one with a higher revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// The patch's revision in it.
    pub revision: u64,
}

/// A function that is redirected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redirect {
    /// The module that has the function, or `vmlinux`.
    pub object: String,
    /// The function.
    pub symbol: String,
    /// Which of that name, counted from 1; 0 where it is unique.
    pub sympos: u64,
    /// The demangled name of the replacement; `None` if it has no symbol.
    pub replacement: Option<String>,
    /// Whether the patch also calls the original; unknown for a patch in C.
    pub calls_original: bool,
}

/// A callback of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Callback {
    /// The object.
    pub object: String,
    /// The kind of callback: `pre_patch`, …
    pub callback: String,
    /// The function, in C; `None` if it has no symbol.
    pub function: Option<String>,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Its id.
    pub id: u64,
    /// The patch's version of it.
    pub version: u64,
    /// Its name; C has none.
    pub name: Option<String>,
    /// Its flags: `block_disable`; `native` for a state in the kernel's own table.
    pub flags: Vec<String>,
    /// The callbacks that it implements.
    pub callbacks: Vec<String>,
}

/// A shadow variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// The id in the kernel's shadow store.
    pub id: u64,
    /// The state that owns it.
    pub state: u64,
    /// The type's name.
    pub name: String,
    /// The kernel type of its object.
    pub of: String,
    /// Whether its destructor may sleep.
    pub sleepable: bool,
    /// The module whose objects it belongs to, and with which it goes.
    pub object: Option<String>,
}

/// A module parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type, as the kernel calls it: `bool`, `charp`, …
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What it does.
    pub description: Option<String>,
}

/// The symbols that a module needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Symbols {
    /// Exported symbols, which any module can use.
    pub exported: Vec<String>,
    /// Other symbols, which only livepatches can use.
    pub livepatch: Vec<LivepatchSymbol>,
}

/// A symbol that need not be exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LivepatchSymbol {
    /// The module that has it, or `vmlinux`.
    pub object: String,
    /// Its name.
    pub symbol: String,
    /// Which of that name, counted from 1; 0 where it is unique.
    pub sympos: u64,
    /// Whether it is marked in the file, so that the kernel resolves it. Otherwise it would be NULL or unknown.
    pub resolved: bool,
}

/// The memory that a module takes, in bytes, without the padding between its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The part that stays as long as the module.
    pub core: Sizes,
    /// The part that is freed once the module is loaded.
    pub init: Sizes,
}

/// Sizes by kind of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Code.
    pub text: u64,
    /// Read-only data.
    pub rodata: u64,
    /// Writable data.
    pub data: u64,
}

impl Sizes {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.text.saturating_add(self.rodata).saturating_add(self.data)
    }
}
