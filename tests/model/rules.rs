//! The rules of the lifecycle, S1 to S16, one by one where the scenarios
//! ([`lifecycle`](../lifecycle.rs)) do not show them.

use std::cell::Cell;
use std::rc::Rc;

use klp_runtime::abi::{ABI_VERSION, DataLayout, PatchNode, REGISTRY_SHADOW_ID, RESERVED_STATE_ID, Registry};
use klp_runtime::error::{EAGAIN, EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOMEM};
use klp_runtime::sim::{Callback, Patch, Shadow, Sim, State};

const NOTHING: [&str; 0] = [];

/// The patch `name` that provides `states`.
fn patch<const N: usize>(name: &str, states: [u64; N]) -> Patch {
    states.into_iter().fold(Patch::new(name), |patch, id| patch.state(State::new(id)))
}

/// A machine where the patches are enabled; what that called is taken.
fn enabled<const N: usize>(patches: [Patch; N]) -> Sim {
    let sim = Sim::new();
    for patch in patches {
        sim.insmod(patch).unwrap();
    }
    sim.take_events();
    sim
}

fn events(sim: &Sim) -> Vec<String> {
    sim.take_events().iter().map(ToString::to_string).collect()
}

/// Disables the patch and unloads it; nothing is left.
fn end(sim: &Sim, patch: &str) {
    sim.disable(patch).unwrap();
    sim.rmmod(patch).unwrap();
    sim.assert_clean();
}

/// S1: `refused` is, nothing was called or has changed, and the log says why.
#[track_caller]
fn assert_refused(enabled_first: Patch, refused: Patch, why: &str) {
    let name = enabled_first.name().to_owned();
    let sim = enabled([enabled_first]);
    let before = sim.snapshot().unwrap();
    assert_eq!(sim.insmod(refused), Err(EINVAL));
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.snapshot().unwrap(), before);
    assert_eq!(sim.take_log(), [why]);
    // What is refused is refused whether it replaces or not, and what was there goes on.
    end(&sim, &name);
}

#[test]
fn s1_a_lower_version_is_refused() {
    let two = || Patch::new("a").state(State::new(1).version(2));
    let why = "b: refused: state state1 (id 1) has version 1, which is lower than version 2 of a";
    assert_refused(two(), patch("b", [1]), why);
    assert_refused(two(), patch("b", [5, 1]).replace(), why);
}

#[test]
fn s1_another_layout_is_refused() {
    let layout = DataLayout { size: 8, align: 8, fingerprint: 1 };
    let others = [
        DataLayout { size: 16, ..layout },
        DataLayout { align: 4, ..layout },
        DataLayout { fingerprint: 2, ..layout },
    ];
    for other in others {
        let other = Patch::new("b").state(State::new(1).layout(other));
        assert_refused(
            Patch::new("a").state(State::new(1).layout(layout)),
            other,
            "b: refused: state state1 (id 1) has another data layout than in a",
        );
    }
}

#[test]
fn s1_another_name_is_refused() {
    let other = Patch::new("b").state(State::new(1).name("mine"));
    assert_refused(patch("a", [1]), other, "b: refused: state mine (id 1) has the id of state state1 of a");
}

#[test]
fn s1_another_layout_of_a_shadow_variable_is_refused() {
    let with = |name, shadow| patch(name, [1]).shadow(shadow);
    let why = "b: refused: state state1 (id 1) has shadow variable shadow10 with another layout than in a";
    let other = DataLayout { size: 8, align: 8, fingerprint: 2 };
    let shadow = || Shadow::new(10, 1);
    assert_refused(with("a", shadow()), with("b", shadow().layout(other)), why);
    assert_refused(with("a", shadow()), with("b", shadow().sleepable()), why);
    assert_refused(with("a", shadow().sleepable()), with("b", shadow()).replace(), why);
}

