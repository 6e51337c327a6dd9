//! Code that runs on its own, a work and a file of sysfs, and stays in the state's data for a while. The
//! next version, which replaces it, makes a directory of the same name.
#![no_std]

use core::fmt::Write;
use core::time::Duration;

use klp_runtime::prelude::*;
use klp_runtime::sysfs;
use klp_runtime::work::DelayedWork;
use klp_test_support::Made;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Runs on its own",
    replace: true,
}

/// 1, or that of the next version.
const VERSION: u32 = if env!("CARGO_PKG_NAME").len() > "klp-test-runs".len() { 2 } else { 1 };

unsafe extern "C" {
    /// `kernel/time/sleep_timeout.c`: sleeps.
    fn msleep(msecs: c_uint);
}

struct Running;

#[klp_state(id = 31, version = VERSION)]
impl State for Running {
    type Data = Made;

    fn pre_patch(cx: &StateContext<'_>) -> Result<Made> {
        Ok(Made::by(cx))
    }

    fn post_patch(_cx: &StateContext<'_>, _data: &Made) {
        start();
    }

    fn take_over(_cx: &StateContext<'_>, _data: &Made, _from: u32) {
        pr_info!("take_over");
        start();
    }

    fn pre_unpatch(_cx: &StateContext<'_>, _data: &Made) {
        pr_info!("pre_unpatch");
    }

    fn post_unpatch(_cx: &StateContext<'_>, _data: &Made) {
        let directory = sysfs::Directory::new(c"klp_test_runs_again");
        pr_info!("post_unpatch, again: {} {:?}", WORK.schedule(Duration::ZERO), directory.err());
    }
}

/// Nothing of it is ever stopped by the patch itself.
fn start() {
    match sysfs::Directory::new(c"klp_test_runs").and_then(|directory| directory.file(c"made", show)) {
        Ok(directory) => directory.keep(),
        Err(error) => pr_err!("no directory: {error}"),
    }
    WORK.schedule(Duration::ZERO);
}

static WORK: DelayedWork = DelayedWork::new(|| {
    Running::with_data(|made| {
        pr_info!("work");
        // SAFETY: A thread of the kernel's does the work: it may sleep.
        unsafe { msleep(200) };
        pr_info!("worked on what {} made", made.maker());
    });
    WORK.schedule(Duration::from_millis(1));
});

fn show(text: &mut sysfs::Text<'_>) -> Result {
    Running::with_data(|made| {
        pr_info!("show");
        // SAFETY: A process reads the file: it may sleep.
        unsafe { msleep(1000) };
        Ok(writeln!(text, "{}", made.maker())?)
    })
    .unwrap_or(Err(ENODEV))
}
