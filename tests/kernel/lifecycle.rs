//! The scenarios of the lifecycle, L1 to L16, on the kernel that is up.

use rustix::io::Errno;

use crate::guest::{Log, Patch};
use crate::objects::MARKS;
use crate::sleeper::Sleeper;

crate::tests![
    l1_enable_and_disable,
    l2_two_states,
    l3_pre_patch_fails,
    l4_replace_continues,
    l5_replace_introduces,
    l6_downgrade,
    l7_replace_removes,
    l8_reversed_enable,
    l9_reversed_disable,
    l10_two_patches_share,
    l11_shared_and_replaced,
    l12_lower_version,
    l13_take_over,
    l14_later_failure,
    l15_block_disable,
    l16_data_outlive_their_module,
    s4_s5_s7_orders_among_several_patches,
    s4_s5_order_of_several_states,
    s8_order_of_several_states,
    s13_a_state_that_stayed_is_removed_by_its_next_owner,
];

const A1: Patch = Patch("a1");
const A12: Patch = Patch("a12");
const A12_SLEEPS: Patch = Patch("a12_sleeps");
const A12_FAILS: Patch = Patch("a12_fails");
const A1_V2: Patch = Patch("a1_v2");
const A1_BLOCKS: Patch = Patch("a1_blocks");
const A1_REPLACES: Patch = Patch("a1_replaces");
const A1_SLEEPS: Patch = Patch("a1_sleeps");
const B1: Patch = Patch("b1");
const B1_REPLACES: Patch = Patch("b1_replaces");
const B12_REPLACES: Patch = Patch("b12_replaces");
const B1_V2_REPLACES: Patch = Patch("b1_v2_replaces");
const B2_REPLACES: Patch = Patch("b2_replaces");
const B2_STALLS: Patch = Patch("b2_stalls");
const B2_UNPATCHABLE: Patch = Patch("b2_unpatchable");
const C_REPLACES: Patch = Patch("c_replaces");
const C1_REPLACES: Patch = Patch("c1_replaces");

fn l1_enable_and_disable() {
    let mut log = Log::new();
    A1.enable();
    assert_eq!(log.callbacks(), ["a1.pre_patch 1", "a1.post_patch 1"]);
    A1.end();
    assert_eq!(log.callbacks(), ["a1.pre_unpatch 1", "a1.post_unpatch 1"]);
}

fn l2_two_states() {
    let mut log = Log::new();
    A12.enable();
    assert_eq!(
        log.callbacks(),
        ["a12.pre_patch 1", "a12.pre_patch 2", "a12.post_patch 1", "a12.post_patch 2"]
    );
    A12.end();
    assert_eq!(
        log.callbacks(),
        ["a12.pre_unpatch 2", "a12.pre_unpatch 1", "a12.post_unpatch 2", "a12.post_unpatch 1"]
    );
}

fn l3_pre_patch_fails() {
    let mut log = Log::new();
    A12_FAILS.refused(Errno::BUSY);
    assert_eq!(
        log.callbacks(),
        [
            "a12_fails.pre_patch 1",
            "a12_fails.pre_patch 2",
            "a12_fails.refused: state State2",
            "a12_fails.post_unpatch 1"
        ]
    );
}

fn l4_replace_continues() {
    let mut log = enabled(A1);
    B1_REPLACES.enable();
    A1.gone();
    assert_eq!(log.callbacks(), NOTHING);
    A1.remove();
    B1_REPLACES.end();
    assert_eq!(log.callbacks(), ["b1_replaces.pre_unpatch 1", "b1_replaces.post_unpatch 1"]);
}

fn l5_replace_introduces() {
    let mut log = enabled(A1);
    B12_REPLACES.enable();
    assert_eq!(log.callbacks(), ["b12_replaces.pre_patch 2", "b12_replaces.post_patch 2"]);
    end_both(A1, B12_REPLACES);
}

fn l6_downgrade() {
    let mut log = enabled(B12_REPLACES);
    A1_REPLACES.enable();
    assert_eq!(log.callbacks(), ["b12_replaces.pre_unpatch 2", "b12_replaces.post_unpatch 2"]);
    end_both(B12_REPLACES, A1_REPLACES);
}

