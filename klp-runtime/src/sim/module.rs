//! The module of a patch: its node and its tables, in memory that is gone with it.

use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_char, c_void};
use core::ptr;
use std::format;
use std::vec::Vec;

use super::object::LoadedObject;
use super::patch::{Patch, Shadow, Source, State, text};
use super::trace;
use crate::abi::{
    Claim, DataSlot, Migration, PATCH_ALLOW_DOWNGRADE, PatchNode, RESERVED_STATE_ID, Replace, ShadowEntry,
    StateEntry,
};
use crate::host::{HostState, Machine, Owner};

/// A loaded module.
pub(super) struct Module {
    pub(super) patch: Patch,
    pub(super) node: *mut PatchNode,
    /// Its code, as the machine knows it.
    pub(super) owner: Owner,
    pub(super) objects: Vec<LoadedObject>,
    /// What sysfs shows.
    pub(super) enabled: Cell<bool>,
    /// Whether its `klp_patch.states` has the reserved entry ([S14](crate::lifecycle#s14)).
    pub(super) is_reserved: Cell<bool>,
    /// Whether somebody waits for the last reference to go.
    pub(super) going: Cell<bool>,
    /// `klp_patch.forced`.
    forced: *mut bool,
    states: *mut StateEntry,
    shadows: *mut ShadowEntry,
    natives: Vec<*mut HostState>,
    slots: Vec<usize>,
    blocks: RefCell<Vec<*mut c_void>>,
}

impl Module {
    /// Loads a module, as `init` finds it, with one reference for `init`.
    pub(super) fn load(machine: &Machine, patch: Patch, owner: Owner) -> Self {
        let mut blocks = Vec::new();
        let mut place = |size: usize| {
            let block = machine.memory.borrow_mut().alloc(size);
            blocks.push(block);
            block
        };
        let node = place(size_of::<PatchNode>()).cast::<PatchNode>();
        let forced = place(size_of::<bool>()).cast::<bool>();
        let states = place(patch.states.len() * patch.size_of::<StateEntry>()).cast::<StateEntry>();
        let shadows = place(patch.shadows.len() * patch.size_of::<ShadowEntry>()).cast::<ShadowEntry>();
        let mut string = |string: &CStr| {
            let bytes = string.to_bytes_with_nul();
            let copy = place(bytes.len()).cast::<u8>();
            // SAFETY: The block has as many bytes.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len()) };
            copy.cast::<c_char>().cast_const()
        };
        let name = string(&text(&patch.name));
        let series = patch.series.as_ref().map_or(ptr::null(), |series| string(series));
        let names: Vec<_> = patch.states.iter().map(|state| string(&state.name)).collect();
        let shadow_names: Vec<_> = patch
            .shadows
            .iter()
            .map(|shadow| {
                let object = shadow.object.as_ref().map_or(ptr::null(), |object| string(object));
                (string(&shadow.name), string(&shadow.of), object)
            })
            .collect();

        let mut slots = Vec::new();
        for (index, (state, name)) in patch.states.iter().zip(names).enumerate() {
            let slot = match &state.source {
                Source::Crate(entry) => entry.slot,
                Source::Model(_) => place(size_of::<DataSlot>()).cast::<DataSlot>().cast_const(),
            };
            // SAFETY: A static of the crate, or zeroed memory of the module.
            slots.extend(unsafe { &*slot }.halves());
            let mut entry = StateEntry {
                id: state.id,
                version: state.version,
                flags: state.flags,
                name,
                layout: state.layout,
                slot,
                pre_patch: None,
                post_patch: None,
                pre_unpatch: None,
                post_unpatch: None,
                take_over: None,
                drop_data: None,
                from: state.from.map_or(Migration::NONE, |(version, layout)| Migration {
                    version,
                    layout,
                    migrate: Some(trace::migrate),
                }),
                position: core::panic::Location::caller(),
            };
            trace::trace(&mut entry, &state.source);
            // SAFETY: Within the table.
            unsafe { states.byte_add(index * patch.size_of::<StateEntry>()).write(entry) };
        }
        for (index, (shadow, (name, of, object))) in patch.shadows.iter().zip(shadow_names).enumerate() {
            let destroys = shadow.entry.is_none_or(|entry| entry.destroy.is_some());
            let entry = ShadowEntry {
                id: shadow.id,
                state: shadow.state,
                flags: shadow.flags,
                name,
                of,
                object,
                layout: shadow.layout,
                destroy: if destroys { Some(trace::destroy) } else { None },
            };
            // SAFETY: Within the table.
            unsafe { shadows.byte_add(index * patch.size_of::<ShadowEntry>()).write(entry) };
        }
        for slot in &slots {
            let loaded = machine.slots.borrow().contains_key(slot);
            assert!(!loaded, "a crate is in one module: its statics, and so its tables, are there once");
        }
        machine.slots.borrow_mut().extend(slots.iter().map(|slot| (*slot, ptr::null_mut())));
        machine.modules.borrow_mut().insert(node as usize, 1);
        // SAFETY: The block has room for a node.
        unsafe {
            node.write(PatchNode {
                abi_version: patch.abi_version,
                state_size: patch.size_of::<StateEntry>() as u32,
                shadow_size: patch.size_of::<ShadowEntry>() as u32,
                claim_size: patch.size_of::<Claim>() as u32,
                flags: if patch.allows_downgrade { PATCH_ALLOW_DOWNGRADE } else { 0 },
                replace: Replace::all(patch.replace),
                // Only its identity counts: the node's address does.
                module: node.cast(),
                name,
                series,
                revision: patch.revision,
                forced,
                stop: if patch.runs_on_its_own { Some(trace::stop) } else { None },
                states,
                nr_states: patch.states.len(),
                shadows,
                nr_shadows: patch.shadows.len(),
                ..PatchNode::new()
            });
        }

        let natives = patch.native.iter().map(|(id, version)| {
            let state = place(size_of::<HostState>()).cast::<HostState>();
            // SAFETY: The block has room for it.
            unsafe { state.write(HostState { id: *id, version: *version, data: ptr::null_mut() }) };
            state
        });
        let natives = natives.collect();
        let objects = patch.object_names().into_iter().map(LoadedObject::new).collect();
        Self {
            objects,
            enabled: Cell::new(false),
            is_reserved: Cell::new(patch.needs_engine()),
            forced,
            going: Cell::new(false),
            owner,
            node,
            states,
            shadows,
            natives,
            slots,
            blocks: RefCell::new(blocks),
            patch,
        }
    }

