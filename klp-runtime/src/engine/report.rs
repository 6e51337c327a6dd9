//! What the engine says in the log: one line a time, which the kernel formats. `core::fmt` would be most of
//! a small patch.

use core::ffi::c_char;
use core::marker::PhantomData;

use super::refs::{ClaimRef, LinkRef, LivepatchLock, PatchRef, Text};
use crate::error::Error;

/// One line for the log, while what it names is in place.
#[derive(Clone, Copy, Debug)]
pub struct Report<'lock> {
    format: Format,
    /// What the format asks for, in its order, the patch's name first. The rest is not looked at.
    arguments: [Argument; 6],
    lock: PhantomData<&'lock LivepatchLock>,
}

/// A number or the address of a name, as a format asks for it.
type Argument = usize;

const NONE: Argument = 0;

/// A string for `_printk`.
type Format = *const c_char;

/// A format: level err, the patch's name, and the text.
///
/// A static, which the linker drops with the engine. Of string literals it keeps all where it keeps one.
macro_rules! line {
    ($text:literal) => {{
        const TEXT: &str = concat!("\x013%s: ", $text, "\n\0");
        static LINE: [u8; TEXT.len()] = *TEXT.as_bytes().first_chunk().unwrap();
        (&raw const LINE).cast::<c_char>()
    }};
}

// Each format stands beside its arguments: `%s` is a name, `%llu` and `%u` are numbers.
impl<'lock> Report<'lock> {
    /// A state has a lower version than it had ([S19](crate::lifecycle#s19)).
    pub(super) fn lower_version(claim: ClaimRef<'lock>, other: ClaimRef<'lock>) -> Self {
        let format =
            line!("refused: state %s (id %llu) has version %u, which is lower than version %u of %s");
        Self::of_claim(format, claim, [version(claim), live_version(claim), patch(other)])
    }

    /// A state has a higher version, and the patch does not replace the one that provides it.
    pub(super) fn version_beside(claim: ClaimRef<'lock>, other: ClaimRef<'lock>) -> Self {
        let format = line!(
            "refused: state %s (id %llu) has version %u, and version %u in %s, which this patch does not replace"
        );
        Self::of_claim(format, claim, [version(claim), live_version(claim), patch(other)])
    }

    /// A state's data have another layout.
    pub(super) fn layout(claim: ClaimRef<'lock>, other: ClaimRef<'lock>) -> Self {
        let format = line!("refused: state %s (id %llu) has another data layout than in %s");
        Self::of_claim(format, claim, [patch(other), NONE, NONE])
    }

    /// A state has another name.
    pub(super) fn name(claim: ClaimRef<'lock>, other: ClaimRef<'lock>) -> Self {
        let format = line!("refused: state %s (id %llu) has the id of state %s of %s");
        Self::of_claim(format, claim, [text(other.title()), patch(other), NONE])
    }

    /// A state belongs to a patch of another series.
    pub(super) fn series(claim: ClaimRef<'lock>, other: ClaimRef<'lock>) -> Self {
        let format = line!("refused: state %s (id %llu) is also one of %s, which is of another series");
        Self::of_claim(format, claim, [patch(other), NONE, NONE])
    }

    /// A shadow variable has another layout.
    pub(super) fn shadow(link: LinkRef<'lock>, other: LinkRef<'lock>) -> Self {
        let format =
            line!("refused: state %s (id %llu) has shadow variable %s with another layout than in %s");
        Self::of_claim(format, link.claim(), [text(link.title()), patch(other.claim()), NONE])
    }

    /// A replace patch would remove a state that is marked `block_disable` ([S13](crate::lifecycle#s13)).
    pub(super) fn blocked(replacing: PatchRef<'lock>, claim: ClaimRef<'lock>) -> Self {
        let format = line!("refused: it lacks state %s (id %llu) of %s, which is marked block_disable");
        let id = claim.entry().id as Argument;
        Self::of_patch(format, replacing, [text(claim.title()), id, patch(claim), NONE, NONE])
    }

    /// The patch lists one id twice.
    pub(super) fn duplicate(claim: ClaimRef<'lock>) -> Self {
        Self::of_claim(line!("refused: state %s (id %llu) is listed twice"), claim, [NONE; 3])
    }

    /// `pre_patch` or `migrate` failed ([S3](crate::lifecycle#s3)).
    pub(super) fn failed(claim: ClaimRef<'lock>, error: Error) -> Self {
        let format = line!("refused: state %s (id %llu) failed with error %u");
        Self::of_claim(format, claim, [error.to_errno().unsigned_abs() as Argument, NONE, NONE])
    }

