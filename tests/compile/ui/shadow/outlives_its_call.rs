//! References to shadow variables that would be there when the variables are gone.

use core::sync::atomic::AtomicU64;

use klp_runtime::prelude::*;
use klp_runtime::sync::Mutex;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {}

/// What is borrowed for ever.
static OBJECT: u32 = 0;

#[shadow(state = S, of = u32)]
#[repr(C)]
struct Mark {
    count: AtomicU64,
}

static KEPT: Mutex<Option<ShadowRef<'static, Mark>>> = Mutex::new(None);
static BORROWED: Mutex<Option<&'static Mark>> = Mutex::new(None);

fn keep() {
    *KEPT.lock() = Mark::get(&OBJECT);
    let mark = Mark::get(&OBJECT).unwrap();
    *BORROWED.lock() = Some(&mark);
}

fn main() {}
