//! Guests that take memory: of every kind there is, however it is asked for.

use super::arena::{attack, attack_python};
use super::guest::guest;

const MEMORY: &[&str] = &["--memory", "64M"];
const ALLOWED: u64 = 64 << 20;

#[test]
fn growing_without_end_meets_the_memory_limit() {
    attack(&guest(1, &[], "(loop $again (drop (memory.grow (i32.const 16))) (br $again))"), MEMORY)
        .limit("memory", ALLOWED);
}

#[test]
fn growing_by_all_there_is_meets_the_memory_limit() {
    attack(&guest(1, &[], "(drop (memory.grow (i32.const 65535)))"), MEMORY).limit("memory", ALLOWED);
}

#[test]
fn a_first_memory_of_four_gibibytes_meets_the_memory_limit() {
    assert_eq!(attack(&guest(65536, &[], ""), MEMORY).limit("memory", ALLOWED), 4 << 30);
}

#[test]
fn several_memories_count_together() {
    let memories = "(memory 400)".repeat(10);
    let text = format!(r#"(module (memory (export "memory") 1) {memories} (func (export "_start")))"#);
    attack(&text, MEMORY).limit("memory", ALLOWED);
}

#[test]
fn more_memories_than_there_may_be_are_named() {
    let memories = "(memory 0)".repeat(99);
    let text = format!(r#"(module (memory (export "memory") 1) {memories} (func (export "_start")))"#);
    assert_eq!(attack(&text, MEMORY).limit("memories", 64), 100);
}

#[test]
fn more_tables_than_there_may_be_are_named() {
    let tables = "(table 0 funcref)".repeat(100);
    let text = format!(r#"(module (memory (export "memory") 1) {tables} (func (export "_start")))"#);
    assert_eq!(attack(&text, MEMORY).limit("tables", 64), 100);
}

#[test]
fn a_first_table_of_ten_million_elements_is_named() {
    let text = r#"(module (memory (export "memory") 1) (table 10000000 funcref) (func (export "_start")))"#;
    assert_eq!(attack(text, &["--memory", "4G"]).limit("table_elements", 1 << 20), 10_000_000);
}

#[test]
fn growing_a_table_without_end_is_named() {
    let text = r#"(module (memory (export "memory") 1) (table $t 1 funcref) (func (export "_start")
        (loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again))))"#;
    attack(text, &["--memory", "4G"]).limit("table_elements", 1 << 20);
}

#[test]
fn tables_count_as_memory() {
    let text = r#"(module (memory (export "memory") 1) (table $t 1 funcref) (func (export "_start")
        (loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again))))"#;
    attack(text, &["--memory", "4M"]).limit("memory", 4 << 20);
}

#[test]
fn a_memory_of_64_bits_meets_the_memory_limit() {
    let text = r#"(module (memory (export "memory") i64 1) (func (export "_start")
        (drop (memory.grow (i64.const 0x100000000)))))"#;
    attack(text, MEMORY).limit("memory", ALLOWED);
}

#[test]
fn arrays_that_the_engine_collects_count_as_memory() {
    let text = r#"(module (type $a (array (mut i8))) (memory (export "memory") 1) (table $t 100000 (ref null $a))
        (func (export "_start") (local $n i32) (loop $again
            (table.set $t (local.get $n) (array.new $a (i32.const 1) (i32.const 100000)))
            (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $again))))"#;
    attack(text, MEMORY).limit("memory", ALLOWED);
}

#[test]
fn an_array_longer_than_memory_is_a_named_end() {
    let text = r#"(module (type $a (array (mut i64))) (memory (export "memory") 1)
        (func (export "_start") (drop (array.new $a (i64.const 1) (i32.const -1)))))"#;
    let attacked = attack(text, MEMORY);
    let kind = attacked.finished.json()["outcome"]["kind"].clone();
    assert!(kind == "trapped" || kind == "limit", "{}", attacked.finished);
}

#[test]
fn a_list_that_the_engine_collects_counts_as_memory() {
    let text = r#"(module (type $s (struct (field (ref null $s)))) (memory (export "memory") 1)
        (func (export "_start") (local $p (ref null $s))
            (loop $again (local.set $p (struct.new $s (local.get $p))) (br $again))))"#;
    attack(text, MEMORY).limit("memory", ALLOWED);
}

#[test]
fn memory_that_others_could_share_is_refused() {
    let text = r#"(module (memory (export "memory") 1 100 shared) (func (export "_start")
        (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))"#;
    attack(text, MEMORY).refused(&["threads"]);
}

#[test]
fn filling_a_table_beyond_its_end_is_a_trap() {
    let text = r#"(module (memory (export "memory") 1) (table $t 1000 funcref) (func (export "_start")
        (table.fill $t (i32.const 0) (ref.null func) (i32.const -1))))"#;
    attack(text, MEMORY).trapped("out of bounds table access");
}

#[test]
fn data_beyond_the_end_of_memory_is_a_trap() {
    let text = r#"(module (memory (export "memory") 1) (data (i32.const 0x7fffffff) "x") (func (export "_start")))"#;
    attack(text, MEMORY).trapped("out of bounds memory access");
}

#[test]
fn python_that_takes_more_than_it_may_meets_the_memory_limit() {
    attack_python("x = [0]\nwhile True: x += x\n", &["--memory", "200M"]).limit("memory", 200 << 20);
}

#[test]
fn python_that_inflates_a_bomb_meets_the_memory_limit() {
    let script = "import zlib\nbomb = zlib.compress(bytes(50_000_000), 9)\n\
        kept = []\nwhile True: kept.append(zlib.decompress(bomb))\n";
    attack_python(script, &["--memory", "200M"]).limit("memory", 200 << 20);
}
