//! The sets of patches that are explored.

use klp_runtime::abi::DataLayout;
use klp_runtime::sim::{Patch, Shadow, State};

use crate::spec::name;

/// The one object that gets shadow variables.
pub const OBJECT: usize = 0x10;

/// The module whose objects some shadow variables are for.
pub const TARGET: &str = "target";

/// A state as one patch provides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateOf {
    pub id: u64,
    pub version: u32,
    /// `block_disable`.
    pub block: bool,
    /// Whether the patch declares a shadow variable for it, whose id is 100 higher; sleepable for odd ones.
    pub shadow: bool,
    /// Whether it goes with the module [`TARGET`].
    pub of_target: bool,
    /// Whether the variable has another layout than in other patches.
    pub other_layout: bool,
    /// Whether the data have another layout than in other patches.
    pub other_data: bool,
    /// The version of which `migrate` makes data of this layout from the other one (S22).
    pub migrates_from: Option<u32>,
}

/// A patch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Description {
    pub replace: bool,
    /// Its series and revision (S20).
    pub series: Option<(&'static str, u64)>,
    /// Whether something of it runs on its own (S17).
    pub runs: bool,
    pub states: Vec<StateOf>,
}

impl Description {
    pub fn state(&self, id: u64) -> Option<&StateOf> {
        self.states.iter().find(|state| state.id == id)
    }

    /// For the model.
    pub fn patch(&self, index: usize) -> Patch {
        let mut patch = Patch::new(name(index));
        if self.replace {
            patch = patch.replace();
        }
        if let Some((series, revision)) = self.series {
            patch = patch.series(series, revision);
        }
        if self.runs {
            patch = patch.runs_on_its_own();
        }
        for of in &self.states {
            let mut state = State::new(of.id).version(of.version);
            if of.block {
                state = state.block_disable();
            }
            state = state.layout(data_layout(of.other_data));
            if let Some(version) = of.migrates_from {
                state = state.migrates_from(version, data_layout(!of.other_data));
            }
            patch = patch.state(state);
            if of.shadow {
                let mut shadow = Shadow::new(100 + of.id, of.id);
                if of.of_target {
                    shadow = shadow.object(TARGET);
                }
                if of.other_layout {
                    shadow = shadow.layout(DataLayout { size: 24, align: 8, fingerprint: 1 });
                }
                patch = patch.shadow(if of.id % 2 == 1 { shadow.sleepable() } else { shadow });
            }
        }
        patch
    }
}

/// The layout of a state's data: one of two.
fn data_layout(other: bool) -> DataLayout {
    DataLayout { size: if other { 16 } else { 8 }, align: 8, fingerprint: u64::from(other) }
}

/// Up to three patches.
pub type PatchSet = Vec<Description>;

/// Every set of three patches of these kinds; the smaller ones are in them.
fn threes(kinds: &[Description]) -> Vec<PatchSet> {
    let mut sets = Vec::new();
    for (i, a) in kinds.iter().enumerate() {
        for (j, b) in kinds.iter().enumerate().skip(i) {
            for c in &kinds[j..] {
                sets.push(vec![a.clone(), b.clone(), c.clone()]);
            }
        }
    }
    sets
}

/// Patches of every subset of the states 1 to `highest`, replacing and not, where each state that is
/// there is one of `variants`.
fn kinds(highest: u64, variants: &[StateOf]) -> Vec<Description> {
    let mut tables: Vec<Vec<StateOf>> = vec![Vec::new()];
    for id in 1..=highest {
        for table in tables.clone() {
            for variant in variants {
                let mut table = table.clone();
                table.push(StateOf { id, ..*variant });
                tables.push(table);
            }
        }
    }
    let both = tables.into_iter().flat_map(|states| {
        [false, true].map(|replace| Description {
            replace,
            states: states.clone(),
            series: None,
            runs: false,
        })
    });
    // One that has no state and replaces nothing is nothing to the engine.
    both.filter(|patch| patch.replace || !patch.states.is_empty()).collect()
}

