//! References to what crosses modules, for who holds the livepatch mutex.
//!
//! The structures of [`crate::abi`] point to each other across modules and change under whoever walks
//! them, which Rust's references forbid. So the engine has thin references of its own. There are two
//! ways to one: from the pointer that the kernel's call comes with, and by following another one. Each
//! lasts as long as the [`LivepatchLock`].
//!
//! # Invariant
//!
//! What a reference points to is in place: a patch that is on the list or is called, a claim of such a
//! patch that is not given up, a state in the table, a link of such a claim. Pointers between them are
//! null or lead to another one that is in place. What takes something away is `unsafe` to call.

use core::ffi::{CStr, c_char, c_void};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use crate::abi::{
    CLAIM_FORCED, CLAIM_HELD, CLAIM_MIGRATED, Claim, DataLayout, DataSlot, LIVE_BLOCKED, LiveState,
    PatchNode, Phase, RawStateContext, Registry, Replace, ShadowEntry, ShadowLink, StateEntry,
};
use crate::module::sys::strcmp;

/// Proof that the kernel's livepatch mutex is held, so that nobody else looks at the structures.
#[derive(Debug)]
pub(super) struct LivepatchLock(PhantomData<*mut ()>);

impl LivepatchLock {
    /// The proof, for as long as the value lives.
    ///
    /// # Safety
    ///
    /// The kernel has called with its livepatch mutex held, and the value does not outlive the call.
    pub(super) const unsafe fn held() -> Self {
        Self(PhantomData)
    }
}

/// Declares a reference: a `value` is read and written as it is, a `link` is followed.
macro_rules! reference {
    (
        $(#[$doc:meta])*
        $reference:ident to $target:ty {
            $(value $value:ident $(/ $set_value:ident)?: $type:ty,)*
            $(link $link:ident $(/ $set_link:ident)?: $to:ident,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) struct $reference<'lock>(NonNull<$target>, PhantomData<&'lock LivepatchLock>);

        impl<'lock> $reference<'lock> {
            /// The reference to where `pointer` leads; none for null.
            ///
            /// # Safety
            ///
            /// The pointer is null or leads to what is in place (invariant), and the livepatch mutex is
            /// held for `'lock`.
            pub(super) unsafe fn follow(pointer: *mut $target) -> Option<Self> {
                NonNull::new(pointer).map(|pointer| Self(pointer, PhantomData))
            }

            /// The pointer itself.
            pub(super) fn as_ptr(self) -> *mut $target {
                self.0.as_ptr()
            }

            $(
                pub(super) fn $value(self) -> $type {
                    // SAFETY: The target is in place (invariant), and the mutex is held.
                    unsafe { (*self.as_ptr()).$value }
                }

                $(
                    pub(super) fn $set_value(self, value: $type) {
                        // SAFETY: The target is in place (invariant), and the mutex is held.
                        unsafe { (*self.as_ptr()).$value = value }
                    }
                )?
            )*

            $(
                pub(super) fn $link(self) -> Option<$to<'lock>> {
                    // SAFETY: The target is in place, and so is what it points to (invariant).
                    unsafe { $to::follow((*self.as_ptr()).$link) }
                }

                $(
                    pub(super) fn $set_link(self, to: Option<$to<'lock>>) {
                        // SAFETY: The target is in place (invariant), and the mutex is held.
                        unsafe { (*self.as_ptr()).$link = to.map_or(ptr::null_mut(), $to::as_ptr) }
                    }
                )?
            )*
        }
    };
}

reference! {
    /// A patch.
    PatchRef to PatchNode {
        value magic: u64,
        value abi_version: u32,
        value flags: u32,
        value replace: Replace,
        value phase / set_phase: Phase,
        value module: *mut c_void,
        value name: *const c_char,
        value revision: u64,
        value claim_size: u32,
        value nr_states: usize,
        value nr_shadows: usize,
        link older / set_older: PatchRef,
        link newer / set_newer: PatchRef,
        link registry / set_registry: ListRef,
    }
}

