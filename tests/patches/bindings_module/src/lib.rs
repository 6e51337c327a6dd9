//! Reads fields of a structure that a module has for itself, and of ones that it takes from the kernel.
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
    struct loop_device { lo_number, lo_offset, lo_queue }
    struct request_queue { nr_requests }
    struct block_device { bd_device, bd_disk }
    struct gendisk { private_data }
    struct device {}
    struct device_attribute {}
    #[klp_symbols]
    fn loop_attr_do_show_sizelimit;
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    /// `include/linux/sysfs.h`: writes what is read from a file of sysfs; returns its length.
    fn sysfs_emit(buffer: *mut c_char, format: *const c_char, ...) -> c_int;
}

/// In place of what tells sysfs at which offset of its file a device begins: that, the device's number, how many
/// requests its queue takes, and how many letters its size limit has.
///
/// # Safety
///
/// Called by sysfs with the device, the attribute, and a page for the text.
#[cfg(target_os = "none")]
#[klp_func(symbol = "loop_attr_do_show_offset", object = "loop")]
unsafe extern "C" fn loop_attr_do_show_offset(
    device: *mut device,
    attribute: *mut device_attribute,
    buffer: *mut c_char,
) -> isize {
    // SAFETY: The device is that of a disk of the module, which the disk's own data are of; the module looks at them in
    // the same way. The other function looks at the device alone, and its text is written over.
    unsafe {
        let disk = (*container_of!(device, block_device, bd_device)).bd_disk;
        let lo = (*disk).private_data.cast::<loop_device>();
        let limit = loop_attr_do_show_sizelimit(device, attribute, buffer);
        let (number, offset) = ((*lo).lo_number, (*lo).lo_offset as u64);
        // It has 64 bits in some kernels, and 32 in others.
        let requests = (*(*lo).lo_queue).nr_requests as u64;
        let format = c"%d %llu %llu %zd\n".as_ptr();
        sysfs_emit(buffer, format, number, offset, requests, limit) as isize
    }
}
