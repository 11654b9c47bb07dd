//! `potluck inspect`: what is said of a program is what a run of it does.

use crate::jobs::given;
use crate::sight::{both_forms, command, module};
use potluck_tests::{Home, Node, guest, join, pair, until, write_script};
use serde_json::Value;

/// What is said of a file, for programs.
#[track_caller]
fn inspected(home: &Home, file: &str, code: i32) -> Value {
    home.potluck(["inspect", "--json", file]).finish().expect(code).json()
}

/// Whether `inspect` and `run` say the same: runs, or ends with this sentence.
#[track_caller]
fn agrees(home: &Home, file: &str) -> Value {
    let run = home.run([file]).finish();
    let object = inspected(home, file, if run.code() == 126 { 126 } else { 0 });
    assert_eq!(object["runs_here"], run.code() != 126, "{object} {run}");
    if let Some(why) = object["why"].as_str() {
        assert!(run.err().contains(why), "{why} is not in {run}");
    }
    object
}

fn list<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    object[key].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_module_and_a_component_say_what_they_could_do() {
    let home = Home::new();
    for (program, kind) in both_forms("look").iter().zip(["module", "component"]) {
        let object = inspected(&home, program.to_str().expect("a path of ours is text"), 0);
        assert_eq!((&object["kind"], &object["runs_here"]), (&kind.into(), &true.into()), "{object}");
        let can = list(&object, "can");
        assert!(can.contains(&"print") && can.iter().any(|what| what.contains("files")), "{can:?}");
        assert!(object["cannot"].as_str().is_some_and(|text| text.contains("network")), "{object}");
        assert!(object["memory_initial_bytes"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{object}");
        assert_eq!(object["bytes"], std::fs::metadata(program).expect("it is there").len());
    }
    let text = home.potluck(["inspect"]).arg(guest("look")).finish().expect(0).out();
    for word in ["look.wasm", "preview 1", "_start", "it can", "it cannot", "can run"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

#[test]
fn a_small_module_says_as_little_as_it_wants() {
    let home = Home::new();
    let file = command(&home, "exit.wasm", "(call $exit (i32.const 3))");
    let object = agrees(&home, &file);
    assert_eq!((&object["imports_count"], &object["memory_initial_bytes"]), (&1.into(), &65_536.into()));
    assert_eq!(list(&object, "exports"), ["_start", "memory"]);
    assert!(list(&object, "can").is_empty(), "{object}");
}

#[test]
fn whatever_cannot_run_is_refused_in_the_words_of_a_run() {
    let home = Home::new();
    let robot = r#"(module (import "robot" "move_arm" (func)) (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
        (memory (export "memory") 1) (func (export "_start")))"#;
    module(&home, "robot.wasm", robot);
    let object = agrees(&home, "robot.wasm");
    let imports = object["imports"].as_array().expect("a list");
    assert!(imports[0]["refused"].is_string() && imports[1]["refused"].is_null(), "{object}");
    let fetch = r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func)))))"#;
    module(&home, "fetch.wasm", fetch);
    let object = agrees(&home, "fetch.wasm");
    assert!(object["denied"][0]["what"].as_str().is_some_and(|what| what.contains("sockets")), "{object}");
    module(&home, "library.wasm", r#"(module (memory (export "memory") 1) (func (export "add")))"#);
    agrees(&home, "library.wasm");
    // What only the compiler sees is seen here, too.
    module(
        &home,
        "wrong_type.wasm",
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "_start")))"#,
    );
    assert_eq!(agrees(&home, "wrong_type.wasm")["runs_here"], false);
    home.write("empty.wasm", "");
    home.write("text.wasm", "(module)");
    home.write("head.wasm", b"\0asm\x01\0\0\0\xff\xff\xff\xff\xff\xff");
    let whole = std::fs::read(guest("cat")).expect("the guest is there");
    home.write("half.wasm", &whole[..whole.len() / 2]);
    home.write("notes.txt", "just notes\n");
    for file in ["empty.wasm", "text.wasm", "head.wasm", "half.wasm", "notes.txt"] {
        assert_eq!(agrees(&home, file)["runs_here"], false, "{file}");
    }
    home.potluck(["inspect", "absent.wasm"]).finish().expect(127).says(&["absent.wasm"]);
    home.potluck(["inspect"]).finish().expect(2).says(&["FILE"]);
}