    /// A state marked `block_disable` stays though its last patch is disabled ([S13](crate::lifecycle#s13)).
    pub(super) fn held(claim: ClaimRef<'lock>) -> Self {
        let format = line!(
            "state %s (id %llu) is marked block_disable: it stays, and the module stays loaded, until a patch \
             that replaces this one takes the state over without block_disable"
        );
        Self::of_claim(format, claim, [NONE; 3])
    }

    /// A replace patch has a lower revision than one of its series ([S20](crate::lifecycle#s20)).
    pub(super) fn lower_revision(patch: PatchRef<'lock>, other: PatchRef<'lock>) -> Self {
        let format = line!(
            "refused: revision %llu of series %s is lower than %llu, that of %s \
             (klp_allow_downgrade=1 lets it in)"
        );
        Self::of_revisions(format, patch, other)
    }

    /// It replaces that one, as the administrator says.
    pub(super) fn downgrade(patch: PatchRef<'lock>, other: PatchRef<'lock>) -> Self {
        let format = line!("revision %llu of series %s replaces %llu, that of %s, by klp_allow_downgrade");
        Self::of_revisions(format, patch, other)
    }

    /// A shadow variable belongs to a state that the patch does not list.
    pub(super) fn no_state(patch: PatchRef<'lock>, link: LinkRef<'lock>) -> Self {
        let format =
            line!("refused: shadow variable %s belongs to state %llu, which the patch does not list");
        Self::of_patch(format, patch, [text(link.title()), link.entry().state as Argument, NONE, NONE, NONE])
    }

    /// A patch on the list was made by a version of the tables that is not understood
    /// ([S23](crate::lifecycle#s23)).
    pub(super) fn abi(patch: PatchRef<'lock>, other: PatchRef<'lock>) -> Self {
        let format = line!("refused: built for table ABI %u, but %s is enabled, built for %u");
        let (ours, theirs) = (patch.abi_version() as Argument, other.abi_version() as Argument);
        Self::of_patch(format, patch, [ours, text(other.title()), theirs, NONE, NONE])
    }

    /// The list was.
    pub(super) fn abi_of_list(patch: PatchRef<'lock>, version: u32) -> Self {
        let format = line!("refused: built for table ABI %u, but the list of patches is of %u");
        let ours = patch.abi_version() as Argument;
        Self::of_patch(format, patch, [ours, version as Argument, NONE, NONE, NONE])
    }

    /// What is on the list can't be read.
    pub(super) fn corrupt(patch: PatchRef<'lock>) -> Self {
        Self::of_patch(line!("refused: the list of patches is corrupt"), patch, [NONE; 5])
    }

    /// The patch was forced off, so what it had stays in memory ([S21](crate::lifecycle#s21)).
    pub(super) fn forced(patch: PatchRef<'lock>) -> Self {
        Self::of_patch(line!("forced: what its states had stays in memory"), patch, [NONE; 5])
    }

    /// The format of `_printk`, and what it asks for.
    pub fn parts(&self) -> (*const c_char, [usize; 6]) {
        (self.format, self.arguments)
    }

    fn of_patch(format: Format, patch: PatchRef<'lock>, rest: [Argument; 5]) -> Self {
        let [a, b, c, d, e] = rest;
        Self { format, arguments: [text(patch.title()), a, b, c, d, e], lock: PhantomData }
    }

    fn of_revisions(format: Format, patch: PatchRef<'lock>, other: PatchRef<'lock>) -> Self {
        let (ours, theirs) = (patch.revision() as Argument, other.revision() as Argument);
        Self::of_patch(
            format,
            patch,
            [ours, patch.series().map_or(NONE, text), theirs, text(other.title()), NONE],
        )
    }

    fn of_claim(format: Format, claim: ClaimRef<'lock>, rest: [Argument; 3]) -> Self {
        let [a, b, c] = rest;
        let id = claim.entry().id as Argument;
        Self::of_patch(format, claim.patch(), [text(claim.title()), id, a, b, c])
    }
}

fn text(text: Text<'_>) -> Argument {
    text.as_ptr() as Argument
}

fn patch(claim: ClaimRef<'_>) -> Argument {
    text(claim.patch().title())
}

fn version(claim: ClaimRef<'_>) -> Argument {
    claim.entry().version as Argument
}

fn live_version(claim: ClaimRef<'_>) -> Argument {
    claim.live().version() as Argument
}
