//! What a patch that is configured when it is loaded can be.

use klp_runtime::prelude::*;

/// What takes part in one of the patches `random1` to `random4`, and what fails in it: a parameter each.
///
/// In the masks the first state, variable, … is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The patch replaces all others.
    pub replace: bool,
    /// The states that it provides.
    pub states: u32,
    /// Their versions, one hexadecimal digit each.
    pub versions: u32,
    /// The states that refuse to be removed.
    pub block_disable: u32,
    /// The shadow variables that it declares, of the states that it provides; and one with a state of its own.
    pub shadows: u32,
    /// The objects that it has callbacks for: vmlinux, and the module of the tests.
    pub objects: u32,
    /// The functions that it redirects, of those objects.
    pub funcs: u32,
    /// What fails, if anything.
    pub fails: u32,
    /// With which error.
    pub errno: i32,
}

impl Configuration {
    /// Of [`objects`](Self::objects).
    pub const VMLINUX: u32 = 1 << 0;
    /// Of [`objects`](Self::objects).
    pub const TARGET: u32 = 1 << 1;

    /// Of [`funcs`](Self::funcs): `version_proc_show`.
    pub const VERSION: u32 = 1 << 0;
    /// Of [`funcs`](Self::funcs): `klp_test_describe`, of the module.
    pub const DESCRIBE: u32 = 1 << 1;
    /// Of [`funcs`](Self::funcs): `fifo_open`, in which a task sleeps then.
    pub const FIFO: u32 = 1 << 2;
    /// Of [`funcs`](Self::funcs): one that the kernel finds and can't redirect.
    pub const UNPATCHABLE: u32 = 1 << 3;

    /// Of [`fails`](Self::fails), where 0 is nothing and 1 to 3 the `pre_patch` of that state: `pre_patch` of vmlinux.
    pub const FAILS_VMLINUX: u32 = 4;
    /// Of [`fails`](Self::fails): `pre_patch` of the module.
    pub const FAILS_TARGET: u32 = 5;
    /// Of [`fails`](Self::fails): the constructors of shadow variables.
    pub const FAILS_CONSTRUCTORS: u32 = 6;
    /// Of [`fails`](Self::fails): the init hook.
    pub const FAILS_INIT: u32 = 7;

    /// Whether a function is redirected.
    #[must_use]
    pub const fn redirects(&self, func: u32) -> bool {
        let object = if func == Self::DESCRIBE { Self::TARGET } else { Self::VMLINUX };
        self.funcs & func != 0 && self.objects & object != 0
    }

    /// The error where that is what fails.
    ///
    /// # Errors
    ///
    /// This is one.
    pub const fn fails_at(&self, what: u32) -> Result {
        if self.fails == what { Err(Error::from_errno(self.errno)) } else { Ok(()) }
    }
}