fn l7_replace_removes() {
    let mut log = enabled(A1);
    B2_REPLACES.enable();
    assert_eq!(
        log.callbacks(),
        ["b2_replaces.pre_patch 2", "a1.pre_unpatch 1", "a1.post_unpatch 1", "b2_replaces.post_patch 2"]
    );
    end_both(A1, B2_REPLACES);
}

fn l8_reversed_enable() {
    let mut log = enabled(A1);
    let sleeper = Sleeper::opening_a_fifo("l8", "fifo_open");
    B2_STALLS.insert().unwrap();
    assert!(B2_STALLS.in_transition());
    assert_eq!(log.callbacks(), ["b2_stalls.pre_patch 2", "a1.pre_unpatch 1"]);
    B2_STALLS.set_enabled(false);
    B2_STALLS.gone();
    assert_eq!(log.callbacks(), ["a1.post_patch 1", "b2_stalls.post_unpatch 2"]);
    drop(sleeper);
    B2_STALLS.remove();
    A1.end();
    assert_eq!(log.callbacks(), ["a1.pre_unpatch 1", "a1.post_unpatch 1"]);
}

fn l9_reversed_disable() {
    let mut log = enabled(A1_SLEEPS);
    let sleeper = Sleeper::opening_a_fifo("l9", "msleep_interruptible");
    A1_SLEEPS.set_enabled(false);
    assert!(A1_SLEEPS.in_transition());
    assert_eq!(log.callbacks(), ["a1_sleeps.pre_unpatch 1"]);
    A1_SLEEPS.set_enabled(true);
    A1_SLEEPS.settle();
    assert_eq!(log.callbacks(), ["a1_sleeps.post_patch 1"]);
    drop(sleeper);
    A1_SLEEPS.end();
    assert_eq!(log.callbacks(), ["a1_sleeps.pre_unpatch 1", "a1_sleeps.post_unpatch 1"]);
}

fn l10_two_patches_share() {
    let mut log = enabled(A1);
    B1.enable();
    A1.end();
    assert_eq!(log.callbacks(), NOTHING);
    B1.end();
    assert_eq!(log.callbacks(), ["b1.pre_unpatch 1", "b1.post_unpatch 1"]);
}

fn l11_shared_and_replaced() {
    let mut log = enabled(A1);
    B1.enable();
    C_REPLACES.enable();
    assert_eq!(log.callbacks(), ["b1.pre_unpatch 1", "b1.post_unpatch 1"]);
    A1.gone();
    A1.remove();
    end_both(B1, C_REPLACES);
    assert_eq!(log.callbacks(), NOTHING);
}

fn l12_lower_version() {
    let mut log = enabled(A1_V2);
    B1_REPLACES.refused(Errno::INVAL);
    assert_eq!(
        log.of_patches(),
        ["b1_replaces.refused: state State1 (id 1) has version 1, \
          which is lower than version 2 of klp_test_a1_v2"]
    );
    A1_V2.end();
}

fn l13_take_over() {
    let mut log = enabled(A1);
    B1_V2_REPLACES.enable();
    assert_eq!(log.callbacks(), ["b1_v2_replaces.take_over 1 from 1"]);
    end_both(A1, B1_V2_REPLACES);
}

fn l14_later_failure() {
    let mut log = enabled(A1);
    B2_UNPATCHABLE.refused(Errno::INVAL);
    assert_eq!(
        log.callbacks(),
        [
            "b2_unpatchable.pre_patch 2",
            "a1.pre_unpatch 1",
            "a1.post_patch 1",
            "b2_unpatchable.post_unpatch 2"
        ]
    );
    A1.end();
    assert_eq!(log.callbacks(), ["a1.pre_unpatch 1", "a1.post_unpatch 1"]);
}

