//! What the steps of a build report: this program, when it runs within the make of a `cargo klp build`.
//!
//! A step writes to a pipe that the build reads. A line that begins with `MARK` is a report, in JSON; every other line
//! is text for people, which another program has written. Within plain make there is no such pipe.

use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Failure};
use crate::host::report::{Progress, Report, Reporter};

/// The variable that names the pipe, which becomes the stderr of the step and of the programs that it runs.
pub(super) const PIPE: &str = "KLP_STDERR";

/// The record separator, as in RFC 7464.
const MARK: char = '\u{1e}';

/// What a line says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Line {
    /// A report on the work.
    Report(Report),
    /// The step fails.
    Fail(Failure),
    /// The step fails, because cargo has reported these errors.
    NotCompiled(Vec<String>),
    /// Work begins: a verb and its object.
    Begin(String, String),
    /// The object of the work that began last, more precisely.
    Update(String),
    /// The work that began last ends.
    End,
}

impl Line {
    /// A line without its end.
    pub(super) fn read(line: &str) -> Self {
        let report = line.strip_prefix(MARK).and_then(|report| serde_json::from_str(report).ok());
        report.unwrap_or_else(|| Self::Report(Report::PassedOn(format!("{line}\n"))))
    }

    fn write(&self) -> String {
        format!("{MARK}{}\n", serde_json::to_string(self).expect("plain data"))
    }
}

/// Reports to the build that this process is a step of.
#[derive(Debug)]
pub struct Step {
    pipe: Mutex<File>,
}

impl Step {
    /// The step that this process is, if a `cargo klp build` runs make. Its stderr, and that of its children, become the
    /// pipe.
    #[must_use]
    pub fn of_build() -> Option<Self> {
        // It is gone if make outlives the program that ran it; make's own stderr then serves.
        let pipe = File::options().append(true).open(env::var_os(PIPE)?).ok()?;
        rustix::stdio::dup2_stderr(&pipe).ok()?;
        Some(Self { pipe: Mutex::new(pipe) })
    }

    /// Reports why this step fails.
    pub fn fail(&self, error: &Error) {
        self.send(&match error {
            Error::Compile { errors, .. } => Line::NotCompiled(errors.clone()),
            other => Line::Fail(other.failure()),
        });
    }

    fn report(&self, report: Report) {
        self.send(&Line::Report(report));
    }

    fn send(&self, line: &Line) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // If nobody reads it any more, nobody waits for it.
        let _ = pipe.write_all(line.write().as_bytes());
    }
}

impl Reporter for Step {
    fn detail(&self, verb: &str, object: &str) {
        self.report(Report::Detail(verb.into(), object.into()));
    }
    fn note(&self, message: &str) {
        self.report(Report::Note(message.into()));
    }
    fn warning(&self, message: &str) {
        self.report(Report::Warning(message.into()));
    }
    fn warning_about(&self, package: &str, message: &str) {
        self.report(Report::WarningAbout(package.into(), message.into()));
    }
    fn failure(&self, package: &str, failure: &Failure) {
        self.report(Report::Failure(package.into(), failure.clone()));
    }
    fn passed_on(&self, text: &str) {
        self.report(Report::PassedOn(text.into()));
    }
    fn compiler_message(&self, json: &str, text: &str) {
        self.report(Report::Compiler(json.into(), text.into()));
    }
    fn is_colored(&self) -> bool {
        // The program that shows it takes colors out where nobody wants them.
        true
    }
    fn progress<'a>(&'a self, verb: &str, object: &str) -> Box<dyn Progress + 'a> {
        self.send(&Line::Begin(verb.into(), object.into()));
        Box::new(Work(self))
    }
}

/// Work in progress in a step.
struct Work<'a>(&'a Step);

impl Progress for Work<'_> {
    fn update(&self, object: &str) {
        self.0.send(&Line::Update(object.into()));
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.send(&Line::End);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_report_or_text() {
        let text = |line: Line| format!("{line:?}");
        let failure = Failure {
            package: None,
            error: "no\nway".into(),
            help: None,
            causes: vec!["src/lib.rs:1: \u{1e}".into()],
        };
        for line in [
            Line::Fail(failure),
            Line::Report(Report::Warning("w".into())),
            Line::Begin("Waiting".into(), "for it".into()),
            Line::End,
        ] {
            let written = line.write();
            assert_eq!(written.lines().count(), 1, "{written}");
            assert_eq!(text(Line::read(written.trim_end())), text(line));
        }
        for other in ["ld: no", "", "\u{1e}{"] {
            let passed_on = Line::Report(Report::PassedOn(format!("{other}\n")));
            assert_eq!(text(Line::read(other)), text(passed_on));
        }
    }
}
