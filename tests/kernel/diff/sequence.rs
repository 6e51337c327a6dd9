//! Random patches and what is done with them.

use std::fmt::{self, Write};

use klp_runtime::tables::Tables;
use klp_test_support::random::{Configuration, Held};
use proptest::prelude::*;

/// The most operations of a sequence.
const LONGEST: usize = 20;

/// One of the crates that are what their parameters say.
pub(crate) struct Crate {
    /// The name of its module without `klp_test_`.
    pub(crate) name: &'static str,
    /// What `livepatch!` made of its tables.
    pub(super) tables: fn() -> Tables,
    /// Sets the parameters of this program's copy of it.
    pub(super) configure: fn(&Configuration),
    /// What its function in vmlinux does.
    pub(super) look: fn(),
    /// What its function in the module does for a thing.
    pub(super) describe: fn(usize) -> i32,
    /// What its function does before a task sleeps there.
    pub(super) fall_asleep: fn() -> Held,
    /// What it does afterwards.
    pub(super) wake: fn(Held),
    /// Whether it has code that runs on its own.
    pub(super) runs_on_its_own: bool,
}

macro_rules! crates {
    ($($name:literal = $krate:ident),*) => {
        [$(Crate {
            name: $name,
            tables: $krate::livepatch,
            configure: $krate::configure,
            look: $krate::look,
            describe: $krate::describe_number,
            fall_asleep: $krate::fall_asleep,
            wake: $krate::wake,
            runs_on_its_own: $krate::RUNS_ON_ITS_OWN,
        }),*]
    };
}

/// All of them: one source.
pub(crate) const CRATES: [Crate; 4] = crates!(
    "random1" = klp_test_random1,
    "random2" = klp_test_random2,
    "random3" = klp_test_random3,
    "random4" = klp_test_random4
);

/// The ids of their shadow variables, and whether these are sleepable.
pub(super) use klp_test_random1::IDS;

/// Some patches and what an administrator does with them.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// How each of the first of [`CRATES`] is configured.
    pub(super) patches: Vec<Configuration>,
    pub(super) operations: Vec<Operation>,
}

/// What is done depends on what is there: each makes sense at most places, and is passed over elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    /// The next step of a patch: its module is loaded; it is disabled, or its transition is reversed; its module
    /// is unloaded.
    Step(usize),
    /// A task begins to sleep in the function that some patches redirect, or it is ended.
    Sleep,
    /// The transition is forced to its end.
    Force,
    /// The module that some patches redirect is loaded or unloaded.
    Target,
    /// That module is loaded, and its init function fails.
    TargetFails,
    /// The functions that patches redirect are called.
    Look,
}

/// Sequences, made so that they become simpler where they can be.
pub(super) fn sequences() -> impl Strategy<Value = Sequence> {
    let operation = prop_oneof![
        10 => (0..CRATES.len()).prop_map(Operation::Step),
        3 => Just(Operation::Look),
        2 => Just(Operation::Target),
        1 => Just(Operation::TargetFails),
        3 => Just(Operation::Sleep),
        3 => Just(Operation::Force),
    ];
    let patches = prop::collection::vec(configuration(), 3..=CRATES.len());
    let operations = prop::collection::vec(operation, 1..=LONGEST);
    (patches, operations).prop_map(|(patches, operations)| Sequence { patches, operations })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    // Mostly the same, as patches that do not replace must have.
    let version = prop::sample::select(vec![1_u32, 1, 1, 2, 3]);
    let migrates = prop::sample::select(vec![0_u32, 1, 1, 1, 2]);
    let data = (digits(version), mask([0.1; 3]), digits(migrates));
    let states = (mask([0.5; 3]), data, mask([0.08; 3]));
    let parts = (mask([0.6; 5]), mask([0.03; 2]), mask([0.6; 2]), mask([0.5, 0.5, 0.4, 0.04]));
    let series = (prop::sample::select(vec![0_u32, 0, 1, 1, 1, 2]), 1..=3_u32, prop::bool::weighted(0.3));
    let places = (mask([0.15, 0.4, 0.15, 0.3, 0.3]), mask([0.2; 5]));
    let fails = prop_oneof![7 => Just(0), 2 => 1..=Configuration::FAILS_INIT];
    // EBUSY, ENOMEM, ENODEV.
    let errno = prop::sample::select(vec![-16, -12, -19]);
    (prop::bool::weighted(0.4), states, parts, series, places, (fails, errno)).prop_map(
        |(replace, states, parts, series, (starts, probes), (fails, errno))| {
            let (states, (versions, odd_layouts, migrates), block_disable) = states;
            let (shadows, odd, objects, funcs) = parts;
            let (series, revision, allow_downgrade) = series;
            Configuration {
                replace,
                states,
                versions,
                // Mostly the larger from version 2 on.
                layouts: (higher(versions) ^ odd_layouts) & states,
                migrates,
                block_disable: block_disable & states,
                shadows,
                odd,
                objects,
                funcs,
                series,
                revision: if series == 0 { 0 } else { revision },
                allow_downgrade: series != 0 && allow_downgrade,
                starts,
                probes,
                fails,
                errno: if fails == 0 { 0 } else { errno },
            }
        },
    )
}

/// The bits of the states whose version is not the first.
fn higher(versions: u32) -> u32 {
    (0..3).filter(|state| versions >> (4 * state) & 0xf > 1).fold(0, |bits, state| bits | 1 << state)
}

/// Three hexadecimal digits.
fn digits(digit: impl Strategy<Value = u32>) -> impl Strategy<Value = u32> {
    prop::array::uniform3(digit).prop_map(|[first, second, third]| first | second << 4 | third << 8)
}

/// A mask whose bits are set with these probabilities.
fn mask<const N: usize>(probabilities: [f64; N]) -> impl Strategy<Value = u32> {
    probabilities
        .map(prop::bool::weighted)
        .prop_map(|bits| bits.iter().rev().fold(0, |mask, bit| mask << 1 | u32::from(*bit)))
}

/// A configuration as `insmod` is given it.
pub(super) struct Parameters<'a>(pub(super) &'a Configuration);

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(patch) = self;
        let mut text = format!("replace={}", u32::from(patch.replace));
        let numbers = [
            ("states", patch.states),
            ("versions", patch.versions),
            ("layouts", patch.layouts),
            ("migrates", patch.migrates),
            ("block_disable", patch.block_disable),
            ("shadows", patch.shadows),
            ("odd", patch.odd),
            ("objects", patch.objects),
            ("funcs", patch.funcs),
            ("series", patch.series),
            ("revision", patch.revision),
            ("starts", patch.starts),
            ("probes", patch.probes),
            ("fails", patch.fails),
        ];
        for (name, value) in numbers.iter().filter(|(_, value)| *value != 0) {
            write!(text, " {name}={value:#x}")?;
        }
        if patch.allow_downgrade {
            text.push_str(" klp_allow_downgrade=1");
        }
        if patch.errno != 0 {
            write!(text, " errno={}", patch.errno)?;
        }
        f.write_str(&text)
    }
}
