//! Files of modules, as far as `klp` reads them.

use klp_format::manifest::{Fix, Kernel, Line, NOTE_KIND, NOTE_SECTION, Patch, State, note};
use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

use super::fake::{KERNEL_ID, RELEASE};

/// A patch made with klp.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours {
    pub(super) name: &'static str,
    pub(super) series: Option<(&'static str, u64)>,
    pub(super) replace: bool,
    /// Ids, names, versions and flags.
    pub(super) states: Vec<(u64, &'static str, u64, u32)>,
    pub(super) fixes: Vec<&'static str>,
    pub(super) kernel: Option<&'static str>,
}

impl Ours {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// The file, of a build.
    pub(super) fn build(&self, id: u8) -> Vec<u8> {
        let patch = Patch {
            replace: self.replace.into(),
            series: self.series.map(|(name, _)| name.into()),
            revision: self.series.map_or(0, |(_, revision)| revision),
            ..Patch::default()
        };
        let state = |&(id, name, version, flags): &(u64, &str, u64, u32)| {
            Line::State(State { id, version, name: name.into(), flags: flags.into(), callbacks: Vec::new() })
        };
        let kernel: String = KERNEL_ID.iter().map(|byte| format!("{byte:02x}")).collect();
        let kernel = Kernel { build_id: self.kernel.map_or(kernel, Into::into) };
        let states = self.states.iter().map(state);
        let fixes = self.fixes.iter().map(|name| Line::Fix(Fix { name: (*name).into() }));
        let lines =
            std::iter::once(Line::Patch(patch)).chain(states).chain(fixes).chain([Line::Kernel(kernel)]);
        data(self.name, Some(&note(lines)), &[id])
    }
}

/// A module with a name, klp's note if it has one, and a build ID.
pub(super) fn data(name: &str, note: Option<&str>, id: &[u8]) -> Vec<u8> {
    with_modinfo(
        &format!("license=GPL\0livepatch=Y\0version=1.2\0name={name}\0vermagic={RELEASE} SMP\0"),
        note,
        id,
    )
}

/// A module with other lines in its .modinfo.
pub(super) fn with_modinfo(modinfo: &str, note: Option<&str>, id: &[u8]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let mut add = |name: &str, contents: &[u8]| {
        let section = object.add_section(Vec::new(), name.into(), SectionKind::ReadOnlyData);
        object.append_section_data(section, contents, 4);
    };
    add(".modinfo", modinfo.as_bytes());
    add(".note.gnu.build-id", &build_id_note(id));
    if let Some(note) = note {
        add(NOTE_SECTION, &elf_note(b"klp\0", NOTE_KIND, note.as_bytes()));
    }
    object.write().unwrap()
}

pub(super) fn build_id_note(id: &[u8]) -> Vec<u8> {
    elf_note(b"GNU\0", 3, id)
}

fn elf_note(owner: &[u8], kind: u32, contents: &[u8]) -> Vec<u8> {
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
