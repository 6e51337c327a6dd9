//! Inline functions, macros and constants of the kernel's headers, and fields: one source, whatever the kernel has.

use std::fs::{self, File};
use std::io::read_to_string;
use std::os::unix::fs::MetadataExt;

use crate::guest::Patch;

crate::tests![inline_functions_macros_and_constants];

fn inline_functions_macros_and_constants() {
    let patch = Patch("headers");
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    patch.enable();
    let file = File::open("/proc/version").unwrap();
    let text = read_to_string(&file).unwrap();
    patch.end();
    // A list that is empty, then not; ticks a second; ten seconds in milliseconds; the smallest error; who reads; when the
    // file was changed, which is another field on each kernel.
    let (name, changed) = (name.trim_end(), file.metadata().unwrap().ctime());
    assert_eq!(text, format!("1 0 250 10000 -4095 {name} {changed}\n"));
}
