//! What the command tells its user, on stderr and in cargo's style.

use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::{ColorChoice, ValueEnum};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::error::{Error, Failure};
use crate::host::report::{Progress, Reporter};

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Progress as well.
    #[default]
    Normal,
    /// The commands that are run as well.
    Verbose,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

const VERB: Style = AnsiColor::Green.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

/// Sets the verbosity of this process.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Sets when this process prints in color: as it is told, else as CARGO_TERM_COLOR says, as for cargo.
pub fn set_color(told: Option<ColorChoice>) {
    let of_cargo = || ColorChoice::from_str(&env::var("CARGO_TERM_COLOR").ok()?, true).ok();
    let choice = match told.or_else(of_cargo) {
        Some(ColorChoice::Always) => anstream::ColorChoice::Always,
        Some(ColorChoice::Never) => anstream::ColorChoice::Never,
        Some(ColorChoice::Auto) | None => anstream::ColorChoice::Auto,
    };
    choice.write_global();
}

fn tells(verbosity: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= verbosity as u8
}

/// The lines of all work in progress.
static SPINNERS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes to stderr, above the lines of work in progress.
fn print(text: impl Display) {
    SPINNERS.suspend(|| anstream::eprint!("{text}"));
}

/// Prints a status line: a right-aligned verb and its object.
pub fn status(verb: &str, message: impl Display) {
    if tells(Verbosity::Normal) {
        print(format_args!("{VERB}{verb:>12}{VERB:#} {message}\n"));
    }
}

/// Prints a fact beside the main line of the work.
pub fn note(message: impl Display) {
    if tells(Verbosity::Normal) {
        print(format_args!("{NOTE}note{NOTE:#}: {message}\n"));
    }
}

/// Prints something that the user should look at.
pub fn warning(message: impl Display) {
    print(format_args!("{WARNING}warning{WARNING:#}: {message}\n"));
}

/// Prints one of several errors.
pub fn error(message: impl Display) {
    print(format_args!("{ERROR}error{ERROR:#}: {message}\n"));
}

/// Prints why the work failed and what to do next.
pub fn failure(error: &Error) {
    error.failures().iter().for_each(show);
}

fn show(failure: &Failure) {
    error(&failure.error);
    if let Some(help) = &failure.help {
        print(format_args!("  {NOTE}help{NOTE:#}: {help}\n"));
    }
}

/// The terminal, or whatever else stderr is.
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

    fn failure(&self, _package: &str, what: &Failure) {
        show(what);
    }

    fn passed_on(&self, text: &str) {
        print(format_args!("{text}"));
    }

    fn is_colored(&self) -> bool {
        AutoStream::choice(&stderr()) != anstream::ColorChoice::Never
    }

    fn progress<'a>(&'a self, verb: &str, object: &str) -> Box<dyn Progress + 'a> {
        Box::new(spinner(verb, object))
    }
}

/// A line that shows what is in progress; it disappears when this is dropped.
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
    let bar = SPINNERS.add(bar.with_prefix(verb.to_owned()).with_message(message.to_string()));
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