const PLAIN: StateOf = StateOf {
    id: 0,
    version: 1,
    block: false,
    shadow: false,
    of_target: false,
    other_layout: false,
    other_data: false,
    migrates_from: None,
};

/// A patch of functions alone.
const NOTHING: Description = Description { replace: false, states: Vec::new(), series: None, runs: false };

/// Three states, each with a shadow variable: every way to share them.
pub fn three_states() -> Vec<PatchSet> {
    threes(&kinds(3, &[StateOf { shadow: true, ..PLAIN }]))
}

/// One state, with versions, `block_disable`, and a shadow variable or none.
pub fn one_state_of_many_kinds() -> Vec<PatchSet> {
    let mut variants = Vec::new();
    for version in [1, 2] {
        for block in [false, true] {
            for shadow in [false, true] {
                variants.push(StateOf { version, block, shadow, ..PLAIN });
            }
        }
    }
    threes(&kinds(1, &variants))
}

/// One state of three versions, which never fall (S19), with a shadow variable of two layouts or none (S1).
pub fn one_state_of_three_versions() -> Vec<PatchSet> {
    let shadows =
        [PLAIN, StateOf { shadow: true, ..PLAIN }, StateOf { shadow: true, other_layout: true, ..PLAIN }];
    let variants = shadows.iter().flat_map(|of| (1..=3).map(|version| StateOf { version, ..*of }));
    threes(&kinds(1, &variants.collect::<Vec<_>>()))
}

/// One state whose data have one of two layouts, and of which some make the other's (S22).
pub fn one_state_of_two_layouts() -> Vec<PatchSet> {
    let other = StateOf { other_data: true, ..PLAIN };
    threes(&kinds(
        1,
        &[
            PLAIN,
            StateOf { version: 2, ..PLAIN },
            StateOf { version: 2, ..other },
            StateOf { version: 2, migrates_from: Some(1), ..other },
            // It does not grow.
            StateOf { version: 1, migrates_from: Some(1), ..other },
            StateOf { version: 3, migrates_from: Some(2), ..PLAIN },
        ],
    ))
}

/// One state or none, in patches of two series, and of two revisions in one of them (S20).
pub fn series_and_revisions() -> Vec<PatchSet> {
    let series = [None, Some(("s", 1)), Some(("s", 2)), Some(("t", 1))];
    let of = |series| {
        let all = kinds(1, &[PLAIN]).into_iter().chain([Description { series, ..NOTHING }]);
        all.map(move |patch| Description { series, ..patch }).filter(|patch| *patch != NOTHING)
    };
    threes(&series.into_iter().flat_map(of).collect::<Vec<_>>())
}

/// Two states, in patches that have something that runs on its own (S17).
pub fn two_states_and_works() -> Vec<PatchSet> {
    let kinds = kinds(2, &[PLAIN]).into_iter().filter(|patch| !patch.states.is_empty());
    threes(&kinds.map(|patch| Description { runs: true, ..patch }).collect::<Vec<_>>())
}

/// Two states, of which some can't be removed and some have grown.
pub fn two_states_of_three_kinds() -> Vec<PatchSet> {
    let held = StateOf { block: true, shadow: true, ..PLAIN };
    let grown = StateOf { version: 2, shadow: true, ..PLAIN };
    threes(&kinds(2, &[PLAIN, held, grown]))
}

/// One state, with a shadow variable that goes with a module, with one that does not, or with none.
pub fn one_state_of_a_module() -> Vec<PatchSet> {
    let stays = StateOf { shadow: true, ..PLAIN };
    let goes = StateOf { of_target: true, ..stays };
    threes(&kinds(1, &[PLAIN, stays, goes, StateOf { block: true, ..goes }]))
}

/// Two states, each with a shadow variable that goes with a module, and some that can't be removed.
pub fn two_states_of_a_module() -> Vec<PatchSet> {
    let goes = StateOf { shadow: true, of_target: true, ..PLAIN };
    threes(&kinds(2, &[goes, StateOf { block: true, ..goes }]))
}
