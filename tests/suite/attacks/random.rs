//! Guests that draw randomness without end.

use super::arena::{attack, attack_python};
use super::guest::guest;

const RANDOM: &[&str] = &["--random", "1M"];
const ALLOWED: u64 = 1 << 20;

#[test]
fn drawing_randomness_without_end_is_named() {
    let body = "(loop $again (drop (call $random_get (i32.const 1024) (i32.const 60000))) (br $again))";
    attack(&guest(1, &[], body), RANDOM).limit("random_bytes", ALLOWED);
}

#[test]
fn asking_for_all_randomness_at_once_is_named() {
    let body = "(drop (call $random_get (i32.const 0) (i32.const -1)))";
    assert_eq!(attack(&guest(1, &[], body), RANDOM).limit("random_bytes", ALLOWED), u64::from(u32::MAX));
}

#[test]
fn much_randomness_by_one_call_meets_its_wall_time() {
    let body = "(loop $again (drop (call $random_get (i32.const 0) (i32.const 0x1ff00000))) (br $again))";
    attack(&guest(8192, &[], body), &["--timeout", "300ms", "--random", "1T"]).wall_time(300);
}

#[test]
fn randomness_beyond_the_end_of_memory_is_an_error_of_the_guests() {
    let body = "(call $deny (call $random_get (i32.const 0) (i32.const 1000000)) (i32.const 1))";
    let attacked = attack(&guest(1, &[], body), &[]);
    let kind = attacked.finished.json()["outcome"]["kind"].clone();
    assert!(kind == "trapped" || kind == "exited", "{}", attacked.finished);
}

#[test]
fn python_that_draws_randomness_without_end_is_named() {
    attack_python("import os\nwhile True: os.urandom(100_000)\n", &["--random", "8M"]).limit("random_bytes", 8 << 20);
}
