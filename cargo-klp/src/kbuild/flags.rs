//! The code generation flags that a kernel's configuration asks for.

use super::options::{OPTIONS, Treatment};
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// Flags that Kbuild gives to Rust code of any architecture and that need no counterpart: the target has them
/// already, they concern only how Kbuild links, or they change no generated code.
const KBUILD_ONLY: &[&str] = &[
    "-Zbinary_dep_depinfo=y",
    "-Cpanic=abort",
    "-Cembed-bitcode=n",
    "-Clto=n",
    "-Ccodegen-units=1",
    "-Csymbol-mangling-version=v0",
    "-Zfunction-sections=n",
    "-Copt-level=2",
    "-Copt-level=s",
    "-Cdebug-assertions=n",
    "-Cdebug-assertions=y",
    "-Coverflow-checks=n",
    "-Coverflow-checks=y",
    "-Cdebuginfo=0",
    "-Cdebuginfo=1",
    "-Cdebuginfo=2",
    "-Zdwarf-version=4",
    "-Zdwarf-version=5",
    "-Zdebuginfo-compression=zlib",
    "-Zdebuginfo-compression=zstd",
];

/// Starts of flags that need no counterpart either: code for every processor runs on a chosen one.
const ANY_PROCESSOR: [&str; 2] = ["-Ctarget-cpu=", "-Ztune-cpu="];

/// The flags for `kernel`.
pub fn rustflags(kernel: &Kernel) -> Result<Vec<String>> {
    let mut flags: Vec<String> = kernel.arch().rust.flags.iter().map(ToString::to_string).collect();
    for option in OPTIONS {
        let Some(name) = option.set_in(kernel) else { continue };
        match option.treatment {
            Treatment::Flags(asked) => flags.extend(asked.iter().map(ToString::to_string)),
            Treatment::Refused => return Err(refused(kernel, &name, option.why)),
            Treatment::Computed | Treatment::Harmless => {}
        }
    }
    if let bytes @ 1.. = padding(kernel) {
        flags.push(format!("-Zpatchable-function-entry={bytes},{bytes}"));
    }
    flags.extend(branch_protection(kernel).map(|kinds| format!("-Zbranch-protection={kinds}")));
    if calls_by_pointers(kernel) {
        flags.push("-Zmin-function-alignment=8".into());
    }
    flags.extend(kcfi(kernel)?.iter().map(ToString::to_string));
    flags.extend(kasan(kernel));
    Ok(flags)
}

/// How many bytes of padding precede each function.
fn padding(kernel: &Kernel) -> u8 {
    let bytes = kernel.config("CONFIG_FUNCTION_PADDING_BYTES").and_then(|bytes| bytes.parse().ok());
    if kernel.config("CONFIG_CALL_PADDING").is_some() { bytes.unwrap_or(16) } else { 0 }
}

/// How arm64 signs return addresses, and marks the targets of pointers to code.
fn branch_protection(kernel: &Kernel) -> Option<&'static str> {
    let is_set = |option| kernel.config(option).is_some();
    match (is_set("CONFIG_ARM64_BTI_KERNEL"), is_set("CONFIG_ARM64_PTR_AUTH_KERNEL")) {
        (true, _) => Some("bti,pac-ret"),
        (false, true) => Some("pac-ret"),
        (false, false) => None,
    }
}

/// Whether ftrace puts a pointer before each function that it redirects: all functions begin at multiples of its size.
fn calls_by_pointers(kernel: &Kernel) -> bool {
    kernel.config("CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS").is_some()
}

/// The room for ftrace of functions that the kernel calls, as [`klp_format::env::FTRACE_ROOM`] has it.
pub(super) fn ftrace_room(kernel: &Kernel) -> String {
    // The pointer takes as much as two instructions.
    let before = if calls_by_pointers(kernel) { 2 } else { padding(kernel) };
    format!("{before},{}", kernel.arch().ftrace.room)
}

/// The error for a kernel with an option that klp can't compile for.
fn refused(kernel: &Kernel, option: &str, why: &str) -> Error {
    let sentence = why.trim_end_matches('.');
    Error::Request {
        message: format!(
            "kernel {} is built with {option}=y, which is not supported: {sentence}",
            kernel.release
        ),
        help: "build for a kernel without it, such as Debian's: `--kernel 6.12`".into(),
    }
}

