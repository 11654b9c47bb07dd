//! See `potluck_fuzz::wheel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::wheel(bytes));
