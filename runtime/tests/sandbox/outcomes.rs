//! How runs end: exit codes, traps, limits; and what is refused before it starts.

use crate::guests::{self, PROC_EXIT, command};
use crate::kit::{Kit, Test, block_on, request};
use potluck_runtime::{LimitKind, Limits, Outcome, PrepareError, SilentWatch};

pub(crate) const TESTS: &[Test] = &[
    ("a_program_ends_with_its_own_exit_code", exit_codes),
    ("a_trap_says_why_and_where", traps),
    ("endless_recursion_meets_the_stack_limit", recursion),
    ("fuel_ends_a_run", fuel),
    ("wall_time_ends_a_run", wall_time),
    ("growth_beyond_the_memory_limit_ends_a_run", memory_growth),
    ("a_memory_that_starts_too_large_ends_a_run", memory_start),
    ("all_memories_and_tables_count_together", memories_and_tables),
    ("output_ends_a_run_after_what_was_allowed", output),
    ("disk_ends_a_run", disk),
    ("open_files_end_a_run", open_files),
    ("what_is_no_program_is_refused_in_words", refusals),
];

fn exit_codes() {
    let kit = Kit::new();
    for code in [0, 1, 3, 125, 126, 200, 255] {
        let text = command(PROC_EXIT, &format!("(call $proc_exit (i32.const {code}))"));
        assert_eq!(kit.outcome(&text, Limits::default()), Outcome::Exited(code));
    }
    assert_eq!(kit.outcome(&command("", ""), Limits::default()), Outcome::Exited(0));
    assert_eq!(kit.left_behind(), Vec::<std::path::PathBuf>::new());
}

fn trap(body: &str) -> String {
    match Kit::new().outcome(&command("", body), Limits::default()) {
        Outcome::Trapped(why) => why,
        other => panic!("no trap: {other:?}"),
    }
}

fn traps() {
    let why = trap("unreachable");
    assert!(why.contains("unreachable") && why.contains("at main"), "{why}");
    let why = trap("(drop (i32.load (i32.const 70000)))");
    assert!(why.contains("out of bounds"), "{why}");
}

fn recursion() {
    let text = command("", "(call $main)");
    assert_eq!(limit(&text, Limits::default()), (LimitKind::Stack, 4 << 20, 4 << 20));
}

fn limit(text: &str, limits: Limits) -> (LimitKind, u64, u64) {
    match Kit::new().outcome(text, limits) {
        Outcome::Limit(hit) => (hit.kind, hit.used, hit.allowed),
        other => panic!("no limit: {other:?}"),
    }
}

fn fuel() {
    let limits = Limits { fuel: 50_000_000, ..Limits::default() };
    assert_eq!(limit(&command("", guests::BUSY), limits), (LimitKind::Fuel, 50_000_000, 50_000_000));
}

fn wall_time() {
    let limits = Limits { wall_ms: 200, ..Limits::default() };
    let (kind, used, allowed) = limit(&command("", guests::BUSY), limits);
    assert_eq!((kind, allowed), (LimitKind::WallTime, 200));
    assert!((200..2200).contains(&used), "{used}");
}

fn memory_growth() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let text = command("", "(drop (memory.grow (i32.const 1000)))");
    assert_eq!(limit(&text, limits), (LimitKind::Memory, 1001 << 16, 1 << 20));
}

fn memory_start() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let text = r#"(module (memory (export "memory") 100) (func (export "_start")))"#;
    assert_eq!(limit(text, limits), (LimitKind::Memory, 100 << 16, 1 << 20));
}

fn memories_and_tables() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let two = r#"(module (memory (export "memory") 10) (memory 10) (func (export "_start")))"#;
    assert_eq!(limit(two, limits.clone()), (LimitKind::Memory, 20 << 16, 1 << 20));
    let table = command("(table $t 0 funcref)", "(drop (table.grow $t (ref.null func) (i32.const 500000)))");
    assert_eq!(limit(&table, limits).0, LimitKind::Memory);
}

fn output() {
    let kit = Kit::new();
    let limits = Limits { output_bytes: 7, ..Limits::default() };
    let request =
        potluck_runtime::RunRequest { limits, ..request(kit.program(&guests::printer("12345", "67890", "x"))) };
    let ended = block_on(kit.run(request, b""));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("12345", "67"));
    match ended.report.outcome {
        Outcome::Limit(hit) => assert_eq!((hit.kind, hit.used, hit.allowed), (LimitKind::Output, 10, 7)),
        other => panic!("no limit: {other:?}"),
    }
}

fn disk() {
    let limits = Limits { disk_bytes: 1 << 20, ..Limits::default() };
    let (kind, used, allowed) = limit(&guests::writer(1000), limits);
    assert_eq!((kind, allowed), (LimitKind::Disk, 1 << 20));
    assert!(used > 1 << 20 && used < 2 << 20, "{used}");
}

fn open_files() {
    let limits = Limits { open_files: 10, ..Limits::default() };
    assert_eq!(limit(&guests::opener(), limits), (LimitKind::OpenFiles, 11, 10));
}

fn refusals() {
    let kit = Kit::new();
    let refusal = |bytes: &[u8]| {
        let program = kit.program_of(bytes);
        block_on(kit.runtime.prepare(&program, &SilentWatch)).unwrap_err()
    };
    let module = |text: &str| refusal(&wat::parse_str(text).unwrap());
    let says = |error: PrepareError, parts: &[&str]| {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    says(refusal(b""), &["empty"]);
    says(refusal(b"print('hello')\n"), &["text"]);
    says(refusal(b"(module)"), &["as text", "wat2wasm"]);
    says(refusal(b"\0asm\x01\0\0\0\xff\xff\xff"), &["damaged"]);
    says(module("(module)"), &["_start"]);
    says(module(r#"(module (func (export "_initialize")))"#), &["reactor"]);
    says(module(r#"(module (import "env" "magic" (func)))"#), &["env.magic", "preview 1"]);
    says(module(r#"(module (import "wasi_snapshot_preview1" "sock_bind" (func)))"#), &["no network"]);
    says(module(r#"(component (import "wasi:http/types@0.2.0" (instance)))"#), &["wasi:http", "no network"]);
    says(module(r#"(component (import "acme:rockets/launch" (instance)))"#), &["acme:rockets", "WASI 0.2"]);
    says(module("(component)"), &["wasi:cli/run"]);
    let wrong_type = r#"(module (import "wasi_snapshot_preview1" "fd_close" (func)) (func (export "_start")))"#;
    says(module(wrong_type), &["fd_close"]);
    let absent = potluck_runtime::Program::Wasm { path: "/nowhere.wasm".into(), name: "nowhere.wasm".to_owned() };
    says(block_on(kit.runtime.prepare(&absent, &SilentWatch)).unwrap_err(), &["/nowhere.wasm"]);
}
