//! Every sequence of operations on small sets of patches, to the depth where no
//! new state of the system appears: failures, reversals and forced transitions
//! included. What the engine does in the model is held against the rules.

mod sets;
mod spec;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use klp_runtime::error::EBUSY;
use klp_runtime::sim::{Callback, Event, Patch, Sim, Snapshot};
use stateright::{Checker, HasDiscoveries, Model, Property};

use sets::{OBJECT, PatchSet, TARGET};
use spec::{Op, World, name};

/// Sets of patches, to be explored.
struct Cases {
    sets: Vec<PatchSet>,
    /// Whether transitions are forced, too.
    forces: bool,
    /// Whether the target module comes and goes.
    has_target: bool,
}

/// What a state of the system was found to violate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Verdict {
    /// What happened and what should have, if that differs (S1 to S10, S13).
    differs: Option<String>,
    /// The calls for one state were not symmetric (S11, S12).
    asymmetric: Option<String>,
    /// Something was left when every patch was disabled (S16).
    lost: Vec<String>,
    /// What the model noticed: use after free, sleeping in atomic context…
    faults: Vec<String>,
}

/// Where a state of the lifecycle is: what S11 lets come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Introducing,
    Live,
    Removing,
}

/// A state of the system, and how it was reached.
#[derive(Clone, Debug)]
struct System {
    set: usize,
    world: World,
    snapshot: Snapshot,
    stages: BTreeMap<u64, Stage>,
    verdict: Verdict,
    /// Not part of its identity.
    path: Vec<Op>,
}

impl System {
    fn identity(&self) -> impl Hash + PartialEq + '_ {
        (self.set, &self.world, &self.snapshot, &self.stages, &self.verdict)
    }
}

impl Hash for System {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.identity().hash(hasher);
    }
}

impl PartialEq for System {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

/// What an operation did in the model.
struct Done {
    events: Vec<Event>,
    result: Result<(), klp_runtime::error::Error>,
    alloc_failed: bool,
}

/// Does one operation in the model. Modules go as soon as they can.
fn perform(sim: &Sim, set: &PatchSet, op: Op) -> Done {
    let mut alloc_failed = false;
    let insmod_of = |description: Patch, patch: usize| {
        let result = sim.insmod(description);
        if result.is_ok() {
            sim.rmmod_soon(name(patch)).unwrap();
        }
        result
    };
    let insmod = |patch: usize| insmod_of(set[patch].patch(patch), patch);
    let result = match op {
        Op::Insmod(patch) => insmod(patch),
        Op::InsmodInsisting(patch) => insmod_of(set[patch].patch(patch).allow_downgrade(), patch),
        Op::InsmodFailingPre(patch, id) => {
            sim.fail_pre_patch(name(patch), id, EBUSY);
            insmod(patch)
        }
        Op::InsmodFailingPatching(patch) => {
            sim.fail_patching(name(patch), None);
            insmod(patch)
        }
        Op::InsmodFailingInit(patch) => {
            sim.fail_init(name(patch));
            insmod(patch)
        }
        Op::InsmodFailingAlloc(patch, nth) => {
            sim.fail_alloc(nth);
            let result = insmod(patch);
            alloc_failed = !sim.no_alloc_fails();
            result
        }
        Op::Write(patch, on) => sim.write_enabled(name(patch), on),
        Op::Finish => {
            sim.resume();
            sim.stall();
            Ok(())
        }
        Op::Force => {
            sim.force();
            Ok(())
        }
        Op::Target(true) => sim.load_target(TARGET),
        Op::Target(false) => sim.unload_target(TARGET),
    };
    Done { events: sim.take_events(), result, alloc_failed }
}

/// Code of the patches that run gives the object what they have for it.
fn attach(sim: &Sim, set: &PatchSet, world: &mut World) {
    let given = world.to_attach(set);
    for (patch, id) in &given {
        sim.attach(name(*patch), 100 + id, OBJECT).unwrap();
    }
    world.attach(&given);
}

/// S11: whether the calls for each state are a prefix of what they may be.
fn follow(stages: &mut BTreeMap<u64, Stage>, events: &[Event], failed: Option<u64>) -> Option<String> {
    for event in events {
        let Event::Call { callback, state, .. } = event else { continue };
        let next = match (stages.get(state), callback) {
            // A failed `pre_patch` is alone.
            (None, Callback::PrePatch) if failed == Some(*state) => None,
            (None, Callback::PrePatch) => Some(Stage::Introducing),
            (Some(Stage::Introducing | Stage::Removing), Callback::PostPatch) => Some(Stage::Live),
            (Some(Stage::Live), Callback::PreUnpatch) => Some(Stage::Removing),
            (Some(Stage::Introducing | Stage::Removing), Callback::PostUnpatch) => None,
            (stage @ Some(Stage::Live), Callback::TakeOver(_) | Callback::Migrate) => stage.copied(),
            (stage, _) => return Some(format!("{event} in stage {stage:?}")),
        };
        match next {
            Some(stage) => stages.insert(*state, stage),
            None => stages.remove(state),
        };
    }
    None
}

impl Model for Cases {
    type State = System;
    type Action = Op;

