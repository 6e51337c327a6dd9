//! What one thread's code takes for the kernel.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::fmt::Display;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::collections::HashMap;
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::memory::Memory;
use super::object::Natives;
use super::owner::Owners;
use super::store::Store;
use super::sysfs::Directories;
use super::work::Schedule;
use crate::abi::{ShadowDestructor, SleepableBox};
use crate::alloc::{GFP_ATOMIC, GFP_NOWAIT};
use crate::module::sys::{RawGfp, ShadowConstructor};

/// The halves of slots, for who explores in which order their loads and stores may come.
pub trait Slots {
    /// Loads one, by its address.
    fn load(&self, slot: usize, order: Ordering) -> *mut c_void;

    /// Stores to one, by its address.
    fn store(&self, slot: usize, held: *mut c_void, order: Ordering);
}

/// Memory, shadow variables, references to modules and the log.
///
/// Code of patches runs in the middle of its calls (constructors and
/// destructors) and calls back: no borrow is held across them.
pub(crate) struct Machine {
    /// Whether no model runs on it. The log then goes to standard error, too.
    alone: bool,
    pub(crate) memory: RefCell<Memory>,
    pub(crate) store: RefCell<Store>,
    /// What the slots of loaded modules hold, by address; none where no model runs.
    pub(crate) slots: RefCell<HashMap<usize, *mut c_void>>,
    /// What they are kept in instead, where their interleavings are explored.
    pub(crate) slots_elsewhere: RefCell<Option<Rc<dyn Slots>>>,
    /// The references to each module.
    pub(crate) modules: RefCell<HashMap<usize, usize>>,
    /// What `klp_get_state` and `klp_get_prev_state` find.
    pub(crate) natives: RefCell<Natives>,
    /// Whose code runs.
    pub(crate) owners: Owners,
    /// The work that waits for its time.
    pub(crate) schedule: RefCell<Schedule>,
    /// What is in `/sys/kernel`.
    pub(crate) directories: RefCell<Directories>,
    /// See `sys::PENDING`.
    pub(crate) pending: Cell<*mut SleepableBox>,
    /// Whether the kernel's shadow lock is held.
    locked: Cell<bool>,
    /// See `sys::set_destroying`.
    pub(crate) destroying: Cell<bool>,
    /// Whether a callback runs that the engine watches.
    #[cfg(feature = "sim")]
    watched: Cell<bool>,
    /// How many spinlocks this thread holds.
    pub(crate) spinlocks: Cell<u32>,
    /// How often this thread has turned preemption, softirqs or interrupts off.
    pub(crate) held_up: Cell<u32>,
    /// How many read sides of RCU it is in.
    pub(crate) read_sides: Cell<u32>,
    /// How many allocations succeed before one fails.
    pub(crate) until_failure: Cell<Option<usize>>,
    log: RefCell<Vec<String>>,
    faults: RefCell<Vec<String>>,
}

impl Machine {
    /// A machine on which nothing has happened.
    pub(crate) fn new(alone: bool) -> Self {
        Self {
            alone,
            memory: RefCell::default(),
            store: RefCell::default(),
            slots: RefCell::default(),
            slots_elsewhere: RefCell::default(),
            modules: RefCell::default(),
            natives: RefCell::default(),
            owners: Owners::default(),
            schedule: RefCell::default(),
            directories: RefCell::default(),
            pending: Cell::new(ptr::null_mut()),
            locked: Cell::new(false),
            destroying: Cell::new(false),
            #[cfg(feature = "sim")]
            watched: Cell::new(false),
            spinlocks: Cell::new(0),
            held_up: Cell::new(0),
            read_sides: Cell::new(0),
            until_failure: Cell::new(None),
            log: RefCell::default(),
            faults: RefCell::default(),
        }
    }

    /// Whether no model runs on it.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Notes what must not happen.
    pub(crate) fn fault(&self, fault: impl Display) {
        let fault = format!("{fault}");
        if self.alone {
            std::eprintln!("{fault}");
        }
        self.faults.borrow_mut().push(fault);
    }

    /// The faults since the last call.
    pub(crate) fn take_faults(&self) -> Vec<String> {
        if !self.memory.borrow().is_intact() {
            self.fault("memory was written to after it was freed");
        }
        self.faults.take()
    }

    /// A callback begins, or has returned.
    #[cfg(feature = "sim")]
    pub(crate) fn watch(&self, begins: bool) {
        if self.watched.replace(begins) == begins {
            self.fault("a callback began in another one, or ended twice");
        }
    }

    /// Adds a line to the log.
    pub(crate) fn print(&self, line: String) {
        if self.alone {
            std::eprintln!("{line}");
        }
        self.log.borrow_mut().push(line);
    }

    /// Ends what runs on its own in a module, which starts nothing any more ([S17](crate::lifecycle#s17)).
    #[cfg(feature = "sim")]
    pub(crate) fn stop(&self, owner: super::Owner) {
        self.owners.stop(owner);
        self.schedule.borrow_mut().stop(owner);
        self.directories.borrow_mut().stop(owner);
    }

