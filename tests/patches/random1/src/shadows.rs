//! Shadow variables that count how many times they were looked at, and log their ends.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use klp_runtime::prelude::*;
use klp_test_support::random::Configuration;

use crate::states::{State1, State2, State3};
use crate::{ODD, SHADOWS, STATES, klp_test_thing};

/// At the so many-th look the patch frees the variable itself.
const LAST_LOOK: u32 = 3;

opaque! {
    /// What the variables of no module's objects hang on.
    pub(crate) struct Thing;
}

/// One of the objects, the same in every patch.
pub(crate) fn object(number: u32) -> &'static Thing {
    // SAFETY: Nothing is behind an object that could be looked at.
    unsafe { &*ptr::without_provenance(0x1000 + 8 * number as usize) }
}

/// One of these shadow variables.
pub(crate) trait Counter: Shadow {
    /// Its bit in the masks, and that of its state, if it has none of its own.
    const BITS: (u32, Option<u32>);

    fn new(number: u32) -> Self;
    fn looks(&self) -> &AtomicU32;
}

macro_rules! counter {
    ($(#[$attribute:meta])* $name:ident, $what:literal, $bits:expr) => {
        $(#[$attribute])*
        #[repr(C)]
        pub(crate) struct $name {
            number: u32,
            looks: AtomicU32,
        }

        impl Counter for $name {
            const BITS: (u32, Option<u32>) = $bits;

            fn new(number: u32) -> Self {
                Self { number, looks: AtomicU32::new(0) }
            }

            fn looks(&self) -> &AtomicU32 {
                &self.looks
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if Self::SLEEPABLE {
                    // SAFETY: A sleepable destructor runs in process context.
                    unsafe { schedule() };
                }
                pr_info!("dropped {} {} after {}", $what, self.number, self.looks.get_mut());
            }
        }
    };
}

counter! {
    /// Freed under the kernel's lock.
    #[shadow(state = State1, of = Thing)]
    Plain, "plain", (0, Some(0))
}
counter! {
    /// Freed where it may sleep.
    #[shadow(state = State2, of = Thing, sleepable)]
    Sleepy, "sleepy", (1, Some(1))
}
counter! {
    /// Goes with the module.
    // All things are the module's.
    #[shadow(state = State3, of = klp_test_thing, unsafe(object = "klp_test_target"))]
    Mark, "mark", (2, Some(2))
}
counter! {
    /// Goes with the module.
    // All things are the module's.
    #[shadow(state = State3, of = klp_test_thing, unsafe(object = "klp_test_target"), sleepable)]
    SleepyMark, "sleepy mark", (3, Some(2))
}
counter! {
    /// Has a state of its own.
    #[shadow(id = 4, of = Thing)]
    Lone, "lone", (4, None)
}

unsafe extern "C" {
    /// `kernel/sched/core.c`: lets others run; a BUG in atomic context.
    fn schedule();
}

/// Whether the patch provides the variable's state.
pub(crate) fn has_state<T: Counter>() -> bool {
    T::BITS.1.is_none_or(|state| STATES.get() & 1 << state != 0)
}

/// Leaves a variable out where the parameters say so. Those of a state that is left out are left out with it.
pub(crate) fn choose<T: Counter>(patch: &mut PatchSelection<'_>) -> Result {
    if T::BITS.0 == 0 && ODD.get() & Configuration::ODD_SHADOW != 0 {
        // SAFETY: The layout stays what it is; only its fingerprint is another.
        let shadows = unsafe { patch.tables() }.shadows.as_mut_slice();
        shadows
            .iter_mut()
            .filter(|shadow| shadow.id == T::ID)
            .for_each(|shadow| shadow.layout.fingerprint ^= 1);
    }
    if !is_declared::<T>() && has_state::<T>() {
        // SAFETY: `count` does not look for a variable that is not declared.
        let tables = unsafe { patch.tables() };
        tables.shadows.retain(|shadow| shadow.id != T::ID);
        if T::BITS.1.is_none() {
            tables.states.retain(|state| state.id != T::STATE);
        }
    }
    Ok(())
}

fn is_declared<T: Counter>() -> bool {
    SHADOWS.get() & 1 << T::BITS.0 != 0
}

/// Counts a look at an object, which gets its variable if it has none; none where the patch has no such variable of
/// a state that it provides.
pub(crate) fn count<T: Counter>(object: &T::Of, number: u32) -> Option<Result<u32>> {
    if !is_declared::<T>() && has_state::<T>() {
        return None;
    }
    let make = || {
        crate::fails_at(Configuration::FAILS_CONSTRUCTORS)?;
        Ok(T::new(number))
    };
    let looks =
        T::get_or_alloc(object, GFP_KERNEL, make).map(|counter| counter.looks().fetch_add(1, Relaxed) + 1);
    if looks == Ok(LAST_LOOK) {
        // SAFETY: No reference to it is left; one task at a time looks.
        unsafe { T::free(object) };
    }
    Some(looks)
}

/// The number in a variable of an object that only sleeping tasks look at, so that none frees it.
pub(crate) fn hold() -> Option<NonNull<u32>> {
    if !is_declared::<Plain>() {
        return None;
    }
    let plain = Plain::get_or_alloc(object(4), GFP_KERNEL, || Ok(Plain::new(4)));
    plain.ok().map(|plain| NonNull::from(&plain.number))
}

/// The ids of all variables, and whether they are sleepable.
pub const IDS: [(u64, bool); 5] = [
    (Plain::ID, Plain::SLEEPABLE),
    (Sleepy::ID, Sleepy::SLEEPABLE),
    (Mark::ID, Mark::SLEEPABLE),
    (SleepyMark::ID, SleepyMark::SLEEPABLE),
    (Lone::ID, Lone::SLEEPABLE),
];
