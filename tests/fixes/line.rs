//! Diffs of our own making: lines put into the kernel's source.

use crate::source::{diff, function, read};
use crate::workshop::Workshop;

/// A line to put into a file.
pub(crate) struct Line {
    pub(crate) file: &'static str,
    /// A function, at whose start the line is put, or a structure, at whose end.
    pub(crate) within: &'static str,
    pub(crate) line: &'static str,
}

/// A line of a function that changes what it does, and nothing else.
pub(crate) const fn log(file: &'static str, within: &'static str) -> Line {
    Line { file, within, line: "\tpr_info_once(\"%s is patched\\n\", __func__);\n" }
}

impl Line {
    /// The diff that puts the line in.
    pub(crate) fn diff(&self, workshop: &Workshop) -> String {
        let old = read(&workshop.source.join(self.file));
        diff(self.file, &old, &self.within(&old))
    }

    /// A text of the file with the line.
    pub(crate) fn within(&self, old: &str) -> String {
        let at = match self.within.strip_prefix("struct ") {
            Some(_) => {
                let start = old.find(&format!("\n{} {{\n", self.within)).expect("the structure is there");
                start + old[start..].find("\n}").unwrap() + 1
            }
            None => {
                let function = function(old, self.within);
                function.start + old[function].find("\n{\n").unwrap() + 3
            }
        };
        format!("{}{}{}", &old[..at], self.line, &old[at..])
    }
}
