//! The manifest of a patch: one line for each entry that the macros put into its tables, and one
//! for whatever else of a patch the build must know.
//!
//! It goes another way than the tables, by the assembler, so that an entry that a compiler or a
//! linker dropped is missed. The macros write lines whose numbers are constant expressions, which
//! the compiler evaluates; the command reads them with numbers: `N` is one or the other.
//!
//! The columns of each line are listed once, in `columns`, for writing and for reading.

mod columns;
mod note;
mod read;
#[cfg(test)]
mod tests;
mod text;
mod write;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Class, ParamKind, Table};

pub use note::note;
pub use read::{BadLine, read};
pub use write::{Column, write};

/// The section of the lines in what the macros emit. Each line ends with a NUL.
pub const SECTION: &str = "klp_manifest";

/// The section of the lines in a linked object and in a module: modpost lets few names be not loaded.
pub const MODULE_SECTION: &str = ".note.klp_manifest";

/// The section of the lines that stay in memory as long as the module, as one ELF note: `klp` reads them in
/// `/sys/module/NAME/notes`, and a debugger in a dump.
pub const NOTE_SECTION: &str = ".note.klp";

/// The owner of that note.
pub const NOTE_OWNER: &str = "klp";

/// The type of that note.
pub const NOTE_KIND: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<N = u64> {
    /// `livepatch!`.
    Patch(Patch<N>),
    /// `#[klp_func]` and `#[klp_syscall]`.
    Func(Func<N>),
    /// `#[klp_state]`, and `#[shadow]` with an id of its own.
    State(State<N>),
    /// `#[shadow]`.
    Shadow(Shadow<N>),
    /// `#[klp_object]`.
    Object(Object),
    /// `#[klp_state(…, native)]`.
    Native(Native<N>),
    /// `#[klp_init]` and `#[klp_exit]`.
    Hook(Hook),
    /// `#[klp_param]`.
    Param(Param<N>),
    /// A symbol that the kernel does not export.
    Symbol(Symbol<N>),
    /// An item of `kernel_types!`.
    Binding(Binding),
    /// `#[klp_c]` on a struct.
    CStruct(CStruct<N>),
    /// `#[klp_c]` on a function.
    CFunc(CFunc),
    /// `#[klp_c]` on a struct of the kernel.
    CType(CType),
    /// `inline fn` and `macro fn` of `kernel_types!`.
    Wrapper(Wrapper),
    /// What `kernel_types!` has learnt from headers.
    Headers(Headers),
    /// One of the `fixes` of `livepatch!`.
    Fix(Fix),
    /// The build's word on the kernel: only in the note that stays in memory.
    Kernel(Kernel),
}

/// The patch as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Patch<N = u64> {
    /// The crate that has `livepatch!`.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub krate: String,
    /// Which other patches it replaces: 0 for none, 1 for all. There is room for sets of patches.
    pub replace: N,
    /// Whether it is enabled when it is loaded.
    pub enable: bool,
    /// The version of the tables.
    pub abi_version: N,
    /// The line of cumulative patches that it belongs to (S20).
    pub series: Option<String>,
    /// Its number in the series; 0 without one.
    pub revision: N,
    /// The size in bytes of an entry of each of [`Table::COUNTED`].
    pub entry_sizes: [N; Table::COUNTED.len()],
}

/// A redirected function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Func<N = u64> {
    /// The object that has the function.
    pub object: String,
    /// The function that is redirected.
    pub symbol: String,
    /// Which of that name, counted from 1; 0 where the name is unique.
    pub sympos: N,
    /// The function of a C file of the patch that is its body, if it has one there.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub c_body: Option<String>,
    /// Where the symbol stands in the source, `file:line:column`.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub place: Option<String>,
    /// The return value and the parameters of the replacement; empty where the build must not check them.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub signature: Vec<Passed<N>>,
}

/// A return value or a parameter of a replacement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed<N = u64> {
    /// Where it stands in the file of the function, `line:column`.
    pub place: Option<String>,
    /// A number that [`Class::decode`] takes.
    pub class: N,
}

impl Passed {
    /// What is passed.
    ///
    /// # Panics
    ///
    /// Where the number is not one that [`read`] lets pass.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::decode(self.class).expect("the reader has checked it")
    }
}

/// A state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct State<N = u64> {
    /// The state's id.
    pub id: N,
    /// The patch's version of it.
    pub version: N,
    /// Its name.
    pub name: String,
    /// The bits of `StateEntry::flags`, such as [`STATE_BLOCK_DISABLE`](crate::STATE_BLOCK_DISABLE).
    pub flags: N,
    /// The callbacks that its author wrote.
    pub callbacks: Vec<String>,
}

/// A shadow variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Shadow<N = u64> {
    /// The id in the kernel's shadow store.
    pub id: N,
    /// The state that it lives as long as.
    pub state: N,
    /// The type's name.
    pub name: String,
    /// The kernel type that it hangs on.
    pub of: String,
    /// Whether its destructor may sleep.
    pub sleepable: bool,
    /// The module with which it goes, if it hangs on a module's objects.
    pub object: Option<String>,
    /// Where the kernel type stands in the source, `file:line:column`.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub place: Option<String>,
}

