//! Headers that a unit includes and that modules do not find in the kernel's build directory: those beside it in the
//! source, and those that the fix changes; with them, the kernel's headers that lead to them. The patch has copies,
//! which are included by their paths.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The directory of the copies, beside the C files.
pub const DIRECTORY: &str = "include";

/// The headers that a patch must have itself, relative to the root of the source.
#[derive(Debug, Default)]
pub struct Headers {
    /// The files.
    pub files: BTreeSet<PathBuf>,
    /// Those that the kernel has otherwise.
    changed: BTreeSet<PathBuf>,
    /// Where the unit's command looks for others than those beside the file that includes them.
    directories: Vec<PathBuf>,
    /// The line in which the unit includes the first one.
    first_include: usize,
}

impl Headers {
    /// Those among the files that the preprocessor has read for a unit in this tree.
    pub fn of(
        preprocessed: &str,
        root: &Path,
        unit: &Path,
        directories: Vec<PathBuf>,
        changed: &BTreeSet<PathBuf>,
    ) -> Self {
        let (mut files, mut first_include) = (BTreeSet::new(), None);
        // The files that are being read, each included by the one before it; `None` for those of no source.
        let mut open: Vec<Option<PathBuf>> = Vec::new();
        for line in preprocessed.lines().filter(|line| line.starts_with("# ")) {
            let mut words = line.split('"').skip(1);
            let (name, flags) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let file = Path::new(name).strip_prefix(root).ok().map(normal);
            match flags.split_whitespace().next() {
                Some("2") => {
                    open.pop();
                    if file.as_deref() == Some(unit) {
                        // The unit goes on behind the line that included the file.
                        let line = line.split_whitespace().nth(1).and_then(|line| line.parse::<usize>().ok());
                        first_include = first_include.or(line.map(|line| line.saturating_sub(1)));
                    }
                }
                Some("1") => {
                    if let Some(file) = file.as_ref().filter(|file| !is_public(file)) {
                        let leading =
                            open.iter().rev().map_while(|file| file.as_ref().filter(|file| is_public(file)));
                        files.extend(leading.cloned());
                        files.insert(file.clone());
                    }
                    files.extend(file.iter().filter(|file| changed.contains(*file)).cloned());
                    open.push(file);
                }
                _ => {}
            }
        }
        files.remove(unit);
        let changed = files.intersection(changed).cloned().collect();
        Self { files, changed, directories, first_include: first_include.unwrap_or_default() }
    }

    /// The text of a file of the source, for its place in the patch: `at`, relative to the directory of the C files.
    pub fn adapt(&self, file: &Path, at: &Path, text: &str) -> String {
        let mut adapted = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            match self.adapted(file, at, line) {
                Some(line) => adapted.push_str(&line),
                None => adapted.push_str(line),
            }
        }
        adapted
    }

    /// A line that includes one of the headers.
    fn adapted(&self, file: &Path, at: &Path, line: &str) -> Option<String> {
        let directive = line.trim_start().strip_prefix('#')?.trim_start();
        let name = directive.strip_prefix("include")?.trim_start();
        let close = match name.chars().next()? {
            '"' => '"',
            '<' => '>',
            _ => return None,
        };
        let (name, rest) = name[1..].split_once(close)?;
        let own = file.parent().filter(|_| close == '"');
        let searched = own.into_iter().chain(self.directories.iter().map(PathBuf::as_path));
        let found =
            searched.map(|directory| normal(&directory.join(name))).find(|path| self.files.contains(path))?;
        let path = relative(&place(&found), at.parent().unwrap_or("".as_ref()));
        Some(format!("#include \"{}\"{rest}", path.display()))
    }

    /// The lines that include the headers that the kernel has, but not as the fix has them, and the line of the unit that
    /// they stand before: nothing may include the kernel's before them, and they find the macros that the unit defines
    /// before all headers.
    pub fn first(&self) -> (usize, String) {
        let places = self.changed.iter().filter(|file| is_public(file)).map(|file| place(file));
        (self.first_include, places.map(|place| format!("#include \"{}\"\n", place.display())).collect())
    }
}

