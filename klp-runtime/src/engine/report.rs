//! What the engine says in the log: one line a time, without `core::fmt`,
//! whose code would be most of a small patch.

use super::refs::{ClaimRef, LinkRef, PatchRef, Text};

/// Why a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The state has a lower version than it had ([S19](crate::lifecycle#s19)).
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
    /// A replace patch would remove a state that is marked `block_disable` ([S13](crate::lifecycle#s13)).
    Blocked,
    /// A replace patch has a lower revision than one of its series ([S20](crate::lifecycle#s20)).
    Revision,
    /// It replaces that one, as the administrator says.
    Downgrade,
    /// `pre_patch` or `migrate` failed ([S3](crate::lifecycle#s3)).
    Failed,
    /// The patch lists one id twice.
    Duplicate,
    /// A shadow variable belongs to a state that the patch does not list.
    NoState,
    /// A patch on the list was made by a version of the tables that is not understood
    /// ([S23](crate::lifecycle#s23)).
    Abi,
    /// The list was.
    AbiOfList,
    /// What is on the list can't be read.
    Corrupt,
    /// A state marked `block_disable` stays though its last patch is disabled ([S13](crate::lifecycle#s13)).
    Held,
    /// The patch was forced off, so what it had stays in memory ([S21](crate::lifecycle#s21)).
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
    pub(super) claim: Option<ClaimRef<'lock>>,
    /// The other patch's claim on the state.
    other_claim: Option<ClaimRef<'lock>>,
    /// The shadow variable.
    pub(super) link: Option<LinkRef<'lock>>,
    /// An error, or the version of the list.
    pub(super) number: u32,
}

// Not inlined: they are called all over the engine, and seldom at run time.
impl<'lock> Report<'lock> {
    /// About a patch as a whole.
    #[inline(never)]
    pub(super) fn of_patch(reason: Reason, patch: PatchRef<'lock>, other: Option<PatchRef<'lock>>) -> Self {
        Self { reason, patch, other, claim: None, other_claim: None, link: None, number: 0 }
    }

    /// About a state that the calling patch provides, and another patch's claim on it.
    #[inline(never)]
    pub(super) fn of_claim(
        reason: Reason,
        claim: ClaimRef<'lock>,
        other_claim: Option<ClaimRef<'lock>>,
    ) -> Self {
        let about = Self::of_patch(reason, claim.patch(), other_claim.map(ClaimRef::patch));
        Self { claim: Some(claim), other_claim, ..about }
    }

    /// Gives the line to `out` in pieces, without a newline.
    pub fn write_to(&self, out: &mut dyn FnMut(&[u8])) {
        self.write(b"%p: ", out);
        self.write(self.reason.text(), out);
    }

    /// Writes a text like a reason's.
    #[inline(never)]
    fn write(&self, text: &[u8], out: &mut dyn FnMut(&[u8])) {
        for (index, piece) in text.split(|byte| *byte == b'%').enumerate() {
            let (letter, rest) = match piece.split_first() {
                Some((letter, rest)) if index > 0 => (*letter, rest),
                _ => (0, piece),
            };
            match letter {
                b'!' => out(b"refused: "),
                b's' => self.write(b"state %k (id %i)", out),
                _ => self.value(letter).write(out),
            }
            out(rest);
        }
    }

    /// What a letter in a reason's text stands for.
    fn value(&self, letter: u8) -> Value<'lock> {
        let (patch, other, claim) = (self.patch, self.other, self.claim);
        match letter {
            b'p' => Value::Text(patch.title()),
            b'o' => Value::Text(other.and_then(PatchRef::title)),
            b'q' => Value::Text(patch.series()),
            b'k' => Value::Text(claim.and_then(ClaimRef::title)),
            b'K' => Value::Text(self.other_claim.and_then(ClaimRef::title)),
            b'x' => Value::Text(self.link.and_then(LinkRef::title)),
            b'r' => Value::Number(patch.revision()),
            b'R' => Value::Number(other.map_or(0, PatchRef::revision)),
            b'a' => Value::Number(patch.abi_version().into()),
            b'A' => Value::Number(other.map_or(0, PatchRef::abi_version).into()),
            b'i' => Value::Number(claim.map_or(0, |claim| claim.entry().id)),
            b'j' => Value::Number(self.link.map_or(0, |link| link.entry().state)),
            b'v' => Value::Number(claim.map_or(0, |claim| claim.entry().version).into()),
            b'V' => Value::Number(claim.map_or(0, |claim| claim.live().version()).into()),
            b'n' => Value::Number(self.number.into()),
            _ => Value::Text(None),
        }
    }
}

/// What is written in place of a letter.
enum Value<'lock> {
    Text(Option<Text<'lock>>),
    Number(u64),
}

impl Value<'_> {
    fn write(self, out: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Text(None) => {}
            Self::Text(Some(text)) => out(text.as_c_str().to_bytes()),
            Self::Number(value) => number(out, value),
        }
    }
}

impl Reason {
    /// The line behind the patch's name. `%!` is "refused: ", `%s` the state; another letter behind `%`
    /// stands for
    ///
    /// | of | here | in the other patch |
    /// | --- | --- | --- |
    /// | the patch: its name, series, revision, table ABI | `p`, `q`, `r`, `a` | `o`, , `R`, `A` |
    /// | the state: its name, id, version | `k`, `i`, `v` | `K`, , `V` |
    /// | the shadow variable: its name, its state's id | `x`, `j` | |
    /// | a number | `n` | |
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Version => b"%!%s has version %v, which is lower than version %V of %o",
            Self::Beside => b"%!%s has version %v, and version %V in %o, which this patch does not replace",
            Self::Layout => b"%!%s has another data layout than in %o",
            Self::Name => b"%!%s has the id of state %K of %o",
            Self::Series => b"%!%s is also one of %o, which is of another series",
            Self::Shadow => b"%!%s has shadow variable %x with another layout than in %o",
            Self::Blocked => b"%!it lacks %s of %o, which is marked block_disable",
            Self::Revision => {
                b"%!revision %r of series %q is lower than %R, that of %o (klp_allow_downgrade=1 lets it in)"
            }
            Self::Downgrade => b"revision %r of series %q replaces %R, that of %o, by klp_allow_downgrade",
            Self::Failed => b"%!%s failed with error %n",
            Self::Duplicate => b"%!%s is listed twice",
            Self::NoState => b"%!shadow variable %x belongs to state %j, which the patch does not list",
            Self::Abi => b"%!built for table ABI %a, but %o is enabled, built for %A",
            Self::AbiOfList => b"%!built for table ABI %a, but the list of patches is of %n",
            Self::Corrupt => b"%!the list of patches is corrupt",
            Self::Held => {
                b"%s is marked block_disable: it stays, and the module stays loaded, until a patch \
                  that replaces this one takes the state over without block_disable"
            }
            Self::Forced => b"forced: what its states had stays in memory",
        }
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
