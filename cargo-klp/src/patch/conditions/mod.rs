//! The conditions on the kernel in a patch crate, `#[cfg(kernel_since = "6.12")]` and the like, and their answers.

mod answer;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use klp_format::condition::{Condition, HAS, SINCE, write_answers};

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Target;
use answer::Answerer;
pub use answer::HasInHeaders;

/// The conditions of crates, each with where it stands first.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    found: BTreeMap<Condition, String>,
    files: BTreeSet<PathBuf>,
}

/// Which of a crate's conditions hold for a kernel.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<Condition, bool>);

impl Conditions {
    /// Adds those of the crate with a root file; places are relative to `base`.
    ///
    /// # Errors
    ///
    /// [`Error::Conditions`] for those that are not written as they must be.
    pub fn add(&mut self, root: &Path, base: &Path) -> Result<()> {
        let mut faults = Vec::new();
        let scan::Scanned { found, files } = scan::scan(root);
        for found in found {
            let file = found.file.strip_prefix(base).unwrap_or(&found.file).display();
            let place = format!("{file}:{}:{}", found.start.line, found.start.column + 1);
            match found.condition {
                Ok(condition) => {
                    self.found.entry(condition).or_insert(place);
                }
                Err(why) => faults.push(format!("{place}: {why}")),
            }
        }
        self.files.extend(files);
        if faults.is_empty() { Ok(()) } else { Err(Error::Conditions { faults }) }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// One of them, with where it stands.
    #[must_use]
    pub fn first(&self) -> Option<(&Condition, &str)> {
        self.found.iter().next().map(|(condition, place)| (condition, &**place))
    }

    /// The files that were read.
    #[must_use]
    pub const fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Answers them for a kernel. Warns of options that no configuration has.
    ///
    /// # Errors
    ///
    /// This machine lacks what is needed to know: the kernel's image, its BTF or a module.
    pub fn answer(
        &self,
        target: &Target,
        headers: &HasInHeaders<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Answers> {
        let mut answerer = Answerer::new(target, headers, reporter);
        let mut answers = BTreeMap::new();
        for (condition, place) in &self.found {
            if let Condition::Config { option, .. } = condition
                && let Some(doubt) = answerer.doubt(option)?
            {
                reporter.warning(&format!("{place}: {doubt}"));
            }
            answers.insert(condition.clone(), answerer.holds(condition)?);
        }
        Ok(Answers(answers))
    }
}

/// Answers one condition for a kernel.
///
/// # Errors
///
/// As for [`Conditions::answer`].
pub fn holds(
    condition: &Condition,
    target: &Target,
    headers: &HasInHeaders<'_>,
    reporter: &dyn Reporter,
) -> Result<bool> {
    Answerer::new(target, headers, reporter).holds(condition)
}

impl Answers {
    /// The conditions that may be asked, as rustc's `--check-cfg` has them.
    pub fn expected(&self) -> impl Iterator<Item = String> {
        // The names are expected in any crate, so that rustc proposes them for misspelt ones.
        let names = [SINCE, HAS].map(|name| format!("cfg({name}, values())"));
        names.into_iter().chain(self.0.keys().map(Condition::check_cfg))
    }

    /// The conditions that hold, as rustc's `--cfg` has them.
    pub fn holding(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(_, holds)| **holds).map(|(condition, _)| condition.cfg())
    }

    /// The arguments of rustc.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let expected = self.expected().flat_map(|condition| ["--check-cfg".to_owned(), condition]);
        let holding = self.holding().flat_map(|condition| ["--cfg".to_owned(), condition]);
        expected.chain(holding).collect()
    }

    /// The answers as the macros read them.
    #[must_use]
    pub fn for_macros(&self) -> String {
        write_answers(self.0.iter().map(|(condition, holds)| (condition, *holds)))
    }

    /// Each condition as it stands in a `#[cfg]`, and whether it holds.
    #[must_use]
    pub fn texts(&self) -> BTreeMap<String, bool> {
        self.0.iter().map(|(condition, holds)| (condition.to_string(), *holds)).collect()
    }
}
