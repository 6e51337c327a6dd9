//! States: changes of the system that a patch makes beyond redirecting functions.

use core::ffi::{CStr, c_int, c_void};
use core::fmt;

use crate::abi::{self, DataLayout, DataSlot, Migration, RawStateContext, StateEntry};
use crate::error::Result;
use crate::layout::KlpData;

/// A change of the system, with callbacks for when it is introduced and removed.
///
/// Implement it with [`#[klp_state(id = …, version = …)]`](macro@crate::klp_state)
/// on the `impl` block: the attribute fills in [`ID`](Self::ID),
/// [`VERSION`](Self::VERSION) and [`NAME`](Self::NAME), and only the methods
/// that are written become callbacks.
///
/// A state is *introduced* by the first enabled patch that provides it and
/// *removed* with the last one, so a cumulative patch that replaces another and
/// provides the same state calls nothing: the change stays in place and its
/// [`Data`](Self::Data) are handed on. A `static` of the patch is not: it is
/// gone with its module. Counters, locks and saved values that successive
/// patches share therefore belong in `Data`.
///
/// All callbacks run in process context and may sleep. The kernel's livepatch
/// mutex is held: they must not enable or disable patches, load or unload
/// modules (`request_module`, also inside what they call), or wait for a task
/// that does, or every later load of a module hangs. So does every load while a
/// callback runs: one that has not returned after five seconds is named in the
/// log.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state",
    label = "not a state",
    note = "write `#[klp_state(id = …, version = …)]` above `impl State for {Self} {{ … }}`"
)]
pub trait State: DeclaredState {
    /// The state's id: the same id in two patches is the same state.
    const ID: u64 = Self::__ID;
    /// This patch's version of the state.
    const VERSION: u32 = Self::__VERSION;
    /// The state's name, by default that of the type.
    const NAME: &'static CStr = Self::__NAME;
    /// What `#[shadow]` looks at ([S18](crate::lifecycle#s18)).
    #[doc(hidden)]
    const SLOT: *const DataSlot = Self::__SLOT;

    /// What lives as long as the state, outside the module, across atomic
    /// replace and the unloading of the patch that introduced it ([S10](crate::lifecycle#s10)).
    /// `()` when left out.
    type Data: KlpData;

    /// The state is introduced; no function is redirected yet. Makes the state's data: a state that has data must
    /// write it.
    ///
    /// # Errors
    ///
    /// An error refuses the patch: states introduced before it are taken back
    /// with [`post_unpatch`](Self::post_unpatch), and `insmod` fails with it ([S3](crate::lifecycle#s3)).
    fn pre_patch(cx: &StateContext<'_>) -> Result<Self::Data> {
        let _ = cx;
        let make = const { Self::Data::__MAKE.expect("nothing makes the state's data: write `pre_patch`") };
        Ok(make())
    }

    /// The state is introduced and every task runs the new code. Also called
    /// when a removal that had begun is taken back ([S7](crate::lifecycle#s7), [S8](crate::lifecycle#s8)).
    fn post_patch(cx: &StateContext<'_>, data: &Self::Data) {
        let _ = (cx, data);
    }

    /// The state is being removed; every task still runs the new code.
    fn pre_unpatch(cx: &StateContext<'_>, data: &Self::Data) {
        let _ = (cx, data);
    }

    /// The state is removed and no task runs the removed code. The data are
    /// dropped right after.
    fn post_unpatch(cx: &StateContext<'_>, data: &Self::Data) {
        let _ = (cx, data);
    }

    /// The state continues in this patch, whose version of it is higher than
    /// `from`, that of the patch which owned it; every task runs the new code.
    fn take_over(cx: &StateContext<'_>, data: &Self::Data, from: u32) {
        let _ = (cx, data, from);
    }

    /// Calls `f` with the state's data, from anywhere in the patch's code. `None`, without calling it, unless the
    /// patch provides the live state ([S18](crate::lifecycle#s18)): in an init hook, for a state that the init hook
    /// left out, while `pre_patch` or `migrate` makes the data, and after the patch was disabled or replaced.
    ///
    /// One load and a comparison. The data stay while `f` runs: they are dropped once no task runs the patch's
    /// functions and its works and files of sysfs are stopped ([S17](crate::lifecycle#s17)).
    #[inline]
    fn with_data<R>(f: impl FnOnce(&Self::Data) -> R) -> Option<R> {
        // SAFETY: `__SLOT` is the address of a static.
        let data = unsafe { (*Self::__SLOT).get() }.cast::<Self::Data>();
        // SAFETY: The engine keeps the data of a live state here, and removes a
        // state only when no task runs code of the patch.
        unsafe { data.as_ref() }.map(f)
    }
}