    /// Whether the runtime's engine runs in it.
    pub(super) fn has_engine(&self) -> bool {
        self.patch.needs_engine()
    }

    /// Whether the kernel keeps the module for good, as a transition was forced.
    pub(super) fn is_forced(&self) -> bool {
        // SAFETY: The module's memory is there while the module is.
        unsafe { *self.forced }
    }

    /// The kernel keeps the module for good.
    pub(super) fn force(&self) {
        // SAFETY: The module's memory is there while the module is.
        unsafe { *self.forced = true }
    }

    /// The kernel's own table of states: the reserved entry where the engine needs it
    /// ([S14](crate::lifecycle#s14)), then the patch's own.
    pub(super) fn listed_states(&self) -> Vec<(u64, u32)> {
        let reserved = self.is_reserved.get().then_some((RESERVED_STATE_ID, self.patch.abi_version));
        reserved.into_iter().chain(self.patch.native.iter().copied()).collect()
    }

    /// The kernel's own states that the patch lists, but for the reserved one.
    pub(super) fn native_states(&self) -> Vec<*mut HostState> {
        self.natives.clone()
    }

    /// Whether the module's code reaches a state's shadow variables, and its data
    /// ([S18](crate::lifecycle#s18)).
    pub(super) fn reaches(&self, machine: &Machine, state: u64) -> Option<(bool, bool)> {
        let index = self.patch.states.iter().position(|other| other.id == state)?;
        let slots = machine.slots.borrow();
        let is_full =
            |half: usize| slots.get(&self.slots[2 * index + half]).is_some_and(|held| !held.is_null());
        Some((is_full(0), is_full(1)))
    }

    /// How many refer to it.
    pub(super) fn references(&self, machine: &Machine) -> usize {
        machine.modules.borrow().get(&(self.node as usize)).copied().unwrap_or(0)
    }

    /// How many blocks of memory are its own.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.borrow().len()
    }

    /// The state whose entry is at an address.
    pub(super) fn state_at(&self, address: usize) -> Option<&State> {
        self.patch.states.get(index_of(self.states as usize, self.patch.size_of::<StateEntry>(), address)?)
    }

    /// The shadow variable whose entry is at an address.
    pub(super) fn shadow_at(&self, address: usize) -> Option<&Shadow> {
        self.patch.shadows.get(index_of(self.shadows as usize, self.patch.size_of::<ShadowEntry>(), address)?)
    }

    /// Gives the module's memory up, and what the machine knows of it.
    pub(super) fn unload(&self, machine: &Machine) {
        if let Some(exit) = self.patch.exit {
            // SAFETY: As the glue calls it: the patch is not enabled.
            machine.owners.run(self.owner, || unsafe { exit() });
        }
        machine.stop(self.owner);
        for slot in &self.slots {
            let held = machine.slots.borrow_mut().remove(slot);
            if held.is_some_and(|data| !data.is_null()) {
                machine.fault(format!("{} was unloaded while it had a state's data", self.patch.name));
            }
        }
        machine.modules.borrow_mut().remove(&(self.node as usize));
        for block in self.blocks.take() {
            machine.kfree(block);
        }
    }
}

/// Which entry of a table is at an address.
fn index_of(table: usize, size: usize, address: usize) -> Option<usize> {
    let offset = address.checked_sub(table)?;
    (offset % size == 0).then_some(offset / size)
}
