//! What a patch is built for.

use std::path::PathBuf;

use super::Kernel;

/// A kernel, and what is known besides what its own files say.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kernel.
    pub kernel: Kernel,
    /// The .ko files of modules that are not the kernel's own, by absolute paths.
    pub modules: Vec<PathBuf>,
    /// Files with debug information (DWARF) of the kernel or of modules, by absolute paths.
    pub debug_info: Vec<PathBuf>,
    /// Names of modules that this machine lacks, and that are not looked for.
    pub unknown_modules: Vec<String>,
}

impl From<Kernel> for Target {
    /// A kernel with nothing but its own files.
    fn from(kernel: Kernel) -> Self {
        Self { kernel, modules: Vec::new(), debug_info: Vec::new(), unknown_modules: Vec::new() }
    }
}