/// What [`#[klp_state]`](macro@crate::klp_state) says of a state; apart from [`State`], so that an `impl State`
/// without the attribute is an error that says so.
///
/// # Safety
///
/// The slot is that of this type's entry in the table, which the engine fills with data of [`State::Data`].
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`#[klp_state]` is missing above `impl State for {Self}`",
    label = "a state without an id",
    note = "write `#[klp_state(id = …, version = …)]` above the `impl`"
)]
pub unsafe trait DeclaredState: Sized + 'static {
    const __ID: u64;
    const __VERSION: u32;
    const __NAME: &'static CStr;
    /// Where the engine leaves the address of the state's data.
    const __SLOT: *const DataSlot;
}

/// How a state's data are made of those of an earlier version, which had another layout
/// ([S22](crate::lifecycle#s22)).
///
/// [`#[klp_state(…, from(version = …, data = …))]`](macro@crate::klp_state) makes it of the function
/// `migrate` in the state's `impl` block. Without it such a state is refused ([S1](crate::lifecycle#s1)).
pub trait Migrate: State {
    /// The version that has the old data.
    const FROM: u32;
    /// The old data.
    type From: KlpData;

    /// The state continues in this patch, and its data get another layout; no function is redirected
    /// yet. Makes the new data. Called instead of [`take_over`](State::take_over).
    ///
    /// Old code goes on with the old data, new code has the new, until the transition ends and the old
    /// are dropped. Where the patch is taken back, the new ones are dropped.
    ///
    /// # Errors
    ///
    /// An error refuses the patch, as one of [`pre_patch`](State::pre_patch) does ([S3](crate::lifecycle#s3)).
    fn migrate(cx: &StateContext<'_>, old: &Self::From) -> Result<Self::Data>;
}

/// What a callback is told about the call.
#[derive(Clone, Copy)]
pub struct StateContext<'a>(&'a RawStateContext);

impl StateContext<'_> {
    /// The name of the patch whose implementation is called.
    #[must_use]
    pub fn patch_name(&self) -> &CStr {
        // SAFETY: The engine passes a string that lives as long as the patch is on its list.
        unsafe { CStr::from_ptr(self.0.patch) }
    }

    /// The state's name.
    #[must_use]
    pub fn state_name(&self) -> &CStr {
        // SAFETY: A constant of the module whose implementation is called.
        unsafe { CStr::from_ptr(self.entry().name) }
    }

    /// The state's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.entry().id
    }

    /// The version of the state in the patch whose implementation is called.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.entry().version
    }

    fn entry(&self) -> &StateEntry {
        // SAFETY: The engine passes an entry of the patch's table.
        unsafe { &*self.0.state }
    }
}

impl fmt::Debug for StateContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateContext")
            .field("patch", &self.patch_name())
            .field("state", &self.state_name())
            .finish()
    }
}

/// `#[klp_state(…, block_disable)]`.
#[doc(hidden)]
pub const BLOCK_DISABLE: u32 = abi::STATE_BLOCK_DISABLE;

impl StateEntry {
    /// The entry of `S`, with no callback but the ones that its data need.
    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn of<S: State>(flags: u32) -> Self {
        Self {
            id: S::ID,
            version: S::VERSION,
            flags,
            name: S::NAME.as_ptr(),
            layout: DataLayout::of::<S::Data>(),
            slot: S::__SLOT,
            pre_patch: if size_of::<S::Data>() == 0 { None } else { crate::__callback!(pre_patch::<S>) },
            post_patch: None,
            pre_unpatch: None,
            post_unpatch: None,
            take_over: None,
            drop_data: if core::mem::needs_drop::<S::Data>() {
                crate::__callback!(drop_data::<S>)
            } else {
                None
            },
            from: Migration::NONE,
            #[cfg(not(target_os = "none"))]
            position: core::panic::Location::caller(),
        }
    }

