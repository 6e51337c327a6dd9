//! Tests on real kernels.
//!
//! Run on the host, this program builds the patches of `tests/patches`, the modules of `tests/modules`
//! and the examples for each kernel, boots it, and runs itself there; in the guest it runs the tests,
//! one after the other, on the kernel that is up. `KLP_TEST_KERNELS` names the kernels, `6.12,6.1` by
//! default; `KLP_TEST_SEED` and `KLP_TEST_SEQUENCES` are for `diff`; with `KLP_TEST_SOAK=1` the tests are
//! those that take too long for every run; arguments are those of any Rust test program. With
//! `KLP_TEST_MUTANTS` it plants faults instead (`cargo xtask mutants`).
//!
//! Which tests show which rule of the lifecycle on a real kernel; L1 to L16 are `l1_…` to `l16_…`:
//!
//! | | |
//! | --- | --- |
//! | S1 | `l12_…`, `l15_…`, all of `refusals` |
//! | S2 | `l2_…`, `l5_…`, `l7_…` |
//! | S3 | `l3_…`, `shadow_variables_of_a_failed_pre_patch` |
//! | S4, S5 | `l6_…`, `l7_…`, `l13_…` (`take_over`), `s4_…` |
//! | S6 | `l2_…`, `l10_…` |
//! | S7 | `l8_…`, `l14_…`, `s4_s5_s7_…`, `reversed_both_ways_and_finished` |
//! | S8 | `l9_…`, `s8_…`, `reversed_both_ways_and_finished` |
//! | S9 | `shadow_variables_…`, `a_module_comes_and_goes_…`, `a_module_is_there_when_an_enable_is_reversed` |
//! | S10 | `l16_…`, `log_level_is_raised_taken_over_and_given_back` |
//! | S11 | `patches_come_and_go_in_parallel` |
//! | S12 | `l11_…` |
//! | S13 | `l15_…`, `s13_…`, `shadow_variables_of_a_held_state_…` |
//! | S14 | all of `strangers`, `a_patch_of_a_later_table_abi` |
//! | S15 | `shadow_variables_go_with_their_module`, `a_module_comes_and_goes_…` |
//! | S16 | `each_allocation_fails`, `cycles_leave_no_memory_in_use`, `a_thousand_cycles`, and every test: none may leave a module or patch |
//!
//! `random_sequences_agree_with_the_model` shows all but S14 and S16's failed allocations, in any order.

mod altered;
mod bindings;
mod chosen;
mod cleanup;
mod crash;
mod diff;
mod faults;
mod guest;
mod host;
mod lifecycle;
mod memory;
mod modules;
mod mutants;
mod objects;
mod original;
mod parallel;
mod patches;
mod primitives;
mod refusals;
mod sleeper;
mod soak;
mod strangers;
mod symbols;
mod syscalls;

use std::process::ExitCode;

use guest::Boot;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let boot = match std::env::var(guest::BOOT) {
        Err(_) => return host::main(&Arguments::from_args()),
        Ok(name) if name == "worker" => return parallel::work(),
        Ok(name) => Boot::named(&name),
    };
    let around = if boot == Boot::Crash { |test: fn()| test() } else { guest::run };
    let trial = |(name, test)| {
        Trial::test(name, move || {
            around(test);
            Ok(())
        })
    };
    let trials = tests_of(boot).into_iter().map(trial).collect();
    // One after the other, on two processors too: a patch that replaces others would end another test's.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The tests that a boot is for.
fn tests_of(boot: Boot) -> Vec<Test> {
    match boot {
        Boot::Sound => [
            lifecycle::tests(),
            refusals::tests(),
            strangers::tests(),
            patches::tests(),
            objects::tests(),
            modules::tests(),
            primitives::tests(),
            syscalls::tests(),
            faults::tests(),
            chosen::tests(),
            symbols::tests(),
            bindings::tests(),
            original::tests(),
            diff::tests(),
        ]
        .concat(),
        Boot::Crash => crash::tests(),
        Boot::Parallel => [parallel::tests(), primitives::on_two_processors()].concat(),
        Boot::Soak => soak::tests(),
    }
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