    /// The lines since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        self.log.take()
    }

    /// Whether the code that runs must not sleep.
    pub(crate) fn is_atomic(&self) -> bool {
        self.locked.get()
            || [&self.spinlocks, &self.held_up, &self.read_sides].iter().any(|count| count.get() > 0)
    }

    pub(crate) fn kmalloc(&self, size: usize, gfp: RawGfp) -> *mut c_void {
        let may_sleep = gfp != GFP_ATOMIC.raw() && gfp != GFP_NOWAIT.raw();
        if may_sleep && self.is_atomic() {
            let place = if self.locked.get() {
                "under the kernel's shadow lock"
            } else if self.spinlocks.get() > 0 {
                "under a spinlock"
            } else if self.held_up.get() > 0 {
                "with preemption, softirqs or interrupts off"
            } else {
                "in a read side of RCU"
            };
            self.fault(format!("an allocation that may sleep was made {place}"));
        }
        if let Some(left) = self.until_failure.get() {
            self.until_failure.set(left.checked_sub(1));
            if left == 0 {
                return ptr::null_mut();
            }
        }
        self.memory.borrow_mut().alloc(size)
    }

    pub(crate) fn kfree(&self, memory: *mut c_void) {
        if !memory.is_null() && !self.memory.borrow_mut().free(memory) {
            self.fault("memory was freed twice, or was not from the kernel's allocator");
        }
    }

    pub(crate) fn shadow_get(&self, obj: *mut c_void, id: u64) -> *mut c_void {
        self.store.borrow().get(obj, id).unwrap_or(ptr::null_mut())
    }

    /// `klp_shadow_get_or_alloc`, or `klp_shadow_alloc` where the caller does not want an old one.
    ///
    /// # Safety
    ///
    /// The constructor is fit for storage of that size.
    #[expect(clippy::too_many_arguments, reason = "they are the kernel's")]
    pub(crate) unsafe fn shadow_add(
        &self,
        obj: *mut c_void,
        id: u64,
        size: usize,
        gfp: RawGfp,
        ctor: Option<ShadowConstructor>,
        ctor_data: *mut c_void,
        or_get: bool,
    ) -> *mut c_void {
        let existing = self.shadow_get(obj, id);
        if !existing.is_null() {
            if or_get {
                return existing;
            }
            self.fault(format!("object {obj:p} was given shadow variable {id:#x} a second time"));
            return ptr::null_mut();
        }
        // The kernel adds its `struct klp_shadow` in this way, too.
        let data = self.kmalloc(size.wrapping_add(48), gfp);
        if data.is_null() {
            return data;
        }
        if let Some(ctor) = ctor {
            // SAFETY: The constructor gets storage of the size that its caller asked for.
            let errno = self.under_the_lock(|| unsafe { ctor(obj, data, ctor_data) });
            if errno != Some(0) {
                self.kfree(data);
                return ptr::null_mut();
            }
        }
        self.store.borrow_mut().insert(obj, id, data);
        data
    }

    /// `klp_shadow_free`.
    ///
    /// # Safety
    ///
    /// The destructor is that of the variable, which nobody uses any more.
    pub(crate) unsafe fn shadow_free(&self, obj: *mut c_void, id: u64, dtor: Option<ShadowDestructor>) {
        let Some(data) = self.store.borrow_mut().remove(obj, id) else { return };
        if let Some(dtor) = dtor {
            // SAFETY: The variable is out of the store, and the destructor is its own.
            self.under_the_lock(|| unsafe { dtor(obj, data) });
        }
        self.kfree(data);
    }

    /// `klp_shadow_free_all`.
    ///
    /// # Safety
    ///
    /// As for [`shadow_free`](Self::shadow_free), of every object.
    pub(crate) unsafe fn shadow_free_all(&self, id: u64, dtor: Option<ShadowDestructor>) {
        let objects = self.store.borrow().objects(id);
        for obj in objects {
            // SAFETY: The caller says of every object what `shadow_free` asks for of one.
            unsafe { self.shadow_free(obj, id, dtor) };
        }
    }

    /// Runs a constructor or destructor as the kernel does; not where the lock is held already.
    fn under_the_lock<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        if self.locked.replace(true) {
            self.fault("deadlock: a shadow variable was made or freed under the kernel's shadow lock");
            return None;
        }
        let result = f();
        self.locked.set(false);
        Some(result)
    }

    pub(crate) fn load_slot(&self, slot: &AtomicPtr<c_void>, order: Ordering) -> *mut c_void {
        let address = ptr::from_ref(slot) as usize;
        if let Some(slots) = self.slots_elsewhere() {
            return slots.load(address, order);
        }
        self.slots.borrow().get(&address).copied().unwrap_or(ptr::null_mut())
    }

    pub(crate) fn store_slot(&self, slot: &AtomicPtr<c_void>, data: *mut c_void, order: Ordering) {
        let address = ptr::from_ref(slot) as usize;
        if let Some(slots) = self.slots_elsewhere() {
            return slots.store(address, data, order);
        }
        match self.slots.borrow_mut().get_mut(&address) {
            Some(held) => *held = data,
            None => self.fault("a state's data were handed to a module that is not loaded"),
        }
    }

    /// What the slots are kept in, if not here. Nothing is borrowed while another thread may run.
    fn slots_elsewhere(&self) -> Option<Rc<dyn Slots>> {
        self.slots_elsewhere.borrow().clone()
    }

    pub(crate) fn module_get(&self, module: usize) {
        match self.modules.borrow_mut().get_mut(&module) {
            Some(references) => *references += 1,
            None => self.fault("a module that is not loaded was pinned"),
        }
    }

    pub(crate) fn module_put(&self, module: usize) {
        match self.modules.borrow_mut().get_mut(&module) {
            Some(references) if *references > 0 => *references -= 1,
            Some(_) => self.fault("a module has lost more references than it had"),
            None => self.fault("a module that is not loaded was unpinned"),
        }
    }
}
