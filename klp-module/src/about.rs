//! What a patch made with klp says of itself, in its file and, as long as it is loaded, in memory.

use klp_format::manifest::{Line, NOTE_KIND, NOTE_OWNER, Native, Patch, State, read};

use crate::note::notes;

/// The contents of the note of a patch.
///
/// Lines of a kind that only a later release of klp knows are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The patch as a whole.
    pub patch: Option<Patch>,
    /// Its states.
    pub states: Vec<State>,
    /// Its states in the kernel's own table.
    pub natives: Vec<Native>,
    /// What it fixes.
    pub fixes: Vec<String>,
    /// The build ID of the kernel that it is built for, in hexadecimal.
    pub kernel: Option<String>,
}

impl About {
    /// Reads it from the section [`NOTE_SECTION`](klp_format::manifest::NOTE_SECTION); `None` if no note there is
    /// klp's.
    #[must_use]
    pub fn of_section(section: &[u8]) -> Option<Self> {
        let note =
            notes(section).find(|note| (note.owner, note.kind) == (NOTE_OWNER.as_bytes(), NOTE_KIND))?;
        let text = String::from_utf8_lossy(note.contents);
        let mut about = Self::default();
        for line in text.split('\0').filter_map(|line| read(line).ok()) {
            match line {
                Line::Patch(patch) => about.patch = Some(patch),
                Line::State(state) => about.states.push(state),
                Line::Native(native) => about.natives.push(native),
                Line::Fix(fix) => about.fixes.push(fix.name),
                Line::Kernel(kernel) => about.kernel = Some(kernel.build_id),
                _ => {}
            }
        }
        Some(about)
    }

    /// The series and the revision in it.
    #[must_use]
    pub fn series(&self) -> Option<(&str, u64)> {
        let patch = self.patch.as_ref()?;
        Some((patch.series.as_deref()?, patch.revision))
    }

    /// Whether it replaces other patches; an init hook may decide otherwise.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.patch.as_ref().is_some_and(|patch| patch.replace != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klp_format::manifest::{Fix, Kernel, note};

    #[test]
    fn what_is_written_is_read() {
        let patch = Patch { series: Some("net".into()), revision: 3, replace: 1, ..Patch::default() };
        let state = State { id: 7, version: 2, name: "Level \"é\"".into(), ..State::default() };
        let native = Native { id: 8, version: 1 };
        let kernel = Kernel { build_id: "12ab".into() };
        let lines = [
            Line::Patch(patch.clone()),
            Line::State(state.clone()),
            Line::Native(native.clone()),
            Line::Fix(Fix { name: "CVE-2026-1".into() }),
            Line::Kernel(kernel),
        ];
        let text = note(lines);
        let mut section = Vec::new();
        for word in [4, text.len() as u32, NOTE_KIND] {
            section.extend(word.to_le_bytes());
        }
        section.extend(b"klp\0");
        section.extend(text.as_bytes());
        section.extend(b"later\tline\0");
        let about = About::of_section(&section).unwrap();
        assert_eq!(about.series(), Some(("net", 3)));
        assert!(about.replaces());
        assert_eq!(
            about,
            About {
                patch: Some(patch),
                states: vec![state],
                natives: vec![native],
                fixes: vec!["CVE-2026-1".into()],
                kernel: Some("12ab".into())
            }
        );
        section[8] += 1;
        assert_eq!(About::of_section(&section), None);
    }
}
