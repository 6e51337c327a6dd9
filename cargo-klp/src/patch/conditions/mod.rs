//! The conditions on the kernel in a patch crate, `#[cfg(kernel_since = "6.12")]` and the like, and their answers.

mod answer;
mod scan;

use std::collections::BTreeMap;
use std::path::Path;

use klp_format::condition::{Condition, HAS, SINCE, write_answers};

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Target;
use answer::Answerer;

/// The conditions of a crate, each with where it stands first.
#[derive(Clone, Debug, Default)]
pub struct Conditions(BTreeMap<Condition, String>);

/// Which of a crate's conditions hold for a kernel.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<Condition, bool>);

impl Conditions {
    /// Those of the crate with a root file; places are relative to `base`.
    ///
    /// # Errors
    ///
    /// [`Error::Conditions`] for those that are not written as they must be.
    pub fn of(root: &Path, base: &Path) -> Result<Self> {
        let (mut conditions, mut faults) = (BTreeMap::new(), Vec::new());
        for found in scan::scan(root) {
            let file = found.file.strip_prefix(base).unwrap_or(&found.file).display();
            let place = format!("{file}:{}:{}", found.start.line, found.start.column + 1);
            match found.condition {
                Ok(condition) => {
                    conditions.entry(condition).or_insert(place);
                }
                Err(why) => faults.push(format!("{place}: {why}")),
            }
        }
        if faults.is_empty() { Ok(Self(conditions)) } else { Err(Error::Conditions { faults }) }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers them for a kernel. Warns of options that no configuration has.
    ///
    /// # Errors
    ///
    /// This machine lacks what is needed to know: the kernel's image, its BTF or a module.
    pub fn answer(&self, target: &Target, reporter: &dyn Reporter) -> Result<Answers> {
        let mut answerer = Answerer::new(target, reporter);
        let mut answers = BTreeMap::new();
        for (condition, place) in &self.0 {
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

impl Answers {
    /// The arguments of rustc: the conditions that hold, and all that may be asked.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        // The names are expected in any crate, so that rustc proposes them for misspelt ones.
        for name in [SINCE, HAS] {
            arguments.extend(["--check-cfg".to_owned(), format!("cfg({name}, values())")]);
        }
        for (condition, holds) in &self.0 {
            arguments.extend(["--check-cfg".to_owned(), condition.check_cfg()]);
            if *holds {
                arguments.extend(["--cfg".to_owned(), condition.cfg()]);
            }
        }
        arguments
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