    fn init_states(&self) -> Vec<System> {
        let start = |set| System {
            set,
            world: World::default(),
            snapshot: Snapshot::default(),
            stages: BTreeMap::new(),
            verdict: Verdict::default(),
            path: Vec::new(),
        };
        (0..self.sets.len()).map(start).collect()
    }

    fn actions(&self, system: &System, ops: &mut Vec<Op>) {
        // What went wrong is shown by the shortest path to it.
        if system.verdict != Verdict::default() {
            return;
        }
        let (set, world) = (&self.sets[system.set], &system.world);
        for (patch, description) in set.iter().enumerate().filter(|(patch, _)| world.is_loadable(*patch)) {
            ops.push(Op::Insmod(patch));
            if description.series.is_some() {
                ops.push(Op::InsmodInsisting(patch));
            }
            if !world.is_going() {
                let states = &description.states;
                ops.extend(states.iter().map(|state| Op::InsmodFailingPre(patch, state.id)));
                ops.extend([Op::InsmodFailingPatching(patch), Op::InsmodFailingInit(patch)]);
                // The list, the claims, room for the states, and each of them.
                ops.extend((0..3 + states.len()).map(|nth| Op::InsmodFailingAlloc(patch, nth)));
            }
        }
        ops.extend(world.writable().into_iter().map(|(patch, is_on)| Op::Write(patch, !is_on)));
        if self.has_target {
            ops.push(Op::Target(!world.has_target()));
        }
        if world.is_going() {
            ops.push(Op::Finish);
            if self.forces {
                ops.push(Op::Force);
            }
        }
    }

