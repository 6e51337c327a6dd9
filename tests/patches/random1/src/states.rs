//! Three states that log their callbacks, each with two layouts of its data.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use klp_runtime::abi::{Migration, StateEntry};
use klp_runtime::prelude::*;
use klp_runtime::selection::PatchTables;
use klp_test_support::Made;
use klp_test_support::random::Configuration;

use crate::shadows::{Plain, Sleepy, count, object};
use crate::{BLOCK_DISABLE, LAYOUTS, MIGRATES, ODD, STATES, VERSIONS, fails_at, own, probe};

/// What both layouts begin with.
#[derive(KlpData)]
#[repr(C)]
pub(crate) struct Small {
    made: Made,
    looks: AtomicU32,
}

/// The larger layout.
#[derive(KlpData)]
#[repr(C)]
pub(crate) struct Large {
    made: Made,
    looks: AtomicU32,
    migrated: u32,
}

impl Small {
    fn new(cx: &StateContext<'_>) -> Self {
        Self { made: Made::by(cx), looks: AtomicU32::new(0) }
    }

    fn of(cx: &StateContext<'_>, old: &Large) -> Self {
        Self { made: Made::by(cx), looks: AtomicU32::new(old.looks.load(Relaxed)) }
    }
}

impl Large {
    fn new(cx: &StateContext<'_>) -> Self {
        Self { made: Made::by(cx), looks: AtomicU32::new(0), migrated: 0 }
    }

    fn of(cx: &StateContext<'_>, old: &Small) -> Self {
        Self { made: Made::by(cx), looks: AtomicU32::new(old.looks.load(Relaxed)), migrated: 1 }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        pr_info!("dropped data ({}) after {}", self.made.maker(), self.looks.get_mut());
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let looks = self.looks.get_mut();
        pr_info!("dropped large data ({}) after {looks}, migrated {}", self.made.maker(), self.migrated);
    }
}

macro_rules! state {
    ($name:ident, id = $id:literal, data = $data:ident, other = $other:ident) => {
        /// One of the states.
        pub(crate) struct $name;

        #[klp_state(id = $id, version = 2, from(version = 1, data = $other))]
        impl State for $name {
            type Data = $data;

            fn pre_patch(cx: &StateContext<'_>) -> Result<$data> {
                pr_info!("pre_patch {} v{}", cx.id(), cx.version());
                introduce(cx.id())?;
                Ok($data::new(cx))
            }

            fn post_patch(cx: &StateContext<'_>, data: &$data) {
                pr_info!("post_patch {} ({})", cx.id(), data.made.maker());
                own::start_with_directory(cx.id());
            }

            fn pre_unpatch(cx: &StateContext<'_>, data: &$data) {
                pr_info!("pre_unpatch {} ({})", cx.id(), data.made.maker());
                probe(Configuration::IN_STATES);
            }

            fn post_unpatch(cx: &StateContext<'_>, data: &$data) {
                pr_info!("post_unpatch {} ({})", cx.id(), data.made.maker());
                own::start_with_directory(cx.id());
                probe(Configuration::IN_STATES);
            }

            fn take_over(cx: &StateContext<'_>, data: &$data, from: u32) {
                pr_info!("take_over {} from {from} ({})", cx.id(), data.made.maker());
                own::start_with_directory(cx.id());
            }

            fn migrate(cx: &StateContext<'_>, old: &$other) -> Result<$data> {
                pr_info!("migrate {} ({})", cx.id(), old.made.maker());
                introduce(cx.id())?;
                Ok($data::of(cx, old))
            }
        }
    };
}

state!(State1, id = 1, data = Small, other = Large);
state!(Large1, id = 101, data = Large, other = Small);
state!(State2, id = 2, data = Small, other = Large);
state!(Large2, id = 102, data = Large, other = Small);
state!(State3, id = 3, data = Small, other = Large);
state!(Large3, id = 103, data = Large, other = Small);

/// Chooses a state, the one of the bit, as the parameters say: `L` is what it is with the larger layout.
pub(crate) fn choose<S: State<Data = Small>, L: State<Data = Large>>(
    patch: &mut PatchSelection<'_>,
    bit: u32,
) -> Result {
    // SAFETY: Nothing is written here.
    let large = *entry::<L>(unsafe { patch.tables() })?;
    patch.omit_state::<L>()?;
    if STATES.get() & 1 << bit == 0 {
        return patch.omit_state::<S>();
    }
    // SAFETY: The callbacks are those of the layout. Through the slot, which is that of `S`, code looks at a `Small`,
    // with which a `Large` begins.
    let entry = entry::<S>(unsafe { patch.tables() })?;
    if LAYOUTS.get() & 1 << bit != 0 {
        *entry = StateEntry { id: entry.id, name: entry.name, slot: entry.slot, ..large };
    }
    match digit(MIGRATES.get(), bit) {
        0 => entry.from = Migration::NONE,
        version => entry.from.version = version,
    }
    if bit == 0 && ODD.get() & Configuration::ODD_NAME != 0 {
        entry.name = c"Odd".as_ptr();
    }
    let mut state = patch.state::<S>()?;
    state.set_version(digit(VERSIONS.get(), bit));
    state.set_block_disable(BLOCK_DISABLE.get() & 1 << bit != 0);
    Ok(())
}

/// The entry of a state.
fn entry<S: State>(tables: &mut PatchTables) -> Result<&mut StateEntry> {
    tables.states.as_mut_slice().iter_mut().find(|entry| entry.id == S::ID).ok_or(ENOENT)
}

fn digit(digits: u32, place: u32) -> u32 {
    digits >> (4 * place) & 0xf
}

/// Makes shadow variables of the state before it fails, if it does: they must not outlive it.
fn introduce(id: u64) -> Result {
    match id {
        1 => drop(count::<Plain>(object(2), 2)),
        2 => drop(count::<Sleepy>(object(2), 2)),
        _ => {}
    }
    own::start(Configuration::IN_STATES);
    probe(Configuration::IN_STATES);
    fails_at(id as u32)
}

/// Counts a look at a state's data and tells `f` who made them and how many looks they have had; `None` where they
/// are out of reach.
pub(crate) fn look<S: State<Data = Small>, R>(f: impl FnOnce(&str, u32) -> R) -> Option<R> {
    S::with_data(|data| f(data.made.maker(), data.looks.fetch_add(1, Relaxed) + 1))
}

/// Looks whether a state's data are as they were made.
pub(crate) fn are_damaged<S: State<Data = Small>>() -> bool {
    S::with_data(|data| data.made.is_damaged()).unwrap_or(false)
}

/// The data of the first state, for a task that sleeps.
pub(crate) fn hold() -> Option<NonNull<Made>> {
    State1::with_data(|data| NonNull::from(&data.made))
}
