//! The target that a patch is built for.

use std::path::PathBuf;

use super::Kernel;
use super::signing::SigningKey;

/// A kernel, and files and names that the user gave besides the kernel's own.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kernel.
    pub kernel: Kernel,
    /// The .ko files of modules that do not come with the kernel, as absolute paths.
    pub modules: Vec<PathBuf>,
    /// Files with debug information (DWARF) of the kernel or of modules, as absolute paths.
    pub debug_info: Vec<PathBuf>,
    /// Names of modules that this machine lacks, so that klp does not look for them.
    pub unknown_modules: Vec<String>,
    /// The key to sign modules with.
    pub signing: Option<SigningKey>,
}

impl From<Kernel> for Target {
    /// A kernel with only its own files.
    fn from(kernel: Kernel) -> Self {
        Self {
            kernel,
            modules: Vec::new(),
            debug_info: Vec::new(),
            unknown_modules: Vec::new(),
            signing: None,
        }
    }
}
