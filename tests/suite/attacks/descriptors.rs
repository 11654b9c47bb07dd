//! Guests that play with descriptors.

use super::arena::{attack, attack_python};
use super::guest::{EBADF, guest};

const NAME: &[(u32, &str)] = &[(1024, "file"), (1040, ".")];
const OPEN_FILES: &[&str] = &["--open-files", "20"];

#[test]
fn opening_without_end_is_named() {
    let body =
        "(loop $again (drop (call $open (i32.const 3) (i32.const 1040) (i32.const 1) (i32.const 2))) (br $again))";
    assert_eq!(attack(&guest(1, NAME, body), OPEN_FILES).limit("open_files", 20), 21);
}

#[test]
fn renumbering_does_not_hide_what_is_open() {
    // Each new descriptor is put in the place of standard input, whose place is taken over and over; then of another.
    let body = "(loop $again
        (drop (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1)))
        (local.set $fd (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1)))
        (drop (call $fd_renumber (local.get $fd) (i32.const 0)))
        (drop (call $fd_renumber (i32.const 0) (i32.const 0)))
        (drop (call $fd_renumber (local.get $fd) (i32.const 77)))
        (drop (call $fd_close (local.get $fd)))
        (br $again))";
    assert_eq!(attack(&guest(1, NAME, body), OPEN_FILES).limit("open_files", 20), 21);
}

#[test]
fn closing_what_was_given_makes_no_room() {
    let body = "(drop (call $open (i32.const 3) (i32.const 1040) (i32.const 1) (i32.const 2)))
        (local.set $fd (call $open (i32.const 3) (i32.const 1040) (i32.const 1) (i32.const 2)))
        (loop $given
            (drop (call $fd_close (local.get $n)))
            (br_if $given (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (local.get $fd))))
        (loop $again (drop (call $open (local.get $fd) (i32.const 1040) (i32.const 1) (i32.const 2))) (br $again))";
    assert_eq!(attack(&guest(1, NAME, body), OPEN_FILES).limit("open_files", 20), 21);
}

#[test]
fn a_directory_that_was_closed_leads_nowhere() {
    let body = format!(
        "(call $want (call $fd_close (i32.const 3)) (i32.const 0) (i32.const 1))
         (call $want (call $try_open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1))
            (i32.const {EBADF}) (i32.const 2))
         (call $want (call $path_create_directory (i32.const 3) (i32.const 1024) (i32.const 4))
            (i32.const {EBADF}) (i32.const 3))
         (call $want (call $fd_renumber (i32.const 3) (i32.const 1)) (i32.const {EBADF}) (i32.const 4))"
    );
    attack(&guest(1, NAME, &body), &[]).exited(0);
}

#[test]
fn descriptors_that_never_were_lead_nowhere() {
    let calls: String = ["-1", "0x7fffffff", "0x80000000", "1000"]
        .iter()
        .map(|fd| {
            format!(
                "(call $want (call $fd_write (i32.const {fd}) (i32.const 0) (i32.const 0) (i32.const 64))
                    (i32.const {EBADF}) (i32.const 1))
                 (call $want (call $fd_close (i32.const {fd})) (i32.const {EBADF}) (i32.const 2))
                 (call $want (call $fd_readdir (i32.const {fd}) (i32.const 0) (i32.const 64) (i64.const 0)
                    (i32.const 64)) (i32.const {EBADF}) (i32.const 3))
                 (call $want (call $fd_seek (i32.const {fd}) (i64.const 0) (i32.const 0) (i32.const 64))
                    (i32.const {EBADF}) (i32.const 4))
                 (call $want (call $fd_renumber (i32.const 3) (i32.const {fd})) (i32.const {EBADF}) (i32.const 5))"
            )
        })
        .collect();
    attack(&guest(1, &[], &calls), &[]).exited(0);
}

#[test]
fn what_is_printed_to_a_file_in_the_place_of_stdout_meets_the_disk_limit() {
    let body = "(local.set $fd (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1)))
        (drop (call $fd_renumber (local.get $fd) (i32.const 1)))
        (call $buffer (i32.const 4096) (i32.const 60000))
        (loop $again
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))) (br $again))";
    attack(&guest(1, NAME, body), &["--disk", "1M", "--output", "1K"]).limit("disk", 1 << 20);
}

#[test]
fn rights_and_flags_of_all_kinds_do_no_harm() {
    let opens: String = (0..16)
        .map(|flags| {
            format!(
                "(drop (call $path_open (i32.const 3) (i32.const -1) (i32.const 1024) (i32.const 4) (i32.const {flags})
                    (i64.const -1) (i64.const -1) (i32.const {flags}) (i32.const 32)))
                 (drop (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 4) (i32.const {flags})
                    (i64.const 0x1fffffff) (i64.const 0) (i32.const {flags}) (i32.const 32)))
                 (drop (call $fd_fdstat_set_rights (i32.const 3) (i64.const -1) (i64.const -1)))
                 (drop (call $fd_fdstat_set_flags (i32.load (i32.const 32)) (i32.const {flags})))"
            )
        })
        .collect();
    let attacked = attack(&guest(1, NAME, &opens), &[]);
    let kind = attacked.finished.json()["outcome"]["kind"].clone();
    assert!(kind == "exited" || kind == "trapped", "{}", attacked.finished);
}

#[test]
fn python_that_keeps_files_open_is_named() {
    attack_python("kept = []\nwhile True: kept.append(open('x', 'w'))\n", OPEN_FILES).limit("open_files", 20);
}
