//! [S10](../../docs/lifecycle.md#s10), [S17](../../docs/lifecycle.md#s17), [S18](../../docs/lifecycle.md#s18): a work
//! that runs beside the engine, in every order that the loads and stores of a slot may come in.
//!
//! The engine and the slots are those of a module. What they need of the kernel is as small as can be: memory, and a
//! thread for a work. loom runs the threads in each order that the memory model allows, and fails where the work uses
//! data or a shadow variable that are not made yet, or freed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::panic::Location;
use std::ptr;
use std::rc::Rc;

use klp_runtime::abi::{
    DataLayout, DataSlot, Migration, PatchNode, RawStateContext, Replace, ShadowEntry, StateEntry,
};
use klp_runtime::engine::{Engine, Kernel, Report};
use klp_runtime::sim::{Slots, keep_slots};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicPtr, Ordering};
use loom::thread::{self, JoinHandle};

static ENGINE: Engine<Threads> = Engine::new(Threads);

/// What data and variables hold as long as they are there.
const MADE: u64 = 0x6d61_6465;

/// State data, or a shadow variable. loom sees where one thread reads it and another writes it at the same time.
struct Value(UnsafeCell<u64>);

impl Value {
    fn new() -> Self {
        Self(UnsafeCell::new(MADE))
    }

    fn read(&self) {
        // SAFETY: loom fails where somebody writes.
        self.0.with(|value| assert_eq!(unsafe { *value }, MADE, "it was freed"));
    }

    fn free(&self) {
        // SAFETY: loom fails where somebody reads or writes.
        self.0.with_mut(|value| unsafe { *value = 0 });
    }
}

/// What there is in one run, beside the patches.
#[derive(Default)]
struct World {
    /// Kept until the run is over: a work that should not may look at what is freed.
    memory: Vec<Box<[u64]>>,
    /// The list of patches.
    registry: Option<*mut c_void>,
    slots: HashMap<usize, Rc<AtomicPtr<c_void>>>,
    /// Of data that are made, by their address.
    data: Vec<*mut c_void>,
    /// The shadow variable.
    variable: Option<Rc<Value>>,
    /// The works that run, by their patch's slot.
    works: Vec<(usize, JoinHandle<()>)>,
}

thread_local! {
    // loom runs all its threads on one.
    static WORLD: RefCell<World> = RefCell::default();
}

fn world<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(f)
}

/// loom's atomics, with the order that the runtime asks for or a weaker one.
struct Atomics {
    relaxed: bool,
}

impl Atomics {
    fn at(&self, slot: usize, order: Ordering) -> (Rc<AtomicPtr<c_void>>, Ordering) {
        let atomic = world(|world| Rc::clone(&world.slots[&slot]));
        (atomic, if self.relaxed { Ordering::Relaxed } else { order })
    }
}

impl Slots for Atomics {
    fn load(&self, slot: usize, order: Ordering) -> *mut c_void {
        let (atomic, order) = self.at(slot, order);
        atomic.load(order)
    }

    fn store(&self, slot: usize, held: *mut c_void, order: Ordering) {
        let (atomic, order) = self.at(slot, order);
        atomic.store(held, order);
    }
}

/// The kernel.
struct Threads;

// SAFETY: Memory stays as it is until the run is over, and is aligned to 8 bytes.
unsafe impl Kernel for Threads {
    fn alloc(&self, size: usize) -> *mut c_void {
        let mut memory = vec![0; size.div_ceil(8)].into_boxed_slice();
        let start = memory.as_mut_ptr().cast();
        world(|world| world.memory.push(memory));
        start
    }

    unsafe fn free(&self, memory: *mut c_void) {
        let is_data = world(|world| world.data.contains(&memory));
        if is_data {
            // SAFETY: The memory is that of a value, and stays until the run is over.
            unsafe { (*memory.cast::<Value>()).free() }
        }
    }

    fn shadow_get(&self, _obj: *mut c_void, _id: u64) -> *mut c_void {
        world(|world| world.registry.unwrap_or(ptr::null_mut()))
    }

    fn shadow_alloc(&self, _obj: *mut c_void, _id: u64, size: usize) -> *mut c_void {
        let registry = self.alloc(size);
        world(|world| world.registry = Some(registry));
        registry
    }

    unsafe fn shadow_free(&self, _obj: *mut c_void, _id: u64) {
        world(|world| world.registry = None);
    }

    unsafe fn shadow_free_all(&self, _entry: &ShadowEntry) {
        let variable = world(|world| world.variable.clone());
        variable.expect("a patch has it").free();
    }

    unsafe fn pin(&self, _module: *mut c_void) {}

    unsafe fn unpin(&self, _module: *mut c_void) {}

    unsafe fn drop_reserved_entry(&self, _node: *mut PatchNode) {}

    fn watch(&self, _name: *const c_char) {}

    fn report(&self, report: &Report<'_>) {
        panic!("{report:?}");
    }
}

/// Starts the work of a patch, which looks at the state's data and variable by the patch's slot.
fn start(slot: *const DataSlot) {
    let address = slot as usize;
    let work = move || {
        // SAFETY: The slot is there as long as the run.
        let slot = unsafe { &*(address as *const DataSlot) };
        // SAFETY: Null or a value, which stays until the run is over.
        if let Some(data) = unsafe { slot.get().cast::<Value>().as_ref() } {
            data.read();
        }
        if slot.is_live() {
            let variable = world(|world| world.variable.clone());
            variable.expect("it is made before").read();
        }
    };
    let work = thread::spawn(work);
    world(|world| world.works.push((address, work)));
}

