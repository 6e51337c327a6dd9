//! Findings in cargo's own format, as `cargo check --message-format=json` prints it: editors show them in place.

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use cargo_metadata::{Metadata, Package};
use serde_json::{Value, json};

use super::ui::Terminal;
use crate::error::{Error, Failure, Result};
use crate::host::report::{Progress, Reporter};
use crate::kbuild::Built;
use crate::patch::check::Diagnostic;

/// Prints messages on stdout, each once: a crate is compiled for each kernel.
#[derive(Debug, Default)]
pub(super) struct Printer(Mutex<BTreeSet<String>>);

impl Printer {
    /// Runs a command, and ends its messages as cargo does.
    pub(super) fn run(command: impl FnOnce(&Self) -> Result<ExitCode>) -> Result<ExitCode> {
        let printer = Self::default();
        let result = command(&printer);
        let success = result.as_ref().is_ok_and(|code| *code == ExitCode::SUCCESS);
        printer.print(json!({ "reason": "build-finished", "success": success }).to_string());
        result
    }

    fn print(&self, line: String) {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !printed.contains(&line) {
            println!("{line}");
            printed.insert(line);
        }
    }
}

/// What is found in the packages of a workspace, as messages.
#[derive(Debug)]
pub(super) struct CargoMessages<'a> {
    pub(super) printer: &'a Printer,
    pub(super) metadata: &'a Metadata,
}

impl CargoMessages<'_> {
    /// Prints a finding about a package; `level` is cargo's word for how bad it is.
    pub(super) fn finding(&self, package: &Package, level: &str, finding: &Diagnostic) {
        let Diagnostic { place, message } = finding;
        let spans: Vec<Value> = place.iter().filter_map(|place| span(self.metadata, place)).collect();
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
        self.printer.print(line.to_string());
    }

    /// Prints what an error says of places in the source, unless that was printed before.
    pub(super) fn error(&self, package: &Package, error: &Error) {
        match error {
            Error::Several { failed } => failed.iter().for_each(|(name, error)| {
                self.error(self.package(name).unwrap_or(package), error);
            }),
            // The compiler, or a step of the build, has said why.
            Error::Compile { .. } | Error::NotBuilt { .. } => {}
            _ => self.causes(package, &error.failure()),
        }
    }

    fn causes(&self, package: &Package, failure: &Failure) {
        for cause in failure.clone().into_causes() {
            let Diagnostic { place, message } = Diagnostic::from(&*cause);
            // As gcc writes it.
            let of_gcc = |level| Some((level, message.strip_prefix(level)?.strip_prefix(": ")?.to_owned()));
            let (level, message) =
                ["error", "warning"].into_iter().find_map(of_gcc).unwrap_or(("error", message.clone()));
            self.finding(package, level, &Diagnostic { place, message });
        }
    }

    /// Prints a module, as cargo prints a library that it has made.
    pub(super) fn module(&self, built: &Built) {
        let Some(package) = self.package(&built.package) else { return };
        let line = json!({
            "reason": "compiler-artifact",
            "package_id": package.id,
            "manifest_path": package.manifest_path,
            "target": package.targets.first(),
            "profile": {
                "opt_level": "2",
                "debuginfo": 0,
                "debug_assertions": false,
                "overflow_checks": false,
                "test": false,
            },
            "features": [],
            "filenames": [built.ko],
            "executable": null,
            "fresh": false,
        });
        self.printer.print(line.to_string());
    }

    fn package(&self, name: &str) -> Option<&Package> {
        self.metadata.workspace_packages().into_iter().find(|package| package.name == name)
    }
}

impl Reporter for CargoMessages<'_> {
    fn detail(&self, verb: &str, object: &str) {
        Terminal.detail(verb, object);
    }
    fn note(&self, message: &str) {
        Terminal.note(message);
    }
    fn warning(&self, message: &str) {
        Terminal.warning(message);
    }
    fn warning_about(&self, package: &str, message: &str) {
        if let Some(package) = self.package(package) {
            self.finding(package, "warning", &Diagnostic::from(message));
        }
    }
    fn failure(&self, package: &str, failure: &Failure) {
        if let Some(package) = self.package(package) {
            self.causes(package, failure);
        }
    }
    fn passed_on(&self, text: &str) {
        Terminal.passed_on(text);
    }
    fn compiler_message(&self, json: &str, _text: &str) {
        self.printer.print(json.to_owned());
    }
    fn is_colored(&self) -> bool {
        Terminal.is_colored()
    }
    fn progress<'a>(&'a self, verb: &str, object: &str) -> Box<dyn Progress + 'a> {
        Terminal.progress(verb, object)
    }
}

/// The token at a place, `file:line:column`, or a whole line, `file:line`, as rustc describes it; `None` if there is no such
/// place.
fn span(metadata: &Metadata, place: &str) -> Option<Value> {
    let mut parts = place.split(':');
    let (file, line) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
    let column = parts.next().map(str::parse::<usize>).transpose().ok()?;
    let text = fs::read_to_string(metadata.workspace_root.as_std_path().join(file)).ok()?;
    let token = match column {
        // gcc counts a tab as the columns that it takes.
        Some(column) => Token::at(&text, line, column, if file.ends_with(".rs") { 1 } else { 8 })?,
        None => Token::line(&text, line)?,
    };
    let column = text[..token.start].rsplit('\n').next()?.chars().count() + 1;
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
    /// The token at a line and a column, both counted from 1: a name, a string, or one character. `tab` is how far apart
    /// the columns are to which a tab leads.
    fn at(source: &'a str, line: usize, column: usize, tab: usize) -> Option<Self> {
        let Token { start, text: in_line } = Self::whole_line(source, line)?;
        let mut at = 1;
        let (offset, first) = in_line.char_indices().find(|(_, letter)| {
            let here = at;
            at += if *letter == '\t' { tab - (here - 1) % tab } else { 1 };
            here == column
        })?;
        let rest = &in_line[offset..];
        let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ => rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len()).max(first.len_utf8()),
        };
        Some(Self { start: start + offset, text: &rest[..length] })
    }

    /// What a line has, without space around it.
    fn line(source: &'a str, line: usize) -> Option<Self> {
        let Self { start, text } = Self::whole_line(source, line)?;
        let code = text.trim_start();
        Some(Self { start: start + text.len() - code.len(), text: code })
    }

    fn whole_line(source: &'a str, line: usize) -> Option<Self> {
        let lines = source.split_inclusive('\n');
        let start = lines.clone().take(line.checked_sub(1)?).map(str::len).sum();
        Some(Self { start, text: lines.clone().nth(line - 1)?.trim_end() })
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
            assert_eq!(Token::at(source, line, column, 1), Some(Token { start, text }));
            assert!(source[start..].starts_with(text));
        }
        assert_eq!(Token::line(source, 3), Some(Token { start: 31, text: "ä: fn_x(" }));
        assert_eq!(Token::line(source, 4), None);
        assert_eq!(Token::at(source, 4, 1, 1), None);
        assert_eq!(Token::at(source, 2, 0, 1), None);
        assert_eq!(Token::at("\tf(x);", 1, 9, 8), Some(Token { start: 1, text: "f" }));
        assert_eq!(Token::at("x\tf(x);", 1, 9, 8), Some(Token { start: 2, text: "f" }));
    }
}
