//! Looks over everything that crosses modules: whether it all is where it should
//! be, and what it amounts to.

use core::ptr;
use std::collections::{BTreeMap, HashSet};
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::current::Current;
use super::module::Module;
use crate::abi::{
    CLAIM_HELD, Claim, LiveState, PatchNode, Phase, REGISTRY_SHADOW_ID, Registry, SHADOW_SLEEPABLE,
    ShadowEntry, ShadowLink,
};

/// What the engine's structures amount to, without addresses: two runs that are
/// equal in it go on in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The patches on the list, newest first.
    pub patches: Vec<PatchSnapshot>,
    /// The live states, by id.
    pub states: Vec<u64>,
    /// The shadow variables of patches: id and object.
    pub shadows: Vec<(u64, usize)>,
    /// The claims of patches that were forced off ([S21](crate::lifecycle#s21)): the state's id and the patch.
    pub kept: Vec<(u64, String)>,
}

/// A patch on the list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PatchSnapshot {
    /// The module's name.
    pub name: String,
    /// What the patch is doing: a [`Phase`].
    pub phase: u32,
    /// The claims that are not given up, in table order.
    pub claims: Vec<ClaimSnapshot>,
}

/// A patch's claim on a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimSnapshot {
    /// The state's id.
    pub state: u64,
    /// How many newer claims the state has.
    pub place: usize,
    /// [`Claim::flags`].
    pub flags: u32,
}

/// Walks the structures; every pointer is looked at before it is followed.
///
/// # Errors
///
/// What is wrong.
pub(super) fn audit(current: &Current, listed: &[Rc<Module>]) -> Result<Snapshot, String> {
    let store = current.machine.store.borrow();
    let memory = current.machine.memory.borrow();
    let modules = current.modules.borrow();
    let mut snapshot = Snapshot::default();
    for (id, obj) in store.keys() {
        if id != REGISTRY_SHADOW_ID {
            snapshot.shadows.push((id, obj));
        }
    }

    let mut claims: HashSet<usize> = HashSet::new();
    let mut nodes: HashSet<usize> = HashSet::new();
    let live = live_states(current)?;
    // SAFETY: The states are live.
    let provided = live.iter().filter(|(_, live)| unsafe { !(***live).claims.is_null() });
    snapshot.states = provided.map(|(id, _)| *id).collect();
    if let Some(registry) = store.get(ptr::null_mut(), REGISTRY_SHADOW_ID) {
        // SAFETY: The store's data of this id are a registry.
        let mut node = unsafe { (*registry.cast::<Registry>()).newest };
        let mut newer: *mut PatchNode = ptr::null_mut();
        // SAFETY: The states are live.
        if node.is_null() && live.values().all(|live| unsafe { (**live).forced.is_null() }) {
            return Err("the list of patches is kept though no patch is on it".into());
        }
        while !node.is_null() {
            let Some(module) = modules.values().find(|module| module.node == node) else {
                return Err("a patch on the list is not loaded".into());
            };
            let name = &module.patch.name;
            // SAFETY: The module is loaded.
            let at = unsafe { &*node };
            if at.newer != newer || !nodes.insert(node as usize) {
                return Err(format!("the list of patches is broken at {name}"));
            }
            let claim_size = at.claim_size as usize;
            let size = at.nr_states * claim_size + at.nr_shadows * size_of::<ShadowLink>();
            if size > 0 && !memory.is_live(at.claims.cast(), size) {
                return Err(format!("the claims of {name} are gone"));
            }
            let mut claimed = Vec::new();
            let mut held = 0;
            for index in 0..at.nr_states {
                // SAFETY: The block is live and large enough.
                let claim = unsafe { &*at.claims.byte_add(index * claim_size) };
                if claim.live.is_null() {
                    continue;
                }
                let id = module.patch.states[index].id;
                if claim.patch != node || live.get(&id) != Some(&claim.live) {
                    return Err(format!("{name} has a claim on what is not state {id}"));
                }
                claims.insert(ptr::from_ref(claim) as usize);
                held += usize::from(claim.flags & CLAIM_HELD != 0);
                claimed.push(ClaimSnapshot { state: id, place: place(claim), flags: claim.flags });
            }
            let is_listed = listed.iter().any(|other| other.node == node);
            if !is_listed && (held == 0 || at.phase != Phase::HELD) {
                return Err(format!("{name} is on the list though the kernel has dropped it"));
            }
            if at.phase == Phase::HELD && module.references(&current.machine) < held {
                return Err(format!("{name} holds a state and is not pinned"));
            }
            snapshot.patches.push(PatchSnapshot {
                name: name.clone(),
                phase: at.phase.number(),
                claims: claimed,
            });
            (newer, node) = (node, at.older);
        }
    }
    if let Some(missing) =
        listed.iter().find(|module| module.is_reserved.get() && !nodes.contains(&(module.node as usize)))
    {
        return Err(format!("{} is enabled and not on the list", missing.patch.name));
    }
    for (id, live) in live {
        // SAFETY: The state is live.
        let (mut claim, mut forced) = unsafe { ((*live).claims, (*live).forced) };
        while !forced.is_null() {
            // SAFETY: The claims of a patch that was forced off stay, and so does its module.
            let (patch, older) = unsafe { ((*forced).patch, (*forced).older) };
            let Some(module) = modules.values().find(|module| module.node == patch) else {
                return Err(format!("state {id} has a claim of a patch that was forced off and is gone"));
            };
            snapshot.kept.push((id, module.patch.name.clone()));
            forced = older;
        }
        // SAFETY: The state is live.
        if claim.is_null() && unsafe { (*live).forced.is_null() } {
            return Err(format!("state {id} is live though no patch provides it"));
        }
        while !claim.is_null() {
            if !claims.contains(&(claim as usize)) {
                return Err(format!("state {id} has a claim of a patch that is not on the list"));
            }
            // SAFETY: It is the claim of a patch on the list.
            claim = unsafe { (*claim).older };
        }
    }
    Ok(snapshot)
}