impl<'lock> PatchRef<'lock> {
    /// The patch whose callback the kernel calls.
    ///
    /// # Safety
    ///
    /// `node` is that of a loaded module, filled in, and what it points to is true.
    pub(super) unsafe fn called(_: &'lock LivepatchLock, node: *mut PatchNode) -> Self {
        // SAFETY: A module's node has an address.
        Self(unsafe { NonNull::new_unchecked(node) }, PhantomData)
    }

    /// The module's name.
    pub(super) fn title(self) -> Text<'lock> {
        // SAFETY: The module of a patch in place is loaded, and has a name.
        unsafe { Text::of(self.name()) }
    }

    /// The series that the patch belongs to ([S20](crate::lifecycle#s20)).
    pub(super) fn series(self) -> Option<Text<'lock>> {
        // SAFETY: The module of a patch in place is loaded.
        unsafe { Text::at((*self.as_ptr()).series) }
    }

    /// Whether tasks may still run its code though it was disabled or replaced ([S21](crate::lifecycle#s21)).
    pub(super) fn is_forced(self) -> bool {
        // SAFETY: Null, or the mark in the module, which is loaded. The kernel writes it with the mutex held.
        unsafe { (*self.as_ptr()).forced.as_ref().is_some_and(|forced| *forced) }
    }

    /// Stops what runs on its own in the patch, if it does not stand still already
    /// ([S17](crate::lifecycle#s17)).
    pub(super) fn stop(self) {
        // SAFETY: The patch is in place (invariant).
        if let Some(stop) = unsafe { (*self.as_ptr()).stop } {
            // SAFETY: The module is loaded, and calls with its own node.
            unsafe { stop(self.as_ptr()) }
        }
    }

    /// Whether the patch has nothing that a stranger could lose ([S14](crate::lifecycle#s14)). Code that runs
    /// on its own has to be stopped by who replaces it ([S17](crate::lifecycle#s17)), which a stranger doesn't
    /// do.
    pub(super) fn has_nothing_to_lose(self) -> bool {
        // SAFETY: The patch is in place (invariant).
        let runs_on_its_own = unsafe { (*self.as_ptr()).stop.is_some() };
        self.nr_states() == 0 && self.nr_shadows() == 0 && self.series().is_none() && !runs_on_its_own
    }

    /// Whether the patch replaces all others.
    pub(super) fn replaces(self) -> bool {
        self.replace() != Replace::NONE
    }

    /// The array of claims; null while the patch is not on the list, or claims nothing.
    pub(super) fn claim_array(self) -> *mut Claim {
        // SAFETY: The patch is in place (invariant).
        unsafe { (*self.as_ptr()).claims }
    }

    pub(super) fn set_claim_array(self, claims: *mut Claim) {
        // SAFETY: The patch is in place (invariant), and the mutex is held.
        unsafe { (*self.as_ptr()).claims = claims }
    }

    /// The claims that are not given up, in table order.
    pub(super) fn claims(self) -> Claims<'lock> {
        Claims { patch: self, last: None, backwards: false }
    }

    /// The claim that follows `last` in the array, or is the first one, of those that are not given up.
    ///
    /// Not inlined: it is called all over the engine.
    #[inline(never)]
    fn claim_after(self, last: Option<ClaimRef<'lock>>, backwards: bool) -> Option<ClaimRef<'lock>> {
        let first = self.claim_array();
        if first.is_null() {
            return None;
        }
        let size = self.claim_size() as usize;
        // The array has a claim for each state, of the size that they have in the patch's runtime.
        let (before, behind) =
            (first.wrapping_byte_sub(size), first.wrapping_byte_add(self.nr_states() * size));
        let (start, end, step) =
            if backwards { (behind, before, size.wrapping_neg()) } else { (before, behind, size) };
        let mut next = last.map_or(start, ClaimRef::as_ptr);
        loop {
            next = next.wrapping_byte_add(step);
            if next == end {
                return None;
            }
            // SAFETY: Within the array. The claims of a patch are in place while it is.
            unsafe {
                if !(*next).live.is_null() && (*next).flags & CLAIM_FORCED == 0 {
                    return ClaimRef::follow(next);
                }
            }
        }
    }

    /// How many of its states were held ([S13](crate::lifecycle#s13)), also of those that another patch has
    /// taken on since.
    pub(super) fn held_claims(self) -> usize {
        let (first, size) = (self.claim_array(), self.claim_size() as usize);
        let count = if first.is_null() { 0 } else { self.nr_states() };
        // SAFETY: The claims of a patch are in place while it is, also those that are given up.
        (0..count).filter(|index| unsafe { (*first.byte_add(index * size)).flags } & CLAIM_HELD != 0).count()
    }

    /// The patches enabled before this one, newest first.
    pub(super) fn older_ones(self) -> impl Iterator<Item = Self> {
        core::iter::successors(self.older(), |patch| patch.older())
    }

    /// The patches enabled before this one, oldest first.
    pub(super) fn oldest_until(self) -> impl Iterator<Item = Self> {
        let oldest = self.older_ones().last();
        core::iter::successors(oldest, |patch| patch.newer()).take_while(move |&patch| patch != self)
    }

    /// The state at `index` of the table.
    ///
    /// # Safety
    ///
    /// The patch has so many states.
    pub(super) unsafe fn state(self, index: usize) -> *const StateEntry {
        // SAFETY: Within the table, whose entries have the size that they have in the patch's runtime.
        unsafe { (*self.as_ptr()).states.byte_add(index * (*self.as_ptr()).state_size as usize) }
    }

    /// The shadow variable at `index` of the table.
    ///
    /// # Safety
    ///
    /// The patch has so many shadow variables.
    pub(super) unsafe fn shadow(self, index: usize) -> *const ShadowEntry {
        // SAFETY: Within the table, whose entries have the size that they have in the patch's runtime.
        unsafe { (*self.as_ptr()).shadows.byte_add(index * (*self.as_ptr()).shadow_size as usize) }
    }
}

