//! The options of a kernel's configuration that change generated code or what the code may rely on, and what klp
//! does about each. `docs/options.md` has the same table, held to this one by a test.

use crate::kernel::Kernel;

/// What klp does where an option is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Rust code gets these flags.
    Flags(&'static [&'static str]),
    /// Rust code gets flags with values of the configuration: `flags.rs` makes them.
    Computed,
    /// Rust code needs nothing.
    Harmless,
    /// A build stops: code without the option's flags would not run, would run unsafely, or would make a checker
    /// report errors where there are none.
    Refused,
}

/// An option that concerns code.
#[derive(Clone, Copy, Debug)]
pub struct CodeOption {
    /// Its names, without `CONFIG_`: the newest first, then those of older releases.
    pub names: &'static [&'static str],
    /// What klp does.
    pub treatment: Treatment,
    /// The reason, as a sentence of the table.
    pub why: &'static str,
}

use Treatment::{Computed, Flags, Harmless, Refused};

const fn option(names: &'static [&'static str], treatment: Treatment, why: &'static str) -> CodeOption {
    CodeOption { names, treatment, why }
}

/// All options that klp knows to concern code.
pub const OPTIONS: &[CodeOption] = &[
    option(
        &["X86_KERNEL_IBT"],
        Flags(&["-Zcf-protection=branch"]),
        "Functions that are called by pointer begin with `endbr64`.",
    ),
    option(
        &["MITIGATION_RETPOLINE", "RETPOLINE"],
        Flags(&["-Zretpoline-external-thunk"]),
        "Indirect calls go through the kernel's thunks.",
    ),
    option(
        &["MITIGATION_RETHUNK", "RETHUNK"],
        Flags(&["-Zfunction-return=thunk-extern"]),
        "Returns go through the kernel's thunk.",
    ),
    option(
        &["MITIGATION_SLS", "SLS"],
        Flags(&["-Ctarget-feature=+harden-sls-ijmp,+harden-sls-ret"]),
        "A trap follows each return and indirect jump.",
    ),
    option(
        &["UNWINDER_FRAME_POINTER"],
        // rustc before 1.98 does not tell LLVM of frame pointers in the functions that LLVM makes itself.
        Flags(&["-Cforce-frame-pointers=y", "-Zllvm_module_flag=frame-pointer:u32:2:max"]),
        "The kernel unwinds stacks by frame pointers.",
    ),
    option(&["CALL_PADDING"], Computed, "Padding for mitigations precedes each function."),
    option(&["KASAN_GENERIC"], Computed, "Rust code checks its accesses, or KASAN would hide errors in it."),
    option(&["UNWINDER_ORC"], Harmless, "objtool writes the tables for Rust code too."),
    option(
        &["MITIGATION_CALL_DEPTH_TRACKING", "CALL_DEPTH_TRACKING"],
        Harmless,
        "The kernel changes the calls that objtool lists when it loads the module; it needs CALL_PADDING.",
    ),
    option(&["MODVERSIONS"], Harmless, "modpost writes the checksums."),
    option(
        &["STACKPROTECTOR", "STACKPROTECTOR_STRONG"],
        Harmless,
        "Only C gets it, in the kernel's own Rust code too; calls are the same.",
    ),
    option(&["FORTIFY_SOURCE"], Harmless, "It checks calls of C only."),
    option(&["UBSAN"], Harmless, "It checks operations of C only."),
    option(&["KCSAN"], Harmless, "It reports no races of Rust code."),
    option(&["KCOV", "GCOV_KERNEL"], Harmless, "Coverage does not count Rust code."),
    option(
        &["KSTACK_ERASE", "GCC_PLUGIN_STACKLEAK"],
        Harmless,
        "The depth of Rust's stack frames is not recorded, so less of a stack may be erased.",
    ),
    option(&["GCC_PLUGIN_LATENT_ENTROPY"], Harmless, "Rust code adds no entropy."),
    option(
        &["CFI", "CFI_CLANG"],
        Refused,
        "Calls by pointer check the type of the function, which Rust's functions do not have.",
    ),
    option(
        &["PREEMPT_RT"],
        Refused,
        "Spinlocks sleep there, and `SpinLock` takes one with interrupts off, where nothing may be allocated either.",
    ),
    option(&["CC_IS_CLANG"], Refused, "The C parts of a patch are compiled with GCC."),
    option(&["LTO_CLANG"], Refused, "Objects are LLVM bitcode, and functions may have other names."),
    option(&["SHADOW_CALL_STACK"], Refused, "Return addresses stand on a stack of their own."),
    option(
        &["RANDSTRUCT", "GCC_PLUGIN_RANDSTRUCT"],
        Refused,
        "The order of fields depends on a seed that the headers may lack.",
    ),
    option(&["KASAN_SW_TAGS"], Refused, "Rust code would have to check the tags of pointers."),
    option(&["KMSAN"], Refused, "It would take what Rust code writes for uninitialized."),
];

impl CodeOption {
    /// The name, with `CONFIG_`, under which a kernel sets the option, if it does.
    pub fn set_in(&self, kernel: &Kernel) -> Option<String> {
        let mut names = self.names.iter().map(|name| format!("CONFIG_{name}"));
        names.find(|name| kernel.config(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(option: &CodeOption) -> String {
        let names = option.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let treatment = match option.treatment {
            Flags(_) | Computed => "handled",
            Harmless => "harmless",
            Refused => "refused",
        };
        format!("| {names} | {treatment} | {} |\n", option.why)
    }

    #[test]
    fn the_page_has_this_table() {
        let page = include_str!("../../../docs/options.md");
        let rows: String = OPTIONS.iter().map(row).collect();
        let table = page.split_once("| --- | --- | --- |\n").map(|(_, table)| table).unwrap_or_default();
        assert_eq!(table, rows, "docs/options.md must end with this table");
    }

    #[test]
    fn each_option_is_named_once() {
        let mut names: Vec<_> = OPTIONS.iter().flat_map(|option| option.names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
