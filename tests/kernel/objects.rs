//! Patches on a module that comes and goes.

use std::fs;

use rustix::io::Errno;

use crate::guest::{Log, Patch};

crate::tests![
    shadow_variables_go_with_their_module,
    shadow_variables_go_when_loading_their_module_fails,
    shadow_variables_go_with_the_module_after_a_replace,
    shadow_variables_of_two_patches_go_once,
    shadow_variables_of_a_held_state_stay,
    shadow_variables_of_a_held_state_go_where_another_patch_is_told,
    shadow_variables_go_with_a_module_that_is_not_redirected,
    a_module_that_lacks_a_function,
];

/// The module that is patched.
pub(crate) const TARGET: Patch = Patch("target");
/// Marks its things.
pub(crate) const MARKS: Patch = Patch("marks");
/// Marks them too, and replaces other patches.
pub(crate) const MARKS_REPLACES: Patch = Patch("marks_replaces");
const MARKS_BLOCKS: Patch = Patch("marks_blocks");
/// Has another state of its own, and does not redirect the module.
const MARKS_BARE: Patch = Patch("marks_bare");
const MARKS_MISSING: Patch = Patch("marks_missing");

/// How many times the patch has described each of the things; 0 without a patch.
pub(crate) fn looks() -> String {
    fs::read_to_string("/proc/klp_test_target").unwrap().trim_end().to_owned()
}

/// The ends of the marks of all things, each described so many times.
pub(crate) fn dropped(by: &str, looks: usize) -> Vec<String> {
    let three = |what: &str| vec![format!("{by}.dropped {what} {looks}"); 3];
    [three("mark"), three("sleepy mark")].concat()
}

fn shadow_variables_go_with_their_module() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "0 0 0");
    MARKS.enable();
    assert_eq!((looks(), looks()), ("1 1 1".into(), "2 2 2".into()));
    assert_eq!(log.callbacks(), ["marks.pre_patch 5", "marks.post_patch 5"]);

    for _ in 0..3 {
        TARGET.remove();
        assert_eq!(log.callbacks(), dropped("marks", 2));
        TARGET.insert().unwrap();
        assert_eq!((looks(), looks()), ("1 1 1".into(), "2 2 2".into()), "none is met again");
    }

    assert_eq!(looks(), "3 3 3");
    MARKS.end();
    let end = ["marks.pre_unpatch 5", "marks.post_unpatch 5"].map(str::to_owned);
    assert_eq!(log.callbacks(), [&end[..], &dropped("marks", 3)].concat());
    assert_eq!(looks(), "0 0 0");
    TARGET.remove();
    assert_eq!(log.callbacks(), [""; 0]);
}

fn shadow_variables_go_when_loading_their_module_fails() {
    let mut log = Log::new();
    MARKS.enable();
    log.lines();
    assert_eq!(TARGET.insert_with(c"fail=1"), Err(Errno::NODEV));
    assert_eq!(log.callbacks(), dropped("marks", 1));
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    MARKS.disable();
    TARGET.remove();
    MARKS.remove();
}

fn shadow_variables_go_with_the_module_after_a_replace() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS.enable();
    assert_eq!(looks(), "1 1 1");
    MARKS_REPLACES.enable();
    MARKS.gone();
    assert_eq!(looks(), "2 2 2");
    log.lines();
    assert!(MARKS.is_loaded());
    TARGET.remove();
    assert_eq!(log.callbacks(), dropped("marks_replaces", 2), "the owner's destructors");
    MARKS.remove();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    MARKS_REPLACES.end();
    TARGET.remove();
}

fn shadow_variables_of_two_patches_go_once() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS_REPLACES.enable();
    MARKS.enable();
    assert_eq!(looks(), "1 1 1");
    log.lines();
    TARGET.remove();
    assert_eq!(log.callbacks(), dropped("marks", 1), "the owner's destructors");
    MARKS.end();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    log.lines();
    TARGET.remove();
    assert_eq!(log.callbacks(), dropped("marks_replaces", 1));
    MARKS_REPLACES.end();
}

fn shadow_variables_of_a_held_state_stay() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS_BLOCKS.enable();
    assert_eq!(looks(), "1 1 1");
    log.lines();
    MARKS_BLOCKS.disable();
    let held = "state Marks (id 5) is marked block_disable: it stays, and the module stays loaded, \
                until a patch that replaces this one takes the state over without block_disable";
    assert_eq!(log.of_patches(), [format!("marks_blocks.{held}")]);
    MARKS_REPLACES.enable();
    MARKS_BLOCKS.remove();
    assert_eq!(looks(), "2 2 2");
    TARGET.remove();
    assert_eq!(log.callbacks(), dropped("marks_replaces", 2));
    MARKS_REPLACES.end();
}

fn shadow_variables_of_a_held_state_go_where_another_patch_is_told() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS_BLOCKS.enable();
    assert_eq!(looks(), "1 1 1");
    MARKS_BLOCKS.disable();
    MARKS_BARE.enable();
    log.lines();
    TARGET.remove();
    let gone = [vec!["marks_bare.dropped 1".into()], dropped("marks_blocks", 1)].concat();
    assert_eq!(log.callbacks(), gone);
    TARGET.insert().unwrap();
    MARKS_BARE.end();
    MARKS_REPLACES.enable();
    MARKS_BLOCKS.remove();
    assert_eq!(looks(), "1 1 1", "none is met again");
    TARGET.remove();
    MARKS_REPLACES.end();
}

fn shadow_variables_go_with_a_module_that_is_not_redirected() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS_BARE.enable();
    assert_eq!(log.callbacks(), [""; 0]);
    TARGET.remove();
    assert_eq!(log.callbacks(), ["marks_bare.dropped 1"]);
    MARKS_BARE.end();
    assert_eq!(log.callbacks(), [""; 0]);
}

fn a_module_that_lacks_a_function() {
    let mut log = Log::new();
    TARGET.insert().unwrap();
    MARKS_MISSING.refused(Errno::INVAL);
    assert_eq!(log.callbacks(), [""; 0]);
    MARKS.enable();
    assert_eq!(looks(), "1 1 1");
    TARGET.remove();
    MARKS_MISSING.enable();
    log.lines();

    // The kernel patches the module for the one before it goes back on both.
    assert_eq!(TARGET.insert(), Err(Errno::INVAL));
    assert!(!TARGET.is_loaded());
    assert_eq!(log.callbacks(), [""; 0]);
    MARKS_MISSING.end();
    TARGET.insert().unwrap();
    assert_eq!(looks(), "1 1 1");
    MARKS.end();
    TARGET.remove();
}