/// The claims of a patch that are not given up.
pub(super) struct Claims<'lock> {
    patch: PatchRef<'lock>,
    last: Option<ClaimRef<'lock>>,
    backwards: bool,
}

impl Claims<'_> {
    /// The same in reverse order.
    pub(super) fn rev(self) -> Self {
        Self { backwards: true, ..self }
    }
}

impl<'lock> Iterator for Claims<'lock> {
    type Item = ClaimRef<'lock>;

    #[inline(always)]
    fn next(&mut self) -> Option<ClaimRef<'lock>> {
        self.last = self.patch.claim_after(self.last, self.backwards);
        self.last
    }
}

reference! {
    /// The list of patches and the table of live states.
    ListRef to Registry {
        value magic: u64,
        value abi_version: u32,
        value buckets / set_buckets: *mut *mut LiveState,
        value nr_buckets / set_nr_buckets: usize,
        value nr_live / set_nr_live: usize,
        link newest / set_newest: PatchRef,
    }
}

impl<'lock> ListRef<'lock> {
    /// All patches, newest first.
    pub(super) fn patches(self) -> impl Iterator<Item = PatchRef<'lock>> {
        core::iter::successors(self.newest(), |patch| patch.older())
    }
}

reference! {
    /// A state that is live.
    LiveRef to LiveState {
        value id: u64,
        value version / set_version: u32,
        value flags / set_flags: u32,
        value layout / set_layout: DataLayout,
        value data / set_data: *mut c_void,
        link next / set_next: LiveRef,
        link claims / set_claims: ClaimRef,
        link forced / set_forced: ClaimRef,
    }
}

