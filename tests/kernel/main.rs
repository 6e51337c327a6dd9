//! Tests on real kernels.
//!
//! Run on the host, this program builds the patches of `tests/patches`, the modules of `tests/modules`
//! and the examples for each kernel, boots it, and runs itself there; in the guest it runs the tests,
//! one after the other, on the kernel that is up. `KLP_TEST_KERNELS` names the kernels, `6.12,6.1` by
//! default; `KLP_TEST_SEED`, `KLP_TEST_SEQUENCES` and `KLP_TEST_SKIP` are for `diff`; `KLP_TEST_BOOTS` names the boots to run
//! ([`guest::Boot`]); arguments are those of any Rust test program. With `KLP_TEST_MUTANTS` it plants faults
//! instead (`cargo xtask mutants`).
//!
//! `docs/lifecycle.md` says which tests show which rule of the lifecycle.

mod altered;
mod bindings;
mod c_bodies;
mod checkers;
mod chosen;
mod cleanup;
mod crash;
mod diff;
mod failslab;
mod faults;
mod guest;
mod headers;
mod host;
mod kernel_crate;
mod lifecycle;
mod memory;
mod modules;
mod mutants;
mod objects;
mod original;
mod other_half;
mod own;
mod parallel;
mod patches;
mod place;
mod primitives;
mod refusals;
mod sleeper;
mod soak;
mod strangers;
mod symbols;
mod syscalls;
mod tool;
mod types;
mod versions;
mod vocabulary;

use std::process::ExitCode;

use guest::{Boot, Patch};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let boot = match std::env::var(guest::BOOT) {
        Err(_) => return host::main(&Arguments::from_args()),
        Ok(name) if name == "worker" => return parallel::work(),
        Ok(name) => Boot::named(&name),
    };
    let around = if boot.is_sound() { guest::run } else { |test: fn()| test() };
    let trial = |(name, test)| {
        let trial = Trial::test(name, move || {
            around(test);
            Ok(())
        });
        if OF_X86_ALONE.contains(&name) {
            let is_elsewhere = cfg!(not(target_arch = "x86_64"));
            return trial.with_kind("of x86 alone").with_ignored_flag(is_elsewhere);
        }
        trial
    };
    let trials = tests_of(boot).into_iter().map(trial).collect();
    // One after the other, on two processors too: a patch that replaces others would end another test's.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let conclusion = libtest_mimic::run(&arguments, trials);
    if boot.is_sound()
        && let Err(report) = checkers::verdict()
    {
        eprintln!("after the tests of the boot `{}`: {report}", boot.name());
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Tests that only a program for x86 can make. On another architecture they are shown, and counted, as ignored.
const OF_X86_ALONE: [&str; 1] = ["system_calls_of_32_bit_programs"];

/// The tests that a boot is for.
fn tests_of(boot: Boot) -> Vec<Test> {
    match boot {
        Boot::Sound => [
            lifecycle::tests(),
            versions::tests(),
            refusals::tests(),
            strangers::tests(),
            patches::tests(),
            objects::tests(),
            modules::tests(),
            primitives::tests(),
            own::tests(),
            syscalls::tests(),
            faults::tests(),
            chosen::tests(),
            symbols::tests(),
            bindings::tests(),
            headers::tests(),
            vocabulary::tests(),
            original::tests(),
            c_bodies::tests(),
            tool::tests(),
            diff::tests(),
        ]
        .concat(),
        Boot::Crash => crash::tests(),
        Boot::Parallel => [parallel::tests(), primitives::on_two_processors()].concat(),
        Boot::Checkers => [failslab::tests(), checkers::tests()].concat(),
        Boot::Types => types::tests(),
        Boot::KernelCrate => kernel_crate::tests(),
        Boot::Soak => soak::tests(),
    }
}

/// The modules that the tests of a boot load, where they are few: a run of such boots builds no other patches.
fn modules_of(boot: Boot) -> Option<Vec<Patch>> {
    match boot {
        Boot::Parallel => Some([&parallel::MODULES[..], &primitives::ON_TWO_PROCESSORS].concat()),
        Boot::Checkers => Some([&faults::CYCLE[..], &checkers::PLANTED].concat()),
        Boot::Types => Some(types::MODULES.to_vec()),
        Boot::KernelCrate => Some(kernel_crate::MODULES.to_vec()),
        Boot::Soak => Some(faults::CYCLE.to_vec()),
        Boot::Sound | Boot::Crash => None,
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
