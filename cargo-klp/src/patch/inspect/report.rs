//! What `cargo klp inspect` finds out: the one structure that people and programs are shown.

use serde::Serialize;

/// A livepatch module. With `--message-format json` this is the line on stdout; its names are
/// stable, and fields may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The module's name, as the kernel has it.
    pub name: String,
    /// What the module is written with.
    pub language: Language,
    /// Its license, the one that the kernel goes by.
    pub license: Option<String>,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// The release of the kernel that it loads on.
    pub release: Option<String>,
    /// All that must be alike in the kernel and the module; the release is its first word.
    pub vermagic: Option<String>,
    /// Modules that must be loaded before it.
    pub depends: Vec<String>,
    /// Namespaces of symbols that it imports.
    pub imports: Vec<String>,
    /// Whether it was built in the kernel's own tree; others taint the kernel.
    pub intree: bool,
    /// Whether its compiler was told to use retpolines.
    pub retpoline: bool,
    /// Whether a signature is appended. It is not verified.
    pub signed: bool,
    /// What it does; absent where `unknown` says why.
    pub patch: Option<Patch>,
    /// Why `patch` is absent.
    pub unknown: Option<String>,
    /// The parameters that can be given to insmod.
    pub parameters: Vec<Parameter>,
    /// The symbols that it needs.
    pub symbols: Symbols,
    /// How much memory it takes.
    pub memory: Memory,
    /// What the kernel would refuse or misread: reasons not to load it.
    pub faults: Vec<String>,
}

/// What a module is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// The macros of klp.
    Klp,
    /// C.
    C,
}

/// What a livepatch does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Whether it takes the place of all other patches.
    pub replace: bool,
    /// The line of cumulative patches that it belongs to; none for one in C.
    pub series: Option<Series>,
    /// Whether it is enabled when it is loaded; else the module only has hooks.
    pub enable: bool,
    /// The functions that it redirects, in the order of its table.
    pub redirects: Vec<Redirect>,
    /// Callbacks of objects.
    pub callbacks: Vec<Callback>,
    /// The states that it provides.
    pub states: Vec<State>,
    /// The shadow variables that it declares.
    pub shadows: Vec<Shadow>,
    /// The hooks that it has: `init`, which may change all of this when it is loaded, and `exit`. Of C
    /// livepatches, whose init functions all do something, nothing is known.
    pub hooks: Vec<String>,
}

/// A line of cumulative patches, of which none replaces one of a higher revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// The patch's number in it.
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
    /// The function that runs instead, demangled; `None` where it has no symbol.
    pub replacement: Option<String>,
    /// Whether the patch calls the original as well; not known of a patch in C.
    pub calls_original: bool,
}

/// A callback of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Callback {
    /// The object.
    pub object: String,
    /// When it is called: `pre_patch`, …
    pub callback: String,
    /// The function, in C; `None` where it has no symbol.
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
    /// What is special about it: `block_disable`; `native` for one of the kernel's own table.
    pub flags: Vec<String>,
    /// The callbacks that are written.
    pub callbacks: Vec<String>,
}

/// A shadow variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// The id in the kernel's shadow store.
    pub id: u64,
    /// The state that it lives as long as.
    pub state: u64,
    /// The type's name.
    pub name: String,
    /// The kernel type that it hangs on.
    pub of: String,
    /// Whether its destructor may sleep.
    pub sleepable: bool,
    /// The module with which it goes, if it hangs on a module's objects.
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
    /// Exported ones, which any module can use.
    pub exported: Vec<String>,
    /// Others, which only livepatches get.
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
    /// Whether the file is marked so that the kernel resolves it. Else it would be NULL or unknown.
    pub resolved: bool,
}

/// The memory that a module takes, in bytes, without the padding between its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What stays as long as the module.
    pub core: Sizes,
    /// What is freed once the module is loaded.
    pub init: Sizes,
}

/// Sizes by what the memory can be used for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Code.
    pub text: u64,
    /// What is only read.
    pub rodata: u64,
    /// What is written, too.
    pub data: u64,
}

impl Sizes {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.text.saturating_add(self.rodata).saturating_add(self.data)
    }
}