/// What gives Rust's functions the ids of their types, and has its calls by pointer compare them (kCFI). Kbuild gives
/// these flags only where the kernel has Rust code.
///
/// # Errors
///
/// The kernel names the types of integers as C does, which differs from Rust's names even where the types are equal.
fn kcfi(kernel: &Kernel) -> Result<&'static [&'static str]> {
    const NORMALIZED: &str = "CONFIG_CFI_ICALL_NORMALIZE_INTEGERS";
    let Some(option) =
        ["CONFIG_CFI", "CONFIG_CFI_CLANG"].into_iter().find(|name| kernel.config(name).is_some())
    else {
        return Ok(&[]);
    };
    if kernel.config(NORMALIZED).is_none() {
        return Err(refused(
            kernel,
            option,
            &format!("without {NORMALIZED}, Rust and C give the type of an integer other ids"),
        ));
    }
    // LLVM would make one of two functions with the same instructions, whatever their types.
    Ok(&["-Zsanitizer=kcfi", "-Zsanitizer-cfi-normalize-integers", "-Zmerge-functions=disabled"])
}

/// What makes Rust code check its accesses as the kernel's own code does, as `scripts/Makefile.kasan` has it
/// (`RUSTFLAGS_KASAN`); nothing for a kernel without `CONFIG_KASAN_GENERIC`.
///
/// Kbuild does not add these to `KBUILD_RUSTFLAGS`, so [`check_kbuild`] never sees them. Code without them
/// would run, and hide errors: KASAN keeps freed memory unchanged for a while.
fn kasan(kernel: &Kernel) -> Vec<String> {
    if kernel.config("CONFIG_KASAN_GENERIC").is_none() {
        return Vec::new();
    }
    let is_set = |option| kernel.config(option).is_some();
    // A function with at least this many accesses calls the checks instead of inlining them.
    let threshold = if is_set("CONFIG_KASAN_INLINE") { 10000 } else { 0 };
    let mut parameters = vec![
        format!("asan-instrumentation-with-call-threshold={threshold}"),
        format!("asan-stack={}", u8::from(is_set("CONFIG_KASAN_STACK"))),
        "asan-globals=1".into(),
        // The kernel calls constructors of a module, never destructors.
        "asan-destructor-kind=none".into(),
        // Older kernels check in memcpy itself, and have no __asan_memcpy.
        format!("asan-kernel-mem-intrinsic-prefix={}", u8::from(kernel.is_at_least(6, 3))),
    ];
    if let Some(offset) = kernel.config("CONFIG_KASAN_SHADOW_OFFSET") {
        parameters.push(format!("asan-mapping-offset={offset}"));
    }
    let mut flags = vec!["-Zsanitizer=kernel-address".into(), "-Zsanitizer-recover=kernel-address".into()];
    flags.extend(parameters.iter().map(|parameter| format!("-Cllvm-args=-{parameter}")));
    flags
}

