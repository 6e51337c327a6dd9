//! The guard against crash loops: what follows from the marks that earlier boots have left, as pure functions.
//!
//! Before a patch that is loaded at boot is loaded, a mark with the id of this boot is written: the patch is on trial.
//! The mark goes once the patch has been in effect for a while, or when the machine is shut down in good order. A mark
//! of another boot is thus one of a boot that died with the patch on trial.

use std::time::Duration;

/// A mark of a trial or of deaths, on a build of a patch. A repaired build is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The build ID of the module.
    pub build_id: String,
    /// The name of the module.
    pub name: String,
    /// The boot in which it was loaded last.
    pub boot: String,
    /// How many boots in succession have died while it was on trial.
    pub deaths: u32,
}

/// How many boots a build that was confirmed may lose before it is left out. Something else may have brought the
/// machine down, and the build has once shown that it does no harm.
const DEATHS_OF_CONFIRMED: u32 = 2;

/// The trials of boots that died: these marks are to be kept as deaths.
///
/// `deaths` are those of earlier boots, `boot` is the boot that runs.
#[must_use]
pub fn judge(trials: &[Mark], deaths: &[Mark], boot: &str) -> Vec<Mark> {
    let died = trials.iter().filter(|trial| trial.boot != boot);
    died.map(|trial| {
        let before = deaths.iter().find(|death| death.build_id == trial.build_id);
        // Its files are written one after the other: if the machine dies between them, the same boot counts once.
        let deaths = match before {
            Some(death) if death.boot == trial.boot => death.deaths,
            Some(death) => death.deaths + 1,
            None => 1,
        };
        Mark { deaths, ..trial.clone() }
    })
    .collect()
}

/// Whether so many deaths keep a build from being loaded at boot.
#[must_use]
pub fn is_condemned(deaths: u32, is_confirmed: bool) -> bool {
    deaths >= if is_confirmed { DEATHS_OF_CONFIRMED } else { 1 }
}

/// Where a patch on trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In effect, for this time.
    InEffect(Duration),
    /// Not loaded yet, or in transition.
    UnderWay,
    /// It was in effect, and is not any more.
    Gone,
    /// Its loader has died in it.
    Stuck,
}

/// What becomes of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Continue,
    /// The patch is confirmed.
    Confirm,
    /// The mark goes, without a judgement.
    Drop,
}

/// What becomes of a trial that must last for the time `trial`; `is_stopping` is whether the machine is shut down in
/// good order.
#[must_use]
pub fn outcome(standing: Standing, trial: Duration, is_stopping: bool) -> Outcome {
    match standing {
        // The next boot would come to the same point: the mark must be there for it.
        Standing::Stuck => Outcome::Continue,
        Standing::InEffect(time) if time >= trial => Outcome::Confirm,
        Standing::Gone => Outcome::Drop,
        Standing::InEffect(_) | Standing::UnderWay if is_stopping => Outcome::Drop,
        Standing::InEffect(_) | Standing::UnderWay => Outcome::Continue,
    }
}
