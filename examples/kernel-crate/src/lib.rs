//! Counts who reads `/proc/cmdline`, which may show secrets that a boot loader passes on.
//!
//! The counts are a tree of the kernel's own Rust crate behind a mutex of that crate; the redirect and the state are
//! klp's. Both worlds meet in one patch: the tree belongs to this module, and goes with it; the number of all reads is
//! the state's data, which a later patch goes on with.
#![no_std]
// There is no `kernel` crate to test with on the host.
#![cfg(target_os = "none")]

use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kernel::alloc::flags;
use kernel::pr_info;
use kernel::rbtree::RBTree;
use kernel::sync::global_lock;
use kernel::task::Kuid;
use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Counts who reads the kernel's command line",
}

// ANCHOR: tree
global_lock! {
    // SAFETY: `init` initializes it before the patch is enabled.
    unsafe(uninit) static READERS: Mutex<Option<RBTree<u32, u64>>> = None;
}

/// How often each user has read, with this read.
fn count(user: u32) -> kernel::error::Result<u64> {
    let mut readers = READERS.lock();
    let readers = readers.get_or_insert_with(RBTree::new);
    if let Some(count) = readers.get_mut(&user) {
        *count = count.saturating_add(1);
        return Ok(*count);
    }
    readers.try_create_and_insert(user, 1, flags::GFP_KERNEL)?;
    Ok(1)
}
// ANCHOR_END: tree

#[klp_init]
fn init(_patch: &mut PatchSelection<'_>) -> Result {
    // SAFETY: This runs once, before anything locks it.
    unsafe { READERS.init() };
    Ok(())
}

#[klp_exit]
fn exit() {
    // The nodes are freed while the module is still there.
    if let Some(readers) = READERS.lock().take() {
        readers.iter().for_each(|(user, count)| pr_info!("user {user} has read it {count} times\n"));
    }
}

/// The counting.
struct Watch;

/// What outlives this module.
#[derive(KlpData, Default)]
#[repr(C)]
struct Reads {
    all: AtomicU64,
}

#[klp_state(id = 3, version = 1)]
impl State for Watch {
    type Data = Reads;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Reads> {
        Ok(Reads::default())
    }

    fn post_unpatch(_cx: &StateContext<'_>, reads: &Reads) {
        pr_info!("it was read {} times in all\n", reads.all.load(Relaxed));
    }
}

/// In place of `fs/proc/cmdline.c`: shows the command line, as the original does, and counts.
///
/// # Safety
///
/// Called by the kernel with the file that is being read.
#[klp_func(symbol = "cmdline_proc_show", original = original_cmdline_proc_show)]
unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int {
    let user = Kuid::current_euid().into_uid_in_current_ns();
    match count(user) {
        Ok(1) => pr_info!("user {user} reads the command line\n"),
        Ok(_) => {}
        // Whoever reads is not to blame.
        Err(error) => pr_info!("a read of user {user} is not counted: {error:?}\n"),
    }
    Watch::with_data(|reads| reads.all.fetch_add(1, Relaxed));
    // SAFETY: The arguments are the kernel's own.
    unsafe { original_cmdline_proc_show(m, v) }
}
