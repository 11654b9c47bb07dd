//! Guests that fill the disk: with bytes, with holes, with what has no name, with names alone.

use super::arena::{Arena, attack, attack_python};
use super::guest::guest;

const DISK: &[&str] = &["--disk", "1M"];
const ALLOWED: u64 = 1 << 20;
const FILES: &[&str] = &["--file-count", "300"];

const NAME: &[(u32, &str)] = &[(1024, "file"), (1040, "link")];
/// Opens `file` for writing, anew.
const OPEN: &str = "(local.set $fd (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 9)))
    (call $buffer (i32.const 4096) (i32.const 60000))";

fn writer(body: &str) -> String {
    guest(1, NAME, &format!("{OPEN} {body}"))
}

#[test]
fn writing_without_end_meets_the_disk_limit() {
    let body = "(loop $again
        (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 64))) (br $again))";
    attack(&writer(body), DISK).limit("disk", ALLOWED);
}

#[test]
fn writing_here_and_there_meets_the_disk_limit() {
    let body = "(loop $again
        (drop (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1)
            (i64.mul (i64.extend_i32_u (local.get $n)) (i64.const 1000000)) (i32.const 64)))
        (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $again))";
    attack(&writer(body), DISK).limit("disk", ALLOWED);
}

#[test]
fn a_write_of_all_of_memory_many_times_meets_the_disk_limit() {
    // A thousand buffers, each of them the same 60 kB.
    let body = "(loop $more
            (i32.store (i32.add (i32.const 16384) (i32.mul (local.get $n) (i32.const 8))) (i32.const 0))
            (i32.store (i32.add (i32.const 16388) (i32.mul (local.get $n) (i32.const 8))) (i32.const 60000))
            (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
        (drop (call $fd_write (local.get $fd) (i32.const 16384) (i32.const 1000) (i32.const 64)))";
    assert_eq!(attack(&writer(body), DISK).limit("disk", ALLOWED), 4096 + 60_000_000);
}

#[test]
fn a_file_of_a_tebibyte_meets_the_disk_limit() {
    let body = "(drop (call $fd_filestat_set_size (local.get $fd) (i64.const 0x10000000000)))";
    assert_eq!(attack(&writer(body), DISK).limit("disk", ALLOWED), (1 << 40) + 4096);
}

#[test]
fn a_file_of_holes_is_left_behind_with_the_reason() {
    let body = "(call $want (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const 0x10000000000)
        (i32.const 64)) (i32.const 0) (i32.const 1))";
    let arena = Arena::new();
    arena.home.write("attack.wasm", wat::parse_str(writer(body)).expect("it is well-formed"));
    let attacked = arena.attack(&["--disk", "1M", "-o", "out", "attack.wasm"]);
    attacked.exited(0);
    attacked.finished.says(&["not brought back", "mostly holes"]);
    assert!(!arena.home.work().join("out").exists());
}

#[test]
fn many_files_of_holes_are_left_behind_with_the_reason() {
    let script = "for n in range(20):\n    with open(f'hole-{n}', 'wb') as file: file.truncate(900_000)\n";
    let arena = Arena::with_python();
    arena.home.write("attack.py", script);
    let attacked = arena.attack(&["--disk", "1M", "-o", "out", "attack.py"]);
    attacked.exited(0);
    attacked.finished.says(&["not brought back", "mostly holes"]);
    let back = std::fs::read_dir(arena.home.work().join("out")).expect("some came back").count();
    assert!(back <= 2, "{back} files of 900 kB came back under a limit of 1 MiB");
}

#[test]
fn files_that_have_no_name_any_more_meet_the_disk_limit() {
    let body = "(loop $again
        (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 64)))
        (drop (call $path_unlink_file (i32.const 3) (i32.const 1024) (i32.const 4)))
        (local.set $fd (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1)))
        (br $again))";
    attack(&writer(body), DISK).limit("disk", ALLOWED);
}

#[test]
fn allocating_without_writing_is_not_there() {
    let body = "(call $deny (call $fd_allocate (local.get $fd) (i64.const 0) (i64.const 0x10000000000)) (i32.const 1))";
    attack(&writer(body), DISK).exited(0);
}

#[test]
fn python_that_fills_the_temporary_directory_meets_the_disk_limit() {
    let script = "import tempfile\nwhile True: tempfile.NamedTemporaryFile(delete=False).write(bytes(100_000))\n";
    attack_python(script, &["--disk", "4M"]).limit("disk", 4 << 20);
}

/// Makes `make` in `names`, each under another name of two letters at 1024.
fn names(make: &str) -> String {
    let body = format!(
        "(loop $again
            (i32.store8 (i32.const 1024) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 26))))
            (i32.store8 (i32.const 1025) (i32.add (i32.const 97) (i32.div_u (local.get $n) (i32.const 26))))
            {make}
            (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 600))))"
    );
    guest(1, NAME, &body)
}

#[test]
fn countless_files_are_counted() {
    let make = "(drop (call $fd_close (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1))))";
    assert_eq!(attack(&names(make), FILES).limit("files", 300), 301);
}

#[test]
fn countless_directories_are_counted() {
    let make = "(drop (call $path_create_directory (i32.const 3) (i32.const 1024) (i32.const 4)))";
    assert_eq!(attack(&names(make), FILES).limit("files", 300), 301);
}

#[test]
fn countless_links_are_counted() {
    let make = "(drop (call $path_symlink
        (i32.const 1040) (i32.const 4) (i32.const 3) (i32.const 1024) (i32.const 4)))";
    assert_eq!(attack(&names(make), FILES).limit("files", 300), 301);
}

#[test]
fn countless_names_of_one_file_are_counted() {
    let make = "(if (i32.eqz (local.get $n)) (then
            (drop (call $open (i32.const 3) (i32.const 1040) (i32.const 4) (i32.const 1)))))
        (drop (call $path_link (i32.const 3) (i32.const 0) (i32.const 1040) (i32.const 4)
            (i32.const 3) (i32.const 1024) (i32.const 4)))";
    assert_eq!(attack(&names(make), FILES).limit("files", 300), 301);
}

#[test]
fn making_the_same_file_again_and_again_counts_once() {
    let body = "(local.set $n (i32.const 2000))
        (loop $again
            (drop (call $fd_close (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";
    attack(&guest(1, NAME, body), FILES).exited(0);
}

#[test]
fn python_with_a_million_small_files_is_counted() {
    let script = "for n in range(1_000_000): open(str(n), 'w').close()\n";
    assert_eq!(attack_python(script, &["--file-count", "2000"]).limit("files", 2000), 2001);
}