/// Where the patch has the copy of a header, relative to the directory of the C files.
pub fn place(header: &Path) -> PathBuf {
    Path::new(DIRECTORY).join(header)
}

/// Whether modules find it in the kernel's build directory.
pub fn is_public(header: &Path) -> bool {
    ["include", "arch/x86/include"].iter().any(|directory| header.starts_with(directory))
}

/// A path as seen from a directory.
pub fn relative(path: &Path, from: &Path) -> PathBuf {
    let (path_parts, from_parts): (Vec<_>, Vec<_>) =
        (path.components().collect(), from.components().collect());
    let common = path_parts.iter().zip(&from_parts).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Path::new(".."), from_parts.len() - common);
    up.map(Path::to_path_buf).chain(path_parts[common..].iter().map(PathBuf::from)).collect()
}

/// A path without `.` and `..`.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_headers_are_included_where_the_copies_are() {
        let preprocessed = "# 1 \"/s/fs/x/a.c\"\n# 1 \"/s/include/linux/fs.h\" 1\n# 2 \"/s/fs/x/a.c\" 2\n\
                            # 1 \"/s/fs/x/a.h\" 1\n# 2 \"/s/fs/x/../lib/b.h\" 1\n# 1 \"./include/generated/c.h\" 1\n\
                            # 1 \"/s/include/linux/d.h\" 1\n";
        let changed = BTreeSet::from(["include/linux/d.h".into()]);
        let headers =
            Headers::of(preprocessed, "/s".as_ref(), "fs/x/a.c".as_ref(), vec!["fs/lib".into()], &changed);
        let files: Vec<_> = headers.files.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(files, ["fs/lib/b.h", "fs/x/a.h", "include/linux/d.h"]);
        let unit = "#include <linux/fs.h>\n#include \"a.h\"\n# include <b.h> /* c */\n#include MACRO\n";
        assert_eq!(
            headers.adapt("fs/x/a.c".as_ref(), "a.c".as_ref(), unit),
            "#include <linux/fs.h>\n#include \"include/fs/x/a.h\"\n#include \"include/fs/lib/b.h\" /* c */\n#include MACRO\n"
        );
        let header = "#include \"../lib/b.h\"\n#include \"b.h\"\n#include \"other.h\"\n";
        assert_eq!(
            headers.adapt("fs/x/a.h".as_ref(), &place("fs/x/a.h".as_ref()), header),
            "#include \"../lib/b.h\"\n#include \"../lib/b.h\"\n#include \"other.h\"\n"
        );
        assert_eq!(headers.first(), (1, "#include \"include/include/linux/d.h\"\n".to_owned()));
    }

    #[test]
    fn a_header_of_the_kernel_that_leads_to_a_private_one_is_copied() {
        let preprocessed = "# 1 \"/s/fs/x/a.c\"\n# 1 \"/s/include/linux/fs.h\" 1\n# 2 \"/s/fs/x/a.c\" 2\n\
                            # 1 \"/s/include/trace/x.h\" 1\n# 1 \"/s/include/trace/../../fs/x/a.h\" 1\n";
        let directories = vec!["include".into()];
        let headers =
            Headers::of(preprocessed, "/s".as_ref(), "fs/x/a.c".as_ref(), directories, &BTreeSet::new());
        let files: Vec<_> = headers.files.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(files, ["fs/x/a.h", "include/trace/x.h"]);
        assert_eq!(headers.first(), (1, String::new()));
        assert_eq!(
            headers.adapt(
                "fs/x/a.c".as_ref(),
                "a.c".as_ref(),
                "#include <linux/fs.h>\n#include <trace/x.h>\n"
            ),
            "#include <linux/fs.h>\n#include \"include/include/trace/x.h\"\n"
        );
    }
}
