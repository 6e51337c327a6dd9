//! `.modinfo`: what a module's author and Kbuild say of it.

use object::{Object, ObjectSection};

/// The `key=value` strings of a module, in order.
#[derive(Debug, Default)]
pub struct Modinfo {
    entries: Vec<(String, String)>,
    sections: usize,
}

impl Modinfo {
    /// Reads those of a module; empty if it has none.
    ///
    /// # Errors
    ///
    /// The section is damaged.
    pub fn read(file: &object::File<'_>) -> Result<Self, object::Error> {
        let mut modinfo = Self::default();
        for section in file.sections().filter(|section| section.name() == Ok(".modinfo")) {
            modinfo.add(section.data()?);
        }
        Ok(modinfo)
    }

    /// Adds the strings of one section.
    pub fn add(&mut self, section: &[u8]) {
        let text = String::from_utf8_lossy(section);
        let entries = text.split('\0').filter_map(|entry| entry.split_once('='));
        self.entries.extend(entries.map(|(key, value)| (key.to_owned(), value.to_owned())));
        self.sections += 1;
    }

    /// How many sections there were; the kernel wants one.
    #[must_use]
    pub fn sections(&self) -> usize {
        self.sections
    }

    /// All values of a key.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of a key; the first one, as in the kernel.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// Whether the key has the value `Y`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.starts_with(['Y', 'y', '1']))
    }

    /// The release that the module is built for.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.get("vermagic")?.split_whitespace().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let mut modinfo = Modinfo::default();
        modinfo.add(b"author=A\0author=B\0livepatch=Y\0\0vermagic=6.12.1 SMP preempt \0");
        assert_eq!(modinfo.all("author").collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(modinfo.release(), Some("6.12.1"));
        assert!(modinfo.has("livepatch"));
        assert!(!modinfo.has("intree"));
    }
}
