//! The architectures that klp builds patches for: one table with everything that differs, a file for each.
//!
//! A port to another one adds a file with its [`Arch`] and its [`Code`], and its name to [`ALL`]; `ARCHITECTURE.md` says
//! what else there is.

mod arm64;
pub mod x86_64;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Debug;
use std::ops::Range;

use object::{ConstantNames, LittleEndian};

use object::elf::{FileHeader64, Machine, RelocationType};
use object::read::elf::FileHeader;

pub use arm64::ARM64;
pub use x86_64::X86_64;

/// An architecture.
#[derive(Debug)]
pub struct Arch {
    /// What the kernel's makefiles call it (`ARCH`), and the name of its directory in the kernel's source.
    pub name: &'static str,
    /// What `uname -m` and rustc call it.
    pub machine: &'static str,
    /// The option that the configuration of each of its kernels sets.
    pub option: &'static str,
    /// The number of its machine in ELF files.
    pub elf: Machine,
    /// What Debian's packages call it.
    pub debian: &'static str,
    /// What the names of tools for it begin with on a machine of another one.
    pub cross: &'static str,
    /// The image in a kernel's build directory.
    pub image: Image,
    /// The lowest address that a kernel is linked to.
    pub kernel_start: u64,
    /// What rustc is told.
    pub rust: Rust,
    /// What the module loader applies.
    pub relocations: Relocations,
    /// How ftrace finds functions.
    pub ftrace: Ftrace,
    /// Its instructions.
    pub code: &'static dyn Code,
    /// The machine that boots its kernels.
    pub qemu: Qemu,
}

/// Where a kernel's build puts its image.
#[derive(Debug)]
pub struct Image {
    /// The file that is there once the kernel is built: what boots.
    pub built: &'static str,
    /// The file that is the kernel as an ELF file, or has it inside.
    pub elf: &'static str,
}

/// What rustc is told to compile for an architecture's kernels.
#[derive(Debug)]
pub struct Rust {
    /// The target.
    pub target: &'static str,
    /// The flags that each module needs, whatever the configuration.
    pub flags: &'static [&'static str],
    /// Flags that Kbuild gives to Rust code, beside those of all architectures, and that need no counterpart: the target
    /// has them already, or they change no generated code.
    pub kbuild_only: &'static [&'static str],
}

/// The relocations of an architecture.
#[derive(Debug)]
pub struct Relocations {
    /// Their names.
    pub names: &'static ConstantNames<RelocationType>,
    /// Those that the module loader applies, each with the number of bytes that it writes.
    pub applied: &'static [(RelocationType, usize)],
    /// Those that calls and jumps may have.
    pub calls: &'static [RelocationType],
    /// A pointer's.
    pub pointer: RelocationType,
    /// What assembly does without a global offset table, of a symbol `NAME`.
    pub instead_of_got: &'static str,
    /// Whether the livepatch core refuses one whose place is not 0.
    pub needs_zero: bool,
}

/// How ftrace finds the functions of an architecture.
#[derive(Debug)]
pub struct Ftrace {
    /// With how many no-operations a function begins, as rustc counts them.
    pub room: u8,
    /// The section of a module that lists the places.
    pub list: &'static str,
    /// Where the place may be, counted from the start of the function.
    pub places: &'static [i64],
}

/// The machine that QEMU emulates for an architecture.
#[derive(Debug)]
pub struct Qemu {
    /// The program.
    pub program: &'static str,
    /// Debian's package of it.
    pub package: &'static str,
    /// What it calls the machine.
    pub machine: &'static str,
    /// What it calls the processor.
    pub processor: &'static str,
    /// What Linux calls the first serial line.
    pub console: &'static str,
    /// What else the kernel is told.
    pub parameters: &'static [&'static str],
    /// Whether it boots an ELF file. Else it would load one to the virtual addresses that it has.
    pub boots_elf: bool,
}

/// Instructions of an architecture.
pub trait Code: Debug + Sync {
    /// The number of bytes before a function's own code: what marks its start as a target of pointers, and what ftrace
    /// replaces. `None` if the function does not start like this. The code has [`Self::longest_entry`] bytes.
    fn entry_length(&self, code: &[u8]) -> Option<u64>;

    /// The longest that [`Self::entry_length`] may be.
    fn longest_entry(&self) -> usize;

    /// Whether code at an address names an address in a range.
    fn names(&self, code: &[u8], at: u64, targets: &Range<u64>) -> bool;

    /// Whether code at an address that is not linked yet names an address in a range, by these relocations.
    fn names_by_relocations(
        &self,
        code: &[u8],
        at: u64,
        relocations: &[Unapplied],
        targets: &Range<u64>,
    ) -> bool;

    /// Where calls and jumps may be in some code, each with its target. The code need not be decoded: some may be none.
    fn branches(&self, code: &[u8], at: u64) -> Vec<(u64, u64)>;

    /// Adds what some code does, which is part of a function that has all of `own`.
    fn add_flow(&self, code: &[u8], at: u64, own: &[Range<u64>], flow: &mut Flow);

    /// Whether the relocation at an offset in some code is that of a call or jump to its target itself.
    fn is_direct_call(&self, code: &[u8], offset: usize, kind: RelocationType) -> bool;
}

