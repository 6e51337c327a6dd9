//! [`klp_fuzz::kallsyms`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| klp_fuzz::kallsyms::run(data));