/// An object with callbacks of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Object {
    /// The module, or `vmlinux`.
    pub name: String,
    /// The callbacks that its author wrote.
    pub callbacks: Vec<String>,
}

/// A state of the kernel's own table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Native<N = u64> {
    /// The state's id.
    pub id: N,
    /// The patch's version of it.
    pub version: N,
}

/// A function that runs when the module is loaded or unloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Hook {
    /// Runs before the patch is enabled.
    #[default]
    Init,
    /// Runs before the module is unloaded.
    Exit,
}

impl Hook {
    /// `init` or `exit`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Exit => "exit",
        }
    }
}

/// A module parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(bound(serialize = "N: Copy + Into<u64> + serde::Serialize")))]
pub struct Param<N = u64> {
    /// Its name.
    pub name: String,
    /// The number of a [`ParamKind`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize_kind"))]
    pub kind: N,
    /// How many values an array has room for; 0 for a parameter that is no array.
    pub len: N,
    /// The permissions of its file in sysfs, 0 for no file.
    pub permissions: N,
    /// What it is for; may be empty.
    pub description: String,
}

impl Param {
    /// Its type.
    ///
    /// # Panics
    ///
    /// Where the number is not one that [`read`] lets pass.
    #[must_use]
    pub fn kind(&self) -> ParamKind {
        ParamKind::from_number(self.kind).expect("the reader has checked it")
    }
}

/// The name of a parameter's type, in place of its number.
#[cfg(feature = "serde")]
fn serialize_kind<N: Copy + Into<u64>, S: serde::Serializer>(
    number: &N,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let kind =
        ParamKind::from_number((*number).into()).ok_or_else(|| serde::ser::Error::custom("no kind"))?;
    serializer.serialize_str(kind.name())
}

/// A symbol that the build must find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Symbol<N = u64> {
    /// The object that has it.
    pub object: String,
    /// Its name; without the compiler's suffix where it is found by a function.
    pub symbol: String,
    /// Which of that name, counted from 1; 0 where the name is unique.
    pub sympos: N,
    /// What the patch uses it as.
    #[cfg_attr(feature = "serde", serde(rename = "used_as"))]
    pub kind: SymbolKind,
    /// The name that the patch's Rust files, and its C files, have for it.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub name: String,
    /// The name that stands for it in the object file.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub placeholder: String,
    /// The place in the patch's source, `file:line:column`.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub place: Option<String>,
}

/// What a patch uses a symbol as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SymbolKind {
    /// It calls the function.
    #[default]
    Function,
    /// It reads or writes the variable.
    Variable,
    /// It reads or writes a variable in this function, whose symbol has a suffix of the compiler's choice.
    StaticOf(String),
    /// It calls the function that it redirects, past the redirect.
    Original,
}

impl SymbolKind {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "function" => Some(Self::Function),
            "variable" => Some(Self::Variable),
            "original" => Some(Self::Original),
            _ => Some(Self::StaticOf(text.strip_prefix("static_of:")?.into())),
        }
    }
}

impl fmt::Display for SymbolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function => f.write_str("function"),
            Self::Variable => f.write_str("variable"),
            Self::StaticOf(function) => write!(f, "static_of:{function}"),
            Self::Original => f.write_str("original"),
        }
    }
}

/// A struct that the patch's C files see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CStruct<N = u64> {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: N,
    /// Its fields.
    pub fields: Vec<CField<N>>,
}

/// A field of a struct that the patch's C files see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CField<N = u64> {
    /// Its name.
    pub name: String,
    /// The C type, of each element if it is an array.
    pub c_type: String,
    /// How many elements it has; 0 where it is no array.
    pub len: N,
    /// Its offset in bytes.
    pub offset: N,
}

/// A structure of the kernel that no header defines, and that the patch's C files see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CType {
    /// The object whose BTF says what it is.
    pub object: String,
    /// Its name.
    pub name: String,
    /// Where it stands in the source, `file:line:column`.
    pub place: Option<String>,
}

/// A function that the patch's C files may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CFunc {
    /// Its name.
    pub name: String,
    /// Its declaration in C.
    pub declaration: String,
}

/// A kernel type, a function or a constant that was declared for one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// The object whose BTF says what it is.
    pub object: String,
    /// The file of that BTF.
    pub btf: String,
}

/// A function of C that calls an inline function or a macro of the kernel's headers for Rust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Wrapper {
    /// Its symbol.
    pub symbol: String,
    /// The headers that it needs.
    pub headers: Vec<String>,
    /// The function in C.
    pub text: String,
    /// Where its item stands in the source, `file:line:column`.
    pub place: Option<String>,
}

/// What one `kernel_types!` has learnt from the kernel's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Headers {
    /// The directory of the cache with the answer of the command.
    pub answer: String,
}

/// What a patch fixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fix {
    /// Its identifier, such as `CVE-2026-12345`.
    pub name: String,
}

/// The kernel that a module is built for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// The build ID of its image, in hexadecimal.
    pub build_id: String,
}
