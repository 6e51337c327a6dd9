//! ELF notes: of a module's file, of a loaded module (`/sys/module/NAME/notes`), of the kernel (`/sys/kernel/notes`).

/// The type of the note of the owner `GNU` that holds a build ID.
const BUILD_ID: u32 = 3;

/// A note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The owner, without its NUL.
    pub owner: &'a [u8],
    /// The type, which the owner defines.
    pub kind: u32,
    /// The contents.
    pub contents: &'a [u8],
}

/// The notes of a section, up to the first one that is damaged.
pub fn notes(section: &[u8]) -> impl Iterator<Item = Note<'_>> {
    let mut rest = section;
    std::iter::from_fn(move || {
        let (note, behind) = first(rest)?;
        rest = behind;
        Some(note)
    })
}

/// The first note, and what follows it.
fn first(section: &[u8]) -> Option<(Note<'_>, &[u8])> {
    let (owner_size, rest) = word(section)?;
    let (size, rest) = word(rest)?;
    let (kind, rest) = word(rest)?;
    let (owner, rest) = take(rest, owner_size)?;
    let (contents, rest) = take(rest, size)?;
    Some((Note { owner: owner.strip_suffix(b"\0").unwrap_or(owner), kind, contents }, rest))
}

/// A number of 32 bits: klp works on x86_64 only.
fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// So many bytes, and what follows behind their padding to four bytes, which the last note may lack.
fn take(bytes: &[u8], size: u32) -> Option<(&[u8], &[u8])> {
    let size = usize::try_from(size).ok()?;
    let taken = bytes.get(..size)?;
    let padded = size.checked_next_multiple_of(4)?.min(bytes.len());
    Some((taken, &bytes[padded..]))
}

/// The build ID among notes, in hexadecimal.
#[must_use]
pub fn build_id(section: &[u8]) -> Option<String> {
    let note = notes(section).find(|note| (note.owner, note.kind) == (b"GNU", BUILD_ID))?;
    Some(note.contents.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(owner: &[u8], kind: u32, contents: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [owner.len() as u32, contents.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        for part in [owner, contents] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let section =
            [note(b"Linux\0", 256, b"salt1"), note(b"GNU\0", 1, b"abi!"), note(b"GNU\0", 3, &[0x12, 0xab])];
        let section = section.concat();
        assert_eq!(build_id(&section).as_deref(), Some("12ab"));
        let owners: Vec<_> = notes(&section).map(|note| note.owner).collect();
        assert_eq!(owners, [&b"Linux"[..], b"GNU", b"GNU"]);
    }

    #[test]
    fn damaged_notes_end_the_list() {
        let mut section = note(b"klp\0", 1, b"contents");
        section.truncate(section.len() - 1);
        assert_eq!(notes(&section).count(), 0);
        section[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(notes(&section).count(), 0);
        assert_eq!(build_id(b""), None);
        // Without the padding of the last one.
        let mut last = note(b"klp\0", 1, b"abc");
        last.pop();
        assert_eq!(notes(&last).map(|note| note.contents).collect::<Vec<_>>(), [b"abc"]);
    }
}
