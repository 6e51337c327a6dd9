//! Which of the patches on the disk are loaded, in which order, and why the others are not: a pure function.

use std::fmt;

use crate::file::ModuleFile;
use crate::guard::{Mark, is_condemned};

/// A patch on the disk, as far as the plan depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name of its module.
    pub name: String,
    /// The build ID; the guard knows a patch by nothing else.
    pub build_id: Option<String>,
    /// The series and the revision in it.
    pub series: Option<(String, u64)>,
    /// Whether it replaces all other patches; the file of a patch in C does not tell.
    pub replaces: Option<bool>,
}

/// What is loaded, in this order, and what is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Those to load.
    pub load: Vec<Candidate>,
    /// Those left out, with the reasons.
    pub left_out: Vec<(Candidate, Reason)>,
}

/// Why a patch is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A later cumulative patch of its series is loaded.
    Superseded(String),
    /// Another patch is loaded that replaces all others, as this one would.
    Excluded(String),
    /// So many boots have died while it was on trial.
    Condemned(u32),
    /// Nothing could tell that it is this build that brings the machine down.
    NoBuildId,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded(by) => write!(f, "superseded by {by}"),
            Self::Excluded(by) => {
                write!(f, "it replaces all other patches, and so does {by}: only one can be in effect")
            }
            Self::Condemned(1) => write!(f, "the machine went down while it was on trial"),
            Self::Condemned(deaths) => {
                write!(f, "the machine went down {deaths} times in succession while it was on trial")
            }
            Self::NoBuildId => {
                write!(f, "it has no build ID, by which the guard against crash loops knows a patch")
            }
        }
    }
}

impl Reason {
    /// Whether the patch is not in effect though it should be.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Superseded(_))
    }
}

impl Candidate {
    /// The candidate in a file.
    #[must_use]
    pub fn of(file: &ModuleFile) -> Self {
        let series = file.about.as_ref().and_then(|about| about.series());
        Self {
            name: file.name.clone(),
            build_id: file.build_id.clone(),
            series: series.map(|(name, revision)| (name.to_owned(), revision)),
            replaces: file.about.as_ref().map(|about| about.replaces()),
        }
    }

    /// Whether it has what `other` has, and more.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        self.replaces == Some(true)
            && matches!((&self.series, &other.series), (Some((name, revision)), Some((other_name, other)))
                if name == other_name && revision > other)
    }

    /// Whether `confirmed` was taken away for it: another build of it, an earlier patch of its series, or any patch if
    /// it replaces all and belongs to no series.
    #[must_use]
    pub fn stands_for(&self, confirmed: &Self) -> bool {
        match (&self.series, &confirmed.series) {
            _ if self.name == confirmed.name => true,
            (Some((series, _)), Some((other, _))) => series == other,
            (Some(_), None) => false,
            (None, _) => self.replaces == Some(true),
        }
    }

    /// What replaces others comes first, as it would end what is there; what may replace them comes next.
    fn rank(&self) -> u8 {
        match self.replaces {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        }
    }
}

/// Chooses among the patches that are installed. Confirmed ones are loaded only in place of an installed one that is
/// condemned: what the administrator has uninstalled does not come back.
#[must_use]
pub fn plan(installed: &[Candidate], confirmed: &[Candidate], deaths: &[Mark]) -> Plan {
    let mut plan = Plan::default();
    let mut candidates = Vec::new();
    for candidate in installed {
        match fault(candidate, confirmed, deaths) {
            Some(reason) => plan.left_out.push((candidate.clone(), reason)),
            None => candidates.push(candidate.clone()),
        }
    }
    for fallback in confirmed.iter().filter(|fallback| fault(fallback, confirmed, deaths).is_none()) {
        let is_wanted = plan.left_out.iter().any(|(candidate, reason)| {
            matches!(reason, Reason::Condemned(_)) && candidate.stands_for(fallback)
        });
        if is_wanted && !candidates.iter().any(|candidate| candidate.build_id == fallback.build_id) {
            candidates.push(fallback.clone());
        }
    }
    // Among those that replace all others, the highest revision comes first, and the rest of them is left out.
    let revision = |candidate: &Candidate| candidate.series.as_ref().map_or(0, |(_, revision)| *revision);
    candidates.sort_by(|one, other| {
        let place =
            |candidate: &Candidate| (candidate.rank(), candidate.series.as_ref().map(|s| s.0.clone()));
        let higher_first = revision(other).cmp(&revision(one));
        let by_revision = if one.rank() == 0 { higher_first } else { higher_first.reverse() };
        place(one).cmp(&place(other)).then(by_revision).then_with(|| one.name.cmp(&other.name))
    });
    for candidate in candidates {
        let reason = plan.load.iter().find_map(|chosen| {
            if chosen.supersedes(&candidate) {
                Some(Reason::Superseded(chosen.name.clone()))
            } else if chosen.replaces == Some(true) && candidate.replaces == Some(true) {
                Some(Reason::Excluded(chosen.name.clone()))
            } else {
                None
            }
        });
        match reason {
            Some(reason) => plan.left_out.push((candidate, reason)),
            None => plan.load.push(candidate),
        }
    }
    plan
}

fn fault(candidate: &Candidate, confirmed: &[Candidate], deaths: &[Mark]) -> Option<Reason> {
    let Some(build_id) = &candidate.build_id else { return Some(Reason::NoBuildId) };
    let deaths = deaths.iter().find(|mark| mark.build_id == *build_id).map_or(0, |mark| mark.deaths);
    let is_confirmed = confirmed.iter().any(|patch| patch.build_id == candidate.build_id);
    is_condemned(deaths, is_confirmed).then_some(Reason::Condemned(deaths))
}
