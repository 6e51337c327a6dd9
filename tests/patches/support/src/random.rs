//! What a patch that is configured when it is loaded can be.

use core::ptr::NonNull;

use crate::Made;

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
    /// The states whose data have the larger of two layouts.
    pub layouts: u32,
    /// The versions whose data in the other layout each state migrates, one hexadecimal digit each; 0 for none.
    pub migrates: u32,
    /// The states that refuse to be removed.
    pub block_disable: u32,
    /// The shadow variables that it declares, of the states that it provides; and one with a state of its own.
    pub shadows: u32,
    /// What is otherwise than in the other patches, which therefore refuse it beside them.
    pub odd: u32,
    /// The objects that it has callbacks for: vmlinux, and the module of the tests.
    pub objects: u32,
    /// The functions that it redirects, of those objects.
    pub funcs: u32,
    /// The series that it belongs to: 1 or 2, 0 for none.
    pub series: u32,
    /// Its number in the series.
    pub revision: u32,
    /// It may replace a higher revision: `klp_allow_downgrade`.
    pub allow_downgrade: bool,
    /// Where it starts what runs on its own.
    pub starts: u32,
    /// Where it looks at what it reaches of its states and shadow variables.
    pub probes: u32,
    /// What fails, if anything.
    pub fails: u32,
    /// With which error.
    pub errno: i32,
}

impl Configuration {
    /// Of [`odd`](Self::odd): the name of the first state.
    pub const ODD_NAME: u32 = 1 << 0;
    /// Of [`odd`](Self::odd): the layout of the first shadow variable.
    pub const ODD_SHADOW: u32 = 1 << 1;

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

    /// All of [`funcs`](Self::funcs) that can be redirected.
    pub const FUNCS: [u32; 3] = [Self::VERSION, Self::DESCRIBE, Self::FIFO];

    /// Of [`starts`](Self::starts) and [`probes`](Self::probes): the init hook.
    pub const IN_INIT: u32 = 1 << 0;
    /// Of both: callbacks of states; a directory of sysfs is made where a state is patched.
    pub const IN_STATES: u32 = 1 << 1;
    /// Of both: callbacks of vmlinux.
    pub const IN_VMLINUX: u32 = 1 << 2;
    /// Of both: the function in place of `version_proc_show`.
    pub const IN_LOOK: u32 = 1 << 3;
    /// Of both: the exit hook.
    pub const IN_EXIT: u32 = 1 << 4;

    /// Of [`fails`](Self::fails), where 0 is nothing and 1 to 3 the `pre_patch` and `migrate` of that
    /// state: `pre_patch` of vmlinux.
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
}

/// What a task has of a patch while it sleeps in the patch's function: data of a state, and a shadow variable.
/// Both stay for as long as the task may use them ([S21](../../../docs/lifecycle.md#s21)).
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The state's data, which begin with this.
    pub data: Option<NonNull<Made>>,
    /// A number in the shadow variable.
    pub number: Option<NonNull<u32>>,
}
