//! A file in a record: a digest of its contents, and how to tell without reading it that they are unchanged.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::host::digest::Digest;

/// The properties of a file of which at least one changes whenever its contents do. Programs can set the time of
/// the last write, but not the time of the last change, which every write sets as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    inode: u64,
    size: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    /// Nanoseconds since 1970.
    pub(super) changed: i128,
}

/// A file, a directory (as the names in it), or the fact that neither exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kbuild) struct Entry {
    pub(in crate::kbuild) path: PathBuf,
    pub(super) digest: Digest,
    /// `None` if there is no such file.
    pub(super) stat: Option<Stat>,
}

impl Stat {
    /// The state of a file or directory; `None` if there is neither.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Entry {
    /// The present state of a file. The file is not read if `known` has an entry with the same stat.
    pub(in crate::kbuild) fn of(path: PathBuf, known: impl FnOnce(&Path) -> Option<Self>) -> Self {
        let stat = Stat::of(&path);
        let digest = match known(&path) {
            Some(known) if known.stat == stat => known.digest,
            _ => digest(&path),
        };
        Self { path, digest, stat }
    }

    /// Whether the file is unchanged since it was recorded.
    pub(in crate::kbuild) fn is_current(&self) -> bool {
        Stat::of(&self.path) == self.stat || digest(&self.path) == self.digest
    }

    /// The entry as a line of a record.
    pub(in crate::kbuild) fn line(&self) -> String {
        let stat = self.stat.map_or_else(
            || "-".to_owned(),
            |Stat { inode, size, modified, changed }| format!("{inode}/{size}/{modified}/{changed}"),
        );
        format!("{}\t{stat}\t{}", self.digest, self.path.display())
    }

    /// Reads a line of a record.
    pub(in crate::kbuild) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, '\t');
        let (digest, stat, path) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let stat = match stat {
            "-" => None,
            stat => {
                let mut numbers = stat.split('/').map(str::parse::<i128>);
                let mut next = || numbers.next()?.ok();
                let (inode, size) = (u64::try_from(next()?).ok()?, u64::try_from(next()?).ok()?);
                Some(Stat { inode, size, modified: next()?, changed: next()? })
            }
        };
        Some(Self { path: path.into(), digest, stat })
    }
}

/// The digest of a file's contents, of the names in a directory, or of nothing.
fn digest(path: &Path) -> Digest {
    if let Ok(entries) = fs::read_dir(path) {
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        return Digest::of(names.join("\0".as_ref()).as_encoded_bytes());
    }
    fs::read(path).map_or_else(|_| Digest::of("absent"), Digest::of)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn entry(path: &Path) -> Entry {
        Entry::of(path.into(), |_| None)
    }

    #[test]
    fn contents_decide_and_not_times() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let absent = entry(&path);
        fs::write(&path, "one").unwrap();
        let one = entry(&path);
        assert!(!absent.is_current() && one.is_current());

        // The same size and the same time of the last write.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(!one.is_current(), "other contents, and an old time");

        fs::write(&path, "one").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(SystemTime::now()).unwrap();
        assert!(one.is_current(), "the same contents, written anew");
        fs::remove_file(&path).unwrap();
        assert!(absent.is_current() && !one.is_current());
    }

    #[test]
    fn a_directory_is_the_names_in_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "").unwrap();
        let one = entry(directory.path());
        fs::write(directory.path().join("b"), "").unwrap();
        assert!(!one.is_current());
        fs::remove_file(directory.path().join("b")).unwrap();
        assert!(one.is_current());
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("absent"), directory.path().into()] {
            let entry = entry(&path);
            assert_eq!(Entry::parse(&entry.line()), Some(entry));
        }
        assert_eq!(Entry::parse("1\t2\t3"), None);
    }
}
