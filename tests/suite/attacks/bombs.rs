//! Programs that are hostile before they run: damaged, lying, or too much for whoever compiles them.

use super::arena::{Arena, attack, attack_bytes};

/// A section with this number and content.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

/// A command of one function with this code, as it is encoded.
fn command(code: &[u8]) -> Vec<u8> {
    let body = [leb(code.len()), code.to_vec()].concat();
    module(&[
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(7, b"\x01\x06_start\0\0"),
        section(10, &[&[1][..], &body].concat()),
    ])
}

#[test]
fn what_is_cut_off_anywhere_is_refused() {
    let whole = command(b"\0\x0b");
    for len in [0, 1, 4, 7, 9, 12, whole.len() - 1] {
        attack_bytes(&whole[..len], &[]).refused(&["attack.wasm"]);
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    for lie in [&b"\x0a\xff\xff\xff\xff\x0f"[..], b"\x01\x05\x01\x60\0\0", b"\x03\x80\x80\x80\x80\x80\x80\x01"] {
        attack_bytes(module(&[lie.to_vec()]), &[]).refused(&["attack.wasm"]);
    }
}

#[test]
fn counts_that_lie_are_refused() {
    for id in [1, 2, 3, 7, 9, 10, 11] {
        let lie = section(id, b"\xff\xff\xff\xff\x0f");
        attack_bytes(module(&[lie]), &[]).refused(&["attack.wasm"]);
    }
}

#[test]
fn billions_of_locals_are_refused() {
    // One group of four thousand million.
    attack_bytes(command(b"\x01\xff\xff\xff\xff\x0f\x7e\x0b"), &[]).refused(&["locals"]);
}

#[test]
fn fifty_thousand_locals_are_compiled_or_refused() {
    let code = [&b"\x01"[..], &leb(50_000), b"\x7e\x0b"].concat();
    let attacked = attack_bytes(command(&code), &[]);
    assert!(matches!(attacked.finished.code(), 0 | 126), "{}", attacked.finished);
}

#[test]
fn a_branch_of_a_million_targets_is_refused() {
    let code = [&b"\0\x02\x40\x41\0\x0e"[..], &leb(1_000_000), &vec![0; 1_000_001], b"\x0b\x0b"].concat();
    attack_bytes(command(&code), &[]).refused(&["attack.wasm"]);
}

#[test]
fn a_million_types_are_refused() {
    let content = [leb(1_000_001), b"\x60\0\0".repeat(1_000_001)].concat();
    attack_bytes(module(&[section(1, &content)]), &[]).refused(&["attack.wasm"]);
}

#[test]
fn a_million_functions_without_code_are_refused() {
    let content = [leb(1_000_001), vec![0; 1_000_001]].concat();
    attack_bytes(module(&[section(1, b"\x01\x60\0\0"), section(3, &content)]), &[]).refused(&["attack.wasm"]);
}

#[test]
fn a_hundred_thousand_imports_are_refused() {
    let imports: String = (0..20_000).map(|n| format!("(import \"m\" \"f{n}\" (func))")).collect();
    attack(&format!("(module {imports} (func (export \"_start\")))"), &[]).refused(&["imports"]);
}

#[test]
fn many_exports_and_data_segments_run() {
    let exports: String = (0..5000).map(|n| format!("(export \"e{n}\" (func $f))")).collect();
    let data = "(data \"x\")".repeat(5000);
    let text = format!("(module (memory (export \"memory\") 1) (func $f) {exports} {data} (func (export \"_start\")))");
    attack(&text, &[]).exited(0);
}

#[test]
fn a_name_of_a_megabyte_is_refused() {
    let name = "n".repeat(1_000_000);
    let text = format!("(module (import \"{name}\" \"f\" (func)) (func (export \"_start\")))");
    let attacked = attack(&text, &[]);
    attacked.refused(&["attack.wasm"]);
    assert!(attacked.finished.err().len() < 200_000, "the refusal repeats {} bytes", attacked.finished.err().len());
}

#[test]
fn garbage_in_a_section_of_its_own_does_no_harm() {
    let custom = section(0, &[&b"\x04name"[..], &[0xff; 5000]].concat());
    let mut bytes = command(b"\0\x0b");
    bytes.extend(custom);
    attack_bytes(bytes, &[]).exited(0);
}

#[test]
fn an_export_of_the_same_name_twice_is_refused() {
    let twice = module(&[
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(7, b"\x02\x06_start\0\0\x06_start\0\0"),
        section(10, b"\x01\x02\0\x0b"),
    ]);
    attack_bytes(twice, &[]).refused(&["duplicate export"]);
}

#[test]
fn code_that_does_not_add_up_is_refused() {
    for code in [&b"\0\x6a\x0b"[..], b"\0\x20\x07\x1a\x0b", b"\0\x0c\x09\x0b", b"\0\xff\x0b", b"\0\x10\x63\x0b"] {
        attack_bytes(command(code), &[]).refused(&["attack.wasm"]);
    }
}

#[test]
fn blocks_that_nest_deeply_are_compiled_or_refused() {
    let (open, close) = (b"\x02\x40".repeat(50_000), b"\x0b".repeat(50_001));
    let attacked = attack_bytes(command(&[&[0][..], &open, &close].concat()), &[]);
    assert!(matches!(attacked.finished.code(), 0 | 126), "{}", attacked.finished);
}

#[test]
fn a_table_of_all_functions_beyond_its_end_is_a_trap() {
    let text = r#"(module (memory (export "memory") 1) (table 1 funcref) (func $f)
        (elem (i32.const 0x7ffffff0) $f $f $f $f) (func (export "_start")))"#;
    attack(text, &[]).trapped("out of bounds table access");
}

#[test]
fn a_start_function_that_traps_is_a_trap() {
    let text = r#"(module (memory (export "memory") 1) (func $bad unreachable) (start $bad) (func (export "_start")))"#;
    attack(text, &[]).trapped("unreachable");
}

#[test]
fn what_costs_the_compiler_more_memory_than_there_may_be_is_refused() {
    // A million instructions, which are a few kilobytes on the way, and a gigabyte in the compiler. The owner lets
    // Potluck have less than compiling may take elsewhere.
    let code = [&b"\x01\x01\x7f"[..], &b"\x20\0\x41\x01\x6a\x21\0".repeat(250_000), b"\x0b"].concat();
    let arena = Arena::new().with_memory(96 << 20);
    arena.home.write("attack.wasm", command(&code));
    arena.attack(&["attack.wasm"]).refused(&["attack.wasm", "more than 96 MiB of memory", "the most allowed"]);
}

#[test]
fn components_in_components_are_refused() {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..500 {
        bytes = [b"\0asm\x0d\0\x01\0".to_vec(), section(4, &bytes)].concat();
    }
    attack_bytes(bytes, &[]).refused(&["attack.wasm"]);
}
