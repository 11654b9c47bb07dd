//! Guests that go deep, far, or out of their directory by its name.

use super::arena::{Arena, attack};
use super::guest::{ENAMETOOLONG, guest};

const NAMES: &[(u32, &str)] = &[(1024, "dddddddddd"), (1040, "l")];

#[test]
fn a_chain_of_directories_is_ended_at_its_depth() {
    let body = "(local.set $fd (i32.const 3))
        (loop $again
            (call $want (call $path_create_directory (local.get $fd) (i32.const 1024) (i32.const 1))
                (i32.const 0) (i32.const 1))
            (local.set $fd (call $open (local.get $fd) (i32.const 1024) (i32.const 1) (i32.const 2)))
            (br $again))";
    assert_eq!(attack(&guest(1, NAMES, body), &[]).limit("path_depth", 128), 129);
}

#[test]
fn a_chain_of_directories_behind_a_link_is_ended_at_its_depth() {
    // `l` always leads to the last directory, so each path has two components only.
    let texts = [(1024, "d"), (1040, "l"), (1056, "l/d"), (1072, "l/l")];
    let body = "(call $want (call $path_symlink (i32.const 1024) (i32.const 1) (i32.const 3) (i32.const 1040)
            (i32.const 1)) (i32.const 0) (i32.const 1))
        (call $want (call $path_create_directory (i32.const 3) (i32.const 1024) (i32.const 1)) (i32.const 0) (i32.const 2))
        (local.set $fd (i32.const 3))
        (loop $again
            (call $want (call $path_create_directory (local.get $fd) (i32.const 1056) (i32.const 3))
                (i32.const 0) (i32.const 3))
            (call $want (call $path_symlink (i32.const 1024) (i32.const 1) (local.get $fd) (i32.const 1072)
                (i32.const 3)) (i32.const 0) (i32.const 4))
            (local.set $n (call $open (local.get $fd) (i32.const 1040) (i32.const 1) (i32.const 2)))
            (local.set $fd (local.get $n))
            (br $again))";
    attack(&guest(1, &texts, body), &[]).limit("path_depth", 128);
}

#[test]
fn a_tree_that_is_moved_into_another_is_ended_at_its_depth() {
    // A chain of 100 is put below another one of 100.
    let texts = [(1024, "a"), (1040, "b"), (1056, "d")];
    let chain = |at: u32| {
        format!(
            "(local.set $fd (i32.const 3)) (local.set $n (i32.const 99))
             (call $want (call $path_create_directory (i32.const 3) (i32.const {at}) (i32.const 1)) (i32.const 0)
                (i32.const 1))
             (local.set $fd (call $open (i32.const 3) (i32.const {at}) (i32.const 1) (i32.const 2)))
             (loop $again
                (call $want (call $path_create_directory (local.get $fd) (i32.const 1056) (i32.const 1))
                    (i32.const 0) (i32.const 2))
                (local.set $fd (call $open (local.get $fd) (i32.const 1056) (i32.const 1) (i32.const 2)))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
        )
    };
    let body = format!(
        "{} {} (drop (call $path_rename (i32.const 3) (i32.const 1024) (i32.const 1) (local.get $fd) (i32.const 1024)
            (i32.const 1)))",
        chain(1024),
        chain(1040)
    );
    assert_eq!(attack(&guest(1, &texts, &body), &[]).limit("path_depth", 128), 200);
}

#[test]
fn a_path_of_long_names_is_ended_at_its_length() {
    let name = "n".repeat(200);
    let texts = [(1024, name.as_str())];
    let body = "(local.set $fd (i32.const 3))
        (loop $again
            (call $want (call $path_create_directory (local.get $fd) (i32.const 1024) (i32.const 200))
                (i32.const 0) (i32.const 1))
            (local.set $fd (call $open (local.get $fd) (i32.const 1024) (i32.const 200) (i32.const 2)))
            (br $again))";
    assert_eq!(attack(&guest(1, &texts, body), &[]).limit("path_length", 2048), 11 * 201 - 1);
}

#[test]
fn names_longer_than_any_are_refused_by_the_call() {
    let name = "n".repeat(300);
    let texts = [(1024, name.as_str())];
    // A name of 300 bytes, and a path of a million.
    let body = format!(
        "(call $want (call $path_create_directory (i32.const 3) (i32.const 1024) (i32.const 300))
            (i32.const {ENAMETOOLONG}) (i32.const 1))
         (memory.fill (i32.const 2048) (i32.const 97) (i32.const 1000000))
         (call $want (call $path_create_directory (i32.const 3) (i32.const 2048) (i32.const 1000000))
            (i32.const {ENAMETOOLONG}) (i32.const 2))
         (call $want (call $try_open (i32.const 3) (i32.const 2048) (i32.const 1000000) (i32.const 1))
            (i32.const {ENAMETOOLONG}) (i32.const 3))
         (call $deny (call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const 2048) (i32.const 1000000)
            (i32.const 0)) (i32.const 4))"
    );
    attack(&guest(20, &texts, &body), &[]).exited(0);
}

