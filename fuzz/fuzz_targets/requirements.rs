//! See `potluck_fuzz::requirements`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::requirements(bytes));