/// Makes data where the engine wants them, while a work runs already.
///
/// # Safety
///
/// As for `pre_patch` in a table.
unsafe fn make(cx: *const RawStateContext, data: *mut c_void) -> c_int {
    // SAFETY: The engine's context and storage.
    unsafe {
        start((*(*cx).state).slot);
        data.cast::<Value>().write(Value::new());
    }
    world(|world| world.data.push(data));
    0
}

/// # Safety
///
/// As for `pre_patch` in a table.
unsafe extern "C" fn pre_patch(cx: *const RawStateContext, data: *mut c_void) -> c_int {
    // SAFETY: The engine calls.
    unsafe { make(cx, data) }
}

/// # Safety
///
/// As for `migrate` in a table.
unsafe extern "C" fn migrate(cx: *const RawStateContext, old: *const c_void, new: *mut c_void) -> c_int {
    // SAFETY: The engine calls, with data that are made.
    unsafe {
        (*old.cast::<Value>()).read();
        make(cx, new)
    }
}

/// Waits for the patch's work, as the glue does.
///
/// # Safety
///
/// As for the function in a patch's node.
unsafe extern "C" fn stop(node: *mut PatchNode) {
    // SAFETY: The patch has a state.
    finish(unsafe { (*(*node).states).slot } as usize);
}

/// Waits for the works of a slot.
fn finish(slot: usize) {
    let all = world(|world| std::mem::take(&mut world.works));
    let (its, others) = all.into_iter().partition(|(of, _)| *of == slot);
    world(|world| world.works = others);
    for (_, work) in its {
        work.join().unwrap();
    }
}

/// A module with a patch that has one state and one shadow variable.
struct Module {
    node: PatchNode,
    slot: DataSlot,
    state: StateEntry,
    shadow: ShadowEntry,
}

impl Module {
    /// Loads it; `version` is the state's, whose data have another layout in each.
    fn load(version: u32) -> Box<Self> {
        let layout = |fingerprint| DataLayout { size: size_of::<Value>(), align: 8, fingerprint };
        let from = match version {
            1 => Migration::NONE,
            _ => Migration { version: version - 1, layout: layout(version.into()), migrate: Some(migrate) },
        };
        let state = StateEntry {
            id: 1,
            version,
            flags: 0,
            name: c"state".as_ptr(),
            layout: layout(u64::from(version) + 1),
            slot: ptr::null(),
            pre_patch: Some(pre_patch),
            post_patch: None,
            pre_unpatch: None,
            post_unpatch: None,
            take_over: None,
            drop_data: None,
            from,
            position: Location::caller(),
        };
        let shadow = ShadowEntry {
            id: 2,
            state: 1,
            flags: 0,
            name: c"variable".as_ptr(),
            of: c"object".as_ptr(),
            object: ptr::null(),
            layout: layout(0),
            destroy: None,
        };
        let mut module = Box::new(Self { node: PatchNode::new(), slot: DataSlot::new(), state, shadow });
        module.state.slot = &raw const module.slot;
        module.node.name = c"patch".as_ptr();
        module.node.replace = Replace::all(version > 1);
        (module.node.states, module.node.nr_states) = (&raw const module.state, 1);
        (module.node.shadows, module.node.nr_shadows) = (&raw const module.shadow, 1);
        let start = &raw const module.slot as usize;
        for half in (start..start + size_of::<DataSlot>()).step_by(size_of::<*mut c_void>()) {
            world(|world| world.slots.insert(half, Rc::new(AtomicPtr::new(ptr::null_mut()))));
        }
        module
    }

    fn stops(mut self: Box<Self>) -> Box<Self> {
        self.node.stop = Some(stop);
        self
    }

    fn enable(&mut self) {
        // SAFETY: As the kernel calls, on one thread.
        unsafe {
            ENGINE.vmlinux_pre_patch(&raw mut self.node, || Ok(())).unwrap();
            ENGINE.vmlinux_post_patch(&raw mut self.node, || ());
        }
    }

    fn disable(&mut self) {
        // SAFETY: As the kernel calls, on one thread.
        unsafe {
            ENGINE.vmlinux_pre_unpatch(&raw mut self.node, || ());
            ENGINE.vmlinux_post_unpatch(&raw mut self.node, || ());
        }
    }

    fn wait(&self) {
        finish(&raw const self.slot as usize);
    }
}

/// Explores what `run` does in a world of its own.
fn explore(relaxed: bool, run: impl Fn() + Sync + Send + 'static) {
    loom::model(move || {
        keep_slots(Rc::new(Atomics { relaxed }));
        let variable = Some(Rc::new(Value::new()));
        WORLD.set(World { variable, ..World::default() });
        run();
        drop(WORLD.take());
    });
}

#[test]
fn s10_s17_s18_a_work_has_what_is_made_and_not_freed() {
    explore(false, || {
        let mut patch = Module::load(1).stops();
        patch.enable();
        patch.disable();
    });
}

#[test]
fn s17_s22_works_of_both_patches_have_their_data() {
    explore(false, || {
        let (mut first, mut next) = (Module::load(1).stops(), Module::load(2).stops());
        first.enable();
        next.enable();
        next.disable();
    });
}

/// What the tests above would not see if a stop that does not wait were not found.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_stop_that_does_not_wait_is_found() {
    explore(false, || {
        let mut patch = Module::load(1);
        patch.enable();
        patch.disable();
        patch.wait();
    });
}

/// The same of a slot that does not publish what it holds.
#[test]
#[should_panic(expected = "Causality violation")]
fn an_order_that_is_too_weak_is_found() {
    explore(true, waited_for);
}

#[test]
fn the_order_that_slots_ask_for_is_enough() {
    explore(false, waited_for);
}

fn waited_for() {
    let mut patch = Module::load(1);
    patch.enable();
    patch.wait();
    patch.disable();
}
