//! S16: nothing is lost, whatever fails.

use klp_runtime::error::{EAGAIN, EEXIST, EINVAL, ENOENT, ENOMEM};
use klp_runtime::sim::{Shadow, Sim};

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s16_no_failed_allocation_loses_anything() {
    let big = || patch("b", [1, 2, 3]).shadow(Shadow::new(10, 1)).shadow(Shadow::new(20, 2).sleepable());
    for first in [None, Some(patch("a", [2]).shadow(Shadow::new(20, 2).sleepable()))] {
        let has_first = first.is_some();
        let sim = first.map_or_else(Sim::new, |first| enabled([first]));
        if has_first {
            sim.attach("a", 20, 0x10).unwrap();
        }
        let before = sim.snapshot().unwrap();
        let mut failed = 0;
        loop {
            sim.fail_alloc(failed);
            let result = sim.insmod(big());
            if sim.no_alloc_fails() {
                result.unwrap();
                break;
            }
            assert_eq!(result, Err(ENOMEM));
            assert_eq!(events(&sim), NOTHING);
            assert_eq!(sim.snapshot().unwrap(), before);
            failed += 1;
        }
        // The list, if it is the first; the claims; room for the states that are new, which an older list keeps; each
        // of them, and its data.
        assert_eq!(failed, if has_first { 5 } else { 9 });
        if has_first {
            sim.disable("a").unwrap();
        }
        end(&sim, "b");
    }
}

#[test]
fn s16_what_was_forced_stays_loaded_and_nothing_else_is_left() {
    let sim = enabled([patch("a", [1])]);
    sim.stall();
    sim.insmod(patch("b", [2]).replace()).unwrap();
    sim.force();
    assert_eq!(sim.take_calls(), ["b.pre_patch 2", "a.pre_unpatch 1", "a.post_unpatch 1", "b.post_patch 2"]);
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    sim.disable("b").unwrap();
    sim.resume();
    sim.assert_clean();
}

#[test]
fn a_failure_that_was_planned_can_be_taken_back() {
    let sim = Sim::new();
    sim.fail_patching("a", None);
    sim.fail_patching("b", None);
    sim.patching_works("a");
    sim.insmod(patch("a", [1])).unwrap();
    assert_eq!(sim.insmod(patch("b", [1])), Err(EINVAL));
    end(&sim, "a");
}

#[test]
fn the_kernel_fails_before_any_callback() {
    let sim = enabled([patch("a", [1])]);
    sim.fail_init("b");
    assert_eq!(sim.insmod(patch("b", [2]).replace()), Err(EINVAL));
    assert_eq!(sim.insmod(patch("a", [1])), Err(EEXIST));
    assert_eq!(sim.disable("b"), Err(ENOENT));
    assert_eq!(sim.write_enabled("a", true), Err(EINVAL));
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    assert_eq!(events(&sim), NOTHING);
    end(&sim, "a");
}