impl<'lock> LiveRef<'lock> {
    /// The claims of the patches that provide the state, newest first: the first is the owner's.
    pub(super) fn providers(self) -> impl Iterator<Item = ClaimRef<'lock>> {
        core::iter::successors(self.claims(), |claim| claim.older())
    }

    /// The claims of patches that were forced off ([S21](crate::lifecycle#s21)), newest first.
    pub(super) fn forced_claims(self) -> impl Iterator<Item = ClaimRef<'lock>> {
        core::iter::successors(self.forced(), |claim| claim.older())
    }

    /// Whether the state refuses to be removed ([S13](crate::lifecycle#s13)).
    pub(super) fn is_blocked(self) -> bool {
        self.flags() & LIVE_BLOCKED != 0
    }
}

reference! {
    /// That a patch provides a state.
    ClaimRef to Claim {
        value flags / set_flags: u32,
        value data / set_data: *mut c_void,
        link older / set_older: ClaimRef,
        link shadows / set_shadows: LinkRef,
    }
}

impl<'lock> ClaimRef<'lock> {
    /// The patch.
    pub(super) fn patch(self) -> PatchRef<'lock> {
        // SAFETY: A claim is one of a patch in place (invariant).
        unsafe { PatchRef(NonNull::new_unchecked((*self.as_ptr()).patch), PhantomData) }
    }

    /// The state.
    pub(super) fn live(self) -> LiveRef<'lock> {
        // SAFETY: The claim is not given up, so its state is in place (invariant).
        unsafe { LiveRef(NonNull::new_unchecked((*self.as_ptr()).live), PhantomData) }
    }

    /// The state as the patch lists it.
    pub(super) fn entry(self) -> &'lock StateEntry {
        // SAFETY: An entry of the patch's table, which does not change while the patch is in place.
        unsafe { &*(*self.as_ptr()).entry }
    }

    /// By what the patch's code reaches the state.
    pub(super) fn slot(self) -> &'lock DataSlot {
        // SAFETY: A static of the patch's module, which is loaded while the patch is in place.
        unsafe { &*self.entry().slot }
    }

    /// The shadow variables that the patch declares for the state, in table order.
    pub(super) fn links(self) -> impl Iterator<Item = LinkRef<'lock>> {
        core::iter::successors(self.shadows(), |link| link.next())
    }

    /// Whether one of the flags is set.
    pub(super) fn has(self, flags: u32) -> bool {
        self.flags() & flags != 0
    }

    /// Sets flags.
    pub(super) fn mark(self, flags: u32) {
        self.set_flags(self.flags() | flags);
    }

    /// Takes flags back.
    pub(super) fn unmark(self, flags: u32) {
        self.set_flags(self.flags() & !flags);
    }

    /// The claims of the patches that were enabled before and provide the state, newest first.
    pub(super) fn older_ones(self) -> impl Iterator<Item = Self> {
        core::iter::successors(self.older(), |claim| claim.older())
    }

    /// Whether the data of the state, whose version grows, have another layout than the patch's, which it can
    /// make of them ([S22](crate::lifecycle#s22)).
    pub(super) fn migrates(self) -> bool {
        let (from, live) = (&self.entry().from, self.live());
        self.entry().version > live.version()
            && self.entry().layout != live.layout()
            && from.migrate.is_some()
            && (from.version, from.layout) == (live.version(), live.layout())
    }

    /// The data that the patch's code has: the state's, or those that `migrate` has made
    /// ([S22](crate::lifecycle#s22)).
    pub(super) fn own_data(self) -> *mut c_void {
        if self.has(CLAIM_MIGRATED) { self.data() } else { self.live().data() }
    }

    /// Whether the claim's patch owns the state.
    pub(super) fn is_owner(self) -> bool {
        self.live().claims() == Some(self)
    }

    /// Whether no other patch provides the state.
    pub(super) fn is_only(self) -> bool {
        self.is_owner() && self.older().is_none()
    }

    /// The state's name in the patch.
    pub(super) fn title(self) -> Text<'lock> {
        // SAFETY: The table of a patch in place, whose module is loaded; all that is in it has a name.
        unsafe { Text::of(self.entry().name) }
    }

    /// What a callback of the claim's patch is told.
    pub(super) fn context(self) -> RawStateContext {
        RawStateContext { patch: self.patch().name(), state: self.entry() }
    }
}