#[test]
fn s1_a_replace_patch_without_a_state_that_stays_is_refused() {
    let blocks = || patch("a", [2]).state(State::new(1).block_disable());
    let sim = enabled([blocks()]);
    let before = sim.snapshot().unwrap();
    assert_eq!(sim.insmod(patch("b", [2]).replace()), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: it lacks state state1 (id 1), which a marks block_disable"]);
    assert_eq!(sim.snapshot().unwrap(), before);
    sim.insmod(patch("b", [2])).unwrap();
    assert_eq!(events(&sim), NOTHING, "one that does not replace is enabled");
}

#[test]
fn s1_versions_are_held_against_the_owner() {
    let version = |name, version| Patch::new(name).state(State::new(1).version(version));
    let sim = enabled([version("a", 1), version("b", 3)]);
    assert_eq!(sim.insmod(version("c", 2)), Err(EINVAL));
    sim.disable("b").unwrap();
    sim.take_events();
    sim.insmod(version("c", 2)).unwrap();
    assert_eq!(events(&sim), ["c.take_over 1 from 1"]);
}

#[test]
fn a_table_that_lists_a_state_twice_is_refused() {
    assert_refused(patch("a", [3]), patch("b", [1, 2, 1]), "b: refused: state state1 (id 1) is listed twice");
    // Also where the state continues.
    assert_refused(patch("a", [1]), patch("b", [1, 1]), "b: refused: state state1 (id 1) is listed twice");
}

#[test]
fn a_shadow_variable_without_its_state_is_refused() {
    let why = "b: refused: shadow variable shadow10 belongs to state 7, which the patch does not list";
    assert_refused(patch("a", [1]), patch("b", [1]).shadow(Shadow::new(10, 7)), why);
    // Nor does it help that another patch lists it.
    assert_refused(patch("a", [7]), patch("b", [1]).shadow(Shadow::new(10, 7)), why);
}

#[test]
fn another_version_of_the_tables_is_refused() {
    // A newer one that is enabled is the kernel's to see: S14 below.
    let older = ABI_VERSION - 1;
    let why = format!("b: refused: built for table ABI {ABI_VERSION}, but a is enabled, built for {older}");
    assert_refused(patch("a", [1]).abi_version(older), patch("b", [2]), &why);
    assert_refused(patch("a", [1]).abi_version(older), patch("b", [1]).replace(), &why);
}

#[test]
fn a_list_of_another_version_or_none_is_refused() {
    let sim = enabled([patch("a", [1])]);
    let registry = sim.shadow_data(0, REGISTRY_SHADOW_ID).cast::<Registry>();
    // SAFETY: A patch is enabled, so the list is there.
    let registry = unsafe { &mut *registry };
    let (magic, newest) = (registry.magic, registry.newest);

    registry.abi_version += 1;
    // A later version may have anything behind these two fields.
    registry.newest = std::ptr::without_provenance_mut(8);
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    let why = format!(
        "b: refused: built for table ABI {ABI_VERSION}, but the list of patches is of {}",
        ABI_VERSION + 1
    );
    assert_eq!(sim.take_log(), [why]);
    registry.abi_version -= 1;

    registry.magic ^= 1;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: the list of patches is corrupt"]);
    registry.magic = magic;
    registry.newest = newest;

    // SAFETY: The patch is on the list.
    let node = unsafe { &mut *newest };
    node.magic ^= 1;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: the list of patches is corrupt"]);
    node.magic ^= 1;
    node.flags |= 1 << 31;
    assert_eq!(sim.insmod(patch("b", [2])), Err(EINVAL));
    assert_eq!(sim.take_log(), ["b: refused: the list of patches is corrupt"]);
    node.flags &= !(1 << 31);

    // The list was walked into, and is as it was.
    sim.take_faults();
    sim.insmod(patch("b", [2]).replace()).unwrap();
    end(&sim, "b");
}

#[test]
fn s3_variables_that_were_made_until_it_failed_are_freed() {
    let sim = Rc::new(Sim::new());
    let attaching = |shadow, result| {
        let sim = Rc::downgrade(&sim);
        move |callback| match callback {
            Callback::PrePatch => {
                sim.upgrade().unwrap().attach("a", shadow, 0x10).unwrap();
                result
            }
            _ => Ok(()),
        }
    };
    let a = Patch::new("a")
        .state(State::new(1).on(attaching(10, Ok(()))))
        .state(State::new(2).on(attaching(20, Err(EIO))))
        .state(State::new(3))
        .shadow(Shadow::new(10, 1))
        .shadow(Shadow::new(20, 2).sleepable());
    assert_eq!(sim.insmod(a), Err(EIO));
    assert_eq!(
        events(&sim),
        [
            "a.pre 1",
            "a.pre 2",
            "a.destroy shadow20 of 0x10",
            "a.unpost 1",
            "drop 1",
            "a.destroy shadow10 of 0x10"
        ]
    );
    sim.assert_clean();
}

#[test]
fn s3_is_in_reverse_order() {
    let sim = Sim::new();
    sim.fail_pre_patch("a", 1, EIO);
    assert_eq!(sim.insmod(patch("a", [2, 4, 3, 1])), Err(EIO));
    assert_eq!(
        sim.take_calls(),
        ["a.pre 2", "a.pre 4", "a.pre 3", "a.pre 1", "a.unpost 3", "a.unpost 4", "a.unpost 2"]
    );
    sim.assert_clean();
}

#[test]
fn s4_s5_s7_orders_among_several_patches() {
    let sim = enabled([patch("a", [1, 2]), patch("b", [3, 4])]);
    sim.stall();
    sim.insmod(patch("c", [5, 6]).replace()).unwrap();
    let s4 = ["c.pre 5", "c.pre 6", "b.unpre 4", "b.unpre 3", "a.unpre 2", "a.unpre 1"];
    assert_eq!(sim.take_calls(), s4);
    sim.disable("c").unwrap();
    sim.resume();
    assert_eq!(
        sim.take_calls(),
        ["a.post 1", "a.post 2", "b.post 3", "b.post 4", "c.unpost 6", "c.unpost 5"]
    );
    sim.rmmod("c").unwrap();

    sim.insmod(patch("c", [5, 6]).replace()).unwrap();
    let s5 = ["b.unpost 4", "b.unpost 3", "a.unpost 2", "a.unpost 1", "c.post 5", "c.post 6"];
    assert_eq!(sim.take_calls(), [s4, s5].concat());
    end(&sim, "c");
}

#[test]
fn s5_take_over_comes_last_and_by_version() {
    let version = |id, version| State::new(id).version(version);
    let sim = enabled([Patch::new("a").state(version(1, 1)).state(version(2, 5)).state(version(3, 2))]);
    let b =
        Patch::new("b").state(version(3, 4)).state(version(4, 1)).state(version(2, 5)).state(version(1, 2));
    sim.insmod(b.replace()).unwrap();
    assert_eq!(sim.take_calls(), ["b.pre 4", "b.post 4", "b.take_over 3 from 2", "b.take_over 1 from 1"]);
    end(&sim, "b");
}

#[test]
fn s7_a_removal_that_was_taken_back_is_forgotten() {
    let sim = enabled([patch("a", [1])]);
    sim.fail_patching("b", None);
    sim.insmod(patch("b", [2]).replace()).unwrap_err();
    sim.take_calls();
    sim.stall();
    sim.insmod(patch("c", [1]).replace()).unwrap();
    sim.disable("c").unwrap();
    sim.resume();
    assert_eq!(sim.take_calls(), NOTHING);
    end(&sim, "a");
}

#[test]
fn s8_is_in_table_order_and_forgotten() {
    let sim = enabled([patch("a", [2, 1, 3])]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    let calls = ["a.unpre 3", "a.unpre 1", "a.unpre 2", "a.post 2", "a.post 1", "a.post 3"];
    assert_eq!(sim.take_calls(), calls);
    // What passes to another patch now is not removed for having been once.
    sim.insmod(patch("b", [1, 2])).unwrap();
    sim.disable("a").unwrap();
    assert_eq!(sim.take_calls(), ["a.unpre 3", "a.unpost 3"]);
    end(&sim, "b");
}

#[test]
fn a_reversal_is_reversed() {
    let sim = Sim::new();
    sim.stall();
    sim.insmod(patch("a", [1])).unwrap();
    sim.write_enabled("a", false).unwrap();
    sim.write_enabled("a", true).unwrap();
    assert_eq!(sim.insmod(patch("b", [2])), Err(EBUSY));
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.pre 1", "a.post 1"]);
    sim.stall();
    sim.disable("a").unwrap();
    sim.write_enabled("a", true).unwrap();
    sim.write_enabled("a", false).unwrap();
    sim.resume();
    assert_eq!(sim.take_calls(), ["a.unpre 1", "a.unpost 1"]);
    sim.assert_clean();
}

#[test]
fn s9_variables_are_freed_once_by_the_owner() {
    let with = |name| patch(name, [1]).shadow(Shadow::new(10, 1)).shadow(Shadow::new(11, 1).sleepable());
    for disabled_first in ["a", "b"] {
        let sim = enabled([with("a"), with("b")]);
        for object in [0x10, 0x20] {
            sim.attach("a", 10, object).unwrap();
            sim.attach("b", 11, object).unwrap();
        }
        let last = if disabled_first == "a" { "b" } else { "a" };
        sim.disable(disabled_first).unwrap();
        assert_eq!(events(&sim), NOTHING);
        sim.disable(last).unwrap();
        let mut freed = events(&sim);
        assert_eq!(freed[..3], [format!("{last}.unpre 1"), format!("{last}.unpost 1"), "drop 1".into()]);
        freed.drain(..3);
        freed.sort();
        let destroyed = |shadow, object| format!("{last}.destroy shadow{shadow} of {object}");
        assert_eq!(
            freed,
            [destroyed(10, "0x10"), destroyed(10, "0x20"), destroyed(11, "0x10"), destroyed(11, "0x20")]
        );
        sim.assert_clean();
    }
}

#[test]
fn s9_a_replaced_owner_frees() {
    let with = |name| patch(name, [1]).shadow(Shadow::new(10, 1));
    let sim = enabled([with("a"), with("b")]);
    sim.attach("a", 10, 0x10).unwrap();
    sim.insmod(Patch::new("c").replace()).unwrap();
    assert_eq!(events(&sim), ["b.unpre 1", "b.unpost 1", "drop 1", "b.destroy shadow10 of 0x10"]);
    end(&sim, "c");
}

#[test]
fn s9_a_variable_that_a_later_patch_does_not_know_goes_with_the_patch_that_does() {
    let with = patch("a", [1]).shadow(Shadow::new(10, 1)).shadow(Shadow::new(11, 1));
    let sim = enabled([with]);
    sim.attach("a", 10, 0x10).unwrap();
    sim.attach("a", 11, 0x10).unwrap();
    sim.insmod(patch("b", [1]).shadow(Shadow::new(11, 1)).replace()).unwrap();
    assert_eq!(events(&sim), ["a.destroy shadow10 of 0x10"]);
    end(&sim, "b");
    assert_eq!(events(&sim), ["b.unpre 1", "b.unpost 1", "drop 1", "b.destroy shadow11 of 0x10"]);
}

#[test]
fn s9_variables_go_with_the_module_of_their_objects() {
    let shadow = |id| Shadow::new(id, 1);
    let with = |name| {
        patch(name, [1])
            .shadow(shadow(10).object("target"))
            .shadow(shadow(11))
            .shadow(shadow(12).object("other"))
    };
    // The owner of the second variable that is declared to go keeps it.
    let keeps = patch("c", [1]).shadow(shadow(10));
    let sim = enabled([with("a"), with("b")]);
    sim.load_target("target").unwrap();
    for id in [10, 11, 12] {
        sim.attach("a", id, 0x10).unwrap();
    }
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), ["b.destroy shadow10 of 0x10"]);
    sim.load_target("target").unwrap();
    sim.attach("b", 10, 0x10).unwrap();

    sim.insmod(keeps).unwrap();
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), NOTHING);
    sim.insmod(Patch::new("d").replace()).unwrap();
    let freed = events(&sim);
    assert_eq!(freed.iter().filter(|event| event.contains("destroy")).count(), 3, "{freed:?}");
    end(&sim, "d");
}

