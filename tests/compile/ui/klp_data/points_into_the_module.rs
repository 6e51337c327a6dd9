//! What would be followed into a module that is gone (S10): no safe code gets it into data.

use core::any::TypeId;
use core::marker::PhantomData;
use core::panic::Location;
use core::task::Waker;
use klp_runtime::prelude::*;
use klp_runtime::sysfs;

static HERE: u32 = 1;

#[derive(KlpData)]
#[repr(C)]
struct References {
    text: &'static str,
    number: &'static u32,
    optional: Option<&'static u32>,
    in_an_array: [&'static u32; 2],
    in_a_tuple: (u32, &'static u32),
    boxed: KBox<&'static u32>,
    c_text: &'static CStr,
    caller: &'static Location<'static>,
}

#[derive(KlpData)]
#[repr(C)]
struct Functions {
    function: fn(),
    of_c: extern "C" fn(u32) -> u32,
    optional: Option<unsafe extern "C" fn()>,
    phantom: PhantomData<fn()>,
    waker: Waker,
}

#[derive(KlpData)]
#[repr(C)]
struct Objects {
    object: &'static (dyn Fn() + Send + Sync),
    id: TypeId,
}

#[derive(KlpData)]
#[repr(C)]
struct OfTheRuntime {
    directory: Option<sysfs::Directory>,
    parameter: Param<u32>,
}

#[repr(C)]
union EitherWay {
    number: u64,
    text: &'static &'static str,
}

#[derive(KlpData)]
#[repr(C)]
struct Hidden {
    either: EitherWay,
}

fn main() {
    let _ = HERE;
}
