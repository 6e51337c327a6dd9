/// How an architecture names the functions that the kernel calls for a system call, which take its arguments from the
/// registers of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscalls {
    /// The architecture, as the kernel calls it.
    pub arch: &'static str,
    /// What precedes `sys_` and the name of the system call, for 64-bit programs.
    pub native: &'static str,
    /// What precedes the entry in the table of 32-bit programs.
    pub compat: &'static str,
}

impl Syscalls {
    /// Those of all architectures.
    pub const ALL: [Self; 2] = [
        Self { arch: "x86", native: "__x64_", compat: "__ia32_" },
        // Programs of both kinds share a function, where the kernel's source has only one.
        Self { arch: "arm64", native: "__arm64_", compat: "__arm64_" },
    ];

    /// Those of an architecture, by the kernel's name.
    #[must_use]
    pub fn of(arch: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|syscalls| syscalls.arch == arch)
    }

    /// Whether a function is called for a system call, on some architecture.
    #[must_use]
    pub fn have(function: &str) -> bool {
        Self::ALL.iter().flat_map(|syscalls| [syscalls.native, syscalls.compat]).any(|prefix| {
            let rest = function.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with("sys_") || rest.starts_with("compat_sys_"))
        })
    }
}
