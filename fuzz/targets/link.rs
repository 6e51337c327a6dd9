//! [`klp_fuzz::link`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| klp_fuzz::link::run(data));
