//! S14: our patches beside livepatches in C, which know nothing of states.

use std::ffi::{CStr, CString};
use std::fs;

use klp_runtime::abi::{ABI_VERSION, RESERVED_STATE_ID};
use rustix::io::Errno;

use crate::guest::{Log, Patch, patches};
use crate::objects::{MARKS, MARKS_REPLACES, TARGET, looks};

crate::tests![
    s14_a_c_patch_that_replaces_is_refused,
    s14_an_older_table_abi_is_refused,
    s14_a_c_patch_that_does_not_replace_coexists,
    s14_a_c_patch_that_was_there_first_is_replaced,
    s14_a_c_patch_with_states_is_not_replaced,
    l29_a_c_patch_replaces_ours_that_has_nothing_to_lose,
];

/// Gives `/proc/version` another text.
const C_PATCH: Patch = Patch("c_patch");
const NOTHING: [&str; 0] = [];

fn is_patched_in_c() -> bool {
    fs::read_to_string("/proc/version").unwrap() == "patched in C\n"
}

/// Loads `patch`, which the kernel itself refuses: nothing is called, nothing has changed.
#[track_caller]
pub(crate) fn assert_refused_by_the_kernel(patch: Patch, parameters: &CStr) {
    let (mut log, mut all) = (Log::new(), Log::new());
    let before = (patches(), is_patched_in_c());
    assert_eq!(patch.insert_with(parameters), Err(Errno::INVAL), "{parameters:?}");
    assert!(!patch.is_loaded());
    assert_eq!((patches(), is_patched_in_c()), before);
    assert_eq!(log.of_patches(), NOTHING);
    let why = format!(
        "livepatch: Livepatch patch ({}) is not compatible with the already installed livepatches.",
        patch.module()
    );
    let lines = all.lines();
    assert!(lines.contains(&why), "{lines:#?}");
}

/// With a state and shadow variables of ours, on which the refusals have no effect.
fn beside_marks(what: impl FnOnce()) {
    TARGET.insert().unwrap();
    MARKS.enable();
    assert_eq!(looks(), "1 1 1");
    what();
    assert_eq!(looks(), "2 2 2");
    let mut log = Log::new();
    MARKS.end();
    assert_eq!(log.callbacks()[..2], ["marks.pre_unpatch 5", "marks.post_unpatch 5"]);
    TARGET.remove();
}

fn s14_a_c_patch_that_replaces_is_refused() {
    beside_marks(|| {
        assert_refused_by_the_kernel(C_PATCH, c"replace=1");
        assert_refused_by_the_kernel(C_PATCH, c"replace=1 state=7 version=1");
    });
    // It is our states that it lacks.
    C_PATCH.insert_with(c"replace=1").unwrap();
    C_PATCH.settle();
    assert!(is_patched_in_c());
    C_PATCH.end();
}

/// What a patch of a runtime before this one has in its `klp_patch.states`.
fn s14_an_older_table_abi_is_refused() {
    let states =
        |version| CString::new(format!("replace=1 state={RESERVED_STATE_ID} version={version}")).unwrap();
    beside_marks(|| assert_refused_by_the_kernel(C_PATCH, &states(ABI_VERSION - 1)));
}

fn s14_a_c_patch_that_does_not_replace_coexists() {
    // With a table of states of its own it is as strange.
    for parameters in [c"", c"state=7 version=1"] {
        beside_marks(|| {
            let mut log = Log::new();
            C_PATCH.insert_with(parameters).unwrap();
            C_PATCH.settle();
            assert!(is_patched_in_c());
            C_PATCH.end();
            assert!(!is_patched_in_c());
            assert_eq!(log.of_patches(), NOTHING);
        });
    }

    // There first, and there last.
    C_PATCH.enable();
    beside_marks(|| assert!(is_patched_in_c()));
    assert!(is_patched_in_c());
    C_PATCH.end();
}

fn s14_a_c_patch_that_was_there_first_is_replaced() {
    for parameters in [c"", c"replace=1"] {
        let mut log = Log::new();
        C_PATCH.insert_with(parameters).unwrap();
        C_PATCH.settle();
        MARKS_REPLACES.enable();
        C_PATCH.gone();
        assert!(!is_patched_in_c());
        C_PATCH.remove();
        MARKS_REPLACES.end();
        let calls = ["pre_patch", "post_patch", "pre_unpatch", "post_unpatch"];
        assert_eq!(log.callbacks(), calls.map(|call| format!("marks_replaces.{call} 5")));
    }
}

/// The kernel's rule for its own states holds for our patches too.
fn s14_a_c_patch_with_states_is_not_replaced() {
    C_PATCH.insert_with(c"state=7 version=1").unwrap();
    C_PATCH.settle();
    assert_refused_by_the_kernel(MARKS_REPLACES, c"");
    beside_marks(|| assert!(is_patched_in_c()));
    C_PATCH.end();
}

/// One that replaces others, so that the engine had it on its list, and one that the engine never saw.
fn l29_a_c_patch_replaces_ours_that_has_nothing_to_lose() {
    const B1_REPLACES: Patch = Patch("b1_replaces");
    for ours in [Patch("livepatch_cmdline"), Patch("livepatch_fifo_check")] {
        ours.enable();
        C_PATCH.insert_with(c"replace=1").unwrap();
        C_PATCH.settle();
        ours.gone();
        assert!(is_patched_in_c());
        ours.remove();
        let mut log = Log::new();
        B1_REPLACES.enable();
        assert_eq!(log.callbacks(), ["b1_replaces.pre_patch 1", "b1_replaces.post_patch 1"]);
        C_PATCH.gone();
        C_PATCH.remove();
        B1_REPLACES.end();
        assert_eq!(log.callbacks(), ["b1_replaces.pre_unpatch 1", "b1_replaces.post_unpatch 1"]);
    }
}
