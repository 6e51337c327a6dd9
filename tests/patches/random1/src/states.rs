//! Three states that log their callbacks.

use klp_runtime::prelude::*;
use klp_test_support::Made;

use crate::shadows::{Plain, Sleepy, count, object};

macro_rules! state {
    ($name:ident, id = $id:literal) => {
        /// One of the states.
        pub(crate) struct $name;

        #[klp_state(id = $id, version = 1)]
        impl State for $name {
            type Data = Made;

            fn pre_patch(cx: &StateContext<'_>) -> Result<Made> {
                pr_info!("pre_patch {} v{}", cx.id(), cx.version());
                introduce(cx.id())?;
                Ok(Made::by(cx))
            }

            fn post_patch(cx: &StateContext<'_>, data: &Made) {
                pr_info!("post_patch {} ({})", cx.id(), data.maker());
            }

            fn pre_unpatch(cx: &StateContext<'_>, data: &Made) {
                pr_info!("pre_unpatch {} ({})", cx.id(), data.maker());
            }

            fn post_unpatch(cx: &StateContext<'_>, data: &Made) {
                pr_info!("post_unpatch {} ({})", cx.id(), data.maker());
            }

            fn take_over(cx: &StateContext<'_>, data: &Made, from: u32) {
                pr_info!("take_over {} from {from} ({})", cx.id(), data.maker());
            }
        }
    };
}

state!(State1, id = 1);
state!(State2, id = 2);
state!(State3, id = 3);

/// Makes shadow variables of the state before it fails, if it does: they must not outlive it.
fn introduce(id: u64) -> Result {
    match id {
        1 => drop(count::<Plain>(object(2), 2)),
        2 => drop(count::<Sleepy>(object(2), 2)),
        _ => {}
    }
    crate::configuration().fails_at(id as u32)
}

/// Says which patch made a state's data, by way of the patch's own code.
pub(crate) fn show<S: State<Data = Made>>(id: u32) {
    match S::with_data(|data| pr_info!("data {id} ({})", data.maker())) {
        Some(()) => {}
        None => pr_info!("data {id}: none"),
    }
}