/// A module that imports `sched_yield` so many times, and then this.
fn crowded(home: &Home, file: &str, before: usize, last: &str) {
    let yields = r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))"#.repeat(before);
    module(home, file, &format!(r#"(module {yields} {last} (memory (export "memory") 1) (func (export "_start")))"#));
}

#[test]
fn what_is_imported_after_all_that_is_listed_is_said_all_the_same() {
    let home = Home::new();
    let open = r#"(import "wasi_snapshot_preview1" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;
    crowded(&home, "opens.wasm", 1100, open);
    let object = agrees(&home, "opens.wasm");
    assert_eq!((&object["imports_count"], list(&object, "can").len()), (&1101.into(), 1), "{}", object["can"]);
    assert!(list(&object, "can")[0].contains("read and write files"), "{}", object["can"]);
    // A refused one is named, however many others come before it.
    crowded(&home, "robot.wasm", 40, r#"(import "robot" "move_arm" (func))"#);
    let text = home.potluck(["inspect", "robot.wasm"]).finish().expect(126).out();
    assert!(text.lines().any(|line| line.starts_with("refused") && line.contains("robot.move_arm")), "{text}");
}

#[test]
fn a_program_that_begins_with_more_memory_than_it_gets_is_told_how_to_get_it() {
    let home = Home::new();
    module(&home, "big.wasm", r#"(module (memory (export "memory") 20000 30000) (func (export "_start")))"#);
    let object = inspected(&home, "big.wasm", 126);
    assert_eq!(object["memory_maximum_bytes"], 30_000u64 * 65_536);
    assert!(object["why"].as_str().is_some_and(|why| why.contains("--memory 1250M")), "{object}");
    home.run(["--memory", "1250M", "big.wasm"]).finish().expect(0);
    home.potluck(["inspect", "--memory", "1250M", "big.wasm"]).finish().expect(0);
}

#[test]
fn names_of_a_program_cannot_steer_the_terminal() {
    let home = Home::new();
    module(&home, "sly.wasm", r#"(module (import "a\1b[2J" "b\0a" (func)) (func (export "_start")))"#);
    let text = home.potluck(["inspect", "sly.wasm"]).finish().expect(126).out();
    assert!(text.contains("refused") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_script_says_its_environment_and_what_it_imports() {
    let home = Home::with_python();
    let script = write_script(&home, "report.py", &["import json, pandas", "import helper"]);
    home.write("helper.py", "");
    let object = inspected(&home, &script, 126);
    assert!(object["why"].as_str().is_some_and(|why| why.contains("helper")), "{object}");
    let script = write_script(&home, "good.py", &["import json, pandas"]);
    let object = agrees(&home, &script);
    assert_eq!(
        (&object["kind"], &object["environment"], &object["image"]),
        (&"script".into(), &"python".into(), &"data".into())
    );
    assert_eq!(list(&object, "modules"), ["json", "pandas"]);
    let text = home.potluck(["inspect", &script]).finish().expect(0).out();
    assert!(text.contains("python") && text.contains("json, pandas") && text.contains("data"), "{text}");
}

#[test]
fn a_script_whose_interpreter_goes_along_can_run() {
    let home = Home::with_python();
    let script = write_script(&home, "hello.lua", &["print('hello')"]);
    let object = agrees(&home, &script);
    assert_eq!(
        (&object["kind"], &object["environment"], &object["interpreter_comes_along"], &object["runs_here"]),
        (&"script".into(), &"lua".into(), &true.into(), &true.into())
    );
    let text = home.potluck(["inspect", &script]).finish().expect(0).out();
    assert!(text.contains("a script for lua") && text.contains("goes along") && text.contains("can run"), "{text}");
}

#[test]
fn a_job_that_was_given_is_looked_at_by_its_id() {
    let home = Home::new();
    let _node = Node::start(&home);
    let id = given(
        &home,
        ["--need", "tag=nowhere"]
            .map(str::to_owned)
            .into_iter()
            .chain([guest("look").to_str().expect("a path of ours is text").to_owned()]),
    );
    let object = home.potluck(["inspect", "--json", "--job", &id]).finish().expect(0).json();
    assert_eq!(
        (&object["kind"], &object["role"], &object["name"]),
        (&"module".into(), &"sent".into(), &"look.wasm".into())
    );
    assert!(object["place"].is_null() && object["machines"][0]["reason"].is_string(), "{object}");
    home.potluck(["cancel", &id]).finish().expect(0);
    home.potluck(["inspect", "--job", "ffffff"]).finish().expect(125).says(&["ffffff"]);
}

#[test]
fn a_lender_looks_at_a_job_that_a_peer_has_given_it() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    let long = command(&home, "long.wasm", "(call $forever)");
    let id = given(&home, ["--on", "attic", "--timeout", "10m", &long]);
    let whole = until("the lender has it", || {
        let top = lender_home.potluck(["top", "--json", "--once"]).finish().expect(0).json();
        top["jobs"]
            .as_array()?
            .iter()
            .find_map(|job| job["id"].as_str().filter(|whole| whole.starts_with(&id)).map(str::to_owned))
    });
    let object = lender_home.potluck(["inspect", "--json", "--job", &whole]).finish().expect(0).json();
    assert_eq!(
        (&object["role"], &object["name"], &object["runs_here"]),
        (&"ran".into(), &"long.wasm".into(), &true.into())
    );
    home.potluck(["cancel", &id]).finish().expect(0);
}

#[test]
fn a_machine_that_lends_too_little_memory_is_named_with_what_would_change_it() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    lender_home.potluck(["share", "--job-memory", "256M"]).finish().expect(0);
    let id = given(&home, ["--on".to_owned(), "attic".to_owned(), command(&home, "exit.wasm", "")]);
    let attic = until("it was refused", || {
        let object = home.potluck(["inspect", "--json", "--job", &id]).finish().expect(0).json();
        let machines = object["machines"].as_array()?;
        let attic = machines.iter().find(|machine| machine["name"] == "attic")?;
        attic["reason"].as_str().is_some_and(|reason| reason.contains("memory")).then(|| attic.clone())
    });
    let said = attic.to_string();
    assert!(said.contains("--memory 256M") && said.contains("share --job-memory"), "{said}");
    home.potluck(["cancel", &id]).finish().expect(0);
    home.potluck(["down"]).finish().expect(0);
}