    /// The entry of the state that a shadow variable with an `id` of its own lives with.
    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn implicit(id: u64, version: u32, name: &'static CStr, slot: *const DataSlot) -> Self {
        Self {
            id,
            version,
            flags: 0,
            name: name.as_ptr(),
            layout: DataLayout::of::<()>(),
            slot,
            pre_patch: None,
            post_patch: None,
            pre_unpatch: None,
            post_unpatch: None,
            take_over: None,
            drop_data: None,
            from: Migration::NONE,
            #[cfg(not(target_os = "none"))]
            position: core::panic::Location::caller(),
        }
    }
}

/// Calls `S::pre_patch` and puts what it returns at `data`.
///
/// # Safety
///
/// The engine calls it, with a context that lives as long as the call and storage of the layout that the entry asks
/// for.
#[doc(hidden)]
pub unsafe extern "C" fn pre_patch<S: State>(cx: *const RawStateContext, data: *mut c_void) -> c_int {
    // SAFETY: The engine passes a context that lives as long as the call.
    match S::pre_patch(&StateContext(unsafe { &*cx })) {
        Ok(made) => {
            // SAFETY: The engine passes storage of the layout that the entry asks for.
            unsafe { data.cast::<S::Data>().write(made) };
            0
        }
        Err(error) => error.to_errno(),
    }
}

macro_rules! trampoline {
    ($name:ident) => {
        #[doc = concat!("Calls `S::", stringify!($name), "`.")]
        ///
        /// # Safety
        ///
        /// The engine calls it, with a context that lives as long as the call and the data of the live state.
        #[doc(hidden)]
        pub unsafe extern "C" fn $name<S: State>(cx: *const RawStateContext, data: *mut c_void) {
            // SAFETY: The engine passes a context that lives as long as the call, and data of a live state,
            // made by a `pre_patch` or a `migrate` of the same layout.
            unsafe { S::$name(&StateContext(&*cx), &*data.cast::<S::Data>()) }
        }
    };
}

trampoline!(post_patch);
trampoline!(pre_unpatch);
trampoline!(post_unpatch);

/// Calls `S::take_over`.
///
/// # Safety
///
/// The engine calls it, with a context that lives as long as the call and the data of the live state.
#[doc(hidden)]
pub unsafe extern "C" fn take_over<S: State>(cx: *const RawStateContext, data: *mut c_void, from: u32) {
    // SAFETY: The engine passes a context that lives as long as the call, and data of a live state, made by a
    // `pre_patch` or a `migrate` of the same layout.
    unsafe { S::take_over(&StateContext(&*cx), &*data.cast::<S::Data>(), from) }
}

impl Migration {
    /// That of `S`, for the field `from` of its entry.
    #[doc(hidden)]
    #[must_use]
    pub const fn of<S: Migrate>() -> Self {
        Self {
            version: S::FROM,
            layout: DataLayout::of::<S::From>(),
            migrate: crate::__callback!(migrate::<S>),
        }
    }
}

/// Calls `S::migrate` and puts what it returns at `new`.
///
/// # Safety
///
/// The engine calls it, with a context that lives as long as the call, data of the layout of the entry's
/// `from`, and storage of the layout that the entry asks for.
unsafe extern "C" fn migrate<S: Migrate>(
    cx: *const RawStateContext,
    old: *const c_void,
    new: *mut c_void,
) -> c_int {
    // SAFETY: The engine passes a context that lives as long as the call, and data of the layout that
    // the entry's `from` asks for.
    match unsafe { S::migrate(&StateContext(&*cx), &*old.cast::<S::From>()) } {
        Ok(made) => {
            // SAFETY: The engine passes storage of the layout that the entry asks for.
            unsafe { new.cast::<S::Data>().write(made) };
            0
        }
        Err(error) => error.to_errno(),
    }
}

/// Drops `S::Data` in place.
///
/// # Safety
///
/// The engine calls it once for data that `pre_patch` or `migrate` made.
unsafe extern "C" fn drop_data<S: State>(data: *mut c_void) {
    // SAFETY: The engine calls it once for data that `pre_patch` made.
    unsafe { data.cast::<S::Data>().drop_in_place() }
}
