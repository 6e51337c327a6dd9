//! The macros used by other macros, and in functions.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

macro_rules! patch {
    ($description:expr, $license:literal, $replace:expr) => {
        livepatch! {
            license: $license,
            authors: ["A. Author <a@example.org>"],
            description: $description,
            replace: $replace,
        }
    };
}

patch!("A test", "GPL", 1 + 1 == 2);

macro_rules! redirect {
    ($symbol:literal, $sympos:expr => $name:ident) => {
        #[klp_func(symbol = $symbol, sympos = $sympos)]
        unsafe extern "C" fn $name() {}
    };
}

redirect!("a", 1 + 1 => a);
redirect!("a", 3 => b);

macro_rules! state {
    ($name:ident, $id:expr, $of:ty, $variable:ident) => {
        struct $name;

        #[klp_state(id = $id, version = 1)]
        impl State for $name {}

        #[shadow(state = $name, of = $of)]
        #[repr(C)]
        struct $variable {}

        impl $variable {
            fn id() -> u64 {
                let _ = ($name, $variable {});
                Self::ID
            }
        }
    };
}

state!(One, 10 + 1, task_struct, VariableOne);
state!(Two, 12, file, VariableTwo);

fn main() {
    assert_eq!((One::ID, Two::ID), (11, 12));
    assert_ne!(VariableOne::id(), VariableTwo::id());
}
