//! What the lifecycle's rules ask for, written from the page and not from the engine.
//!
//! A [`World`] is what an administrator knows: which patches are enabled, in
//! which order, and what is in transition. Each operation says what is to be
//! called, in order, and with what it ends.

use std::collections::{BTreeMap, BTreeSet};

use klp_runtime::error::{EBUSY, EINVAL, ENOMEM, Error};

use crate::sets::{OBJECT, PatchSet, StateOf};

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The module of a patch is loaded.
    Insmod(usize),
    /// The same, and its `pre_patch` of a state fails.
    InsmodFailingPre(usize, u64),
    /// The same, where the administrator insists on a lower revision (S20).
    InsmodInsisting(usize),
    /// The same, and its functions can't be redirected.
    InsmodFailingPatching(usize),
    /// The same, and the kernel can't initialise the patch.
    InsmodFailingInit(usize),
    /// The same, and an allocation fails.
    InsmodFailingAlloc(usize, usize),
    /// 0 or 1 is written to the patch's `enabled`.
    Write(usize, bool),
    /// The transition finishes.
    Finish,
    /// The transition is forced to finish.
    Force,
    /// The module [`TARGET`](crate::sets::TARGET) is loaded, or unloaded.
    Target(bool),
}

/// A transition that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Going {
    patch: usize,
    /// Whether it began as an enable.
    enabling: bool,
    /// Whether it goes to patched.
    patched: bool,
    /// The states that S2 has introduced, in table order.
    introduced: Vec<u64>,
    /// The states of whose data `migrate` has made others (S22), in table order.
    migrated: Vec<u64>,
    /// The states whose `pre_unpatch` was called, and their owners, in that order.
    removing: Vec<(usize, u64)>,
}

/// What the rules know of a state that is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Live {
    /// The highest that a patch has had which provided it (S19).
    version: u32,
    /// Whether `block_disable` holds (S13).
    blocked: bool,
    /// Which layout its data have: whether another than usual.
    other_data: bool,
    /// Whether code that was forced off may use its data (S21).
    used: bool,
}

/// What the rules know of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct World {
    /// The patches that provide something, in the order of enabling; one in transition is among them.
    order: Vec<usize>,
    /// Those of them that are disabled and stay for states that can't be removed (S13).
    held: BTreeMap<usize, BTreeSet<u64>>,
    /// Modules that the kernel keeps for good.
    forced: BTreeSet<usize>,
    /// Those of them that are off, by the states that they provided: their variables stay (S21).
    kept: BTreeMap<u64, BTreeSet<usize>>,
    going: Option<Going>,
    /// The states that were introduced and not removed.
    live: BTreeMap<u64, Live>,
    /// The states whose shadow variable [`OBJECT`] has.
    attached: BTreeSet<u64>,
    /// Whether the target module is loaded.
    has_target: bool,
}

/// What an operation does: what happens, in order, and what it returns.
pub type Outcome = (Vec<String>, Result<(), Error>);

impl World {
    /// Whether the patch's module can be loaded.
    pub fn is_loadable(&self, patch: usize) -> bool {
        !self.order.contains(&patch) && !self.forced.contains(&patch)
    }

    /// The patches whose `enabled` can be written to, and what it is.
    pub fn writable(&self) -> Vec<(usize, bool)> {
        let is_on = |patch| self.going.as_ref().is_none_or(|going| going.patch != patch || going.patched);
        let listed = self.order.iter().filter(|patch| !self.held.contains_key(patch));
        listed.map(|patch| (*patch, is_on(*patch))).collect()
    }

    /// Whether the target module is loaded.
    pub fn has_target(&self) -> bool {
        self.has_target
    }

    /// Whether a transition runs.
    pub fn is_going(&self) -> bool {
        self.going.is_some()
    }

    /// Whether every patch is disabled, and none of them holds a state.
    pub fn is_idle(&self) -> bool {
        self.order.is_empty()
    }

