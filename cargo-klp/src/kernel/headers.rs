//! What a kernel's headers define that has no symbol: inline functions and macros.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Arch;

/// A name that a header defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// The name.
    pub name: String,
    /// The header, as `#include` has it.
    pub header: String,
    /// What it is there.
    pub kind: Kind,
}

/// What a header has under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An inline function.
    Inline,
    /// A macro with arguments.
    Macro,
    /// A macro that stands for a member of a member.
    Member(String),
    /// Another macro without arguments.
    Constant,
}

impl fmt::Display for Definition {
    /// What it is, and what to write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, header, kind } = self;
        let (what, item) = match kind {
            Kind::Member(path) => {
                return write!(
                    f,
                    "it is a macro of `{header}` for `{path}`: name these fields, each in its structure"
                );
            }
            Kind::Inline => ("an inline function", format!("inline fn {name};")),
            Kind::Macro => ("a macro", format!("macro fn {name}(…) -> …;")),
            Kind::Constant => ("a macro", format!("const {name};")),
        };
        write!(f, "it is {what} of `{header}`: write `use \"{header}\"; {item}` in `kernel_types!`")
    }
}

/// The definition of a name in the headers of a build directory: of several, the one in the header that an author is
/// most likely to include.
#[must_use]
pub fn definition(kdir: &Path, arch: &Arch, name: &str) -> Option<Definition> {
    let mut found = Vec::new();
    for root in roots(kdir, arch) {
        search(&root, &root, name, &mut found);
    }
    let exists = |header: &str| roots(kdir, arch).iter().any(|root| root.join(header).is_file());
    for definition in &mut found {
        // What is a machine's own is included by way of what all have.
        if let Some((_, file)) =
            definition.header.rsplit_once('/').filter(|_| definition.header.starts_with("asm"))
        {
            let general = format!("linux/{file}");
            if exists(&general) {
                definition.header = general;
            }
        }
    }
    found.into_iter().min_by_key(|Definition { header, .. }| {
        (header.matches('/').count(), header.starts_with("asm"), header.len())
    })
}

/// The directory that a distribution's build directory shares with others of the same version: its Makefile
/// includes the Makefile of that directory.
pub(crate) fn common(kdir: &Path) -> Option<PathBuf> {
    let makefile = fs::read_to_string(kdir.join("Makefile")).ok()?;
    let included = makefile.lines().find_map(|line| line.strip_prefix("include "))?;
    // SUSE's is relative.
    kdir.join(included.trim()).parent().map(Path::to_owned)
}

/// The directories that headers are included from.
fn roots(kdir: &Path, arch: &Arch) -> Vec<PathBuf> {
    let bases = [Some(kdir.to_owned()), common(kdir), Some(kdir.join("source"))];
    let of_arch = Path::new("arch").join(arch.name).join("include");
    let directories = ["include".into(), "include/uapi".into(), of_arch.clone(), of_arch.join("uapi")];
    let all = bases.into_iter().flatten().flat_map(|base| directories.clone().map(|part| base.join(part)));
    all.filter(|root| root.is_dir()).collect()
}

/// Adds what the headers below a directory define.
fn search(root: &Path, directory: &Path, name: &str, found: &mut Vec<Definition>) {
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            // That directory is a root of its own.
            if path != root.join("uapi") {
                search(root, &path, name, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "h")
            && let Ok(text) = fs::read_to_string(&path)
            && let Some(kind) = defined(&text, name)
            && let Ok(header) = path.strip_prefix(root)
        {
            found.push(Definition {
                name: name.to_owned(),
                header: header.to_string_lossy().into_owned(),
                kind,
            });
        }
    }
}

/// What a header's text defines under a name.
fn defined(text: &str, name: &str) -> Option<Kind> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(name).find_map(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + name.len()..]);
        if before.ends_with(is_part) || after.starts_with(is_part) {
            return None;
        }
        let line = before.rsplit('\n').next().unwrap_or_default();
        if let Some(directive) = line.trim_start().strip_prefix('#') {
            return (directive.trim() == "define").then(|| macro_kind(after));
        }
        let declaration = before.rsplit([';', '{', '}', '#']).next().unwrap_or_default();
        let declaration = declaration.rsplit("*/").next().unwrap_or_default();
        let is_inline = declaration.split(|letter| !is_part(letter)).any(|word| word.ends_with("inline"));
        (is_inline && !declaration.contains("/*") && after.starts_with('(')).then_some(Kind::Inline)
    })
}

/// What a macro is, from the text behind its name.
fn macro_kind(after: &str) -> Kind {
    if after.starts_with('(') {
        return Kind::Macro;
    }
    let text = after.lines().next().unwrap_or_default().trim();
    let is_name = |part: &str| {
        let is_start = |letter: char| letter.is_alphabetic() || letter == '_';
        part.starts_with(is_start) && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    if text.contains('.') && text.split('.').all(is_name) {
        Kind::Member(text.to_owned())
    } else {
        Kind::Constant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_defines() {
        let text = "#ifdef A\n# define plain 5\n#define both(a, b) \\\n\tone(a)\nstatic inline int\none(int a)\n{\n\treturn \
                    two(a);\n}\n/* static inline: see six() */ struct one_more;\nextern int three(int);\nstatic __always_inline \
                    void four(void) { }\n#undef five\n#define sk_x\t__sk_common.skc_x\n\
                    #define real 1.5\n";
        for (name, kind) in [
            ("plain", Some(Kind::Constant)),
            ("both", Some(Kind::Macro)),
            ("one", Some(Kind::Inline)),
            ("two", None),
            ("one_more", None),
            ("three", None),
            ("four", Some(Kind::Inline)),
            ("five", None),
            ("six", None),
            ("sk_x", Some(Kind::Member("__sk_common.skc_x".into()))),
            ("real", Some(Kind::Constant)),
            ("on", None),
        ] {
            assert_eq!(defined(text, name), kind, "{name}");
        }
    }
}