/// What the code of a function does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Whether there is an instruction by which it may return or go on in another function.
    pub can_leave: bool,
    /// The addresses that it calls directly.
    pub calls: Vec<u64>,
}

/// A relocation in some code.
#[derive(Clone, Copy, Debug)]
pub struct Unapplied {
    /// The offset of its place in the code.
    pub offset: u64,
    /// Its kind.
    pub kind: RelocationType,
    /// The address of its symbol, with the addend.
    pub value: u64,
}

/// All architectures.
pub const ALL: [&Arch; 2] = [&X86_64, &ARM64];

/// Options that the configurations of other architectures set, to call them by their names.
const OTHERS: [(&str, &str); 8] = [
    ("CONFIG_X86_32", "x86 of 32 bits"),
    ("CONFIG_ARM", "arm of 32 bits"),
    ("CONFIG_PPC64", "powerpc"),
    ("CONFIG_PPC", "powerpc of 32 bits"),
    ("CONFIG_S390", "s390"),
    ("CONFIG_RISCV", "riscv"),
    ("CONFIG_LOONGARCH", "loongarch"),
    ("CONFIG_MIPS", "mips"),
];

impl Arch {
    /// That of a kernel with this configuration.
    ///
    /// # Errors
    ///
    /// The name of one that klp does not know.
    pub fn of_config(config: &BTreeMap<String, String>) -> Result<&'static Self, &'static str> {
        let is_set = |option: &str| config.contains_key(option);
        ALL.into_iter().find(|arch| is_set(arch.option)).ok_or_else(|| {
            let known = OTHERS.iter().find(|(option, _)| is_set(option));
            known.map_or("an architecture that its configuration does not name", |(_, name)| name)
        })
    }

    /// That of an ELF file, if klp knows it.
    #[must_use]
    pub fn of_elf(data: &[u8]) -> Option<&'static Self> {
        let header = FileHeader64::<LittleEndian>::parse(data).ok()?;
        let machine = header.e_machine(LittleEndian);
        ALL.into_iter().find(|arch| arch.elf == machine)
    }

    /// The names of all, as a part of a sentence.
    #[must_use]
    pub fn names() -> String {
        ALL.map(|arch| arch.name).join(" and ")
    }

    /// Whether this machine is another one, so that tools for it have names of their own.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.machine != env::consts::ARCH
    }

    /// What the names of tools for it begin with on this machine.
    #[must_use]
    pub fn prefix(&self) -> String {
        if !self.is_foreign() {
            return String::new();
        }
        env::var("CROSS_COMPILE")
            .ok()
            .filter(|prefix| !prefix.is_empty())
            .unwrap_or_else(|| self.cross.into())
    }

    /// Debian's package of a tool for it on this machine.
    #[must_use]
    pub fn package(&self, name: &str) -> String {
        if !self.is_foreign() {
            return name.into();
        }
        format!("{name}-{}", self.cross.trim_end_matches('-').replace('_', "-"))
    }

    /// The name of a tool for it on this machine: `ld`, `objcopy` and the like.
    #[must_use]
    pub fn tool(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }
}

impl Eq for Arch {}

impl PartialEq for Arch {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Relocations {
    /// The number of bytes that one writes; `None` if the module loader refuses it.
    #[must_use]
    pub fn width(&self, kind: RelocationType) -> Option<usize> {
        self.applied.iter().find(|(applied, _)| *applied == kind).map(|(_, width)| *width)
    }

    /// The name of one.
    #[must_use]
    pub fn name(&self, kind: RelocationType) -> String {
        self.names.name(kind).map_or_else(|| format!("type {}", kind.0), str::to_owned)
    }

    /// Whether one is for thread-local variables.
    #[must_use]
    pub fn is_thread_local(&self, kind: RelocationType) -> bool {
        ["TPOFF", "DTPMOD", "DTPOFF", "DTPREL", "TPREL", "TLS"]
            .iter()
            .any(|part| self.name(kind).contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str) -> Result<&'static str, &'static str> {
        let options = config.lines().filter_map(|line| line.split_once('='));
        let config = options.map(|(option, value)| (option.to_owned(), value.to_owned())).collect();
        Arch::of_config(&config).map(|arch| arch.name)
    }

    #[test]
    fn the_configuration_names_the_architecture() {
        assert_eq!(of("CONFIG_X86_64=y\nCONFIG_X86=y\n"), Ok("x86"));
        assert_eq!(of("CONFIG_ARM64=y\n"), Ok("arm64"));
        assert_eq!(of("CONFIG_PPC=y\nCONFIG_PPC64=y\n"), Err("powerpc"));
        assert_eq!(of("CONFIG_X86=y\nCONFIG_X86_32=y\n"), Err("x86 of 32 bits"));
        assert!(of("CONFIG_SPARC64=y\n").is_err());
    }

    #[test]
    fn a_pointer_and_calls_are_applied() {
        for arch in ALL {
            let relocations = &arch.relocations;
            assert_eq!(relocations.width(relocations.pointer), Some(8), "{}", arch.name);
            for call in relocations.calls {
                assert_eq!(relocations.width(*call), Some(4), "{} {}", arch.name, relocations.name(*call));
            }
        }
    }
}
