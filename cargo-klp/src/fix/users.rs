//! Which C files include a header, by themselves or through other headers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::files::is_kernel;
use super::headers::normal;
use crate::error::{Error, Result};

/// What the files of a part of the source include.
#[derive(Debug, Default)]
pub struct Includes {
    /// By the last part of what is included.
    by_name: BTreeMap<String, Vec<Include>>,
}

#[derive(Debug)]
struct Include {
    /// The file that includes, relative to the root of the source.
    file: PathBuf,
    /// What it includes, as it is written; for one between quotes beside the file, its path.
    header: PathBuf,
    /// Whether that is a path.
    is_path: bool,
}

impl Includes {
    /// Those of the C files and headers below a directory of the source.
    pub fn read(source: &Path, directory: &Path) -> Result<Self> {
        let (mut includes, mut next) = (Self::default(), vec![directory.to_owned()]);
        while let Some(directory) = next.pop() {
            let path = source.join(&directory);
            for entry in fs::read_dir(&path).map_err(Error::io("read", &path))?.flatten() {
                let file = directory.join(entry.file_name());
                let kind = entry.file_type().map_err(Error::io("read", entry.path()))?;
                if kind.is_dir() {
                    next.extend(is_kernel(&file).then_some(file));
                } else if kind.is_file() && ["c", "h"].iter().any(|end| has_extension(&file, end)) {
                    let text = fs::read(entry.path()).map_err(Error::io("read", entry.path()))?;
                    includes.add(source, &file, &String::from_utf8_lossy(&text));
                }
            }
        }
        Ok(includes)
    }

    fn add(&mut self, source: &Path, file: &Path, text: &str) {
        for (header, is_quoted) in text.lines().filter_map(included) {
            let beside = normal(&file.with_file_name(header));
            let is_path = is_quoted && source.join(&beside).exists();
            let header = if is_path { beside } else { normal(header.as_ref()) };
            let Some(name) = header.file_name() else { continue };
            let name = name.to_string_lossy().into_owned();
            self.by_name.entry(name).or_default().push(Include { file: file.to_owned(), header, is_path });
        }
    }

    /// The files that include a header themselves.
    fn direct(&self, header: &Path) -> impl Iterator<Item = &Path> {
        let name = header.file_name().unwrap_or_default().to_string_lossy();
        let named = self.by_name.get(&*name).into_iter().flatten();
        let is_it = move |include: &&Include| match include.is_path {
            true => include.header == header,
            false => header.ends_with(&include.header),
        };
        named.filter(is_it).map(|include| &*include.file)
    }

    /// The C files that include a header themselves, and those that include it in any way.
    pub fn users(&self, header: &Path) -> [BTreeSet<PathBuf>; 2] {
        let is_c = |file: &&Path| has_extension(file, "c");
        let direct = self.direct(header).filter(is_c).map(Path::to_owned).collect();
        let (mut seen, mut next) = (BTreeSet::from([header]), vec![header]);
        while let Some(header) = next.pop() {
            next.extend(self.direct(header).filter(|file| seen.insert(*file)));
        }
        [direct, seen.into_iter().filter(is_c).map(Path::to_owned).collect()]
    }
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// What a line includes, and whether between quotes.
pub fn included(line: &str) -> Option<(&str, bool)> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?.trim_start();
    match rest.strip_prefix('"') {
        Some(rest) => Some((rest.split('"').next()?, true)),
        None => Some((rest.strip_prefix('<')?.split('>').next()?, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_through_other_headers_are_told_from_direct_ones() {
        let source = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("include/net/a.h", ""),
            ("drivers/x/x.h", "#include <net/a.h>\n"),
            ("drivers/x/x.c", "# include \"x.h\"\n"),
            ("drivers/x/sub/y.c", "#include \"../x.h\"\n"),
            ("drivers/z/z.c", "#include \"x.h\"\n#include \"a.h\"\n"),
            ("drivers/z/x.h", ""),
            ("drivers/z/a.h", ""),
            ("net/n.c", "#include <net/a.h>\n"),
            ("net/other.c", "#include <other/net/a.h>\n"),
            ("tools/t.c", "#include <net/a.h>\n"),
            ("arch/arm/m.c", "#include <net/a.h>\n"),
        ] {
            let file = source.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let includes = Includes::read(source.path(), "".as_ref()).unwrap();
        let of = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let expected = [of(&["net/n.c"]), of(&["drivers/x/sub/y.c", "drivers/x/x.c", "net/n.c"])];
        assert_eq!(includes.users("include/net/a.h".as_ref()), expected);
    }
}
