//! Code of a patch that runs on its own ends with its patch ([S17](../../docs/lifecycle.md#s17)).

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;

use crate::guest::{Log, Patch, wait};

crate::tests![l22_what_runs_on_its_own_is_stopped, l23_a_directory_is_gone_before_the_next_is_made];

const FIRST: Patch = Patch("runs");
const NEXT: Patch = Patch("runs_next");
const DIRECTORY: &str = "/sys/kernel/klp_test_runs";

/// One read of the file: a second one, for its end, may come when it is gone.
fn read() -> std::io::Result<String> {
    let mut text = [0; 64];
    let length = File::open(Path::new(DIRECTORY).join("made"))?.read(&mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// The lines of the log until one of them is `last`.
fn until(log: &mut Log, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    wait(
        || {
            lines.extend(log.of_patches());
            lines.iter().any(|line| line == last)
        },
        || format!("no {last}"),
    );
    lines
}

/// How many lines say that something began, and how many that it ended.
fn works(lines: &[String]) -> (usize, usize) {
    let count = |text: &str| lines.iter().filter(|line| *line == text).count();
    (count("runs.work"), count("runs.worked on what klp_test_runs made"))
}

fn l22_what_runs_on_its_own_is_stopped() {
    let mut log = Log::new();
    FIRST.enable();
    let reader = thread::spawn(read);
    let mut lines = until(&mut log, "runs.show");
    lines.extend(until(&mut log, "runs.work"));
    NEXT.enable();
    FIRST.gone();
    // Its code is gone: what still runs, or runs again, does not end well.
    FIRST.remove();
    assert_eq!(reader.join().unwrap().unwrap(), "klp_test_runs\n", "the data were intact");
    NEXT.disable();
    lines.extend(log.of_patches());
    let taken = lines.iter().position(|line| line == "runs_next.take_over").unwrap();
    let (before, after) = lines.split_at(taken);
    let (begun, ended) = works(before);
    assert!(begun > 0 && begun == ended, "{lines:#?}");
    assert!(!after.iter().any(|line| line.starts_with("runs.")), "{lines:#?}");
    assert_eq!(
        lines.last().unwrap(),
        "runs_next.post_unpatch, again: false Some(ENODEV)",
        "nothing is started again: {lines:#?}"
    );
    NEXT.remove();
}

fn l23_a_directory_is_gone_before_the_next_is_made() {
    let mut log = Log::new();
    FIRST.enable();
    NEXT.enable();
    let lines = until(&mut log, "runs_next.take_over");
    assert!(!lines.iter().any(|line| line.contains("no directory")), "{lines:#?}");
    FIRST.gone();
    FIRST.remove();
    assert_eq!(read().unwrap(), "klp_test_runs\n", "that of the next, with the data of the first");
    NEXT.disable();
    assert!(!Path::new(DIRECTORY).exists());
    NEXT.remove();
}