#[test]
fn s9_disabling_does_not_free_for_a_module_that_stays() {
    let with = |name| patch(name, [1]).shadow(Shadow::new(10, 1).object("target"));
    let sim = enabled([with("a"), with("b")]);
    sim.load_target("target").unwrap();
    // The kernel calls an object's callbacks for those that were there when it was enabled.
    sim.attach("a", 10, 0x10).unwrap();
    sim.disable("a").unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.objects_with(10), 1);
    // In the middle of a transition it goes all the same.
    sim.stall();
    sim.disable("b").unwrap();
    sim.unload_target("target").unwrap();
    assert_eq!(events(&sim), ["b.unpre 1", "b.destroy shadow10 of 0x10"]);
    sim.resume();
    assert_eq!(events(&sim), ["b.unpost 1", "drop 1"]);
    sim.assert_clean();
}

#[test]
fn s9_s13_a_state_that_stays_keeps_the_variables_of_a_module_that_stays() {
    let a = Patch::new("a").state(State::new(1).block_disable());
    let sim = enabled([a.shadow(Shadow::new(10, 1).object("target"))]);
    sim.load_target("target").unwrap();
    sim.attach("a", 10, 0x10).unwrap();
    // The kernel says of each object that it is unpatched, as when its module goes.
    sim.disable("a").unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.objects_with(10), 1);
}

