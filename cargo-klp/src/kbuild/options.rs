//! The options of a kernel's configuration that change generated code or what the code may rely on, and what klp
//! does about each. `docs/options.md` has the same table, held to this one by a test.

pub(super) mod makefiles;
#[cfg(test)]
mod walk;

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
    /// Its names, without `CONFIG_`: the newest first, then those of older releases, and options that go with it.
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
        &["FRAME_POINTER", "UNWINDER_FRAME_POINTER"],
        // rustc before 1.98 does not tell LLVM of frame pointers in the functions that LLVM makes itself.
        Flags(&["-Cforce-frame-pointers=y", "-Zllvm_module_flag=frame-pointer:u32:2:max"]),
        "The kernel unwinds stacks by frame pointers.",
    ),
    option(
        &["CALL_PADDING", "FUNCTION_PADDING_BYTES"],
        Computed,
        "Padding for mitigations precedes each function.",
    ),
    option(
        &["CFI", "CFI_CLANG", "CFI_ICALL_NORMALIZE_INTEGERS", "FINEIBT"],
        Computed,
        "Rust's functions have the ids of their types, and its calls by pointer compare them; integers must be named by \
         their size, as CFI_ICALL_NORMALIZE_INTEGERS has it.",
    ),
    option(
        &["KASAN_GENERIC", "KASAN", "KASAN_INLINE", "CC_HAS_KASAN_MEMINTRINSIC_PREFIX"],
        Computed,
        "Rust code checks its accesses, or KASAN would hide errors in it.",
    ),
    option(
        &["ARM64_PTR_AUTH_KERNEL", "ARM64_BTI_KERNEL", "CC_HAS_BRANCH_PROT_PAC_RET"],
        Computed,
        "On arm64, return addresses are signed, and functions that are called by pointer may begin with `bti c`.",
    ),
    option(
        &["DYNAMIC_FTRACE_WITH_CALL_OPS", "DYNAMIC_FTRACE_WITH_ARGS"],
        Computed,
        "On arm64, replacements have the room for ftrace that functions in C have, before their start and at it.",
    ),
    option(
        &[
            "FUNCTION_TRACER",
            "FTRACE_MCOUNT_USE_CC",
            "FTRACE_MCOUNT_USE_OBJTOOL",
            "FTRACE_MCOUNT_USE_RECORDMCOUNT",
            "HAVE_FENTRY",
            "HAVE_NOP_MCOUNT",
            "HAVE_OBJTOOL_NOP_MCOUNT",
        ],
        Computed,
        "A replacement is entered through a function in C, which ftrace can trace.",
    ),
    option(&["UNWINDER_ORC"], Harmless, "objtool writes the tables for Rust code too."),
    option(
        &["MITIGATION_CALL_DEPTH_TRACKING", "CALL_DEPTH_TRACKING"],
        Harmless,
        "The kernel changes the calls that objtool lists when it loads the module; it needs CALL_PADDING.",
    ),
    option(&["MODVERSIONS"], Harmless, "modpost writes the checksums."),
    option(
        &["STACKPROTECTOR", "STACKPROTECTOR_STRONG", "STACKPROTECTOR_PER_TASK"],
        Harmless,
        "Only C gets it, in the kernel's own Rust code too; calls are the same.",
    ),
    option(&["FORTIFY_SOURCE"], Harmless, "It checks calls of C only."),
    option(
        &[
            "UBSAN",
            "UBSAN_ALIGNMENT",
            "UBSAN_ARRAY_BOUNDS",
            "UBSAN_BOOL",
            "UBSAN_BOUNDS_STRICT",
            "UBSAN_DIV_ZERO",
            "UBSAN_ENUM",
            "UBSAN_INTEGER_WRAP",
            "UBSAN_LOCAL_BOUNDS",
            "UBSAN_ONLY_BOUNDS",
            "UBSAN_SANITIZE_ALL",
            "UBSAN_SHIFT",
            "UBSAN_SIGNED_WRAP",
            "UBSAN_TRAP",
            "UBSAN_UNREACHABLE",
        ],
        Harmless,
        "It checks operations of C only.",
    ),
    option(&["KCSAN", "KCSAN_WEAK_MEMORY"], Harmless, "It reports no races of Rust code."),
    option(
        &[
            "KCOV",
            "KCOV_ENABLE_COMPARISONS",
            "KCOV_INSTRUMENT_ALL",
            "GCC_PLUGIN_SANCOV",
            "CC_HAS_SANCOV_TRACE_PC",
            "GCOV_KERNEL",
            "GCOV_PROFILE_ALL",
        ],
        Harmless,
        "Coverage does not count Rust code.",
    ),
    option(
        &[
            "INIT_STACK_ALL_ZERO",
            "INIT_STACK_ALL_PATTERN",
            "CC_HAS_AUTO_VAR_INIT_ZERO_ENABLER",
            "GCC_PLUGIN_STRUCTLEAK",
            "GCC_PLUGIN_STRUCTLEAK_BYREF",
            "GCC_PLUGIN_STRUCTLEAK_BYREF_ALL",
            "GCC_PLUGIN_STRUCTLEAK_VERBOSE",
        ],
        Harmless,
        "It initializes variables of C; Rust reads none before it is initialized.",
    ),
    option(
        &["ZERO_CALL_USED_REGS"],
        Harmless,
        "Functions of Rust leave values in registers, as those of C do without it.",
    ),
    option(
        &["FUNCTION_ALIGNMENT", "CC_HAS_MIN_FUNCTION_ALIGNMENT", "DEBUG_FORCE_FUNCTION_ALIGN_64B"],
        Harmless,
        "Functions of Rust begin at multiples of 16, as mitigations ask; more concerns only speed.",
    ),
    option(
        &[
            "CC_OPTIMIZE_FOR_PERFORMANCE",
            "CC_OPTIMIZE_FOR_SIZE",
            "CC_OPT_INLINE_MEMSET",
            "AUTOFDO_CLANG",
            "PROPELLER_CLANG",
        ],
        Harmless,
        "It concerns only speed and size.",
    ),
    option(
        &["X86_NATIVE_CPU", "GENERIC_CPU", "MATOM", "MCORE2", "MK8", "MPSC", "X86_32"],
        Harmless,
        "Rust code uses instructions that every x86-64 processor has; klp refuses 32-bit kernels.",
    ),
    option(
        &[
            "DEBUG_INFO",
            "DEBUG_INFO_COMPRESSED_ZLIB",
            "DEBUG_INFO_COMPRESSED_ZSTD",
            "DEBUG_INFO_COMPRESSED",
            "DEBUG_INFO_DWARF4",
            "DEBUG_INFO_DWARF5",
            "DEBUG_INFO_REDUCED",
            "DEBUG_INFO_SPLIT",
        ],
        Harmless,
        "Debug information is no code.",
    ),
    option(
        &[
            "CC_IMPLICIT_FALLTHROUGH",
            "CC_NO_ARRAY_BOUNDS",
            "CC_NO_STRINGOP_OVERFLOW",
            "CC_STRINGOP_OVERFLOW",
            "FRAME_WARN",
            "WARN_CONTEXT_ANALYSIS",
            "WARN_CONTEXT_ANALYSIS_ALL",
            "WERROR",
        ],
        Harmless,
        "It concerns only the compiler's warnings.",
    ),
    option(
        &["ARM64_ERRATUM_843419"],
        Harmless,
        "The module loader changes the instructions that the erratum concerns, whatever compiled them.",
    ),
    option(
        &["DEBUG_SECTION_MISMATCH", "READABLE_ASM", "LD_DEAD_CODE_DATA_ELIMINATION"],
        Harmless,
        "It changes how code is arranged, not what it does.",
    ),
    option(
        &["CC_MS_EXTENSIONS", "CC_HAS_COUNTED_BY_PTR"],
        Harmless,
        "It lets C say more; structures are laid out as their BTF says.",
    ),
    option(
        &["KMALLOC_PARTITION_TYPED"],
        Harmless,
        "It separates what C allocates by its type; what Rust allocates has none.",
    ),
    option(&["SMP"], Harmless, "It chooses where C finds the value of the stack protector."),
    option(
        &["CC_IS_CLANG", "CC_IS_GCC"],
        Computed,
        "The C parts of a patch are compiled by the compiler of the kernel, GCC or Clang of the same version.",
    ),
    option(
        &["RUST", "RUST_DEBUG_ASSERTIONS", "RUST_INLINE_HELPERS", "RUST_OVERFLOW_CHECKS"],
        Harmless,
        "A patch has a `core` of its own, and calls no Rust code of the kernel: any rustc may have compiled that.",
    ),
    option(
        &[
            "KSTACK_ERASE",
            "GCC_PLUGIN_STACKLEAK",
            "GCC_PLUGIN_STACKLEAK_VERBOSE",
            "KSTACK_ERASE_TRACK_MIN_SIZE",
            "STACKLEAK_TRACK_MIN_SIZE",
        ],
        Harmless,
        "The depth of Rust's stack frames is not recorded, so less of a stack may be erased.",
    ),
    option(&["GCC_PLUGIN_LATENT_ENTROPY"], Harmless, "Rust code adds no entropy."),
    option(
        &["FINEIBT_BHI"],
        Refused,
        "The number of arguments would have to stand before each function, for which klp's rustc has no flag.",
    ),
    option(&["CPU_BIG_ENDIAN"], Refused, "klp reads and writes files of little-endian machines alone."),
    option(
        &["PREEMPT_RT"],
        Refused,
        "Spinlocks sleep there, and `SpinLock` takes one with interrupts off, where nothing may be allocated either.",
    ),
    option(
        &["LTO_CLANG", "LTO_CLANG_FULL", "LTO_CLANG_THIN", "LTO_CLANG_THIN_DIST", "LTO"],
        Refused,
        "Objects are LLVM bitcode, and functions may have other names.",
    ),
    option(
        &["SHADOW_CALL_STACK", "DYNAMIC_SCS", "UNWIND_TABLES"],
        Refused,
        "Return addresses stand on a stack of their own.",
    ),
    option(
        &["RANDSTRUCT", "GCC_PLUGIN_RANDSTRUCT", "RANDSTRUCT_PERFORMANCE"],
        Refused,
        "The order of fields depends on a seed that the headers may lack.",
    ),
    option(
        &["KASAN_SW_TAGS", "KASAN_HW_TAGS"],
        Refused,
        "Rust code would have to check the tags of pointers.",
    ),
    option(
        &["KMSAN", "KMSAN_CHECK_PARAM_RETVAL"],
        Refused,
        "It would take what Rust code writes for uninitialized.",
    ),
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
