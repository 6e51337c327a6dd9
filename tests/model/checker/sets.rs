//! The sets of patches that are explored.

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
}

/// A patch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Description {
    pub replace: bool,
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
        for of in &self.states {
            let mut state = State::new(of.id).version(of.version);
            if of.block {
                state = state.block_disable();
            }
            patch = patch.state(state);
            if of.shadow {
                let mut shadow = Shadow::new(100 + of.id, of.id);
                if of.of_target {
                    shadow = shadow.object(TARGET);
                }
                patch = patch.shadow(if of.id % 2 == 1 { shadow.sleepable() } else { shadow });
            }
        }
        patch
    }
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
    let both = tables
        .into_iter()
        .flat_map(|states| [false, true].map(|replace| Description { replace, states: states.clone() }));
    // One that has no state and replaces nothing is nothing to the engine.
    both.filter(|patch| patch.replace || !patch.states.is_empty()).collect()
}

const PLAIN: StateOf = StateOf { id: 0, version: 1, block: false, shadow: false, of_target: false };

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
