//! Guests that say too much of themselves, or put something else in the place of the files through which they are heard.

use super::arena::{Attacked, attack};
use super::guest::guest;

/// Opens the events file as `$fd`.
const OPEN: &str = "(local.set $fd (call $open (i32.const 4) (i32.const 64) (i32.const 15) (i32.const 1)))";
const NAME: (u32, &str) = (64, ".potluck-events");

fn events_guest(pages: u64, texts: &[(u32, &str)], body: &str) -> String {
    guest(pages, &[&[NAME], texts].concat(), &format!("{OPEN} {body}"))
}

/// Says `{"result":1}` once.
const SAID: &str = "(call $buffer (i32.const 256) (i32.const 13))
    (call $want (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 512)) (i32.const 0) (i32.const 1))";
const RESULT: (u32, &str) = (256, "{\\22result\\22:1}\\0a");

/// Has said something, and then floods its file for longer than it may.
#[track_caller]
fn flood(pages: u64, body: &str, wall: &str) -> Attacked {
    let attacked = attack(&events_guest(pages, &[RESULT], &format!("{SAID} {body}")), &["--timeout", wall]);
    assert_eq!(attacked.finished.json()["result"], 1, "{}", attacked.finished);
    attacked
}

#[test]
fn a_flood_of_what_is_no_event_meets_its_wall_time() {
    let body = "(call $buffer (i32.const 1024) (i32.const 60000))
        (loop $again (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 512))) (br $again))";
    flood(2, body, "1s").wall_time(1000);
}

#[test]
fn a_flood_of_short_lines_by_one_call_meets_its_wall_time() {
    // Sixteen megabytes of lines that are none.
    let body = "(memory.fill (i32.const 1024) (i32.const 10) (i32.const 0xff0000))
        (loop $fill (i32.store8 (i32.add (i32.const 1024) (local.get $n)) (i32.const 120))
            (local.set $n (i32.add (local.get $n) (i32.const 2)))
            (br_if $fill (i32.lt_u (local.get $n) (i32.const 0xff0000))))
        (call $buffer (i32.const 1024) (i32.const 0xff0000))
        (loop $again (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 512))) (br $again))";
    flood(256, body, "2s").wall_time(2000);
}

#[test]
fn files_moved_out_of_the_place_of_the_events_file_are_charged() {
    let body = "(loop $again
            (call $want (call $fd_close (local.get $fd)) (i32.const 0) (i32.const 1))
            (i32.store8 (i32.const 128) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 26))))
            (i32.store8 (i32.const 129) (i32.add (i32.const 97)
                (i32.rem_u (i32.div_u (local.get $n) (i32.const 26)) (i32.const 26))))
            (call $want (call $path_rename (i32.const 4) (i32.const 64) (i32.const 15) (i32.const 4) (i32.const 128) (i32.const 2))
                (i32.const 0) (i32.const 2))
            (local.set $fd (call $open (i32.const 4) (i32.const 64) (i32.const 15) (i32.const 0)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const 200))))";
    attack(&events_guest(1, &[], body), &["--file-count", "100"]).limit("files", 100);
}

#[test]
fn a_flood_of_results_is_cut_and_holds_nobody_up() {
    let line = "{\\22result\\22:1}\\0a";
    let body = "(loop $fill
            (memory.copy (i32.add (i32.const 1024) (local.get $n)) (i32.const 256) (i32.const 13))
            (local.set $n (i32.add (local.get $n) (i32.const 13)))
            (br_if $fill (i32.lt_u (local.get $n) (i32.const 60000))))
        (call $buffer (i32.const 1024) (local.get $n))
        (loop $again (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 512))) (br $again))";
    let attacked = attack(&events_guest(2, &[(256, line)], body), &["--timeout", "1s"]);
    attacked.wall_time(1000);
    let object = attacked.finished.json();
    assert!(object["events"].as_array().is_some_and(|events| events.len() <= 10_002), "{}", attacked.finished);
    assert_eq!(object["result"], 1);
}

#[test]
fn buffers_beyond_the_end_of_memory_are_refused() {
    let body = "(call $buffer (i32.const 0x7fff0000) (i32.const 0x7fffffff))
        (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 512)))";
    let attacked = attack(&events_guest(1, &[], body), &[]);
    let kind = attacked.finished.json()["outcome"]["kind"].clone();
    assert!(kind == "trapped" || kind == "exited", "{}", attacked.finished);
}

#[test]
fn thousands_of_buffers_into_the_events_file_are_not_taken() {
    let body = "(call $want (call $fd_write (local.get $fd) (i32.const 0) (i32.const 100000000) (i32.const 512))
            (i32.const 28) (i32.const 1))
        (call $want (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const -1) (i64.const 0) (i32.const 512))
            (i32.const 28) (i32.const 2))";
    attack(&events_guest(1, &[], body), &[]).exited(0);
}

#[test]
fn a_link_in_the_place_of_the_file_leads_nowhere_and_says_nothing() {
    let texts = [(128, "../../../../etc/passwd"), (256, "{\\22result\\22:1}\\0a")];
    let body =
        "(call $want (call $path_symlink (i32.const 128) (i32.const 22) (i32.const 4) (i32.const 64) (i32.const 15))
            (i32.const 0) (i32.const 1))
        (call $deny (call $try_open (i32.const 4) (i32.const 64) (i32.const 15) (i32.const 0)) (i32.const 2))";
    let text = guest(1, &[&[NAME], &texts[..]].concat(), body);
    attack(&text, &[]).exited(0);
}

#[test]
fn a_handle_that_means_something_else_by_now_writes_there() {
    // What was the events file is closed, and its number is that of a file of its own.
    let texts = [(128, "mine"), (256, "{\\22result\\22:1}\\0a")];
    let body = "(call $want (call $fd_close (local.get $fd)) (i32.const 0) (i32.const 1))
        (local.set $n (call $open (i32.const 3) (i32.const 128) (i32.const 4) (i32.const 1)))
        (call $buffer (i32.const 256) (i32.const 13))
        (call $want (call $fd_write (local.get $n) (i32.const 0) (i32.const 1) (i32.const 512)) (i32.const 0) (i32.const 2))
        (local.set $fd (call $open (i32.const 4) (i32.const 64) (i32.const 15) (i32.const 0)))
        (call $want (call $fd_renumber (local.get $n) (local.get $fd)) (i32.const 0) (i32.const 3))
        (call $want (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 512)) (i32.const 0) (i32.const 4))";
    let attacked = attack(&events_guest(1, &texts, body), &["-o", "out"]);
    attacked.exited(0);
    let object = attacked.finished.json();
    assert_eq!((&object["result"], &object["outputs"][0]["size"]), (&serde_json::Value::Null, &26.into()));
}
