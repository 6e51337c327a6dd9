//! Findings in cargo's own format, as `cargo check --message-format=json` prints it: editors show them in place.

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use cargo_metadata::{Metadata, Package};
use serde_json::{Value, json};

use super::ui::Terminal;
use crate::error::{Error, Result};
use crate::host::report::{Progress, Reporter};
use crate::patch::check::Diagnostic;

/// Prints messages on stdout, each once: a crate is compiled for each kernel.
#[derive(Debug, Default)]
pub(super) struct CargoMessages {
    printed: Mutex<BTreeSet<String>>,
}

impl CargoMessages {
    /// Runs a command, and ends its messages as cargo does.
    pub(super) fn run(command: impl FnOnce(&Self) -> Result<ExitCode>) -> Result<ExitCode> {
        let messages = Self::default();
        let result = command(&messages);
        let success = result.as_ref().is_ok_and(|code| *code == ExitCode::SUCCESS);
        messages.print(json!({ "reason": "build-finished", "success": success }).to_string());
        result
    }

    fn print(&self, line: String) {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if !printed.contains(&line) {
            println!("{line}");
            printed.insert(line);
        }
    }

    /// Prints a finding about a package; `level` is cargo's word for how bad it is.
    pub(super) fn finding(&self, metadata: &Metadata, package: &Package, level: &str, finding: &Diagnostic) {
        let Diagnostic { place, message } = finding;
        let spans: Vec<Value> = place.iter().filter_map(|place| span(metadata, place)).collect();
        let arrow = place.as_ref().map(|place| format!(" --> {place}\n")).unwrap_or_default();
        let target = package.targets.first();
        let line = json!({
            "reason": "compiler-message",
            "package_id": package.id,
            "manifest_path": package.manifest_path,
            "target": target,
            "message": {
                "$message_type": "diagnostic",
                "message": message,
                "code": null,
                "level": level,
                "spans": spans,
                "children": [],
                "rendered": format!("{level}: {message}\n{arrow}\n"),
            },
        });
        self.print(line.to_string());
    }

    /// Prints what an error says of places in the source.
    pub(super) fn error(&self, metadata: &Metadata, package: &Package, error: &Error) {
        match error {
            // The compiler has said why.
            Error::Compile { .. } => {}
            Error::Symbols { faults, .. } | Error::Conditions { faults } | Error::Unfit { faults, .. } => {
                for fault in faults {
                    self.finding(metadata, package, "error", &Diagnostic::from(&**fault));
                }
            }
            other => {
                let finding = Diagnostic { place: None, message: other.with_help() };
                self.finding(metadata, package, "error", &finding);
            }
        }
    }
}

impl Reporter for CargoMessages {
    fn detail(&self, verb: &str, object: &str) {
        Terminal.detail(verb, object);
    }
    fn note(&self, message: &str) {
        Terminal.note(message);
    }
    fn warning(&self, message: &str) {
        Terminal.warning(message);
    }
    fn passed_on(&self, text: &str) {
        Terminal.passed_on(text);
    }
    fn compiler_message(&self, json: &str, _text: &str) {
        self.print(json.to_owned());
    }
    fn is_colored(&self) -> bool {
        Terminal.is_colored()
    }
    fn progress<'a>(&'a self, verb: &'a str, object: &'a str) -> Box<dyn Progress + 'a> {
        Terminal.progress(verb, object)
    }
}

/// The token at a place, `file:line:column`, as rustc describes it; `None` if there is no such place.
fn span(metadata: &Metadata, place: &str) -> Option<Value> {
    let mut parts = place.rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse::<usize>().ok()?, parts.next()?.parse::<usize>().ok()?);
    let file = parts.next()?;
    let text = fs::read_to_string(metadata.workspace_root.as_std_path().join(file)).ok()?;
    let token = Token::at(&text, line, column)?;
    Some(json!({
        "file_name": file,
        "byte_start": token.start,
        "byte_end": token.start + token.text.len(),
        "line_start": line,
        "line_end": line,
        "column_start": column,
        "column_end": column + token.text.chars().count(),
        "is_primary": true,
        "text": [],
        "label": null,
        "suggested_replacement": null,
        "suggestion_applicability": null,
        "expansion": null,
    }))
}

/// A token of a source file.
#[derive(Debug, PartialEq, Eq)]
struct Token<'a> {
    /// Its distance from the start of the file, in bytes.
    start: usize,
    text: &'a str,
}

impl<'a> Token<'a> {
    /// The token at a line and a column, both counted from 1: a name, a string, or one character.
    fn at(source: &'a str, line: usize, column: usize) -> Option<Self> {
        let lines = source.split_inclusive('\n');
        let start: usize = lines.clone().take(line.checked_sub(1)?).map(str::len).sum();
        let in_line = lines.clone().nth(line - 1)?.trim_end();
        let (offset, first) = in_line.char_indices().nth(column.checked_sub(1)?)?;
        let rest = &in_line[offset..];
        let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ => rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len()).max(first.len_utf8()),
        };
        Some(Self { start: start + offset, text: &rest[..length] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_at_a_place() {
        let source = "// ä\n#[f(symbol = \"a_b\")]\n    ä: fn_x(";
        for (line, column, start, text) in
            [(2, 5, 10, "symbol"), (2, 14, 19, "\"a_b\""), (3, 8, 35, "fn_x"), (3, 12, 39, "(")]
        {
            assert_eq!(Token::at(source, line, column), Some(Token { start, text }));
            assert!(source[start..].starts_with(text));
        }
        assert_eq!(Token::at(source, 4, 1), None);
        assert_eq!(Token::at(source, 2, 0), None);
    }
}
