//! Shadow variables of every kind, on objects of its own.
#![no_std]

use klp_runtime::prelude::*;
use klp_test_support::{objects, test_patch};

test_patch!(replace: false);
objects!(4, state = Owner);

/// The state that two of the variables belong to.
struct Owner;

#[klp_state(id = 3, version = 1)]
impl State for Owner {
    fn post_patch(_cx: &StateContext<'_>, _data: &()) {
        if let Err(error) = exercise() {
            pr_err!("failed with {error}");
        }
    }

    fn post_unpatch(_cx: &StateContext<'_>, _data: &()) {
        pr_info!("post_unpatch");
    }
}

/// Has a state of its own.
#[shadow(id = 4, of = Object)]
#[repr(C)]
struct Lone {
    number: u8,
}

impl Drop for Lone {
    fn drop(&mut self) {
        let other = Plain::alloc(&OBJECTS[3], GFP_ATOMIC, || Ok(Plain { number: 4 }));
        pr_info!("dropped lone {}: {:?}", self.number, other.err());
    }
}

fn exercise() -> Result {
    let [a, b, c, d] = &OBJECTS;
    for (object, number) in [(a, 1), (b, 2), (c, 3)] {
        let plain = Plain::alloc(object, GFP_KERNEL, || Ok(Plain { number }))?;
        let found = Plain::get(object).map(|found| found.number);
        pr_info!("plain {} found {found:?}", plain.number);
        Sleepy::alloc(object, GFP_KERNEL, || Ok(Sleepy { number: number as u32 }))?;
    }
    Lone::alloc(a, GFP_KERNEL, || Ok(Lone { number: 9 }))?;

    let again = Plain::alloc(a, GFP_KERNEL, || Ok(Plain { number: 100 }));
    pr_info!("a second one: {:?}", again.err());
    let refused = Plain::alloc(d, GFP_KERNEL, || Err(ENODEV));
    pr_info!("a constructor that fails: {:?}, none there: {}", refused.err(), Plain::get(d).is_none());
    let refused = Sleepy::get_or_alloc(d, GFP_ATOMIC, || Err(EBUSY));
    pr_info!("a sleepable one: {:?}, none there: {}", refused.err(), Sleepy::get(d).is_none());
    let existing = Sleepy::get_or_alloc(b, GFP_ATOMIC, || Ok(Sleepy { number: 100 }))?;
    pr_info!("get_or_alloc found sleepy {}", existing.number);

    Lone::alloc(b, GFP_KERNEL, || Ok(Lone { number: 8 }))?;
    // SAFETY: No reference to these is used below.
    unsafe {
        Lone::free(b);
        Plain::free(c);
        Sleepy::free(c);
        Plain::free(d);
    }
    pr_info!("freed: {} {}", Plain::get(c).is_none(), Sleepy::get(c).is_none());
    Ok(())
}
