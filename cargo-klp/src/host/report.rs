//! Reports of how the work goes.
//!
//! The layers below `commands` print nothing: they report to a value that they are handed. Results and errors are
//! returned, not reported.

use std::fmt::Debug;

/// Takes reports while the work goes on.
pub trait Reporter: Debug + Sync {
    /// A step of the work, for users who asked for details: a verb, and its object.
    fn detail(&self, verb: &str, object: &str);

    /// A fact beside the work.
    fn note(&self, message: &str);

    /// Something that the user must look at.
    fn warning(&self, message: &str);

    /// What another program has printed for people, as it came, with its line ends.
    fn passed_on(&self, text: &str);

    /// Work that takes more than a second or two, as a verb and its object. It goes on until the value is dropped.
    fn progress<'a>(&'a self, verb: &'a str, object: &'a str) -> Box<dyn Progress + 'a>;
}

/// Work that goes on.
pub trait Progress: Sync {
    /// Tells its object more exactly.
    fn update(&self, object: &str);
}

/// Ignores all reports.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Reporter for Silent {
    fn detail(&self, _: &str, _: &str) {}
    fn note(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn passed_on(&self, _: &str) {}
    fn progress<'a>(&'a self, _: &'a str, _: &'a str) -> Box<dyn Progress + 'a> {
        Box::new(Self)
    }
}

impl Progress for Silent {
    fn update(&self, _: &str) {}
}
