//! What `cargo test` tells of the patch without a kernel: both versions in the model.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use klp_runtime::error::{EINVAL, ENOMEM};
use klp_runtime::sim::{Patch, Sim, State};

const V1: &str = "livepatch_loglevel_v1";
const V2: &str = "livepatch_loglevel_v2";

/// In place of the kernel's: what the code of the patches refers to, the test has to have.
#[unsafe(no_mangle)]
static console_printk: [AtomicI32; 4] = [const { AtomicI32::new(4) }; 4];

/// A machine whose console has level 4: one at a time, as they share the level.
fn boot() -> (MutexGuard<'static, ()>, Sim) {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    console_printk[0].store(4, Ordering::Relaxed);
    (one, Sim::new())
}

fn level() -> i32 {
    console_printk[0].load(Ordering::Relaxed)
}

// ANCHOR: take_over
#[test]
fn version_2_takes_over_what_version_1_saved() {
    let (_one, sim) = boot();
    sim.insmod(livepatch_loglevel_v1::livepatch()).unwrap();
    assert_eq!(
        (level(), sim.take_calls()),
        (8, vec![format!("{V1}.pre_patch 1"), format!("{V1}.post_patch 1")])
    );

    sim.insmod(livepatch_loglevel_v2::livepatch()).unwrap();
    assert_eq!((level(), sim.take_calls()), (7, vec![format!("{V2}.take_over 1 from 1")]));
    sim.rmmod(V1).unwrap();

    sim.disable(V2).unwrap();
    assert_eq!((level(), sim.take_calls()), (4, vec![format!("{V2}.pre_unpatch 1")]));
    assert_eq!(sim.take_log().last().unwrap(), "livepatch_loglevel_v2: console log level back to 4");
    sim.rmmod(V2).unwrap();
    sim.assert_clean();
}
// ANCHOR_END: take_over

#[test]
fn version_1_does_not_replace_version_2() {
    let (_one, sim) = boot();
    sim.insmod(livepatch_loglevel_v2::livepatch()).unwrap();
    assert_eq!(sim.insmod(livepatch_loglevel_v1::livepatch()), Err(EINVAL));
    assert_eq!(level(), 7);
}

#[test]
fn the_level_stays_where_version_2_is_taken_back() {
    let (_one, sim) = boot();
    sim.insmod(livepatch_loglevel_v1::livepatch()).unwrap();
    sim.stall();
    sim.insmod(livepatch_loglevel_v2::livepatch()).unwrap();
    sim.disable(V2).unwrap();
    sim.resume();
    assert_eq!((level(), sim.is_enabled(V1)), (8, Some(true)));
}

#[test]
fn a_later_patch_that_fails_gives_the_level_back_and_raises_it_again() {
    let (_one, sim) = boot();
    sim.insmod(livepatch_loglevel_v2::livepatch()).unwrap();
    sim.stall();
    // One without the state: made up here.
    sim.insmod(Patch::new("later").state(State::new(2)).replace()).unwrap();
    assert_eq!(level(), 4);
    sim.disable("later").unwrap();
    sim.resume();
    assert_eq!(level(), 7);
}

#[test]
fn nothing_is_left_without_memory() {
    let (_one, sim) = boot();
    for nth in 0.. {
        sim.fail_alloc(nth);
        let result = sim.insmod(livepatch_loglevel_v1::livepatch());
        if sim.no_alloc_fails() {
            result.unwrap();
            break;
        }
        assert_eq!((result, level()), (Err(ENOMEM), 4));
        sim.assert_clean();
    }
}
