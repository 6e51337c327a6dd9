//! The model against the kernel: random patches and random operations on them, compared line by line.
//!
//! The patches are those of `tests/patches/random*`, which their parameters make what they are, so that a
//! sequence costs no build. Their crates are linked into this program too: the model has the very tables that
//! are in the modules, and its patches' functions are called where the kernel's would be. After each operation
//! the results, the log, and what sysfs shows of the patches must be the same; where they are not, proptest
//! looks for the shortest sequence that shows it.

mod both;
mod forget;
mod sequence;

use std::cell::RefCell;
use std::ffi::CString;
use std::fs;

use klp_test_support::random::Configuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::cleanup;
use crate::guest::{Patch, modules, patches};
use both::{Both, rescue};
use forget::forget;
use sequence::{Parameters, Sequence, sequences};

pub(crate) use forget::FORGET;
pub(crate) use sequence::CRATES;

crate::tests![random_sequences_agree_with_the_model, sequences_that_differed_once_agree];

/// The tests that need no other patches than [`CRATES`].
pub(crate) const TESTS: [&str; 2] = [TEST, "sequences_that_differed_once_agree"];

/// The name of the random one.
pub(crate) const TEST: &str = "random_sequences_agree_with_the_model";

/// The variable that holds the seed.
pub(crate) const SEED: &str = "KLP_TEST_SEED";
/// The variable that holds how many sequences there are.
pub(crate) const SEQUENCES: &str = "KLP_TEST_SEQUENCES";
/// The variable that holds how many of the first sequences are made and not run: for a difference that is far from
/// the start.
pub(crate) const SKIP: &str = "KLP_TEST_SKIP";
/// The variable that holds how many tries there are to shorten a sequence that shows a difference.
pub(crate) const SHRINK: &str = "KLP_TEST_SHRINK";

/// How many sequences an ordinary run has.
const ORDINARY: u32 = 20;
/// After how many sequences a long run says how far it is.
const PROGRESS: u32 = 50;

/// What the test says where they do.
pub(crate) const DIFFER: &str = "the kernel and the model differ";

/// What the patches refer to of the kernel, for the model's.
#[unsafe(no_mangle)]
extern "C" fn schedule() {}

/// What the sequences were, in all.
#[derive(Default)]
struct Totals {
    agreed: u32,
    skipped: u32,
    operations: usize,
    lines: usize,
    failed: bool,
    /// Whether the kernel could not be put in order after a difference.
    spoiled: bool,
}

/// How many sequences a run has.
pub(crate) fn cases() -> u32 {
    number(SEQUENCES).unwrap_or(ORDINARY)
}

/// The number that a variable holds.
fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok().map(|text| text.parse().expect("the variable is a number"))
}

fn random_sequences_agree_with_the_model() {
    let (seed, cases) = (number(SEED).unwrap_or(1), cases());
    let max_shrink_iters = number(SHRINK).unwrap_or(300);
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));

    let _expedited = Expedited::new();
    let (totals, before) = (RefCell::new(Totals::default()), modules());
    let skip = number(SKIP).unwrap_or(0);
    let result = runner.run(&sequences(), |sequence| {
        let mut totals = totals.borrow_mut();
        if totals.skipped < skip {
            totals.skipped += 1;
            return Ok(());
        }
        run(&sequence, &before, &mut totals)
    });
    let Totals { agreed, skipped, operations, lines, .. } = totals.into_inner();
    match result {
        Ok(()) => {
            println!(
                "seed {seed}: {agreed} sequences run, {skipped} skipped, 0 divergences, with {operations} operations and {lines} lines of the log"
            );
        }
        Err(TestError::Fail(how, _)) => {
            panic!("seed {seed}: {DIFFER} after {skipped} sequences skipped and {agreed} that agree: {how}")
        }
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

/// Each was found at random, and stands here with no more than it takes.
fn sequences_that_differed_once_agree() {
    use sequence::Operation::{Look, Step, Target};

    let objects = Configuration::VMLINUX | Configuration::TARGET;
    // A patch without variables of the module's things is told when the module goes, for one that is held (S9, S13).
    let held = Configuration {
        states: 0b100,
        versions: 0x111,
        block_disable: 0b100,
        shadows: 0b1000,
        objects,
        funcs: Configuration::DESCRIBE,
        ..Configuration::default()
    };
    let told = Configuration { states: 0b001, versions: 0x111, objects, ..Configuration::default() };
    let sequence = Sequence {
        patches: vec![held, told],
        operations: vec![Step(0), Target, Look, Step(1), Step(0), Target],
    };
    let mut totals = Totals::default();
    if let Err(TestCaseError::Fail(how)) = run(&sequence, &modules(), &mut totals) {
        panic!("{DIFFER}: {how}");
    }
    assert!(totals.lines > 0, "the patches did nothing");
}

/// The kernel does not wait for the next grace period of RCU, but makes one, until this is dropped: most of the time
/// that loading and unloading a module takes is such waiting.
struct Expedited(());

impl Expedited {
    const FILE: &str = "/sys/kernel/rcu_expedited";

    fn new() -> Self {
        fs::write(Self::FILE, "1").expect("the kernel has it");
        Self(())
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        // If it stays, the next tests are faster, and no more.
        let _ = fs::write(Self::FILE, "0");
    }
}

/// Runs a sequence, and puts the kernel in order where it differs.
fn run(sequence: &Sequence, before: &[String], totals: &mut Totals) -> Result<(), TestCaseError> {
    if totals.spoiled {
        return Ok(());
    }
    let mut both = Both::new(&sequence.patches);
    sequence.operations.iter().for_each(|operation| both.apply(*operation));
    both.end();
    totals.operations += both.done.len();
    totals.lines += both.lines;
    let Some(difference) = both.difference.take() else {
        totals.agreed += u32::from(!totals.failed);
        if !totals.failed && totals.agreed.is_multiple_of(PROGRESS) {
            println!("{} sequences agree", totals.agreed);
        }
        return Ok(());
    };
    let done = both.done.join("\n    ");
    drop(both);
    totals.failed = true;
    put_away(before);
    totals.spoiled = modules() != before;
    Err(TestCaseError::fail(format!("after\n    {done}\n{difference}")))
}

/// Ends what is loaded in the kernel, as far as it can be.
fn put_away(before: &[String]) {
    cleanup::put_away(before);
    let is_held = |krate: &&sequence::Crate| Patch(krate.name).is_loaded();
    if CRATES.iter().any(|krate| is_held(&krate))
        && let Some(free) = CRATES.iter().find(|krate| !is_held(krate))
    {
        let parameters = CString::new(Parameters(&rescue(true)).to_string()).expect("it has no NUL");
        // In vain where the kernel is beyond that.
        let _ = Patch(free.name).insert_with(&parameters);
        cleanup::put_away(before);
    }
    // Their code must not run.
    if patches().is_empty() && CRATES.iter().any(|krate| is_held(&krate)) {
        forget();
        cleanup::put_away(before);
    }
}
