//! See `potluck_fuzz::worker`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| potluck_fuzz::worker(bytes));