#[test]
fn s10_data_are_made_by_the_introducer_and_dropped_after_post_unpatch() {
    let sim = enabled([patch("a", [1]), patch("b", [1])]);
    sim.disable("a").unwrap();
    assert_eq!(sim.data_made_by(1).as_deref(), Some("a"));
    assert_eq!(events(&sim), NOTHING);
    end(&sim, "b");
    assert_eq!(events(&sim), ["b.unpre 1", "b.unpost 1", "drop 1"]);
}

#[test]
fn s13_a_state_that_stays_pins_its_module_until_it_is_taken_on() {
    let held = |name| Patch::new(name).state(State::new(1).block_disable()).state(State::new(2));
    let two = held("a").state(State::new(3).block_disable()).shadow(Shadow::new(10, 1));
    let sim = enabled([two]);
    sim.attach("a", 10, 0x10).unwrap();
    let stays = |id| {
        format!("a: state state{id} (id {id}) is marked block_disable: it stays, and the module stays loaded")
    };

    // A reversal takes the pins back.
    sim.stall();
    sim.disable("a").unwrap();
    assert_eq!(sim.take_log(), [stays(3), stays(1)]);
    sim.write_enabled("a", true).unwrap();
    sim.resume();
    assert_eq!(events(&sim), ["a.unpre 2", "a.post 2"]);

    sim.disable("a").unwrap();
    assert_eq!(sim.take_log(), [stays(3), stays(1)]);
    assert_eq!(events(&sim), ["a.unpre 2", "a.unpost 2", "drop 2"]);
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    assert_eq!(sim.objects_with(10), 1, "nothing is freed");

    // It counts as provided: it continues, and a replace patch may not lack it.
    assert_eq!(sim.insmod(patch("b", [1]).replace()), Err(EINVAL));
    sim.insmod(patch("b", [1, 3])).unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    sim.disable("b").unwrap();
    assert_eq!(events(&sim), NOTHING);
    sim.rmmod("b").unwrap();

    // Its module may go in the very moment in which the last pin does.
    sim.rmmod_soon("a").unwrap();
    sim.insmod(patch("c", [1, 3]).replace()).unwrap();
    assert!(!sim.is_loaded("a"));
    assert_eq!(events(&sim), ["a.destroy shadow10 of 0x10"]);
    end(&sim, "c");
}

