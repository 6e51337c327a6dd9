//! The scenarios L17 to L21, L27, L28 and L30: versions, layouts, revisions and tables that differ among patches.

use rustix::io::Errno;

use crate::guest::{Log, Patch};
use crate::objects::{MARKS, TARGET};
use crate::sleeper::Sleeper;

crate::tests![
    l17_higher_beside,
    l18_version_stays,
    l19_shadow_behind_the_owner,
    l20_block_in_any_order,
    l21_block_stacked,
    l27_revision,
    l28_migrate,
    l30_tables_of_an_earlier_release,
    s23_a_later_release_takes_over,
];

const A1: Patch = Patch("a1");
const A1_BLOCKS: Patch = Patch("a1_blocks");
const B1: Patch = Patch("b1");
const B1_V2: Patch = Patch("b1_v2");
const B1_V3_REPLACES: Patch = Patch("b1_v3_replaces");
const C1_REPLACES: Patch = Patch("c1_replaces");
const C1_V2_REPLACES: Patch = Patch("c1_v2_replaces");
const C_REPLACES: Patch = Patch("c_replaces");
const MARKS_WITHOUT: Patch = Patch("marks_without");
const MARKS_OTHER_LAYOUT: Patch = Patch("marks_other_layout");
const REVISION_2: Patch = Patch("revision_2");
const REVISION_1_REPLACES: Patch = Patch("revision_1_replaces");
const DATA_8: Patch = Patch("data_8");
const DATA_16_REPLACES: Patch = Patch("data_16_replaces");
/// Built by the host half with a later version of the tables.
const LATER_B1_REPLACES: Patch = Patch("later_b1_replaces");
const LATER_B2_REPLACES: Patch = Patch("later_b2_replaces");

const NOTHING: [&str; 0] = [];

/// Loads a patch that is refused, which is all that is logged.
#[track_caller]
fn assert_refused(patch: Patch, why: &str) {
    let mut log = Log::new();
    patch.refused(Errno::INVAL);
    assert_eq!(log.of_patches(), [format!("{}.refused: {why}", patch.0)]);
}

fn l17_higher_beside() {
    A1.enable();
    let why =
        "state State1 (id 1) has version 2, and version 1 in klp_test_a1, which this patch does not replace";
    assert_refused(B1_V2, why);
    A1.end();
}

fn l18_version_stays() {
    A1.enable();
    let mut log = Log::new();
    B1_V3_REPLACES.enable();
    assert_eq!(log.callbacks(), ["b1_v3_replaces.take_over 1 from 1"]);
    A1.gone();
    A1.remove();
    let why = "state State1 (id 1) has version 2, which is lower than version 3 of klp_test_b1_v3_replaces";
    assert_refused(C1_V2_REPLACES, why);
    B1_V3_REPLACES.end();
}

fn l19_shadow_behind_the_owner() {
    TARGET.insert().unwrap();
    MARKS.enable();
    MARKS_WITHOUT.enable();
    let why = "state Marks (id 5) has shadow variable Mark with another layout than in klp_test_marks";
    assert_refused(MARKS_OTHER_LAYOUT, why);
    MARKS_WITHOUT.end();
    MARKS.end();
    TARGET.remove();
}

fn l20_block_in_any_order() {
    A1_BLOCKS.enable();
    B1.enable();
    assert_refused(C_REPLACES, "it lacks state State1 (id 1) of klp_test_b1, which is marked block_disable");
    let mut log = Log::new();
    C1_REPLACES.enable();
    assert_eq!(log.callbacks(), NOTHING);
    for replaced in [A1_BLOCKS, B1] {
        replaced.gone();
        replaced.remove();
    }
    C1_REPLACES.end();
    assert_eq!(log.callbacks(), ["c1_replaces.pre_unpatch 1", "c1_replaces.post_unpatch 1"]);
}