fn l15_block_disable() {
    let mut log = enabled(A1_BLOCKS);
    C_REPLACES.refused(Errno::INVAL);
    assert_eq!(
        log.of_patches(),
        [
            "c_replaces.refused: it lacks state State1 (id 1) of klp_test_a1_blocks, which is marked block_disable"
        ]
    );
    C1_REPLACES.enable();
    assert_eq!(log.callbacks(), NOTHING);
    end_both(A1_BLOCKS, C1_REPLACES);
    assert_eq!(log.callbacks(), ["c1_replaces.pre_unpatch 1", "c1_replaces.post_unpatch 1"]);

    // S13: a disable can't be refused; the state stays, and with it the module.
    A1_BLOCKS.enable();
    log.callbacks();
    A1_BLOCKS.disable();
    assert_eq!(
        log.of_patches(),
        ["a1_blocks.state State1 (id 1) is marked block_disable: it stays, and the module stays loaded, \
             until a patch that replaces this one takes the state over without block_disable"]
    );
    assert_eq!(A1_BLOCKS.try_remove(), Err(Errno::AGAIN));
    C1_REPLACES.enable();
    assert_eq!(log.callbacks(), NOTHING);
    A1_BLOCKS.remove();
    C1_REPLACES.end();
    assert_eq!(log.callbacks(), ["c1_replaces.pre_unpatch 1", "c1_replaces.post_unpatch 1"]);
}

fn l16_data_outlive_their_module() {
    let mut log = enabled(A1);
    B1_REPLACES.enable();
    A1.gone();
    A1.remove();
    assert!(!A1.is_loaded());
    B1_REPLACES.end();
    assert_eq!(
        log.of_patches(),
        ["b1_replaces.pre_unpatch 1 (klp_test_a1)", "b1_replaces.post_unpatch 1 (klp_test_a1)"]
    );
}

fn s4_s5_s7_orders_among_several_patches() {
    let mut log = enabled(A1);
    MARKS.enable();
    log.lines();
    let sleeper = Sleeper::opening_a_fifo("s7", "msleep_interruptible");
    B2_STALLS.insert().unwrap();
    let s4 = ["b2_stalls.pre_patch 2", "marks.pre_unpatch 5", "a1.pre_unpatch 1"];
    assert_eq!(log.callbacks(), s4);
    B2_STALLS.set_enabled(false);
    B2_STALLS.gone();
    assert_eq!(log.callbacks(), ["a1.post_patch 1", "marks.post_patch 5", "b2_stalls.post_unpatch 2"]);
    drop(sleeper);
    B2_STALLS.remove();

    B2_STALLS.enable();
    let s5 = ["marks.post_unpatch 5", "a1.post_unpatch 1", "b2_stalls.post_patch 2"];
    assert_eq!(log.callbacks(), [s4, s5].concat());
    A1.gone();
    A1.remove();
    end_both(MARKS, B2_STALLS);
}

fn s4_s5_order_of_several_states() {
    let mut log = enabled(A12);
    C_REPLACES.enable();
    assert_eq!(
        log.callbacks(),
        ["a12.pre_unpatch 2", "a12.pre_unpatch 1", "a12.post_unpatch 2", "a12.post_unpatch 1"]
    );
    end_both(A12, C_REPLACES);
}

fn s8_order_of_several_states() {
    let mut log = enabled(A12_SLEEPS);
    let sleeper = Sleeper::opening_a_fifo("s8", "msleep_interruptible");
    A12_SLEEPS.set_enabled(false);
    assert_eq!(log.callbacks(), ["a12_sleeps.pre_unpatch 2", "a12_sleeps.pre_unpatch 1"]);
    A12_SLEEPS.set_enabled(true);
    A12_SLEEPS.settle();
    assert_eq!(log.callbacks(), ["a12_sleeps.post_patch 1", "a12_sleeps.post_patch 2"], "in table order");
    drop(sleeper);
    A12_SLEEPS.end();
}

fn s13_a_state_that_stayed_is_removed_by_its_next_owner() {
    A1_BLOCKS.enable();
    A1_BLOCKS.disable();
    let mut log = enabled(B1_REPLACES);
    A1_BLOCKS.remove();
    C_REPLACES.enable();
    assert_eq!(log.callbacks(), ["b1_replaces.pre_unpatch 1", "b1_replaces.post_unpatch 1"]);
    end_both(B1_REPLACES, C_REPLACES);
}

const NOTHING: [&str; 0] = [];

/// Enables a patch; the log starts behind it.
fn enabled(patch: Patch) -> Log {
    let mut log = Log::new();
    patch.enable();
    log.lines();
    log
}

/// Unloads a replaced patch, and ends the one that replaced it.
fn end_both(replaced: Patch, by: Patch) {
    replaced.gone();
    replaced.remove();
    by.end();
}