/// Compares `flags` with the flags that the target's Kbuild would give to Rust code (`KBUILD_RUSTFLAGS`).
///
/// # Errors
///
/// A code generation flag of Kbuild that klp neither passes nor knows to be harmless: the kernel may rely on
/// it for its own safety.
pub fn check_kbuild(kernel: &Kernel, flags: &[String], kbuild: &str) -> Result<()> {
    let known = [KBUILD_ONLY, kernel.arch().rust.kbuild_only].concat();
    let unknown: Vec<&str> = kbuild
        .split_whitespace()
        .filter(|flag| flag.starts_with("-C") || flag.starts_with("-Z"))
        .filter(|flag| !flags.iter().any(|ours| ours == flag) && !known.contains(flag))
        .filter(|flag| !ANY_PROCESSOR.iter().any(|start| flag.starts_with(start)))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Error::Request {
        message: format!(
            "the Kbuild of kernel {} gives Rust code `{}`, which this cargo-klp does not know",
            kernel.release,
            unknown.join(" ")
        ),
        help: "install a newer cargo-klp, or report this kernel release".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;

    fn kernel(config: &str) -> Kernel {
        Kernel::for_test(config)
    }

    #[test]
    fn mitigations_follow_the_configuration() {
        let plain = rustflags(&kernel("")).unwrap();
        assert!(!plain.iter().any(|flag| flag.contains("retpoline") || flag.contains("cf-protection")));
        let hardened = rustflags(&kernel(
            "CONFIG_X86_KERNEL_IBT=y\nCONFIG_MITIGATION_RETPOLINE=y\nCONFIG_CALL_PADDING=y\nCONFIG_FUNCTION_PADDING_BYTES=32\n",
        ))
        .unwrap();
        for flag in
            ["-Zcf-protection=branch", "-Zretpoline-external-thunk", "-Zpatchable-function-entry=32,32"]
        {
            assert!(hardened.iter().any(|ours| ours == flag), "{flag} in {hardened:?}");
        }
    }

    #[test]
    fn an_option_keeps_its_old_name() {
        let old = rustflags(&kernel("CONFIG_RETHUNK=y\nCONFIG_SLS=y\n")).unwrap();
        let new = rustflags(&kernel("CONFIG_MITIGATION_RETHUNK=y\nCONFIG_MITIGATION_SLS=y\n")).unwrap();
        assert_eq!(old, new);
        assert!(old.iter().any(|flag| flag == "-Zfunction-return=thunk-extern"));
    }

    #[test]
    fn options_that_klp_can_not_compile_for_are_refused_by_name() {
        for option in [
            "CFI_CLANG",
            "CFI",
            "FINEIBT_BHI",
            "LTO_CLANG",
            "RANDSTRUCT",
            "GCC_PLUGIN_RANDSTRUCT",
            "KMSAN",
            "SHADOW_CALL_STACK",
        ] {
            let error = rustflags(&kernel(&format!("CONFIG_{option}=y\n"))).unwrap_err();
            assert!(error.to_string().contains(&format!("with CONFIG_{option}=y")), "{error}");
        }
    }

    #[test]
    fn kcfi_names_integers_by_their_size() {
        for option in ["CONFIG_CFI=y", "CONFIG_CFI_CLANG=y"] {
            let flags =
                rustflags(&kernel(&format!("{option}\nCONFIG_CFI_ICALL_NORMALIZE_INTEGERS=y\n"))).unwrap();
            for flag in
                ["-Zsanitizer=kcfi", "-Zsanitizer-cfi-normalize-integers", "-Zmerge-functions=disabled"]
            {
                assert!(flags.iter().any(|ours| ours == flag), "{flag} in {flags:?}");
            }
            let error = rustflags(&kernel(&format!("{option}\n"))).unwrap_err().to_string();
            assert!(error.contains("CONFIG_CFI_ICALL_NORMALIZE_INTEGERS"), "{error}");
        }
    }

    /// What Kbuild gives to Rust code of a kernel that unwinds stacks by frame pointers.
    #[test]
    fn kbuilds_flags_for_frame_pointers_are_ours() {
        let kernel = kernel("CONFIG_UNWINDER_FRAME_POINTER=y\n");
        let kbuild = "-Cforce-frame-pointers=y -Zllvm_module_flag=frame-pointer:u32:2:max";
        let flags = rustflags(&kernel).unwrap();
        for flag in kbuild.split(' ') {
            assert!(flags.iter().any(|ours| ours == flag), "{flag} in {flags:?}");
        }
        check_kbuild(&kernel, &flags, kbuild).unwrap();
    }

    /// As Kbuild of 7.3 has them for a kernel that GCC has built.
    #[test]
    fn kbuilds_flags_for_arm64_are_ours() {
        const PLAIN: &str = "CONFIG_ARM64=y\nCONFIG_ARM64_PTR_AUTH_KERNEL=y\n";
        let kbuild = "-Cforce-unwind-tables=n -Zbranch-protection=pac-ret -Cforce-frame-pointers=y \
                      -Zllvm_module_flag=frame-pointer:u32:2:max -Copt-level=2";
        let plain = kernel(PLAIN);
        let flags = rustflags(&plain).unwrap();
        assert!(!flags.iter().any(|flag| flag.starts_with("-Ccode-model") || flag.starts_with("-Zplt")));
        // Stacks are unwound by frame pointers: these are no matter of Kbuild alone.
        assert!(flags.iter().any(|flag| flag == "-Cforce-frame-pointers=y"));
        check_kbuild(&plain, &flags, kbuild).unwrap();
        let error = check_kbuild(&plain, &flags, "-Cno-redzone=y").unwrap_err().to_string();
        assert!(error.contains("-Cno-redzone=y"), "of x86: {error}");

        let marked = rustflags(&kernel(&format!("{PLAIN}CONFIG_ARM64_BTI_KERNEL=y\n"))).unwrap();
        assert!(marked.iter().any(|flag| flag == "-Zbranch-protection=bti,pac-ret"), "{marked:?}");
        let bare = rustflags(&kernel("CONFIG_ARM64=y\n")).unwrap();
        assert!(!bare.iter().any(|flag| flag.starts_with("-Zbranch-protection")), "{bare:?}");
    }

    #[test]
    fn there_is_room_for_ftrace_as_in_c() {
        let of = |config: &str| ftrace_room(&kernel(config));
        assert_eq!(of(""), "0,5");
        assert_eq!(of("CONFIG_CALL_PADDING=y\nCONFIG_FUNCTION_PADDING_BYTES=16\n"), "16,5");
        assert_eq!(of("CONFIG_ARM64=y\n"), "0,2");
        let by_pointers = "CONFIG_ARM64=y\nCONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS=y\n";
        assert_eq!(of(by_pointers), "2,2");
        let flags = rustflags(&kernel(by_pointers)).unwrap();
        assert!(flags.iter().any(|flag| flag == "-Zmin-function-alignment=8"), "{flags:?}");
        assert!(!flags.iter().any(|flag| flag.starts_with("-Zpatchable-function-entry")), "{flags:?}");
    }

    #[test]
    fn kasan_follows_the_configuration() {
        let flags = |config: &str| rustflags(&kernel(config)).unwrap();
        assert!(!flags("CONFIG_KASAN_SHADOW_OFFSET=0x0\n").iter().any(|flag| flag.contains("asan")));
        let outline =
            "CONFIG_KASAN=y\nCONFIG_KASAN_GENERIC=y\nCONFIG_KASAN_SHADOW_OFFSET=0xdffffc0000000000\n";
        let inline = format!("{outline}CONFIG_KASAN_INLINE=y\nCONFIG_KASAN_STACK=y\n");
        for (config, threshold, stack) in [(outline, 0, 0), (&inline, 10000, 1)] {
            let flags = flags(config);
            for flag in [
                "-Zsanitizer=kernel-address".to_owned(),
                "-Cllvm-args=-asan-mapping-offset=0xdffffc0000000000".to_owned(),
                format!("-Cllvm-args=-asan-instrumentation-with-call-threshold={threshold}"),
                format!("-Cllvm-args=-asan-stack={stack}"),
            ] {
                assert!(flags.contains(&flag), "{flag} in {flags:?}");
            }
        }
        let error = rustflags(&kernel("CONFIG_KASAN=y\nCONFIG_KASAN_SW_TAGS=y\n")).unwrap_err();
        assert!(error.to_string().contains("CONFIG_KASAN_SW_TAGS"));
    }

    #[test]
    fn a_flag_that_kbuild_asks_for_and_nobody_knows_is_an_error() {
        let kernel = kernel("");
        let flags = rustflags(&kernel).unwrap();
        check_kbuild(&kernel, &flags, "--edition=2021 -Wmissing_docs -Ccode-model=kernel -Cpanic=abort")
            .unwrap();
        let error = check_kbuild(&kernel, &flags, "-Zsanitizer=kcfi").unwrap_err();
        assert!(error.to_string().contains("-Zsanitizer=kcfi"));
    }

    /// `CONFIG_X86_NATIVE_CPU`, the choices of a processor, and assertions in the kernel's own Rust code.
    #[test]
    fn a_kernel_may_be_built_for_one_processor() {
        let kernel = kernel("CONFIG_X86_NATIVE_CPU=y\n");
        let flags = rustflags(&kernel).unwrap();
        assert_eq!(flags, rustflags(&Kernel::for_test("")).unwrap());
        check_kbuild(&kernel, &flags, "-Ctarget-cpu=native -Ztune-cpu=core2 -Cdebug-assertions=y").unwrap();
    }

    /// Debian's 7.3 is built with rustc 1.85: a patch calls no code of it.
    #[test]
    fn the_rustc_of_the_kernel_is_no_matter_of_code() {
        let foreign = kernel("CONFIG_RUST=y\nCONFIG_RUSTC_VERSION=108501\n");
        assert_eq!(rustflags(&foreign).unwrap(), rustflags(&kernel("")).unwrap());
    }

    #[test]
    fn the_kind_of_debug_info_is_no_matter_of_code() {
        let kernel = kernel("");
        let flags = rustflags(&kernel).unwrap();
        check_kbuild(&kernel, &flags, "-Cdebuginfo=2 -Zdwarf-version=5 -Zdebuginfo-compression=zstd")
            .unwrap();
    }
}
