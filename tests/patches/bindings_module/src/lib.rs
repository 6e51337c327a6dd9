//! Reads fields of a structure that a module has for itself, and of one that it takes from the kernel.
#![no_std]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["klp tests"],
    description: "Reads fields of a structure that a module has for itself",
}

// On a new machine cargo alone, which lints this for the host, finds no module.
#[cfg(target_os = "none")]
kernel_types! {
    object = "loop";
    struct loop_device { lo_number, lo_offset, lo_backing_file, lo_device, lo_queue }
    struct loop_info64 { lo_inode }
    struct request_queue { nr_requests }
    #[klp_symbols]
    fn loop_validate_file;
}

/// In place of what tells `losetup` of a device: the inode that it is told of is made of the device's number,
/// how many requests its queue takes, and the offset.
///
/// # Safety
///
/// Called by the module with the device and with what is to be told.
#[cfg(target_os = "none")]
#[klp_func(symbol = "loop_get_status", object = "loop", original = original_loop_get_status)]
unsafe extern "C" fn loop_get_status(lo: *mut loop_device, info: *mut loop_info64) -> c_int {
    // SAFETY: The device has a file, or there would be nothing to tell; the module looks at it in the same way
    // before it takes it. The arguments of the original are those that the kernel has passed.
    unsafe {
        let refused = loop_validate_file((*lo).lo_backing_file, (*lo).lo_device);
        if refused != 0 {
            return refused;
        }
        let (number, offset) = ((*lo).lo_number as u64, (*lo).lo_offset as u64);
        // It has 64 bits in some kernels, and 32 in others.
        let requests = (*(*lo).lo_queue).nr_requests as u64;
        let status = original_loop_get_status(lo, info);
        (*info).lo_inode = number * 1_000_000_000 + requests * 1_000_000 + offset;
        status
    }
}
