//! What is chosen of the patches on the disk, and what becomes of a trial: pure functions.

use std::time::Duration;

use crate::guard::{Mark, Outcome, Standing, judge, outcome};
use crate::plan::{Candidate, Plan, Reason, plan};

fn candidate(name: &str, series: Option<(&str, u64)>, replaces: Option<bool>) -> Candidate {
    let series = series.map(|(name, revision)| (name.to_owned(), revision));
    Candidate { name: name.into(), build_id: Some(format!("id-{name}")), series, replaces }
}

fn cumulative(name: &str, series: &str, revision: u64) -> Candidate {
    candidate(name, Some((series, revision)), Some(true))
}

fn mark(name: &str, boot: &str, deaths: u32) -> Mark {
    Mark { build_id: format!("id-{name}"), name: name.into(), boot: boot.into(), deaths }
}

fn loaded(plan: &Plan) -> Vec<&str> {
    plan.load.iter().map(|patch| &*patch.name).collect()
}

#[test]
fn what_replaces_others_is_loaded_first() {
    let installed = [
        candidate("added", None, Some(false)),
        candidate("in_c", None, None),
        candidate("hot_2", Some(("hot", 2)), Some(false)),
        candidate("hot_1", Some(("hot", 1)), Some(false)),
        cumulative("net_3", "net", 3),
    ];
    let plan = plan(&installed, &[], &[]);
    assert_eq!(loaded(&plan), ["net_3", "in_c", "added", "hot_1", "hot_2"]);
    assert_eq!(plan.left_out, []);
}

#[test]
fn what_a_cumulative_patch_has_is_not_loaded_before_it() {
    let installed = [
        cumulative("net_2", "net", 2),
        candidate("net_1", Some(("net", 1)), Some(false)),
        candidate("net_4", Some(("net", 4)), Some(false)),
        cumulative("net_3", "net", 3),
        cumulative("fs_9", "fs", 9),
    ];
    let plan = plan(&installed, &[], &[]);
    // Each of fs_9 and net_3 would end the other.
    assert_eq!(loaded(&plan), ["fs_9", "net_1", "net_4"]);
    let of =
        |name: &str| plan.left_out.iter().find(|(patch, _)| patch.name == name).map(|(_, reason)| reason);
    assert_eq!(of("net_3"), Some(&Reason::Excluded("fs_9".into())));

    let plan = crate::plan::plan(&installed[..4], &[], &[]);
    assert_eq!(loaded(&plan), ["net_3", "net_4"]);
    assert!(plan.left_out.iter().all(|(_, reason)| *reason == Reason::Superseded("net_3".into())));
}

#[test]
fn a_confirmed_patch_comes_back_only_for_one_that_is_condemned_and_stood_for_it() {
    let confirmed = [cumulative("net_1", "net", 1), candidate("gone", None, Some(false))];
    let new = [cumulative("net_2", "net", 2)];
    assert_eq!(loaded(&plan(&new, &confirmed, &[])), ["net_2"]);
    assert_eq!(loaded(&plan(&new, &confirmed, &[mark("net_2", "a", 1)])), ["net_1"]);
    let unknown = [Candidate { build_id: None, ..cumulative("net_2", "net", 2) }];
    assert_eq!(loaded(&plan(&unknown, &confirmed, &[])), [""; 0]);
    // Another build of it, where nothing says what it replaces.
    let build = |id: &str| Candidate { build_id: Some(id.into()), ..candidate("in_c", None, None) };
    let condemned = Mark { build_id: "new".into(), ..mark("in_c", "a", 1) };
    let plan = plan(&[build("new")], &[build("old")], &[condemned]);
    assert_eq!(plan.load, [build("old")]);
}

#[test]
fn a_fallback_that_is_condemned_too_is_not_loaded() {
    let plan = plan(
        &[cumulative("net_2", "net", 2)],
        &[cumulative("net_1", "net", 1)],
        &[mark("net_2", "a", 1), mark("net_1", "b", 2)],
    );
    assert_eq!(loaded(&plan), [""; 0]);
}

#[test]
fn a_boot_that_died_counts_once() {
    let deaths = judge(&[mark("fix", "old", 0), mark("now", "this", 0)], &[mark("fix", "older", 1)], "this");
    assert_eq!(deaths, [mark("fix", "old", 2)]);
    // The machine went down between the two files.
    assert_eq!(judge(&[mark("fix", "old", 0)], &deaths, "this"), deaths);
}

#[test]
fn a_trial_ends_by_time_by_a_shutdown_or_with_the_patch() {
    let (trial, second) = (Duration::from_secs(20), Duration::from_secs(1));
    let table = [
        (Standing::UnderWay, false, Outcome::Continue),
        (Standing::UnderWay, true, Outcome::Drop),
        (Standing::InEffect(trial - second), false, Outcome::Continue),
        (Standing::InEffect(trial - second), true, Outcome::Drop),
        (Standing::InEffect(trial), false, Outcome::Confirm),
        (Standing::InEffect(trial), true, Outcome::Confirm),
        (Standing::Gone, false, Outcome::Drop),
        (Standing::Stuck, false, Outcome::Continue),
        (Standing::Stuck, true, Outcome::Continue),
    ];
    for (standing, is_stopping, expected) in table {
        assert_eq!(outcome(standing, trial, is_stopping), expected, "{standing:?} {is_stopping}");
    }
}
