//! What the engine says in the log: one line a time, without `core::fmt`,
//! whose code would be most of a small patch.

use super::refs::{ClaimRef, LinkRef, PatchRef, Text};

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
    /// A patch on the list was made by a version of the tables that is not understood (S23).
    Abi,
    /// The list was.
    AbiOfList,
    /// What is on the list can't be read.
    Corrupt,
    /// A state marked `block_disable` stays though its last patch is disabled (S13).
    Held,
}

/// One line for the log.
#[derive(Clone, Copy, Debug)]
pub struct Report<'lock> {
    /// Why.
    pub reason: Reason,
    /// The patch that calls.
    pub patch: Option<Text<'lock>>,
    /// The other patch, null where there is none.
    pub other: Option<Text<'lock>>,
    /// The state's name, null where it is not about a state.
    pub state: Option<Text<'lock>>,
    /// The state's name in the other patch, or null.
    pub other_state: Option<Text<'lock>>,
    /// The shadow variable's name, or null.
    pub shadow: Option<Text<'lock>>,
    /// The state's id.
    pub id: u64,
    /// The version here.
    pub ours: u64,
    /// The version in the other patch.
    pub theirs: u64,
}

impl<'lock> Report<'lock> {
    /// About a patch as a whole.
    pub(super) fn of_patch(reason: Reason, patch: PatchRef<'lock>, other: Option<PatchRef<'lock>>) -> Self {
        Self {
            reason,
            patch: patch.title(),
            other: other.and_then(PatchRef::title),
            state: None,
            other_state: None,
            shadow: None,
            id: 0,
            ours: u64::from(patch.abi_version()),
            theirs: 0,
        }
    }

    /// About a state that the calling patch provides, and another patch's claim on it.
    pub(super) fn of_claim(reason: Reason, claim: ClaimRef<'lock>, other: Option<ClaimRef<'lock>>) -> Self {
        let entry = claim.entry();
        let mut report = Self {
            state: claim.title(),
            id: entry.id,
            ours: u64::from(entry.version),
            ..Self::of_patch(reason, claim.patch(), other.map(ClaimRef::patch))
        };
        if let Some(other) = other {
            report.other_state = other.title();
            report.theirs = u64::from(other.entry().version);
        }
        report
    }

    /// About a shadow variable whose state the calling patch does not list.
    pub(super) fn stateless(patch: PatchRef<'lock>, link: LinkRef<'lock>) -> Self {
        let about = Self::of_patch(Reason::NoState, patch, None);
        Self { shadow: link.title(), id: link.entry().state, ..about }
    }

    /// About another patch's state that the calling patch would remove.
    pub(super) fn removal(patch: PatchRef<'lock>, claim: ClaimRef<'lock>) -> Self {
        let entry = claim.entry();
        let about = Self::of_patch(Reason::Blocked, patch, Some(claim.patch()));
        Self { state: claim.title(), id: entry.id, ..about }
    }

    /// Gives the line to `out` in pieces, without a newline.
    pub fn write_to(&self, out: &mut dyn FnMut(&[u8])) {
        name(out, self.patch);
        out(b": ");
        for (index, piece) in self.reason.text().split(|byte| *byte == b'%').enumerate() {
            let (letter, rest) = match piece.split_first() {
                Some((letter, rest)) if index > 0 => (*letter, rest),
                _ => (0, piece),
            };
            match letter {
                b's' => self.state(out),
                b'o' => name(out, self.other),
                b'S' => name(out, self.other_state),
                b'v' => name(out, self.shadow),
                b'i' => number(out, self.id),
                b'n' => number(out, self.ours),
                b't' => number(out, self.theirs),
                _ => {}
            }
            out(rest);
        }
    }

    fn state(&self, out: &mut dyn FnMut(&[u8])) {
        out(b"state ");
        name(out, self.state);
        out(b" (id ");
        number(out, self.id);
        out(b")");
    }
}

impl Reason {
    /// The line behind the patch's name, with a letter behind `%` for what is in the report: the
    /// `s`tate, its name in the `o`ther patch (`S`), that patch, the shadow `v`ariable, the state's `i`d,
    /// the `n`umber here and `t`here.
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Version => b"refused: %s has version %n, which is lower than version %t of %o",
            Self::Layout => b"refused: %s has another data layout than in %o",
            Self::Name => b"refused: %s has the id of state %S of %o",
            Self::Shadow => b"refused: %s has shadow variable %v with another layout than in %o",
            Self::Blocked => b"refused: it lacks %s, which %o marks block_disable",
            Self::Duplicate => b"refused: %s is listed twice",
            Self::NoState => {
                b"refused: shadow variable %v belongs to state %i, which the patch does not list"
            }
            Self::Abi => b"refused: built for table ABI %n, but %o is enabled, built for %t",
            Self::AbiOfList => b"refused: built for table ABI %n, but the list of patches is of %t",
            Self::Corrupt => b"refused: the list of patches is corrupt",
            Self::Held => b"%s is marked block_disable: it stays, and the module stays loaded",
        }
    }
}

#[inline(never)]
fn name(out: &mut dyn FnMut(&[u8]), name: Option<Text<'_>>) {
    if let Some(name) = name {
        out(name.as_c_str().to_bytes());
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