    /// The states whose variable running code of some patch would give [`OBJECT`] now: by that patch.
    pub fn to_attach(&self, set: &PatchSet) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        for patch in self.order.iter().filter(|patch| !self.held.contains_key(patch)) {
            for state in set[*patch].states.iter().filter(|state| state.shadow) {
                // There are no objects of a module that is not there.
                if state.of_target && !self.has_target {
                    continue;
                }
                if !self.attached.contains(&state.id) && !found.iter().any(|(_, id)| *id == state.id) {
                    found.push((*patch, state.id));
                }
            }
        }
        found
    }

    /// They have been given.
    pub fn attach(&mut self, given: &[(usize, u64)]) {
        self.attached.extend(given.iter().map(|(_, id)| id));
    }

    /// Does an operation. `alloc_failed` says whether the allocation that was to fail was made.
    pub fn step(&mut self, set: &PatchSet, op: Op, alloc_failed: bool) -> Outcome {
        let mut calls = Vec::new();
        let result = match op {
            Op::Insmod(patch) => self.enable(set, patch, None, false, &mut calls),
            Op::InsmodInsisting(patch) => self.enable(set, patch, None, true, &mut calls),
            Op::InsmodFailingPre(patch, id) => self.enable(set, patch, Some(id), false, &mut calls),
            Op::InsmodFailingInit(_) => Err(EINVAL),
            Op::InsmodFailingAlloc(..) if alloc_failed => Err(ENOMEM),
            Op::InsmodFailingAlloc(patch, _) => self.enable(set, patch, None, false, &mut calls),
            Op::InsmodFailingPatching(patch) => {
                self.enable(set, patch, None, false, &mut calls).and_then(|()| {
                    self.go_back_on_enable(set, &mut calls);
                    Err(EINVAL)
                })
            }
            Op::Write(patch, on) => self.write(set, patch, on, &mut calls),
            Op::Finish => {
                self.finish(set, &mut calls);
                Ok(())
            }
            Op::Target(true) => {
                self.has_target = true;
                Ok(())
            }
            Op::Target(false) => {
                self.target_goes(set, &mut calls);
                Ok(())
            }
            Op::Force => {
                self.force(set);
                self.finish(set, &mut calls);
                Ok(())
            }
        };
        (calls, result)
    }

    /// The patches that provide a state, in the order of enabling: the last is the owner.
    fn providers(&self, set: &PatchSet, id: u64) -> Vec<usize> {
        let provides = |patch: &&usize| match self.held.get(patch) {
            Some(held) => held.contains(&id),
            None => set[**patch].state(id).is_some(),
        };
        self.order.iter().filter(provides).copied().collect()
    }

    fn enable(
        &mut self,
        set: &PatchSet,
        patch: usize,
        failing: Option<u64>,
        insisting: bool,
        calls: &mut Vec<String>,
    ) -> Result<(), Error> {
        if self.going.is_some() {
            return Err(EBUSY);
        }
        let description = &set[patch];
        if !self.fits(set, patch) || !insisting && self.is_downgrade(set, patch) {
            return Err(EINVAL);
        }
        let removed = if description.replace { self.removed_by(set, patch) } else { Vec::new() };
        // S2, S3, S22.
        let (mut introduced, mut migrated) = (Vec::new(), Vec::new());
        for state in &description.states {
            let made = match self.live.get(&state.id) {
                None => "pre_patch",
                Some(live) if live.other_data != state.other_data => "migrate",
                Some(_) => continue,
            };
            calls.push(call(patch, made, state.id));
            if failing == Some(state.id) {
                self.stop(set, patch, calls);
                for id in introduced.iter().rev() {
                    self.remove(patch, *id, &[patch], calls);
                }
                calls.extend(migrated.iter().map(|id| format!("drop {id}")));
                return Err(EBUSY);
            }
            if made == "migrate" {
                migrated.push(state.id);
            } else {
                introduced.push(state.id);
                let (version, other_data) = (state.version, state.other_data);
                self.live.insert(state.id, Live { version, blocked: false, other_data, used: false });
            }
        }
        // S4.
        for (owner, id) in &removed {
            calls.push(call(*owner, "pre_unpatch", *id));
        }
        self.order.push(patch);
        self.going =
            Some(Going { patch, enabling: true, patched: true, introduced, migrated, removing: removed });
        Ok(())
    }

    /// S1: whether nothing of the patch is refused.
    fn fits(&self, set: &PatchSet, patch: usize) -> bool {
        let description = &set[patch];
        let fits = |state: &StateOf, live: &Live| {
            let others = self.providers(set, state.id);
            let grows = description.replace && state.version > live.version;
            let is_another_series = |other: &usize| match (set[*other].series, description.series) {
                (Some((theirs, _)), Some((ours, _))) => theirs != ours,
                _ => false,
            };
            // Variables that stay for code that was forced off are met as well.
            let kept = self.kept.get(&state.id).into_iter().flatten();
            let declared = others.iter().chain(kept).filter_map(|other| set[*other].state(state.id));
            let mut declared = declared.filter(|theirs| theirs.shadow && state.shadow);
            (grows || state.version == live.version)
                && (state.other_data == live.other_data || grows && state.migrates_from == Some(live.version))
                && !others.iter().any(is_another_series)
                && declared.all(|theirs| theirs.other_layout == state.other_layout)
        };
        let fits = |state: &StateOf| self.live.get(&state.id).is_none_or(|live| fits(state, live));
        let is_lacking = |(id, live): (&u64, &Live)| live.blocked && description.state(*id).is_none();
        description.states.iter().all(fits) && !(description.replace && self.live.iter().any(is_lacking))
    }

    /// S20: whether the patch would replace a higher revision of its series.
    fn is_downgrade(&self, set: &PatchSet, patch: usize) -> bool {
        let Some((series, revision)) = set[patch].series.filter(|_| set[patch].replace) else { return false };
        let enabled = self.order.iter().filter(|other| !self.held.contains_key(other));
        let mut revisions = enabled.filter_map(|other| set[*other].series);
        revisions.any(|(theirs, number)| theirs == series && number > revision)
    }

    /// The states that `patch` would remove by replacing all others: with their owners, in reverse
    /// order of the owners' enabling and of their tables.
    fn removed_by(&self, set: &PatchSet, patch: usize) -> Vec<(usize, u64)> {
        let mut removed = Vec::new();
        for owner in self.order.iter().rev().filter(|owner| **owner != patch) {
            for state in set[*owner].states.iter().rev() {
                if set[patch].state(state.id).is_none() && self.providers(set, state.id).last() == Some(owner)
                {
                    removed.push((*owner, state.id));
                }
            }
        }
        removed
    }

    fn write(
        &mut self,
        set: &PatchSet,
        patch: usize,
        on: bool,
        calls: &mut Vec<String>,
    ) -> Result<(), Error> {
        if let Some(going) = &mut self.going {
            if going.patch != patch {
                return Err(EBUSY);
            }
            going.patched = on;
            return Ok(());
        }
        // S6, S13.
        let mut removing = Vec::new();
        for state in set[patch].states.iter().rev() {
            if self.providers(set, state.id) == [patch] && !self.live[&state.id].blocked {
                calls.push(call(patch, "pre_unpatch", state.id));
                removing.push((patch, state.id));
            }
        }
        self.going = Some(Going {
            patch,
            enabling: false,
            patched: false,
            introduced: Vec::new(),
            migrated: Vec::new(),
            removing,
        });
        Ok(())
    }

    fn force(&mut self, set: &PatchSet) {
        let Some(going) = &self.going else { return };
        if !going.patched {
            self.forced.insert(going.patch);
        } else if set[going.patch].replace {
            // Those that the kernel lists: held ones it has dropped.
            let others = self.order.iter().filter(|other| !self.held.contains_key(other));
            self.forced.extend(others.filter(|other| **other != going.patch));
        }
    }

    fn finish(&mut self, set: &PatchSet, calls: &mut Vec<String>) {
        let Some(going) = self.going.clone() else { return };
        match (going.enabling, going.patched) {
            (true, true) => self.finish_enable(set, &going, calls),
            (true, false) => self.go_back_on_enable(set, calls),
            (false, false) => self.finish_disable(set, &going, calls),
            (false, true) => {
                // S8.
                for (owner, id) in going.removing.iter().rev() {
                    calls.push(call(*owner, "post_patch", *id));
                }
                self.going = None;
            }
        }
    }

    /// S5, and what S13, S19 and S22 say of a state that has one more provider.
    fn finish_enable(&mut self, set: &PatchSet, going: &Going, calls: &mut Vec<String>) {
        let description = &set[going.patch];
        if description.replace {
            let enabled = self.order.iter().rev().filter(|other| !self.held.contains_key(other));
            for other in enabled.filter(|other| **other != going.patch) {
                self.stop(set, *other, calls);
            }
        }
        for (owner, id) in &going.removing {
            let providers = self.providers(set, *id);
            self.remove(*owner, *id, &providers, calls);
            self.free(set, *id, &providers, calls);
        }
        for id in &going.introduced {
            calls.push(call(going.patch, "post_patch", *id));
        }
        for state in &description.states {
            let live = self.live[&state.id];
            if live.version < state.version && !going.migrated.contains(&state.id) {
                calls.push(format!("{} from {}", call(going.patch, "take_over", state.id), live.version));
            }
        }
        for state in &description.states {
            let is_used = self.live[&state.id].used || self.is_any_forced(&self.providers(set, state.id));
            let live = self.live.get_mut(&state.id).expect("an enabled patch provides it");
            live.version = live.version.max(state.version);
            live.blocked = state.block || live.blocked && !description.replace;
            if going.migrated.contains(&state.id) {
                *live = Live { other_data: state.other_data, used: false, ..*live };
                calls.extend((!is_used).then(|| format!("drop {}", state.id)));
            }
        }
        self.going = None;
        if description.replace {
            for other in self.order.clone().into_iter().rev().filter(|other| *other != going.patch) {
                let gone: Vec<u64> = going.removing.iter().map(|(_, id)| *id).collect();
                self.leave(set, other, &gone, &going.migrated, calls);
            }
        }
    }

    /// S7, S17.
    fn go_back_on_enable(&mut self, set: &PatchSet, calls: &mut Vec<String>) {
        let Some(going) = self.going.take() else { return };
        self.stop(set, going.patch, calls);
        for (owner, id) in going.removing.iter().rev() {
            calls.push(call(*owner, "post_patch", *id));
        }
        for id in going.introduced.iter().rev() {
            self.remove(going.patch, *id, &[going.patch], calls);
            self.free(set, *id, &[going.patch], calls);
        }
        if !self.is_any_forced(&[going.patch]) {
            calls.extend(going.migrated.iter().map(|id| format!("drop {id}")));
        }
        self.leave(set, going.patch, &going.introduced, &going.migrated, calls);
    }

    /// The end of S6.
    fn finish_disable(&mut self, set: &PatchSet, going: &Going, calls: &mut Vec<String>) {
        self.stop(set, going.patch, calls);
        for (owner, id) in &going.removing {
            self.remove(*owner, *id, &[*owner], calls);
            self.free(set, *id, &[*owner], calls);
        }
        self.going = None;
        let removed: Vec<u64> = going.removing.iter().map(|(_, id)| *id).collect();
        let only = |state: &&StateOf| {
            self.live.get(&state.id).is_some_and(|live| live.blocked)
                && self.providers(set, state.id) == [going.patch]
        };
        let held: BTreeSet<u64> = set[going.patch].states.iter().filter(only).map(|state| state.id).collect();
        if held.is_empty() {
            self.leave(set, going.patch, &removed, &[], calls);
        } else {
            let gone: Vec<u64> = removed.into_iter().chain(held.iter().copied()).collect();
            self.orphans(set, going.patch, &gone, calls);
            self.keep(set, going.patch, &|id| !held.contains(&id), &[]);
            self.held.insert(going.patch, held);
        }
    }

    /// S17: what runs on its own in the patch ends.
    fn stop(&self, set: &PatchSet, patch: usize, calls: &mut Vec<String>) {
        if set[patch].runs {
            calls.push(format!("{}.stop", name(patch)));
        }
    }

    /// The end of a state: its `post_unpatch`, after which its data are dropped (S10), unless code that was
    /// forced off may use them (S21).
    fn remove(&mut self, owner: usize, id: u64, providers: &[usize], calls: &mut Vec<String>) {
        calls.push(call(owner, "post_unpatch", id));
        let is_used = self.live.remove(&id).is_some_and(|live| live.used);
        if !is_used && !self.is_any_forced(providers) {
            calls.push(format!("drop {id}"));
        }
    }

    /// Whether one of the patches was forced off.
    fn is_any_forced(&self, patches: &[usize]) -> bool {
        patches.iter().any(|patch| self.forced.contains(patch))
    }

    /// A patch is off: it provides nothing any more.
    fn leave(
        &mut self,
        set: &PatchSet,
        patch: usize,
        gone: &[u64],
        migrated: &[u64],
        calls: &mut Vec<String>,
    ) {
        self.orphans(set, patch, gone, calls);
        self.keep(set, patch, &|_| true, migrated);
        self.order.retain(|other| *other != patch);
        self.held.remove(&patch);
    }

    /// S21: what a patch that is forced off had of those of its states that it gives up stays. Of a state that
    /// has `migrated` its code has other data than others.
    fn keep(&mut self, set: &PatchSet, patch: usize, gives_up: &dyn Fn(u64) -> bool, migrated: &[u64]) {
        if !self.forced.contains(&patch) {
            return;
        }
        for state in set[patch].states.iter().filter(|state| gives_up(state.id)) {
            self.kept.entry(state.id).or_default().insert(patch);
            if let Some(live) = self.live.get_mut(&state.id).filter(|_| !migrated.contains(&state.id)) {
                live.used = true;
            }
        }
    }

    /// The variables of states that pass to another patch, which knows nothing of the variable: nobody
    /// but the patch that leaves could free them.
    fn orphans(&mut self, set: &PatchSet, patch: usize, gone: &[u64], calls: &mut Vec<String>) {
        for state in &set[patch].states {
            let providers = self.providers(set, state.id);
            if gone.contains(&state.id) || !providers.contains(&patch) || !state.shadow {
                continue;
            }
            let others = providers.iter().filter(|other| **other != patch);
            let mut others = others.filter_map(|other| set[*other].state(state.id));
            if !others.any(|theirs| theirs.shadow) {
                self.free(set, state.id, &[patch], calls);
            }
        }
    }

    /// S9: a module goes, and with it the variables that their owner declares for its objects. The
    /// kernel says so to the patches that it lists, and these free also for those that are held (S13).
    fn target_goes(&mut self, set: &PatchSet, calls: &mut Vec<String>) {
        self.has_target = false;
        let (held, listed): (Vec<usize>, Vec<usize>) =
            self.order.iter().partition(|patch| self.held.contains_key(patch));
        for patch in listed.into_iter().filter(|patch| set[*patch].states.iter().any(|state| state.of_target))
        {
            let others = held.iter().rev().flat_map(|other| {
                set[*other].states.iter().filter(|state| self.held[other].contains(&state.id))
            });
            let states: Vec<&StateOf> = set[patch].states.iter().chain(others).collect();
            for told in states.into_iter().filter(|state| state.of_target) {
                let providers = self.providers(set, told.id);
                let mut declared = providers.iter().rev().filter_map(|owner| set[*owner].state(told.id));
                if declared.find(|state| state.shadow).is_some_and(|state| state.of_target) {
                    self.free(set, told.id, &providers, calls);
                }
            }
        }
    }

    /// S9: the state's variables are freed, by the destructor of the one that was enabled last of
    /// `providers` that know them.
    fn free(&mut self, set: &PatchSet, id: u64, providers: &[usize], calls: &mut Vec<String>) {
        let declares = |patch: &&usize| set[**patch].state(id).is_some_and(|state| state.shadow);
        let forced = providers.iter().filter(|patch| self.forced.contains(patch));
        if forced.chain(self.kept.get(&id).into_iter().flatten()).any(|patch| declares(&patch)) {
            return;
        }
        if let Some(patch) = providers.iter().rev().find(declares)
            && self.attached.remove(&id)
        {
            calls.push(format!("{}.destroy shadow{} of {OBJECT:#x}", name(*patch), 100 + id));
        }
    }
}

fn call(patch: usize, callback: &str, id: u64) -> String {
    format!("{}.{callback} {id}", name(patch))
}

/// The name of a patch: a, b, c.
pub fn name(patch: usize) -> &'static str {
    ["a", "b", "c"][patch]
}