#[test]
fn s14_a_c_patch_that_replaces_is_refused_by_the_kernel() {
    let sim = enabled([patch("a", [1])]);
    assert_eq!(sim.insmod(Patch::c("c").replace()), Err(EINVAL));
    assert_eq!(sim.insmod(Patch::c("c").native_state(7, 1).replace()), Err(EINVAL));
    assert_eq!(
        sim.take_log()[0],
        "livepatch: Livepatch patch (c) is not compatible with the already installed livepatches."
    );
    assert_eq!(events(&sim), NOTHING);
    // One that claims to know our tables would win: the id is reserved.
    assert_eq!(
        sim.insmod(Patch::c("c").native_state(RESERVED_STATE_ID, ABI_VERSION - 1).replace()),
        Err(EINVAL)
    );
    end(&sim, "a");
}

#[test]
fn s14_a_c_patch_that_does_not_replace_coexists() {
    let sim = enabled([Patch::c("before"), patch("a", [1]), Patch::c("after")]);
    sim.disable("before").unwrap();
    sim.insmod(patch("b", [1]).replace()).unwrap();
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.is_enabled("after"), None, "it is replaced like any other");
    end(&sim, "b");
}

#[test]
fn s14_an_older_table_abi_does_not_replace_a_newer_one() {
    let sim = enabled([patch("a", [1]).abi_version(ABI_VERSION + 1)]);
    assert_eq!(sim.insmod(patch("b", [1]).replace()), Err(EINVAL));
    assert!(sim.take_log()[0].starts_with("livepatch: "), "by the kernel");
    end(&sim, "a");
}

