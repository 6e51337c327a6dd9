//! S1: patches that are refused before anything is called, each with one line in the log at level err.
//!
//! A lower version is L12 of `lifecycle.rs`, a state that stays (`block_disable`) is L15.

use std::ffi::CString;

use klp_runtime::abi::{ABI_VERSION, MAGIC, REGISTRY_SHADOW_ID};
use rustix::io::Errno;

use crate::guest::{Log, Patch, patches};
use crate::objects::{MARKS, TARGET, looks};
use crate::strangers::assert_refused_by_the_kernel;

crate::tests![
    s1_another_name,
    s1_another_layout,
    s1_another_layout_of_a_shadow_variable,
    a_patch_of_a_later_table_abi,
    a_list_of_another_version,
    a_patch_of_another_version_on_the_list,
    a_corrupt_list,
    a_list_that_is_sound,
];

const A1: Patch = Patch("a1");

/// Loads `patch`, which is refused for the reason `why`: nothing is called, nothing has changed.
#[track_caller]
fn assert_refused(patch: Patch, why: &str) {
    let (mut log, mut errors) = (Log::new(), Log::new());
    let before = patches();
    patch.refused(Errno::INVAL);
    let line = format!("{}.refused: {why}", patch.0);
    assert_eq!(log.of_patches(), [line.as_str()], "the one line, and no callback");
    assert_eq!(errors.errors_of_patches(), [line], "at level err");
    assert_eq!(patches(), before);
}

/// Ends a patch that is enabled, whose one state goes on as if nothing had been.
fn assert_goes_on(patch: Patch, state: u64) {
    let mut log = Log::new();
    patch.end();
    let ends = ["pre_unpatch", "post_unpatch"]
        .map(|call| format!("{}.{call} {state} ({})", patch.0, patch.module()));
    assert_eq!(log.of_patches(), ends);
}

fn s1_another_name() {
    A1.enable();
    assert_refused(Patch("a1_other_name"), "state Mine (id 1) has the id of state State1 of klp_test_a1");
    assert_goes_on(A1, 1);
}

fn s1_another_layout() {
    A1.enable();
    assert_refused(
        Patch("a1_other_layout"),
        "state State1 (id 1) has another data layout than in klp_test_a1",
    );
    assert_goes_on(A1, 1);
}

fn s1_another_layout_of_a_shadow_variable() {
    TARGET.insert().unwrap();
    MARKS.enable();
    assert_eq!(looks(), "1 1 1");
    assert_refused(
        Patch("marks_other_layout"),
        "state Marks (id 5) has shadow variable Mark with another layout than in klp_test_marks",
    );
    assert_eq!(looks(), "2 2 2");
    MARKS.disable();
    TARGET.remove();
    MARKS.remove();
}

/// The host half has built it so. It goes on where one of an earlier release was (S23); one of ours beside
/// it the kernel refuses, from what both have in `klp_patch.states` (S14).
fn a_patch_of_a_later_table_abi() {
    const OTHER_ABI: Patch = Patch("other_abi");
    A1.enable();
    let mut log = Log::new();
    OTHER_ABI.enable();
    A1.end();
    assert_eq!(log.of_patches(), [""; 0], "the state continues");
    for ours in [A1, Patch("c1_replaces")] {
        assert_refused_by_the_kernel(ours, c"");
    }
    OTHER_ABI.end();
    assert_eq!(
        log.of_patches(),
        ["other_abi.pre_unpatch 1 (klp_test_a1)", "other_abi.post_unpatch 1 (klp_test_a1)"],
        "with the data that the earlier one made"
    );
}

/// A list of patches that no patch has made.
#[derive(Clone, Copy)]
struct List {
    magic: u64,
    version: u32,
    patch: Option<Node>,
}

/// What is on such a list.
#[derive(Clone, Copy)]
struct Node {
    magic: u64,
    version: u32,
    flags: u32,
}

impl List {
    const SOUND: Self = Self { magic: MAGIC, version: ABI_VERSION, patch: None };
    const MODULE: Patch = Patch("list");

    fn with(patch: Node) -> Self {
        Self { patch: Some(patch), ..Self::SOUND }
    }

    fn while_there(self, what: impl FnOnce()) {
        let Self { magic, version, patch } = self;
        let mut parameters = format!("id={REGISTRY_SHADOW_ID} magic={magic} version={version}");
        if let Some(Node { magic, version, flags }) = patch {
            parameters += &format!(" patch_magic={magic} patch_version={version} patch_flags={flags}");
        }
        Self::MODULE.insert_with(&CString::new(parameters).unwrap()).unwrap();
        what();
        Self::MODULE.remove();
    }
}

impl Node {
    const SOUND: Self = Self { magic: MAGIC, version: ABI_VERSION, flags: 0 };
}

/// What another version has behind its version number is not followed: it points to nowhere.
fn a_list_of_another_version() {
    for version in [ABI_VERSION - 1, ABI_VERSION + 1] {
        let why = format!("built for table ABI {ABI_VERSION}, but the list of patches is of {version}");
        List { version, ..List::SOUND }.while_there(|| assert_refused(A1, &why));
    }
}

fn a_patch_of_another_version_on_the_list() {
    let version = ABI_VERSION + 1;
    let why = format!("built for table ABI {ABI_VERSION}, but klp_test_list is enabled, built for {version}");
    List::with(Node { version, ..Node::SOUND }).while_there(|| assert_refused(A1, &why));
}

fn a_corrupt_list() {
    let lists = [
        List { magic: MAGIC ^ 1, ..List::SOUND },
        List::with(Node { magic: MAGIC ^ 1, ..Node::SOUND }),
        List::with(Node { flags: 1 << 31, ..Node::SOUND }),
    ];
    for list in lists {
        list.while_there(|| assert_refused(A1, "the list of patches is corrupt"));
    }
}

/// The other lists are refused for what is wrong with them.
fn a_list_that_is_sound() {
    List::with(Node::SOUND).while_there(|| {
        A1.enable();
        assert_goes_on(A1, 1);
    });
}
