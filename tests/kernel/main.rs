//! Tests on real kernels.
//!
//! Run on the host, this program builds the patches of `tests/patches`, the modules of `tests/modules`
//! and the examples for each kernel, boots it, and runs itself there; in the guest it runs the tests,
//! one after the other, on the kernel that is up. `KLP_TEST_KERNELS` names the kernels, `6.12,6.1` by
//! default; arguments are those of any Rust test program.

mod crash;
mod guest;
mod host;
mod lifecycle;
mod modules;
mod objects;
mod patches;
mod sleeper;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match guest::boot() {
        Some(guest::Boot::Sound) => run(
            &arguments,
            &[lifecycle::tests(), patches::tests(), objects::tests(), modules::tests()].concat(),
            guest::run,
        ),
        Some(guest::Boot::Crash) => run(&arguments, &crash::tests(), |test| test()),
        None => host::main(),
    }
}

fn run(arguments: &Arguments, tests: &[Test], around: fn(fn())) -> ExitCode {
    let trial = |&(name, test): &Test| {
        Trial::test(name, move || {
            around(test);
            Ok(())
        })
    };
    libtest_mimic::run(arguments, tests.iter().map(trial).collect()).exit_code()
}

/// A test: its name and what it does in the guest.
type Test = (&'static str, fn());

/// A table of tests that are functions, under their own names.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<crate::Test> {
            vec![$((stringify!($name), $name as fn())),*]
        }
    };
}
use tests;