#[test]
fn s15_target_modules_call_nothing() {
    let sim = enabled([patch("a", [1]).object("target")]);
    sim.load_target("target").unwrap();
    sim.unload_target("target").unwrap();
    sim.fail_patching("a", Some("target"));
    assert_eq!(sim.load_target("target"), Err(EINVAL));
    sim.load_target("target").unwrap();
    assert_eq!(events(&sim), NOTHING);
    end(&sim, "a");
}

#[test]
fn s7_an_object_that_cannot_be_patched_takes_all_back() {
    let sim = enabled([patch("a", [1])]);
    sim.load_target("target").unwrap();
    sim.fail_patching("b", Some("target"));
    assert_eq!(sim.insmod(patch("b", [2]).object("target").replace()), Err(EINVAL));
    assert_eq!(sim.take_calls(), ["b.pre 2", "a.unpre 1", "a.post 1", "b.unpost 2"]);
    end(&sim, "a");
}

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
        // The list, if it is the first; the claims; the states that are new.
        assert_eq!(failed, if has_first { 3 } else { 5 });
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
    assert_eq!(sim.take_calls(), ["b.pre 2", "a.unpre 1", "a.unpost 1", "b.post 2"]);
    assert_eq!(sim.rmmod("a"), Err(EAGAIN));
    sim.disable("b").unwrap();
    sim.resume();
    sim.assert_clean();
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

#[test]
fn the_model_sees_what_is_lost() {
    let sim = enabled([patch("a", [1]).shadow(Shadow::new(10, 1))]);
    sim.attach("a", 10, 0x10).unwrap();
    let leaks = sim.leaks();
    for lost in
        ["patch a is", "state 1 is live", "object 0x10 has", "module a has 1", "blocks of", "1 state data"]
    {
        assert!(leaks.iter().any(|leak| leak.contains(lost)), "{lost}: {leaks:?}");
    }
}

/// Where the node of `b` was, which is unloaded, on a machine where `a` is enabled; and the list.
fn stale_node(sim: &Sim) -> (*mut Registry, *mut PatchNode) {
    let registry = sim.shadow_data(0, REGISTRY_SHADOW_ID).cast::<Registry>();
    // SAFETY: A patch is enabled, so the list is there.
    let stale = unsafe { (*registry).newest };
    sim.disable("b").unwrap();
    sim.rmmod("b").unwrap();
    (registry, stale)
}

#[test]
fn the_model_sees_what_refers_to_an_unloaded_module() {
    let sim = enabled([patch("a", [1]), patch("b", [2])]);
    let (registry, stale) = stale_node(&sim);
    // SAFETY: `a` is enabled, so the list is there.
    let newest = unsafe { std::mem::replace(&mut (*registry).newest, stale) };
    assert_eq!(sim.rmmod("b"), Err(ENOENT));
    assert_eq!(sim.take_faults(), ["a patch on the list is not loaded"]);
    // SAFETY: As above.
    unsafe { (*registry).newest = newest };
    end(&sim, "a");
}

#[test]
#[should_panic(expected = "memory was written to after it was freed")]
fn the_model_sees_what_is_written_to_an_unloaded_module() {
    let sim = enabled([patch("a", [1]), patch("b", [2])]);
    let (_, stale) = stale_node(&sim);
    // SAFETY: The model keeps the memory.
    unsafe { (*stale).magic = 0 };
}

#[test]
fn an_action_is_called_for_each_callback() {
    let seen = Rc::new(Cell::new(0));
    let counter = Rc::clone(&seen);
    let counting = State::new(1).on(move |_| {
        counter.set(counter.get() + 1);
        Ok(())
    });
    let sim = enabled([Patch::new("a").state(counting)]);
    end(&sim, "a");
    assert_eq!(seen.get(), 4);
}