    fn next_state(&self, system: &System, op: Op) -> Option<System> {
        let set = &self.sets[system.set];
        let sim = Sim::new();
        sim.stall();
        let mut world = World::default();
        for earlier in &system.path {
            let done = perform(&sim, set, *earlier);
            let _ = world.step(set, *earlier, done.alloc_failed);
            attach(&sim, set, &mut world);
        }
        let done = perform(&sim, set, op);
        if matches!(op, Op::InsmodFailingAlloc(..)) && !done.alloc_failed {
            // Nothing failed: that is another operation.
            drop((sim.take_faults(), sim));
            return None;
        }
        let (expected, expected_result) = world.step(set, op, done.alloc_failed);
        let happened: Vec<String> = done.events.iter().map(ToString::to_string).collect();

        let mut next = System { world, ..system.clone() };
        next.path.push(op);
        if (&happened, done.result) != (&expected, expected_result) {
            next.verdict.differs =
                Some(format!("{happened:?} {:?}, and not {expected:?} {expected_result:?}", done.result));
        }
        let failed = match op {
            Op::InsmodFailingPre(_, id) if done.result.is_err() => Some(id),
            _ => None,
        };
        next.verdict.asymmetric = follow(&mut next.stages, &done.events, failed);
        if next.verdict == Verdict::default() {
            attach(&sim, set, &mut next.world);
        }
        if next.world.is_idle() {
            next.verdict.lost = sim.leaks();
            if !next.stages.is_empty() {
                next.verdict.asymmetric = Some(format!("never removed: {:?}", next.stages));
            }
        }
        // Modules go as soon as they can.
        let gone = (0..set.len()).filter(|patch| next.world.is_loadable(*patch)).map(name);
        let kept = gone.filter(|module| sim.is_loaded(module));
        next.verdict.lost.extend(kept.map(|module| format!("module {module} is kept")));
        next.snapshot = sim.snapshot().unwrap_or_default();
        next.verdict.faults = sim.take_faults();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "what is called, in which order, is what the rules say",
                |_, system: &System| system.verdict.differs.is_none(),
            ),
            Property::always(
                "calls are symmetric (S11), and states are removed once (S12)",
                |_, system: &System| system.verdict.asymmetric.is_none(),
            ),
            Property::always("nothing is lost (S16)", |_, system: &System| system.verdict.lost.is_empty()),
            Property::always("nothing is touched that is gone", |_, system: &System| {
                system.verdict.faults.is_empty()
            }),
        ]
    }
}

/// Explores all, prints how much that was, and fails with the shortest way to each violation.
fn explore(what: &str, cases: Cases) {
    let nr_sets = cases.sets.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker =
        cases.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{what}: {nr_sets} sets of patches, {} states, {} transitions, depth {}",
        checker.unique_state_count(),
        checker.state_count() - nr_sets,
        checker.max_depth(),
    );
    let mut violated = false;
    for (property, path) in checker.discoveries() {
        violated = true;
        let found = path.last_state();
        println!("violated: {property}\n  by {:#?}", checker.model().sets[found.set]);
        println!("  {:?}\n  {:#?}", found.path, found.verdict);
    }
    assert!(!violated, "the engine does not do what the rules say: see above");
    checker.assert_properties();
}

#[test]
fn three_patches_share_three_states() {
    explore("three states", Cases { sets: sets::three_states(), forces: false, has_target: false });
}

#[test]
fn three_patches_of_many_kinds_share_one_state() {
    explore(
        "one state of many kinds",
        Cases { sets: sets::one_state_of_many_kinds(), forces: true, has_target: false },
    );
}

#[test]
fn three_patches_share_one_state_of_three_versions() {
    let sets = sets::one_state_of_three_versions();
    explore("one state of three versions", Cases { sets, forces: false, has_target: false });
}

#[test]
fn three_patches_share_one_state_of_two_layouts() {
    let sets = sets::one_state_of_two_layouts();
    explore("one state of two layouts", Cases { sets, forces: true, has_target: false });
}

#[test]
fn three_patches_of_two_series() {
    let sets = sets::series_and_revisions();
    explore("series and revisions", Cases { sets, forces: false, has_target: false });
}

#[test]
fn three_patches_that_run_on_their_own() {
    let sets = sets::two_states_and_works();
    explore("two states and works", Cases { sets, forces: true, has_target: false });
}

#[test]
fn three_patches_share_two_states_of_three_kinds() {
    explore(
        "two states of three kinds",
        Cases { sets: sets::two_states_of_three_kinds(), forces: false, has_target: false },
    );
}

#[test]
fn three_patches_share_variables_of_a_module() {
    let sets = sets::one_state_of_a_module();
    explore("one state of a module", Cases { sets, forces: true, has_target: true });
}

#[test]
fn three_patches_share_two_states_of_a_module() {
    let sets = sets::two_states_of_a_module();
    explore("two states of a module", Cases { sets, forces: false, has_target: true });
}
