//! [`klp_fuzz::dwarf`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| klp_fuzz::dwarf::run(data));