reference! {
    /// A shadow variable that a claim's patch declares for the state.
    LinkRef to ShadowLink {
        link next / set_next: LinkRef,
        link older / set_older: LinkRef,
        link newer / set_newer: LinkRef,
    }
}

impl<'lock> LinkRef<'lock> {
    /// The variable as the patch lists it.
    pub(super) fn entry(self) -> &'lock ShadowEntry {
        // SAFETY: An entry of the patch's table, which does not change while the patch is in place.
        unsafe { &*(*self.as_ptr()).entry }
    }

    /// The claim.
    pub(super) fn claim(self) -> ClaimRef<'lock> {
        // SAFETY: The link is one of a claim in place (invariant).
        unsafe { ClaimRef(NonNull::new_unchecked((*self.as_ptr()).claim), PhantomData) }
    }

    pub(super) fn set_claim(self, claim: ClaimRef<'lock>) {
        // SAFETY: The link is in place (invariant), and the mutex is held.
        unsafe { (*self.as_ptr()).claim = claim.as_ptr() }
    }

    /// The same variable in the patches before, newest first; last in those that were forced off.
    pub(super) fn older_ones(self) -> impl Iterator<Item = Self> {
        core::iter::successors(self.older(), |link| link.older())
    }

    /// The same variable in the newest patch that declares it: that one decides ([S9](crate::lifecycle#s9)).
    pub(super) fn newest(self) -> Self {
        core::iter::successors(Some(self), |link| link.newer()).last().unwrap_or(self)
    }

    /// Whether a task may still use variables that it got from a patch which was forced off
    /// ([S21](crate::lifecycle#s21)).
    pub(super) fn is_kept(self) -> bool {
        core::iter::once(self).chain(self.older_ones()).any(|link| link.claim().patch().is_forced())
    }

    /// Takes the link from between those of the same variable; whether there are others.
    pub(super) fn unlink(self) -> bool {
        let (older, newer) = (self.older(), self.newer());
        if let Some(older) = older {
            older.set_newer(newer);
        }
        if let Some(newer) = newer {
            newer.set_older(older);
        }
        self.set_older(None);
        self.set_newer(None);
        older.is_some() || newer.is_some()
    }

    /// The variable's name.
    pub(super) fn title(self) -> Text<'lock> {
        // SAFETY: The table of a patch in place, whose module is loaded; all that is in it has a name.
        unsafe { Text::of(self.entry().name) }
    }

    /// The module whose objects have the variable; none where it goes with no module.
    pub(super) fn object(self) -> Option<Text<'lock>> {
        // SAFETY: The table of a patch in place, whose module is loaded.
        unsafe { Text::at(self.entry().object) }
    }
}

/// A name in a table of a module that is loaded for `'lock`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'lock>(NonNull<c_char>, PhantomData<&'lock LivepatchLock>);

impl<'lock> Text<'lock> {
    /// The name at `text`; none for null.
    ///
    /// # Safety
    ///
    /// `text` is null or a string, in a module that is loaded for `'lock`.
    unsafe fn at(text: *const c_char) -> Option<Self> {
        NonNull::new(text.cast_mut()).map(|text| Self(text, PhantomData))
    }

    /// The name at `text`.
    ///
    /// # Safety
    ///
    /// `text` is a string, in a module that is loaded for `'lock`.
    unsafe fn of(text: *const c_char) -> Self {
        // SAFETY: A string has an address.
        Self(unsafe { NonNull::new_unchecked(text.cast_mut()) }, PhantomData)
    }

    /// The string's address.
    pub(super) fn as_ptr(self) -> *const c_char {
        self.0.as_ptr()
    }
}

impl PartialEq for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: Strings, which stay as long as their modules are loaded.
        unsafe { strcmp(self.as_ptr(), other.as_ptr()) == 0 }
    }
}

impl PartialEq<CStr> for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &CStr) -> bool {
        // SAFETY: Strings; the module of the one is loaded.
        unsafe { strcmp(self.as_ptr(), other.as_ptr()) == 0 }
    }
}
