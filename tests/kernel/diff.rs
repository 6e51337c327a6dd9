//! The model against the kernel: the same random operations on the same patches, compared line by line.
//!
//! The patches are those of `tests/patches` whose states log their callbacks. Their crates are linked
//! into this program too, so the model has the very tables that are in the modules. After each
//! operation the results, the log and the patches that are enabled must be the same; where they are
//! not, proptest looks for the shortest sequence that shows it.

use klp_runtime::sim::Sim;
use klp_runtime::tables::Tables;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use rustix::io::Errno;

use crate::guest::{Log, Patch, of_patch, patches, wait};
use crate::sleeper::Sleeper;

crate::tests![random_sequences_agree_with_the_model];

/// The variable that holds the seed.
pub(crate) const SEED: &str = "KLP_TEST_SEED";
/// The variable that holds how many sequences there are.
pub(crate) const SEQUENCES: &str = "KLP_TEST_SEQUENCES";

/// The variable that holds how many tries there are to shorten a sequence that shows a difference.
pub(crate) const SHRINK: &str = "KLP_TEST_SHRINK";

/// How many sequences an ordinary run has.
const ORDINARY: u32 = 15;

/// What the test says where they do.
pub(crate) const DIFFER: &str = "the kernel and the model differ";

/// The longest sequence, in operations.
const LONGEST: usize = 14;

/// What `livepatch!` made of a crate's tables.
pub(crate) type Crate = fn() -> Tables;

/// The patches, by the name of their module without `klp_test_`.
pub(crate) const PATCHES: [(&str, Crate); 16] = [
    ("a1", klp_test_a1::livepatch),
    ("a12", klp_test_a12::livepatch),
    ("a12_fails", klp_test_a12_fails::livepatch),
    ("a1_blocks", klp_test_a1_blocks::livepatch),
    ("a1_replaces", klp_test_a1_replaces::livepatch),
    ("a1_sleeps", klp_test_a1_sleeps::livepatch),
    ("a1_v2", klp_test_a1_v2::livepatch),
    ("b1", klp_test_b1::livepatch),
    ("b1_replaces", klp_test_b1_replaces::livepatch),
    ("b12_replaces", klp_test_b12_replaces::livepatch),
    ("b1_v2_replaces", klp_test_b1_v2_replaces::livepatch),
    ("b2_replaces", klp_test_b2_replaces::livepatch),
    ("b2_stalls", klp_test_b2_stalls::livepatch),
    ("b2_unpatchable", klp_test_b2_unpatchable::livepatch),
    ("c_replaces", klp_test_c_replaces::livepatch),
    ("c1_replaces", klp_test_c1_replaces::livepatch),
];

/// What an administrator does. An operation that makes no sense at its place is passed over.
#[derive(Clone, Debug)]
enum Operation {
    /// Loads the module of one of [`PATCHES`], which enables the patch.
    Load(usize),
    /// Disables a patch.
    Disable(usize),
    /// Unloads a module.
    Unload(usize),
    /// Enables `b2_stalls` while a task sleeps in the function that it redirects, tries to load another
    /// patch meanwhile, and reverses the transition or lets it finish.
    Stall { other: usize, reverse: bool },
    /// Disables `a1_sleeps`, which is loaded if need be, while a task sleeps in its function, and reverses or
    /// lets finish.
    StallDisable { reverse: bool },
}

fn operation() -> impl Strategy<Value = Operation> {
    let patch = || 0..PATCHES.len();
    prop_oneof![
        8 => patch().prop_map(Operation::Load),
        4 => patch().prop_map(Operation::Disable),
        4 => patch().prop_map(Operation::Unload),
        1 => (patch(), any::<bool>()).prop_map(|(other, reverse)| Operation::Stall { other, reverse }),
        1 => any::<bool>().prop_map(|reverse| Operation::StallDisable { reverse }),
    ]
}