#[test]
fn a_name_that_is_no_text_is_refused_by_the_call() {
    let texts = [(1024, "\\ff\\fe\\00x")];
    let body = "(call $deny (call $path_create_directory (i32.const 3) (i32.const 1024) (i32.const 4)) (i32.const 1))
        (call $deny (call $try_open (i32.const 3) (i32.const 1024) (i32.const 2) (i32.const 1)) (i32.const 2))
        (call $deny (call $try_open (i32.const 3) (i32.const 1026) (i32.const 2) (i32.const 1)) (i32.const 3))
        (call $deny (call $try_open (i32.const 3) (i32.const 1024) (i32.const 0) (i32.const 1)) (i32.const 4))";
    attack(&guest(1, &texts, body), &[]).exited(0);
}

/// Tries to open each of these paths, to read, to write, to list and to make a link to it.
fn escapes(paths: &[&str]) -> String {
    let body: String = paths
        .iter()
        .zip(1..)
        .map(|(path, code)| {
            let (at, len) = (code * 256, path.len());
            format!(
                "(call $deny (call $try_open (i32.const 3) (i32.const {at}) (i32.const {len}) (i32.const 0)) (i32.const {code}))
                 (call $deny (call $try_open (i32.const 3) (i32.const {at}) (i32.const {len}) (i32.const 1)) (i32.const {code}))
                 (call $deny (call $try_open (i32.const 3) (i32.const {at}) (i32.const {len}) (i32.const 2)) (i32.const {code}))
                 (call $deny (call $path_create_directory (i32.const 3) (i32.const {at}) (i32.const {len})) (i32.const {code}))
                 (call $deny (call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const {at}) (i32.const {len})
                    (i32.const 64)) (i32.const {code}))
                 (call $deny (call $path_link (i32.const 3) (i32.const 1) (i32.const {at}) (i32.const {len})
                    (i32.const 3) (i32.const 128) (i32.const 1)) (i32.const {code}))
                 (call $deny (call $path_rename (i32.const 3) (i32.const {at}) (i32.const {len})
                    (i32.const 3) (i32.const 128) (i32.const 1)) (i32.const {code}))"
            )
        })
        .collect();
    let texts: Vec<(u32, &str)> = (1..).map(|code| code * 256).zip(paths.iter().copied()).collect();
    guest(1, &[&texts[..], &[(128, "x")]].concat(), &body)
}

#[test]
fn absolute_names_lead_nowhere() {
    attack(&escapes(&["/", "/etc/passwd", "/proc/self/environ", "/dev/zero", "//etc/passwd", "/tmp"]), &[]).exited(0);
}

#[test]
fn dots_lead_nowhere() {
    let paths = ["..", "../..", "../root", "./../x", "../../../../../../etc/passwd", "x/../../y", ".././../tmp"];
    attack(&escapes(&paths), &[]).exited(0);
}

#[test]
fn a_mount_is_not_changed_in_any_way() {
    let arena = Arena::new();
    arena.home.write("shared/table.txt", "42");
    let texts = [(1024, "table.txt"), (1040, "new"), (1056, "mine")];
    // The folder is the last of what is given: the working directory, the temporary one, the folder.
    let body = "(call $deny (call $try_open (i32.const 5) (i32.const 1024) (i32.const 9) (i32.const 8)) (i32.const 1))
        (call $deny (call $try_open (i32.const 5) (i32.const 1040) (i32.const 3) (i32.const 1)) (i32.const 2))
        (call $deny (call $path_create_directory (i32.const 5) (i32.const 1040) (i32.const 3)) (i32.const 3))
        (call $deny (call $path_unlink_file (i32.const 5) (i32.const 1024) (i32.const 9)) (i32.const 4))
        (call $deny (call $path_rename (i32.const 5) (i32.const 1024) (i32.const 9) (i32.const 5) (i32.const 1040)
            (i32.const 3)) (i32.const 5))
        (call $deny (call $path_rename (i32.const 5) (i32.const 1024) (i32.const 9) (i32.const 3) (i32.const 1056)
            (i32.const 4)) (i32.const 6))
        (call $deny (call $path_link (i32.const 5) (i32.const 0) (i32.const 1024) (i32.const 9) (i32.const 3)
            (i32.const 1056) (i32.const 4)) (i32.const 7))
        (call $deny (call $path_symlink (i32.const 1024) (i32.const 9) (i32.const 5) (i32.const 1040) (i32.const 3))
            (i32.const 8))";
    arena.home.write("attack.wasm", wat::parse_str(guest(1, &texts, body)).expect("it is well-formed"));
    arena.attack(&["--mount", "shared::/data", "attack.wasm"]).exited(0);
    let shared = arena.home.work().join("shared");
    assert_eq!(std::fs::read_to_string(shared.join("table.txt")).expect("it is still there"), "42");
    assert_eq!(std::fs::read_dir(shared).expect("it is still there").count(), 1);
}

#[test]
fn names_that_differ_in_case_alone_come_back_as_two() {
    let texts = [(1024, "Makefile"), (1040, "makefile")];
    let body = "(drop (call $open (i32.const 3) (i32.const 1024) (i32.const 8) (i32.const 1)))
        (drop (call $open (i32.const 3) (i32.const 1040) (i32.const 8) (i32.const 1)))";
    let arena = Arena::new();
    arena.home.write("attack.wasm", wat::parse_str(guest(1, &texts, body)).expect("it is well-formed"));
    arena.attack(&["-o", "out", "attack.wasm"]).exited(0);
    assert_eq!(std::fs::read_dir(arena.home.work().join("out")).expect("both came back").count(), 2);
}
