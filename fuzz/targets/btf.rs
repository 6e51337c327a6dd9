//! [`klp_fuzz::btf`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| klp_fuzz::btf::run(data));