/// The live states, by their ids.
///
/// # Errors
///
/// What is wrong with their table.
pub(super) fn live_states(current: &Current) -> Result<BTreeMap<u64, *mut LiveState>, String> {
    let memory = current.machine.memory.borrow();
    let mut states = BTreeMap::new();
    let registry = current.machine.shadow_get(ptr::null_mut(), REGISTRY_SHADOW_ID).cast::<Registry>();
    if registry.is_null() {
        return Ok(states);
    }
    // SAFETY: The store's data of this id are a registry.
    let registry = unsafe { &*registry };
    if !memory.is_live(registry.buckets.cast(), registry.nr_buckets * size_of::<*mut LiveState>())
        && registry.nr_buckets > 0
    {
        return Err("the table of live states is gone".into());
    }
    for index in 0..registry.nr_buckets {
        // SAFETY: The table is live and large enough.
        let mut live = unsafe { *registry.buckets.add(index) };
        while !live.is_null() {
            if !memory.is_live(live.cast(), size_of::<LiveState>()) {
                return Err("the table of live states has one that is gone".into());
            }
            // SAFETY: As was just seen.
            let state = unsafe { &*live };
            if states.insert(state.id, live).is_some() {
                return Err(format!("state {} is live twice", state.id));
            }
            live = state.next;
        }
    }
    if states.len() != registry.nr_live {
        return Err(format!("{} states are live, and {} are counted", states.len(), registry.nr_live));
    }
    Ok(states)
}

/// What stays for patches that were forced off ([S21](crate::lifecycle#s21)).
#[derive(Default)]
pub(super) struct Kept {
    /// The blocks of memory.
    pub(super) blocks: HashSet<usize>,
    /// The ids of shadow variables.
    pub(super) shadows: HashSet<u64>,
}

impl Kept {
    fn add_variables(&mut self, current: &Current, entry: &ShadowEntry) {
        let store = current.machine.store.borrow();
        self.shadows.insert(entry.id);
        for data in store.objects(entry.id).into_iter().filter_map(|obj| store.get(obj, entry.id)) {
            self.blocks.insert(data as usize);
            if entry.flags & SHADOW_SLEEPABLE != 0 {
                // SAFETY: A sleepable variable holds a pointer to its box.
                self.blocks.insert(unsafe { data.cast::<usize>().read() });
            }
        }
    }
}

/// What stays for patches that were forced off ([S21](crate::lifecycle#s21)).
pub(super) fn kept(current: &Current) -> Kept {
    let mut kept = Kept::default();
    for live in live_states(current).unwrap_or_default().into_values() {
        // SAFETY: The state is live, and the claims of patches that were forced off stay with it.
        unsafe {
            let mut claim = (*live).forced;
            while !claim.is_null() {
                let array = (*(*claim).patch).claims;
                kept.blocks.extend([live as usize, array as usize, (*claim).data as usize]);
                let mut link = (*claim).shadows;
                while !link.is_null() {
                    kept.add_variables(current, &*(*link).entry);
                    link = (*link).next;
                }
                claim = (*claim).older;
            }
        }
    }
    if !kept.blocks.is_empty() {
        let list = current.machine.shadow_get(ptr::null_mut(), REGISTRY_SHADOW_ID).cast::<Registry>();
        // SAFETY: A state is live, so the list is there.
        kept.blocks.extend([list as usize, unsafe { (*list).buckets } as usize]);
        kept.shadows.insert(REGISTRY_SHADOW_ID);
    }
    kept
}

/// How many claims on the state are newer.
fn place(claim: &Claim) -> usize {
    // SAFETY: The state is live. The chain is looked at to its end or to what is found.
    unsafe {
        let mut at = (*claim.live).claims;
        let mut place = 0;
        while !at.is_null() && !ptr::eq(at, claim) && place < 64 {
            at = (*at).older;
            place += 1;
        }
        if at.is_null() { usize::MAX } else { place }
    }
}
