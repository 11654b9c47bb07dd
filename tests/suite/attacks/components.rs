//! Hostile components: what holds for modules holds for them, and what only they can hold is bounded as well.

use super::arena::{attack, attack_with};
use potluck_tests::guest;

#[track_caller]
fn hog(what: &str, options: &[&str], limit: &str, allowed: u64) {
    attack_with(&guest("hog-component"), what, options).limit(limit, allowed);
}

#[test]
fn a_component_meets_its_fuel() {
    hog("fuel", &["--fuel", "100M"], "fuel", 100_000_000);
}

#[test]
fn a_component_that_sleeps_meets_its_wall_time() {
    hog("sleep", &["--timeout", "300ms"], "wall_time", 300);
}

#[test]
fn a_component_meets_the_memory_limit() {
    hog("memory", &["--memory", "64M"], "memory", 64 << 20);
}

#[test]
fn a_component_meets_the_output_limit() {
    hog("output", &["--output", "256K"], "output", 256 << 10);
}

#[test]
fn a_component_meets_the_disk_limit() {
    hog("disk", &["--disk", "1M"], "disk", 1 << 20);
}

#[test]
fn a_component_meets_the_limit_on_files() {
    hog("many-files", &["--file-count", "100"], "files", 100);
}

#[test]
fn a_component_meets_the_limit_on_open_files() {
    hog("open-files", &["--open-files", "40"], "open_files", 40);
}

#[test]
fn a_component_that_makes_a_chain_of_directories_meets_the_path_depth() {
    hog("deep", &[], "path_depth", 128);
}

/// A component whose `run` has this body, over one interface with these functions, of which `$f` is lowered.
fn component(instances: &str, lower: &str, body: &str) -> String {
    format!(
        r#"(component {instances}
        (core module $memory (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
        (core instance $memory (instantiate $memory))
        (core func $f (canon lower {lower} (memory $memory "memory") (realloc (func $memory "realloc"))))
        (core module $guest {body})
        (core instance $guest (instantiate $guest (with "host" (instance (export "f" (func $f))))))
        (func $run (result (result)) (canon lift (core func $guest "run")))
        (instance $exported (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $exported)))"#
    )
}

#[test]
fn a_component_that_holds_more_waits_than_it_may_is_named() {
    let instances = r#"(import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (export "pollable" (type $p (eq $pollable)))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))"#;
    let body = r#"(import "host" "f" (func $f (param i64) (result i32)))
        (func (export "run") (result i32) (loop $again (drop (call $f (i64.const 1000000000))) (br $again)) unreachable)"#;
    attack(&component(instances, r#"(func $clock "subscribe-duration")"#, body), &[]).limit("handles", 16_384);
}

#[test]
fn a_component_that_draws_randomness_without_end_is_named() {
    let instances = r#"(import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-u64" (func (result u64)))))"#;
    let body = r#"(import "host" "f" (func $f (result i64)))
        (func (export "run") (result i32) (loop $again (drop (call $f)) (br $again)) unreachable)"#;
    let text = component(instances, r#"(func $random "get-random-u64")"#, body);
    attack(&text, &["--random", "64K"]).limit("random_bytes", 64 << 10);
}

#[test]
fn a_component_that_asks_for_all_randomness_at_once_is_named() {
    let instances = r#"(import "wasi:random/insecure@0.2.0" (instance $random
        (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))))"#;
    let body = r#"(import "host" "f" (func $f (param i64 i32)))
        (func (export "run") (result i32) (call $f (i64.const -1) (i32.const 64)) unreachable)"#;
    let text = component(instances, r#"(func $random "get-insecure-random-bytes")"#, body);
    assert_eq!(attack(&text, &["--random", "64K"]).limit("random_bytes", 64 << 10), u64::MAX);
}

#[test]
fn a_component_that_asks_for_its_directories_again_and_again_is_named() {
    let instances = r#"(import "wasi:filesystem/types@0.2.0" (instance $types
            (export "descriptor" (type (sub resource)))))
        (alias export $types "descriptor" (type $descriptor))
        (import "wasi:filesystem/preopens@0.2.0" (instance $given
            (export "descriptor" (type $d (eq $descriptor)))
            (export "get-directories" (func (result (list (tuple (own $d) string)))))))"#;
    let body = r#"(import "host" "f" (func $f (param i32)))
        (func (export "run") (result i32) (loop $again (call $f (i32.const 64)) (br $again)) unreachable)"#;
    let text = component(instances, r#"(func $given "get-directories")"#, body);
    attack(&text, &["--open-files", "50"]).limit("open_files", 50);
}
