//! Guests that take time: fuel and wall time end them, whatever they wait for.

use super::arena::{Arena, attack};
use super::guest::{EINVAL, guest};
use std::time::{Duration, Instant};

const FUEL: &[&str] = &["--fuel", "20M"];
const FUEL_ALLOWED: u64 = 20_000_000;
const WALL: &[&str] = &["--timeout", "300ms"];

/// One wait for a clock, at 1024: kind 0 (a clock), clock 1 (monotonic), so many nanoseconds.
const CLOCK: &str = r"(i32.store8 (i32.const 1032) (i32.const 0)) (i32.store (i32.const 1040) (i32.const 1))
    (i64.store (i32.const 1048) (i64.const 0x7000000000000000))";

#[test]
fn a_loop_without_end_meets_its_fuel() {
    assert_eq!(attack(&guest(1, &[], "(loop $again (br $again))"), FUEL).limit("fuel", FUEL_ALLOWED), FUEL_ALLOWED);
}

#[test]
fn a_start_function_without_end_meets_its_fuel() {
    let text = r#"(module (memory (export "memory") 1) (func $spin (loop $again (br $again))) (start $spin)
        (func (export "_start")))"#;
    attack(text, FUEL).limit("fuel", FUEL_ALLOWED);
}

#[test]
fn tail_calls_without_end_meet_their_fuel() {
    let text = r#"(module (memory (export "memory") 1) (func $again (return_call $again))
        (func (export "_start") (call $again)))"#;
    attack(text, FUEL).limit("fuel", FUEL_ALLOWED);
}

#[test]
fn exceptions_without_end_meet_their_fuel() {
    let text = r#"(module (memory (export "memory") 1) (tag $e) (func (export "_start")
        (loop $again (block $caught (try_table (catch_all $caught) (throw $e))) (br $again))))"#;
    attack(text, FUEL).limit("fuel", FUEL_ALLOWED);
}

#[test]
fn filling_memory_costs_fuel_by_the_byte() {
    let body = "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br $again))";
    attack(&guest(256, &[], body), &["--fuel", "100M"]).limit("fuel", 100_000_000);
}

#[test]
fn copying_memory_costs_fuel_by_the_byte() {
    let body = "(loop $again (memory.copy (i32.const 0) (i32.const 1) (i32.const 16777215)) (br $again))";
    attack(&guest(256, &[], body), &["--fuel", "100M"]).limit("fuel", 100_000_000);
}

#[test]
fn yielding_without_end_meets_its_fuel() {
    attack(&guest(1, &[], "(loop $again (drop (call $sched_yield)) (br $again))"), &["--fuel", "1M"])
        .limit("fuel", 1_000_000);
}

#[test]
fn asking_for_the_time_without_end_meets_its_wall_time() {
    let body = "(loop $again (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 64))) (br $again))";
    attack(&guest(1, &[], body), WALL).wall_time(300);
}

#[test]
fn a_sleep_of_centuries_meets_its_wall_time() {
    let body =
        format!("{CLOCK} (drop (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 64)))");
    attack(&guest(1, &[], &body), WALL).wall_time(300);
}

#[test]
fn a_wait_takes_no_fuel_and_meets_its_wall_time_all_the_same() {
    let body = format!(
        "{CLOCK} (i64.store (i32.const 1048) (i64.const 1))
         (loop $again
            (drop (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 64))) (br $again))"
    );
    attack(&guest(1, &[], &body), &["--timeout", "300ms", "--fuel", "1000T"]).wall_time(300);
}

#[test]
fn an_absolute_time_that_never_comes_meets_its_wall_time() {
    let body = format!(
        "{CLOCK} (i32.store16 (i32.const 1064) (i32.const 1))
         (drop (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 64)))"
    );
    attack(&guest(1, &[], &body), WALL).wall_time(300);
}

#[test]
fn a_million_waits_at_once_are_not_taken() {
    let body = format!(
        "(call $want (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 1000000) (i32.const 64))
            (i32.const {EINVAL}) (i32.const 1))
         (call $want (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 64))
            (i32.const {EINVAL}) (i32.const 2))"
    );
    attack(&guest(2000, &[], &body), WALL).exited(0);
}

#[test]
fn waiting_for_input_that_never_comes_meets_its_wall_time() {
    let body = "(call $buffer (i32.const 1024) (i32.const 100))
        (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)))";
    let arena = Arena::new();
    arena.home.write("attack.wasm", wat::parse_str(guest(1, &[], body)).expect("it is well-formed"));
    let args = ["--timeout", "300ms", "attack.wasm"];
    arena.attack_with(&args, potluck_tests::Running::finish_with_stdin_open).wall_time(300);
}

#[test]
fn printing_to_somebody_who_does_not_read_meets_its_wall_time() {
    let body = "(call $buffer (i32.const 1024) (i32.const 65536))
        (loop $again (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))) (br $again))";
    let home = potluck_tests::Home::new();
    home.write("attack.wasm", wat::parse_str(guest(2, &[], body)).expect("it is well-formed"));
    let _node = potluck_tests::Node::start(&home);
    let unread = home.run(["--timeout", "500ms", "--output", "1T", "attack.wasm"]).start_raw();
    let started = Instant::now();
    potluck_tests::until("its time is long over", || (started.elapsed() > Duration::from_secs(2)).then_some(()));
    home.potluck(["status"]).finish().expect(0);
    let ended = unread.wait_with_output().expect("it ends once it is read");
    assert_eq!(ended.status.code(), Some(124), "its wall time ended it, not its reader");
}

#[test]
fn listing_a_full_directory_again_and_again_meets_its_wall_time() {
    // 400 files; each listing looks at all of them and gives a few bytes.
    let body = "(local.set $n (i32.const 400))
        (loop $more
            (i32.store (i32.const 1024) (i32.add (local.get $n) (i32.const 0x61616100)))
            (i32.store8 (i32.const 1024) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 20))))
            (i32.store8 (i32.const 1025) (i32.add (i32.const 97) (i32.div_u (local.get $n) (i32.const 20))))
            (drop (call $fd_close (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1))))
            (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (loop $again
            (drop (call $fd_readdir (i32.const 3) (i32.const 2048) (i32.const 64) (i64.const 0) (i32.const 64)))
            (br $again))";
    attack(&guest(1, &[], body), &["--timeout", "700ms"]).wall_time(700);
}

#[test]
fn huge_fills_one_after_the_other_meet_their_wall_time() {
    let body = "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1ff00000)) (br $again))";
    attack(&guest(8192, &[], body), &["--timeout", "300ms", "--memory", "1G"]).wall_time(300);
}
