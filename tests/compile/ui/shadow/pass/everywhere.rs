//! Shadow variables of states, and with one of their own, by constants, under strict lints.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

const ID: u64 = 20;

pub(crate) struct S;

#[klp_state(id = 10, version = 1)]
impl State for S {}

/// Counts.
#[shadow(state = S, of = task_struct)]
#[repr(C)]
struct Counter {
    /// Documented.
    count: u32,
    // SAFETY: It holds no pointer.
    #[klp(unsafe(opaque))]
    pair: (u8, u16),
    #[cfg(any())]
    absent: NoSuchType,
}

#[shadow(id = ID + 1, version = 1 << 2, of = elsewhere::object, name = "another", sleepable)]
#[derive(Debug, KlpData)]
#[repr(C)]
struct Another(u8, [u32; 3]);

type Device = device;

/// Objects of a kernel that are declared here.
mod elsewhere {
    klp_runtime::opaque! {
        /// An object.
        pub(crate) struct object;
    }

    use klp_runtime::prelude::*;

    // Another name, another variable.
    // There are no objects.
    #[shadow(state = super::S, name = "Counter of files", of = file, unsafe(object = "ext4"))]
    #[repr(C)]
    struct Counter {}

    #[repr(C)]
    // As without.
    #[shadow(state = crate::S, of = super::Device, unsafe(object = "vmlinux"))]
    struct Unit;

    pub(crate) fn ids() -> [u64; 2] {
        let _ = (Counter {}, Unit);
        assert_eq!((Counter::OBJECT, Unit::OBJECT), (Some(c"ext4"), None));
        [<Counter as Shadow>::ID, <Unit as Shadow>::ID]
    }
}

fn main() {
    let object = 1_u64;
    // SAFETY: Only the address counts.
    let task = unsafe { &*(&raw const object).cast::<task_struct>() };
    let made = Counter::alloc(task, GFP_KERNEL, || Ok(Counter { count: 1, pair: (2, 3) })).unwrap();
    assert_eq!((made.count, made.pair), (1, (2, 3)));
    assert!(Counter::get(task).is_some());
    // SAFETY: Only the address counts.
    let object = unsafe { &*(&raw const object).cast::<elsewhere::object>() };
    assert!(Another::get(object).is_none());
    let another = Another(0, [1; 3]);
    assert_eq!((another.0, another.1), (0, [1; 3]));
    assert_eq!((Another::STATE, Counter::STATE), (21, 10));
    assert_eq!((Another::NAME, Another::OF), (c"another", c"object"));
    assert!(!elsewhere::ids().contains(&Counter::ID));
}
