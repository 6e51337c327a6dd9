//! Reports on the progress of work.
//!
//! The layers below `commands` print nothing: their callers pass them a reporter. Results and errors are
//! returned, not reported; only where work of one of several tasks fails is its error reported as well.

use std::fmt::Debug;
use std::mem;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Receives reports while work is in progress.
pub trait Reporter: Debug + Sync {
    /// A step of the work, for users who ask for details: a verb and its object.
    fn detail(&self, verb: &str, object: &str);

    /// A fact beside the work.
    fn note(&self, message: &str);

    /// Something that the user must look at.
    fn warning(&self, message: &str);

    /// A warning about a package, which begins with its place in the source, `file:line: …`, if that is known.
    fn warning_about(&self, _package: &str, message: &str) {
        self.warning(message);
    }

    /// Why a step of the work on a package failed.
    fn failure(&self, package: &str, failure: &Failure);

    /// Text for people that another program has printed, unchanged, with its line ends.
    fn passed_on(&self, text: &str);

    /// A message of cargo, as its JSON and as text for people.
    fn compiler_message(&self, _json: &str, text: &str) {
        self.passed_on(text);
    }

    /// Whether colors in what is passed on are shown.
    fn is_colored(&self) -> bool;

    /// Work that takes more than a second or two: a verb and its object. The work ends when the value is dropped.
    fn progress<'a>(&'a self, verb: &str, object: &str) -> Box<dyn Progress + 'a>;
}

/// Work in progress.
pub trait Progress: Sync {
    /// Describes the object of the work more precisely.
    fn update(&self, object: &str);
}

/// Reports on one of several tasks that run at the same time: holds them back until this is dropped, so that they
/// are shown together. Progress is shown at once.
#[derive(Debug)]
pub struct Together<'a> {
    to: &'a dyn Reporter,
    reports: Mutex<Vec<Report>>,
}

/// A report that is not shown at once: the arguments of a method of [`Reporter`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A step of the work.
    Detail(String, String),
    /// A fact beside the work.
    Note(String),
    /// Something that the user must look at.
    Warning(String),
    /// A warning about a package.
    WarningAbout(String, String),
    /// Why a step of the work on a package failed.
    Failure(String, Failure),
    /// Text for people.
    PassedOn(String),
    /// A message of cargo, as its JSON and as text.
    Compiler(String, String),
}

impl Report {
    /// Makes the report.
    pub(crate) fn make(self, to: &dyn Reporter) {
        match self {
            Self::Detail(verb, object) => to.detail(&verb, &object),
            Self::Note(message) => to.note(&message),
            Self::Warning(message) => to.warning(&message),
            Self::WarningAbout(package, message) => to.warning_about(&package, &message),
            Self::Failure(package, failure) => to.failure(&package, &failure),
            Self::PassedOn(text) => to.passed_on(&text),
            Self::Compiler(json, text) => to.compiler_message(&json, &text),
        }
    }
}

impl<'a> Together<'a> {
    /// A reporter for one task, which passes its reports on to `to`.
    pub fn new(to: &'a dyn Reporter) -> Self {
        Self { to, reports: Mutex::default() }
    }

    fn hold(&self, report: Report) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }
}

impl Reporter for Together<'_> {
    fn detail(&self, verb: &str, object: &str) {
        self.hold(Report::Detail(verb.into(), object.into()));
    }
    fn note(&self, message: &str) {
        self.hold(Report::Note(message.into()));
    }
    fn warning(&self, message: &str) {
        self.hold(Report::Warning(message.into()));
    }
    fn warning_about(&self, package: &str, message: &str) {
        self.hold(Report::WarningAbout(package.into(), message.into()));
    }
    fn failure(&self, package: &str, failure: &Failure) {
        self.hold(Report::Failure(package.into(), failure.clone()));
    }
    fn compiler_message(&self, json: &str, text: &str) {
        self.hold(Report::Compiler(json.into(), text.into()));
    }
    fn passed_on(&self, text: &str) {
        self.hold(Report::PassedOn(text.into()));
    }
    fn is_colored(&self) -> bool {
        self.to.is_colored()
    }
    fn progress<'a>(&'a self, verb: &str, object: &str) -> Box<dyn Progress + 'a> {
        self.to.progress(verb, object)
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        /// Held while the reports of one task are passed on.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = self.reports.get_mut().unwrap_or_else(PoisonError::into_inner);
        mem::take(reports).into_iter().for_each(|report| report.make(self.to));
    }
}

/// Ignores all reports.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Reporter for Silent {
    fn detail(&self, _: &str, _: &str) {}
    fn note(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn failure(&self, _: &str, _: &Failure) {}
    fn passed_on(&self, _: &str) {}
    fn is_colored(&self) -> bool {
        false
    }
    fn progress<'a>(&'a self, _: &str, _: &str) -> Box<dyn Progress + 'a> {
        Box::new(Self)
    }
}

impl Progress for Silent {
    fn update(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects reports.
    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Kept {
        fn keep(&self, text: &str) {
            self.0.lock().unwrap().push(text.into());
        }
    }

    impl Reporter for Kept {
        fn detail(&self, verb: &str, object: &str) {
            self.keep(&format!("{verb} {object}"));
        }
        fn note(&self, message: &str) {
            self.keep(message);
        }
        fn warning(&self, message: &str) {
            self.keep(message);
        }
        fn failure(&self, package: &str, failure: &Failure) {
            self.keep(&format!("{package}: {}", failure.error));
        }
        fn passed_on(&self, text: &str) {
            self.keep(text);
        }
        fn is_colored(&self) -> bool {
            false
        }
        fn progress<'a>(&'a self, verb: &str, object: &str) -> Box<dyn Progress + 'a> {
            self.keep(&format!("{verb} {object}"));
            Box::new(Silent)
        }
    }

    #[test]
    fn reports_on_one_task_are_shown_together() {
        let kept = Kept::default();
        let (one, other) = (Together::new(&kept), Together::new(&kept));
        one.passed_on("one: rustc\n");
        other.detail("Running", "other");
        drop(other.progress("Building", "other"));
        one.warning("one: warning");
        other.note("other: note");
        one.note("one: note");
        drop(one);
        drop(other);
        let expected =
            ["Building other", "one: rustc\n", "one: warning", "one: note", "Running other", "other: note"];
        assert_eq!(*kept.0.lock().unwrap(), expected);
    }
}
