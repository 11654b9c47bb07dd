//! Guests that say too much, or what a terminal would obey.

use super::arena::{Arena, attack};
use super::guest::guest;

fn flood(fd: u32) -> String {
    let body = format!(
        "(call $buffer (i32.const 1024) (i32.const 60000))
         (loop $again
            (drop (call $fd_write (i32.const {fd}) (i32.const 0) (i32.const 1) (i32.const 64))) (br $again))"
    );
    guest(1, &[], &body)
}

#[test]
fn a_flood_of_output_is_cut_at_its_limit() {
    let attacked = attack(&flood(1), &["--output", "256K"]);
    attacked.limit("output", 256 << 10);
    assert_eq!(attacked.printed().len(), 256 << 10, "what was allowed came, and no more");
}

#[test]
fn a_flood_of_errors_is_cut_at_its_limit() {
    attack(&flood(2), &["--output", "256K"]).limit("output", 256 << 10);
}

#[test]
fn thousands_of_buffers_in_one_call_are_not_taken() {
    let body = "(call $want (call $fd_write (i32.const 1) (i32.const 0) (i32.const 100000000) (i32.const 64))
            (i32.const 28) (i32.const 1))
        (call $want (call $fd_pwrite (i32.const 3) (i32.const 0) (i32.const -1) (i64.const 0) (i32.const 64))
            (i32.const 28) (i32.const 2))
        (call $want (call $fd_read (i32.const 0) (i32.const 0) (i32.const 2000) (i32.const 64))
            (i32.const 28) (i32.const 3))";
    attack(&guest(2, &[], body), &[]).exited(0);
}

#[test]
fn what_the_host_does_not_do_fills_no_log() {
    // wasmtime-wasi has something to say each time; the arena looks at how long the log is.
    let body = "(local.set $n (i32.const 20000))
        (loop $again
            (drop (call $sock_accept (i32.const 1) (i32.const 0) (i32.const 64)))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";
    attack(&guest(1, &[], body), &[]).exited(0);
}

#[test]
fn a_traps_names_do_not_steer_the_terminal() {
    let text = "(module (memory (export \"memory\") 1)
        (func $\"\\1b[2J\\1b]0;owned\\07\" unreachable) (func (export \"_start\") (call $\"\\1b[2J\\1b]0;owned\\07\")))";
    let arena = Arena::new();
    arena.home.write("attack.wasm", wat::parse_str(text).expect("it is well-formed"));
    let said = arena.home.run(["attack.wasm"]).finish();
    said.expect(134).says(&["owned"]);
    assert!(!said.stderr.contains(&0x1b), "{said}");
}

#[test]
fn names_of_files_do_not_steer_the_terminal() {
    let texts = [(1024, "\\1b[2Jowned\\0a\\0d")];
    let body = "(drop (call $open (i32.const 3) (i32.const 1024) (i32.const 11) (i32.const 1)))";
    let arena = Arena::new();
    arena.home.write("attack.wasm", wat::parse_str(guest(1, &texts, body)).expect("it is well-formed"));
    let said = arena.home.run(["-o", "out", "attack.wasm"]).finish();
    said.expect(0).says(&["not brought back", "owned", "control character"]);
    assert!(!said.stderr.contains(&0x1b) && !arena.home.work().join("out").exists(), "{said}");
}
