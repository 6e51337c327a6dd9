//! C files and headers with functions that a unit includes from its own directory: their text, put in place of the line
//! that includes them, is the unit's own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The C files that include another one of their directory.
pub fn includers(source: &Path, file: &Path) -> Result<BTreeSet<PathBuf>> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else { return Ok(BTreeSet::new()) };
    let name = name.to_string_lossy();
    let mut found = BTreeSet::new();
    let path = source.join(directory);
    for entry in fs::read_dir(&path).map_err(Error::io("read", &path))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "c") && path.is_file() {
            let text = fs::read(&path).map_err(Error::io("read", &path))?;
            if String::from_utf8_lossy(&text).lines().any(|line| included(line) == Some(&name)) {
                found.insert(directory.join(entry.file_name()));
            }
        }
    }
    Ok(found)
}

/// A text in which the files that `text_of` knows stand in place of the lines that include them.
pub fn put_in(text: &str, text_of: &dyn Fn(&str) -> Option<String>) -> String {
    let mut all = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match included(line).and_then(text_of) {
            Some(text) => all.push_str(&text),
            None => all.push_str(line),
        }
    }
    all
}

/// The name of a file in the same directory that a line includes.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?;
    let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
    (!name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_included_stands_in_place_of_the_line() {
        let text = "int a;\n# include \"part.c\"\n#include \"x/part.c\"\n#include <part.c>\nint c;\n";
        let text_of = |name: &str| (name == "part.c").then(|| "int b;\n".to_owned());
        let expected = "int a;\nint b;\n#include \"x/part.c\"\n#include <part.c>\nint c;\n";
        assert_eq!(put_in(text, &text_of), expected);
    }
}
