//! What runs on its own in two of the four patches, until the runtime stops it.

use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::time::Duration;

use klp_runtime::prelude::*;
use klp_runtime::sysfs;
use klp_runtime::work::DelayedWork;
use klp_test_support::random::Configuration;

use crate::STARTS;
use crate::states::{Small, State1, State2, State3, are_damaged, look};

/// Whether the patch has such code: the others have nothing to lose where they have no state.
pub const RUNS_ON_ITS_OWN: bool = matches!(env!("CARGO_PKG_NAME").as_bytes(), [.., b'1' | b'2']);

/// The states whose directories the patch has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Is never done: whether it waits is all that one sees of it.
static LATER: DelayedWork = DelayedWork::new(|| {});

/// Uses the data of the states all the time. In the model no time passes.
static AGAIN: DelayedWork = DelayedWork::new(|| {
    if are_damaged::<State1>() || are_damaged::<State2>() || are_damaged::<State3>() {
        pr_err!("data are gone under the work");
    }
    AGAIN.schedule(Duration::from_millis(10));
});

/// The module is as it is after it was loaded.
pub(crate) fn reset() {
    MADE.store(0, Relaxed);
}

/// Schedules works, if the parameters say so of the place.
pub(crate) fn start(place: u32) {
    if RUNS_ON_ITS_OWN && STARTS.get() & place != 0 {
        AGAIN.schedule(Duration::from_millis(10));
        pr_info!("scheduled: {}", LATER.schedule(Duration::from_secs(3600)));
    }
}

/// In a state's callback, makes a directory of the state too, which all patches give the same name.
pub(crate) fn start_with_directory(state: u64) {
    start(Configuration::IN_STATES);
    if RUNS_ON_ITS_OWN
        && STARTS.get() & Configuration::IN_STATES != 0
        && MADE.fetch_or(1 << state, Relaxed) & 1 << state == 0
    {
        let made = match state {
            1 => directory::<State1>(c"klp_test_state1"),
            2 => directory::<State2>(c"klp_test_state2"),
            _ => directory::<State3>(c"klp_test_state3"),
        };
        pr_info!("directory of {state}: {made:?}");
    }
}

fn directory<S: State<Data = Small>>(name: &'static CStr) -> Result {
    sysfs::Directory::new(name)?.file(c"made", show::<S>)?.keep();
    Ok(())
}

/// Says who made the state's data.
fn show<S: State<Data = Small>>(text: &mut sysfs::Text<'_>) -> Result {
    Ok(look::<S, _>(|maker, looks| writeln!(text, "{maker} {looks}")).ok_or(ENODEV)??)
}
