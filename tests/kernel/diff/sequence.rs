//! Random patches and what is done with them.

use std::fmt::{self, Write};

use klp_runtime::tables::Tables;
use klp_test_support::random::Configuration;
use proptest::prelude::*;

/// The most operations of a sequence.
const LONGEST: usize = 16;

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
}

macro_rules! crates {
    ($($name:literal = $krate:ident),*) => {
        [$(Crate {
            name: $name,
            tables: $krate::livepatch,
            configure: $krate::configure,
            look: $krate::look,
            describe: $krate::describe_number,
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
        1 => Just(Operation::Sleep),
    ];
    let patches = prop::collection::vec(configuration(), 3..=CRATES.len());
    let operations = prop::collection::vec(operation, 1..=LONGEST);
    (patches, operations).prop_map(|(patches, operations)| Sequence { patches, operations })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    // Mostly the same, as patches that do not replace must have.
    let version = prop::sample::select(vec![1_u32, 1, 1, 2, 3]);
    let states = (mask([0.5; 3]), prop::array::uniform3(version), mask([0.08; 3]));
    let parts = (mask([0.6; 5]), mask([0.6; 2]), mask([0.5, 0.5, 0.4, 0.04]));
    let fails = prop_oneof![7 => Just(0), 2 => 1..=Configuration::FAILS_INIT];
    // EBUSY, ENOMEM, ENODEV.
    let errno = prop::sample::select(vec![-16, -12, -19]);
    (prop::bool::weighted(0.4), states, parts, fails, errno).prop_map(
        |(replace, (states, versions, block_disable), (shadows, objects, funcs), fails, errno)| {
            let versions = versions[0] | versions[1] << 4 | versions[2] << 8;
            Configuration {
                replace,
                states,
                versions,
                block_disable: block_disable & states,
                shadows,
                objects,
                funcs,
                fails,
                errno: if fails == 0 { 0 } else { errno },
            }
        },
    )
}

/// A mask whose bits are set with these probabilities.
fn mask<const N: usize>(probabilities: [f64; N]) -> impl Strategy<Value = u32> {
    probabilities
        .map(prop::bool::weighted)
        .prop_map(|bits| bits.iter().rev().fold(0, |mask, bit| mask << 1 | u32::from(*bit)))
}

/// A patch that takes every state on and holds none: after it all others let go (S13).
pub(super) const RESCUE: Configuration = Configuration {
    replace: true,
    states: 0b111,
    versions: 0xfff,
    block_disable: 0,
    shadows: 0b11111,
    objects: 0,
    funcs: 0,
    fails: 0,
    errno: 0,
};

/// A configuration as `insmod` is given it.
pub(super) struct Parameters<'a>(pub(super) &'a Configuration);

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Configuration { replace, states, versions, block_disable, shadows, objects, funcs, fails, errno } =
            *self.0;
        let mut text = format!("replace={}", u32::from(replace));
        let numbers = [
            ("states", states),
            ("versions", versions),
            ("block_disable", block_disable),
            ("shadows", shadows),
            ("objects", objects),
            ("funcs", funcs),
            ("fails", fails),
        ];
        for (name, value) in numbers.iter().filter(|(_, value)| *value != 0) {
            write!(text, " {name}={value:#x}")?;
        }
        if errno != 0 {
            write!(text, " errno={errno}")?;
        }
        f.write_str(&text)
    }
}
