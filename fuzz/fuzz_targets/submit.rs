//! See `potluck_fuzz::submit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::submit(bytes));
