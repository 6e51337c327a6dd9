//! Tests on real kernels.
//!
//! Run on the host, this program builds the patches of `tests/patches` and the examples for each
//! kernel, boots it, and runs itself there; in the guest it runs the tests, one after the other, on
//! the kernel that is up. `KLP_TEST_KERNELS` names the kernels, `6.12,6.1` by default; arguments are
//! those of any Rust test program.

mod guest;
mod host;
mod lifecycle;
mod patches;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list || guest::is_here() {
        let tests = [lifecycle::tests(), patches::tests()].concat();
        let trials = tests.into_iter().map(|(name, test)| {
            Trial::test(name, move || {
                guest::run(test);
                Ok(())
            })
        });
        return libtest_mimic::run(&arguments, trials.collect()).exit_code();
    }
    host::main()
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
