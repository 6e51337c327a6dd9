//! Reports on the progress of work.
//!
//! The layers below `commands` print nothing: their callers pass them a reporter. Results and errors are
//! returned, not reported.

use std::fmt::Debug;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// Receives reports while work is in progress.
pub trait Reporter: Debug + Sync {
    /// A step of the work, for users who ask for details: a verb and its object.
    fn detail(&self, verb: &str, object: &str);

    /// A fact beside the work.
    fn note(&self, message: &str);

    /// Something that the user must look at.
    fn warning(&self, message: &str);

    /// Text for people that another program has printed, unchanged, with its line ends.
    fn passed_on(&self, text: &str);

    /// A message of cargo, as its JSON and as text for people.
    fn compiler_message(&self, _json: &str, text: &str) {
        self.passed_on(text);
    }

    /// Whether colors in what is passed on are shown.
    fn is_colored(&self) -> bool;

    /// Work that takes more than a second or two: a verb and its object. The work ends when the value is dropped.
    fn progress<'a>(&'a self, verb: &'a str, object: &'a str) -> Box<dyn Progress + 'a>;
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

/// A report that is held back: the arguments of a method of [`Reporter`].
#[derive(Debug)]
enum Report {
    Detail(String, String),
    Note(String),
    Warning(String),
    PassedOn(String),
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
    fn passed_on(&self, text: &str) {
        self.hold(Report::PassedOn(text.into()));
    }
    fn is_colored(&self) -> bool {
        self.to.is_colored()
    }
    fn progress<'a>(&'a self, verb: &'a str, object: &'a str) -> Box<dyn Progress + 'a> {
        self.to.progress(verb, object)
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        /// Held while the reports of one task are passed on.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = self.reports.get_mut().unwrap_or_else(PoisonError::into_inner);
        for report in mem::take(reports) {
            match report {
                Report::Detail(verb, object) => self.to.detail(&verb, &object),
                Report::Note(message) => self.to.note(&message),
                Report::Warning(message) => self.to.warning(&message),
                Report::PassedOn(text) => self.to.passed_on(&text),
            }
        }
    }
}

/// Ignores all reports.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Reporter for Silent {
    fn detail(&self, _: &str, _: &str) {}
    fn note(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn passed_on(&self, _: &str) {}
    fn is_colored(&self) -> bool {
        false
    }
    fn progress<'a>(&'a self, _: &'a str, _: &'a str) -> Box<dyn Progress + 'a> {
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
        fn passed_on(&self, text: &str) {
            self.keep(text);
        }
        fn is_colored(&self) -> bool {
            false
        }
        fn progress<'a>(&'a self, verb: &'a str, object: &'a str) -> Box<dyn Progress + 'a> {
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