fn l21_block_stacked() {
    A1_BLOCKS.enable();
    B1.enable();
    let mut log = Log::new();
    A1_BLOCKS.end();
    assert_eq!(log.of_patches(), NOTHING);
    B1.disable();
    assert_eq!(
        log.of_patches(),
        [
            "b1.state State1 (id 1) is marked block_disable: it stays, and the module stays loaded, until a patch \
          that replaces this one takes the state over without block_disable"
        ]
    );
    assert_eq!(B1.try_remove(), Err(Errno::AGAIN), "held");
    C1_REPLACES.enable();
    assert_eq!(log.callbacks(), NOTHING);
    B1.remove();
    C1_REPLACES.end();
    assert_eq!(log.callbacks(), ["c1_replaces.pre_unpatch 1", "c1_replaces.post_unpatch 1"]);
}

fn l27_revision() {
    REVISION_2.enable();
    let why = "revision 1 of series klp tests is lower than 2, that of klp_test_revision_2 \
               (klp_allow_downgrade=1 lets it in)";
    assert_refused(REVISION_1_REPLACES, why);
    let mut log = Log::new();
    REVISION_1_REPLACES.insert_with(c"klp_allow_downgrade=1").unwrap();
    REVISION_1_REPLACES.settle();
    assert_eq!(
        log.of_patches(),
        ["revision_1_replaces.revision 1 of series klp tests replaces 2, that of klp_test_revision_2, \
          by klp_allow_downgrade"]
    );
    REVISION_2.gone();
    REVISION_2.remove();
    REVISION_1_REPLACES.end();
}

fn l28_migrate() {
    let mut log = Log::new();
    DATA_8.enable();
    assert_eq!(log.of_patches(), ["data_8.pre_patch 8"]);
    let sleeper = Sleeper::opening_a_fifo("l28", "fifo_open");
    DATA_16_REPLACES.insert().unwrap();
    assert!(DATA_16_REPLACES.in_transition());
    assert_eq!(log.of_patches(), ["data_16_replaces.migrate 8"]);
    DATA_16_REPLACES.set_enabled(false);
    DATA_16_REPLACES.gone();
    assert_eq!(log.of_patches(), ["data_16_replaces.dropped large 8 and 16"], "going back");
    drop(sleeper);
    DATA_16_REPLACES.remove();

    DATA_16_REPLACES.enable();
    assert_eq!(log.of_patches(), ["data_16_replaces.migrate 8", "data_8.dropped small 8"]);
    DATA_8.gone();
    DATA_8.remove();
    DATA_16_REPLACES.end();
    let ends = ["pre_unpatch 8: 8 and 16", "post_unpatch 8: 8 and 16", "dropped large 8 and 16"];
    assert_eq!(log.of_patches(), ends.map(|line| format!("data_16_replaces.{line}")));
}

fn l30_tables_of_an_earlier_release() {
    A1.enable();
    let mut log = Log::new();
    LATER_B2_REPLACES.enable();
    assert_eq!(
        log.callbacks(),
        [
            "later_b2_replaces.pre_patch 2",
            "a1.pre_unpatch 1",
            "a1.post_unpatch 1",
            "later_b2_replaces.post_patch 2"
        ]
    );
    A1.gone();
    A1.remove();
    LATER_B2_REPLACES.end();
    assert_eq!(log.callbacks(), ["later_b2_replaces.pre_unpatch 2", "later_b2_replaces.post_unpatch 2"]);
}

/// The data that the earlier release made reach the later one intact. A patch of the earlier one is refused
/// beside it then, by the list or by the kernel itself; what it has enabled before it disables beside it.
fn s23_a_later_release_takes_over() {
    const OTHER_ABI: Patch = Patch("other_abi");
    A1.enable();
    let mut log = Log::new();
    OTHER_ABI.enable();
    assert_eq!(log.callbacks(), NOTHING, "the state continues");
    A1.end();
    assert_eq!(log.callbacks(), NOTHING, "it passes to the later patch");
    LATER_B1_REPLACES.enable();
    OTHER_ABI.gone();
    OTHER_ABI.remove();
    assert_eq!(log.callbacks(), NOTHING);
    C1_REPLACES.refused(Errno::INVAL);
    LATER_B1_REPLACES.end();
    assert_eq!(
        log.of_patches(),
        ["later_b1_replaces.pre_unpatch 1 (klp_test_a1)", "later_b1_replaces.post_unpatch 1 (klp_test_a1)"]
    );
}