fn random_sequences_agree_with_the_model() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u32>().unwrap());
    let (seed, cases) = (number(SEED).unwrap_or(1), number(SEQUENCES).unwrap_or(ORDINARY));
    let max_shrink_iters = number(SHRINK).unwrap_or(300);
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));

    let (mut operations, mut lines, mut agreed) = (0, 0, 0);
    let counts = std::cell::RefCell::new((&mut operations, &mut lines, &mut agreed));
    let failed = std::cell::Cell::new(false);
    let sequences = prop::collection::vec(operation(), 1..=LONGEST);
    let result = runner.run(&sequences, |sequence| {
        let mut both = Both::new();
        for operation in &sequence {
            both.apply(operation);
        }
        both.clear();
        let mut counts = counts.borrow_mut();
        *counts.0 += both.operations;
        *counts.1 += both.lines;
        match both.divergence {
            None => {
                *counts.2 += u32::from(!failed.get());
                Ok(())
            }
            Some(divergence) => {
                failed.set(true);
                Err(TestCaseError::fail(divergence))
            }
        }
    });
    match result {
        Ok(()) => println!(
            "seed {seed}: {cases} sequences agree, with {operations} operations and {lines} lines of the log"
        ),
        Err(TestError::Fail(why, sequence)) => {
            panic!(
                "seed {seed}: {DIFFER} after {agreed} sequences that agree: {why}\nin the sequence {sequence:#?}"
            )
        }
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

/// The model and the kernel, step by step. After the first difference only the kernel is put in order.
struct Both {
    sim: Sim,
    log: Log,
    divergence: Option<String>,
    operations: usize,
    lines: usize,
}

impl Both {
    fn new() -> Self {
        Self { sim: Sim::new(), log: Log::new(), divergence: None, operations: 0, lines: 0 }
    }

    fn apply(&mut self, operation: &Operation) {
        if self.divergence.is_some() {
            return;
        }
        match *operation {
            Operation::Load(patch) if !self.is_loaded(patch) => self.load(patch),
            Operation::Disable(patch) if self.is_enabled(patch) => self.disable(patch),
            Operation::Unload(patch) if self.is_loaded(patch) && !self.is_enabled(patch) => {
                self.unload(patch)
            }
            Operation::Stall { other, reverse } => self.stall(other, reverse),
            Operation::StallDisable { reverse } => self.stall_disable(reverse),
            _ => {}
        }
    }

    fn load(&mut self, index: usize) {
        let (patch, model) = (patch(index), self.model_load(index));
        let kernel = patch.insert();
        if kernel.is_ok() {
            patch.settle();
        }
        self.compare(&format!("load {}", patch.0), errno(model), kernel);
    }

    fn model_load(&self, index: usize) -> klp_runtime::error::Result {
        if PATCHES[index].0 == "b2_unpatchable" {
            self.sim.fail_patching(&patch(index).module(), None);
        }
        self.sim.insmod(PATCHES[index].1())
    }

    fn disable(&mut self, index: usize) {
        let patch = patch(index);
        let model = self.sim.disable(&patch.module());
        patch.set_enabled(false);
        self.compare(&format!("disable {}", patch.0), errno(model), Ok(()));
    }

    fn unload(&mut self, index: usize) {
        let patch = patch(index);
        let model = errno(self.sim.rmmod(&patch.module()));
        let kernel = if model.is_ok() {
            // The kernel lets go of a disabled patch a moment after it has left sysfs.
            patch.remove();
            Ok(())
        } else {
            patch.try_remove()
        };
        self.compare(&format!("unload {}", patch.0), model, kernel);
    }

    fn stall(&mut self, other: usize, reverse: bool) {
        let stalls = index_of("b2_stalls");
        if self.is_loaded(stalls) || other == stalls || self.is_loaded(other) {
            return;
        }
        let asleep =
            if self.is_enabled(index_of("a1_sleeps")) { "msleep_interruptible" } else { "fifo_open" };
        let sleeper = Sleeper::opening_a_fifo("diff", asleep);
        self.sim.stall();
        let (patch, model) = (patch(stalls), self.model_load(stalls));
        let kernel = patch.insert();
        let refused = kernel.is_err();
        self.compare_now("load b2_stalls, stalled", errno(model), kernel);
        if !refused && self.divergence.is_none() {
            let model = self.model_load(other);
            let kernel = self::patch(other).insert();
            self.compare_now("load another meanwhile", errno(model), kernel);
            if reverse {
                let model = self.sim.disable(&patch.module());
                patch.set_enabled(false);
                self.compare_now("reverse it", errno(model), Ok(()));
            }
        }
        drop(sleeper);
        self.sim.resume();
        if !refused {
            patch.settle();
        }
        self.compare("the end of the transition", Ok(()), Ok(()));
    }

    fn stall_disable(&mut self, reverse: bool) {
        let sleeps = index_of("a1_sleeps");
        if !self.is_loaded(sleeps) {
            self.load(sleeps);
        }
        if !self.is_enabled(sleeps) || self.divergence.is_some() {
            return;
        }
        let (patch, sleeper) = (patch(sleeps), Sleeper::opening_a_fifo("diff", "msleep_interruptible"));
        self.sim.stall();
        let model = self.sim.disable(&patch.module());
        patch.set_enabled(false);
        self.compare_now("disable a1_sleeps, stalled", errno(model), Ok(()));
        if reverse && self.divergence.is_none() {
            let model = self.sim.write_enabled(&patch.module(), true);
            patch.set_enabled(true);
            self.compare_now("reverse it", errno(model), Ok(()));
        }
        drop(sleeper);
        self.sim.resume();
        patch.settle();
        self.compare("the end of the transition", Ok(()), Ok(()));
    }

    /// Ends every patch: nothing may be left of any. Where the kernel and the model differ already,
    /// only the kernel's are ended, for the next sequence.
    fn clear(&mut self) {
        for index in 0..PATCHES.len() {
            if self.divergence.is_none() && self.is_enabled(index) {
                self.disable(index);
            }
        }
        // A state that is held (S13) lets its module go once a replace patch that provides it is enabled.
        let (blocks, rescue) = (index_of("a1_blocks"), index_of("c1_replaces"));
        if self.divergence.is_none() && self.is_loaded(blocks) {
            if self.is_loaded(rescue) {
                self.unload(rescue);
            }
            self.load(rescue);
            self.disable(rescue);
        }
        for index in 0..PATCHES.len() {
            if self.divergence.is_none() && self.is_loaded(index) {
                self.unload(index);
            }
        }
        if self.divergence.is_none() {
            self.sim.assert_clean();
        } else {
            self.sim.take_faults();
            clear_kernel();
        }
    }

    /// Compares, once the kernel has dropped what was disabled or replaced.
    fn compare(&mut self, what: &str, model: Result<(), Errno>, kernel: Result<(), Errno>) {
        if model != kernel {
            return self.compare_now(what, model, kernel);
        }
        let enabled = self.enabled();
        wait(
            || patches().iter().all(|patch| enabled.contains(patch)),
            || format!("after {what}, {:?} are enabled, in the model {enabled:?}", patches()),
        );
        self.compare_now(what, model, kernel);
        let mut now = patches();
        now.sort();
        if self.divergence.is_none() && now != enabled {
            self.divergence = Some(format!("after {what}, {now:?} are enabled, in the model {enabled:?}"));
        }
    }

    /// Compares results and log lines.
    fn compare_now(&mut self, what: &str, model: Result<(), Errno>, kernel: Result<(), Errno>) {
        let in_model: Vec<_> = self.sim.take_log().iter().filter_map(|line| of_patch(line)).collect();
        let in_kernel = self.log.of_patches();
        self.operations += 1;
        self.lines += in_kernel.len();
        if self.divergence.is_none() && (model != kernel || in_model != in_kernel) {
            self.divergence = Some(format!(
                "{what}: the kernel {kernel:?} {in_kernel:#?}, the model {model:?} {in_model:#?}"
            ));
        }
    }

    /// The modules of the patches that are enabled in the model, sorted.
    fn enabled(&self) -> Vec<String> {
        let mut names: Vec<_> = (0..PATCHES.len())
            .filter(|&index| self.is_enabled(index))
            .map(|index| patch(index).module())
            .collect();
        names.sort();
        names
    }

    fn is_loaded(&self, index: usize) -> bool {
        self.sim.is_loaded(&patch(index).module())
    }

    fn is_enabled(&self, index: usize) -> bool {
        self.sim.is_enabled(&patch(index).module()) == Some(true)
    }
}

/// Ends what is loaded in the kernel, as far as it can be.
fn clear_kernel() {
    for (name, _) in PATCHES {
        if patches().contains(&Patch(name).module()) {
            Patch(name).disable();
        }
    }
    for (name, _) in PATCHES {
        if Patch(name).is_loaded() {
            // One that is pinned stays; the sequence that shows the difference is found all the same.
            let _ = Patch(name).try_remove();
        }
    }
}

fn patch(index: usize) -> Patch {
    Patch(PATCHES[index].0)
}

fn index_of(name: &str) -> usize {
    PATCHES.iter().position(|patch| patch.0 == name).expect("one of the patches")
}

/// A result of the model as the kernel gives it.
fn errno(result: klp_runtime::error::Result) -> Result<(), Errno> {
    result.map_err(|error| Errno::from_raw_os_error(-error.to_errno()))
}
