//! Redirects `getpid`, and notes which of the processes of a list have called it.
#![no_std]

use core::fmt::Write;

use klp_runtime::error::EFBIG;
use klp_runtime::prelude::*;
use klp_runtime::sync::Mutex;
use klp_runtime::sysfs::{Directory, Text};
use klp_runtime::task;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Livepatch test: a system call",
}

/// As many as there may be processors.
const MOST: usize = 8192;

/// The processes that are to be seen running the new code
#[klp_param]
static KLP_PIDS: ParamArray<c_int, MOST> = ParamArray::new([0; MOST]);

/// How many of them have not been.
static PENDING: Mutex<usize> = Mutex::new(0);

#[klp_init]
fn init(_patch: &mut PatchSelection<'_>) -> Result {
    *PENDING.lock() = KLP_PIDS.len();
    Directory::new(c"test_klp_syscall")?.file(c"npids", show_pending)?.keep();
    Ok(())
}

fn show_pending(text: &mut Text<'_>) -> Result {
    let pending = *PENDING.lock();
    writeln!(text, "{pending}").map_err(|_| EFBIG)
}

#[klp_syscall(name = "getpid")]
unsafe extern "C" fn livepatch_getpid() -> c_long {
    let task = task::current();
    let mut pending = PENDING.lock();
    if *pending > 0
        && let Some(seen) = KLP_PIDS.iter().position(|pid| pid == task.pid())
    {
        KLP_PIDS.set(seen, 0);
        *pending -= 1;
    }
    drop(pending);
    task.tgid_vnr().into()
}
