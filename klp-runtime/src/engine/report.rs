//! What the engine says in the log: one line a time, without `core::fmt`,
//! whose code would be most of a small patch.

use core::ffi::{CStr, c_char};
use core::ptr;

use crate::abi::{Claim, PatchNode, ShadowEntry};

/// Why a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The state has a lower version than its owner's.
    Version,
    /// The state's data have another layout.
    Layout,
    /// The state has another name.
    Name,
    /// One of the state's shadow variables has another layout.
    Shadow,
    /// A replace patch would remove a state that is marked `block_disable`.
    Blocked,
    /// The patch lists one id twice.
    Duplicate,
    /// A shadow variable belongs to a state that the patch does not list.
    NoState,
    /// What is on the list was made by another version of the tables.
    Abi,
    /// What is on the list can't be read.
    Corrupt,
    /// A state marked `block_disable` stays though its last patch is disabled (S13).
    Held,
}

/// One line for the log.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Why.
    pub reason: Reason,
    /// The patch that calls.
    pub patch: *const c_char,
    /// The other patch, null where there is none.
    pub other: *const c_char,
    /// The state's name, null where it is not about a state.
    pub state: *const c_char,
    /// The state's name in the other patch, or null.
    pub other_state: *const c_char,
    /// The shadow variable's name, or null.
    pub shadow: *const c_char,
    /// The state's id.
    pub id: u64,
    /// The version here.
    pub ours: u64,
    /// The version in the other patch.
    pub theirs: u64,
}

impl Report {
    /// About a patch as a whole.
    pub(super) unsafe fn of_patch(reason: Reason, node: *mut PatchNode, other: *mut PatchNode) -> Self {
        // SAFETY: By contract of the caller.
        unsafe {
            Self {
                reason,
                patch: (*node).name,
                other: if other.is_null() { ptr::null() } else { (*other).name },
                state: ptr::null(),
                other_state: ptr::null(),
                shadow: ptr::null(),
                id: 0,
                ours: u64::from((*node).abi_version),
                theirs: 0,
            }
        }
    }

    /// About a state that the calling patch provides, and another patch's claim on it or null.
    pub(super) unsafe fn of_claim(reason: Reason, claim: *mut Claim, other: *mut Claim) -> Self {
        // SAFETY: By contract of the caller.
        unsafe {
            let entry = &*(*claim).entry;
            let mut report = Self {
                state: entry.name,
                id: entry.id,
                ours: u64::from(entry.version),
                ..Self::of_patch(reason, (*claim).patch, ptr::null_mut())
            };
            if !other.is_null() {
                report.other = (*(*other).patch).name;
                report.other_state = (*(*other).entry).name;
                report.theirs = u64::from((*(*other).entry).version);
            }
            report
        }
    }

    /// About a shadow variable of the calling patch.
    pub(super) unsafe fn of_shadow(reason: Reason, node: *mut PatchNode, entry: *const ShadowEntry) -> Self {
        // SAFETY: By contract of the caller.
        unsafe {
            Self {
                shadow: (*entry).name,
                id: (*entry).state,
                ..Self::of_patch(reason, node, ptr::null_mut())
            }
        }
    }

    /// About another patch's state that the calling patch would remove.
    pub(super) unsafe fn removal(node: *mut PatchNode, claim: *mut Claim) -> Self {
        // SAFETY: By contract of the caller.
        unsafe {
            Self {
                state: (*(*claim).entry).name,
                id: (*(*claim).entry).id,
                ..Self::of_patch(Reason::Blocked, node, (*claim).patch)
            }
        }
    }

    /// About a state that stays (S13).
    pub(super) unsafe fn held(claim: *mut Claim) -> Self {
        // SAFETY: By contract of the caller.
        unsafe { Self::of_claim(Reason::Held, claim, ptr::null_mut()) }
    }

    /// Gives the line to `out` in pieces, without a newline.
    pub fn write_to(&self, out: &mut dyn FnMut(&[u8])) {
        // SAFETY: The names are strings of loaded modules; the line is written before any goes.
        unsafe {
            name(out, self.patch);
            out(b": ");
            match self.reason {
                Reason::Version => {
                    self.refused(out);
                    out(b" has version ");
                    number(out, self.ours);
                    out(b", which is lower than version ");
                    number(out, self.theirs);
                    out(b" of ");
                    name(out, self.other);
                }
                Reason::Layout => {
                    self.refused(out);
                    out(b" has another data layout than in ");
                    name(out, self.other);
                }
                Reason::Name => {
                    self.refused(out);
                    out(b" has the id of state ");
                    name(out, self.other_state);
                    out(b" of ");
                    name(out, self.other);
                }
                Reason::Shadow => {
                    self.refused(out);
                    out(b" has shadow variable ");
                    name(out, self.shadow);
                    out(b" with another layout than in ");
                    name(out, self.other);
                }
                Reason::Blocked => {
                    out(b"refused: it lacks ");
                    self.state(out);
                    out(b", which ");
                    name(out, self.other);
                    out(b" marks block_disable");
                }
                Reason::Duplicate => {
                    self.refused(out);
                    out(b" is listed twice");
                }
                Reason::NoState => {
                    out(b"refused: shadow variable ");
                    name(out, self.shadow);
                    out(b" belongs to state ");
                    number(out, self.id);
                    out(b", which the patch does not list");
                }
                Reason::Abi => {
                    out(b"refused: built for table ABI ");
                    number(out, self.ours);
                    if !self.other.is_null() {
                        out(b", but ");
                        name(out, self.other);
                        out(b" is enabled, built for ");
                    } else {
                        out(b", but the list of patches is of ");
                    }
                    number(out, self.theirs);
                }
                Reason::Corrupt => out(b"refused: the list of patches is corrupt"),
                Reason::Held => {
                    self.state(out);
                    out(b" is marked block_disable: it stays, and the module stays loaded");
                }
            }
        }
    }

    unsafe fn refused(&self, out: &mut dyn FnMut(&[u8])) {
        out(b"refused: ");
        // SAFETY: By contract of the caller.
        unsafe { self.state(out) }
    }

    #[inline(never)]
    unsafe fn state(&self, out: &mut dyn FnMut(&[u8])) {
        out(b"state ");
        // SAFETY: By contract of the caller.
        unsafe { name(out, self.state) }
        out(b" (id ");
        number(out, self.id);
        out(b")");
    }
}

#[inline(never)]
unsafe fn name(out: &mut dyn FnMut(&[u8]), name: *const c_char) {
    if !name.is_null() {
        // SAFETY: By contract of the caller.
        out(unsafe { CStr::from_ptr(name) }.to_bytes());
    }
}

#[inline(never)]
fn number(out: &mut dyn FnMut(&[u8]), mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    out(digits.get(start..).unwrap_or(&[]));
}
