//! What the engine says in the log: one line a time, without `core::fmt`,
//! whose code would be most of a small patch.

use super::refs::{ClaimRef, LinkRef, PatchRef, Text};

/// Why a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The state has a lower version than it had (S19).
    Version,
    /// The state has a higher version, and the patch does not replace the one that provides it.
    Beside,
    /// The state's data have another layout.
    Layout,
    /// The state has another name.
    Name,
    /// The state belongs to a patch of another series.
    Series,
    /// One of the state's shadow variables has another layout.
    Shadow,
    /// A replace patch would remove a state that is marked `block_disable` (S13).
    Blocked,
    /// A replace patch has a lower revision than one of its series (S20).
    Revision,
    /// It replaces that one, as the administrator says.
    Downgrade,
    /// `pre_patch` or `migrate` failed (S3).
    Failed,
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
    /// The patch was forced off, so what it had stays in memory (S21).
    Forced,
}

/// One line for the log, while what it is about is in place.
#[derive(Clone, Copy, Debug)]
pub struct Report<'lock> {
    reason: Reason,
    /// The patch that calls.
    patch: PatchRef<'lock>,
    /// The other patch.
    other: Option<PatchRef<'lock>>,
    /// The claim on the state that it is about.
    claim: Option<ClaimRef<'lock>>,
    /// The other patch's claim on the state.
    other_claim: Option<ClaimRef<'lock>>,
    /// The shadow variable.
    link: Option<LinkRef<'lock>>,
    /// An error, or the version of the list.
    number: u32,
}

impl<'lock> Report<'lock> {
    /// About a patch as a whole.
    pub(super) fn of_patch(reason: Reason, patch: PatchRef<'lock>, other: Option<PatchRef<'lock>>) -> Self {
        Self { reason, patch, other, claim: None, other_claim: None, link: None, number: 0 }
    }

    /// About a state that the calling patch provides, and another patch's claim on it.
    pub(super) fn of_claim(
        reason: Reason,
        claim: ClaimRef<'lock>,
        other_claim: Option<ClaimRef<'lock>>,
    ) -> Self {
        let about = Self::of_patch(reason, claim.patch(), other_claim.map(ClaimRef::patch));
        Self { claim: Some(claim), other_claim, ..about }
    }

    /// About another patch's state that the calling patch would remove.
    pub(super) fn of_removal(patch: PatchRef<'lock>, claim: ClaimRef<'lock>) -> Self {
        Self { claim: Some(claim), ..Self::of_patch(Reason::Blocked, patch, Some(claim.patch())) }
    }

    /// The same, about a shadow variable.
    pub(super) fn with_link(self, link: LinkRef<'lock>) -> Self {
        Self { link: Some(link), ..self }
    }

    /// The same, with an errno or the version of the list.
    pub(super) fn with_number(self, number: u32) -> Self {
        Self { number, ..self }
    }

    /// Gives the line to `out` in pieces, without a newline.
    pub fn write_to(&self, out: &mut dyn FnMut(&[u8])) {
        name(out, self.patch.title());
        out(b": ");
        for (index, piece) in self.reason.text().split(|byte| *byte == b'%').enumerate() {
            let (letter, rest) = match piece.split_first() {
                Some((letter, rest)) if index > 0 => (*letter, rest),
                _ => (0, piece),
            };
            self.write_letter(letter, out);
            out(rest);
        }
    }

    /// What a letter in a reason's text stands for.
    fn write_letter(&self, letter: u8, out: &mut dyn FnMut(&[u8])) {
        let claim = self.claim;
        match letter {
            b's' => {
                name(out, claim.and_then(ClaimRef::title));
                out(b" (id ");
                number(out, claim.map_or(0, |claim| claim.entry().id));
                out(b")");
            }
            b'S' => name(out, self.other_claim.and_then(ClaimRef::title)),
            b'v' => number(out, claim.map_or(0, |claim| claim.entry().version.into())),
            b'V' => number(out, claim.map_or(0, |claim| claim.live().version().into())),
            b'x' => name(out, self.link.and_then(LinkRef::title)),
            b'i' => number(out, self.link.map_or(0, |link| link.entry().state)),
            b'q' => name(out, self.patch.series()),
            b'r' => number(out, self.patch.revision()),
            b'R' => number(out, self.other.map_or(0, PatchRef::revision)),
            b'a' => number(out, self.patch.abi_version().into()),
            b'A' => number(out, self.other.map_or(0, PatchRef::abi_version).into()),
            b'n' => number(out, self.number.into()),
            b'o' => name(out, self.other.and_then(PatchRef::title)),
            _ => {}
        }
    }
}

impl Reason {
    /// The line behind the patch's name. A letter behind `%` stands for what the line is about:
    ///
    /// | of | here | in the other patch |
    /// | --- | --- | --- |
    /// | the patch: its name, revision, table ABI | `q` is its series, `r`, `a` | `o`, `R`, `A` |
    /// | the state: its name and id, its version | `s`, `v` | `S` without id, `V` |
    /// | the shadow variable: its name, its state's id | `x`, `i` | |
    /// | a number | `n` | |
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Version => b"refused: state %s has version %v, which is lower than version %V of %o",
            Self::Beside => {
                b"refused: state %s has version %v, and version %V in %o, which this patch does not replace"
            }
            Self::Layout => b"refused: state %s has another data layout than in %o",
            Self::Name => b"refused: state %s has the id of state %S of %o",
            Self::Series => b"refused: state %s is also one of %o, which is of another series",
            Self::Shadow => b"refused: state %s has shadow variable %x with another layout than in %o",
            Self::Blocked => b"refused: it lacks state %s of %o, which is marked block_disable",
            Self::Revision => {
                b"refused: revision %r of series %q is lower than %R, that of %o \
                  (klp_allow_downgrade=1 lets it in)"
            }
            Self::Downgrade => b"revision %r of series %q replaces %R, that of %o, by klp_allow_downgrade",
            Self::Failed => b"refused: state %s failed with error %n",
            Self::Duplicate => b"refused: state %s is listed twice",
            Self::NoState => {
                b"refused: shadow variable %x belongs to state %i, which the patch does not list"
            }
            Self::Abi => b"refused: built for table ABI %a, but %o is enabled, built for %A",
            Self::AbiOfList => b"refused: built for table ABI %a, but the list of patches is of %n",
            Self::Corrupt => b"refused: the list of patches is corrupt",
            Self::Held => {
                b"state %s is marked block_disable: it stays, and the module stays loaded, until a patch \
                  that replaces this one takes the state over without block_disable"
            }
            Self::Forced => b"forced: what its states had stays in memory",
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
