//! [`klp_fuzz::manifest`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| klp_fuzz::manifest::run(data));
