//! What the command tells its user, on stderr and in cargo's style.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Error;
use crate::host::report::{Progress, Reporter};

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What is being done as well.
    #[default]
    Normal,
    /// The commands that are run, too.
    Verbose,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

const VERB: Style = AnsiColor::Green.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

/// Sets how much this process prints.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

fn tells(verbosity: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= verbosity as u8
}

/// A status line: a right-aligned verb and what it is about.
pub fn status(verb: &str, message: impl Display) {
    if tells(Verbosity::Normal) {
        anstream::eprintln!("{VERB}{verb:>12}{VERB:#} {message}");
    }
}

/// A fact beside the main line of the work.
pub fn note(message: impl Display) {
    if tells(Verbosity::Normal) {
        anstream::eprintln!("{NOTE}note{NOTE:#}: {message}");
    }
}

/// Something that the user should look at.
pub fn warning(message: impl Display) {
    anstream::eprintln!("{WARNING}warning{WARNING:#}: {message}");
}

/// One of several things that are wrong.
pub fn error(message: impl Display) {
    anstream::eprintln!("{ERROR}error{ERROR:#}: {message}");
}

/// Why the work failed and what to do next.
pub fn failure(error: &Error) {
    anstream::eprintln!("{ERROR}error{ERROR:#}: {error}");
    if let Some(help) = error.help() {
        anstream::eprintln!("  {NOTE}help{NOTE:#}: {help}");
    }
}

/// The terminal, or what stderr is instead.
#[derive(Clone, Copy, Debug)]
pub struct Terminal;

impl Reporter for Terminal {
    fn detail(&self, verb: &str, object: &str) {
        if tells(Verbosity::Verbose) {
            status(verb, object);
        }
    }

    fn note(&self, message: &str) {
        note(message);
    }

    fn warning(&self, message: &str) {
        warning(message);
    }

    fn passed_on(&self, text: &str) {
        anstream::eprint!("{text}");
    }

    fn progress<'a>(&'a self, verb: &'a str, object: &'a str) -> Box<dyn Progress + 'a> {
        Box::new(spinner(verb, object))
    }
}

/// Says what is being done for as long as it takes; the line is gone when this is dropped.
#[derive(Debug)]
#[must_use = "the progress line is gone as soon as this is dropped"]
pub struct Spinner(ProgressBar);

/// Starts a line that moves, for work of more than a second or two. Where stderr is no terminal,
/// one status line is written instead.
pub fn spinner(verb: &str, message: impl Display) -> Spinner {
    if !tells(Verbosity::Normal) || !stderr().is_terminal() {
        status(verb, message);
        return Spinner(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{prefix:>12.green.bold} {msg} {spinner} {elapsed}")
        .expect("the template is valid");
    let bar = ProgressBar::no_length().with_style(style);
    let bar = bar.with_prefix(verb.to_owned()).with_message(message.to_string());
    bar.enable_steady_tick(Duration::from_millis(120));
    Spinner(bar)
}

impl Progress for Spinner {
    fn update(&self, object: &str) {
        self.0.set_message(object.to_owned());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
