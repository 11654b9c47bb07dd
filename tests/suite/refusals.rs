//! What cannot be run is refused before it starts: 126 when it is there but no program, 127 when it is not there, 125
//! when the trouble is the network's. Every refusal says what to do.

use crate::sight::module;
use potluck_tests::{Home, guest};

/// Runs `program` and checks code and words, that nothing came out, and that nothing was left.
#[track_caller]
fn refused(home: &Home, program: &str, code: i32, says: &[&str]) {
    let finished = home.run([program]).finish();
    finished.expect(code).says(says);
    assert_eq!(finished.out(), "", "a refusal prints nothing on stdout");
    assert!(!finished.err().contains("panicked"), "{finished}");
}

#[test]
fn a_file_that_is_not_there() {
    let home = Home::new();
    refused(&home, "absent.wasm", 127, &["absent.wasm"]);
    refused(&home, "absent.py", 127, &["absent.py"]);
    refused(&home, "no/such/folder", 127, &["no/such/folder"]);
}

#[test]
fn a_directory_without_a_main() {
    let home = Home::new();
    home.write("tool/helper.py", "x = 1\n");
    refused(&home, "tool", 126, &["tool", "__main__.py"]);
}

#[test]
fn an_empty_module() {
    let home = Home::new();
    home.write("empty.wasm", "");
    refused(&home, "empty.wasm", 126, &["empty.wasm", "empty"]);
}

#[test]
fn text_that_calls_itself_a_module() {
    let home = Home::new();
    home.write("text.wasm", "#!/bin/sh\necho hello\n");
    refused(&home, "text.wasm", 126, &["text.wasm"]);
}

#[test]
fn a_module_that_is_cut_off() {
    let home = Home::new();
    let whole = std::fs::read(guest("cat")).expect("the guest is there");
    home.write("half.wasm", &whole[..whole.len() / 2]);
    refused(&home, "half.wasm", 126, &["half.wasm"]);
}

#[test]
fn a_module_whose_bytes_are_wrong() {
    let home = Home::new();
    let mut bytes = std::fs::read(guest("cat")).expect("the guest is there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    home.write("wrong.wasm", bytes);
    refused(&home, "wrong.wasm", 126, &["wrong.wasm"]);
    home.write("head.wasm", b"\0asm\x01\0\0\0\xff\xff\xff\xff\xff\xff");
    refused(&home, "head.wasm", 126, &["head.wasm"]);
}

#[test]
fn a_module_that_wants_what_no_host_gives() {
    let home = Home::new();
    let text = r#"(module (import "robot" "move_arm" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    module(&home, "robot.wasm", text);
    refused(&home, "robot.wasm", 126, &["robot", "move_arm"]);
}

#[test]
fn a_component_that_wants_what_no_host_gives() {
    let home = Home::new();
    module(&home, "robot.wasm", r#"(component (import "acme:robot/arm@1.0.0" (instance (export "move" (func)))))"#);
    refused(&home, "robot.wasm", 126, &["acme:robot/arm"]);
}

#[test]
fn a_component_that_is_no_command() {
    let home = Home::new();
    module(&home, "library.wasm", "(component)");
    refused(&home, "library.wasm", 126, &["library.wasm", "run"]);
}

#[test]
fn a_module_that_is_no_command() {
    let home = Home::new();
    module(&home, "library.wasm", r#"(module (memory (export "memory") 1) (func (export "add")))"#);
    refused(&home, "library.wasm", 126, &["library.wasm", "_start"]);
}

#[test]
fn a_module_that_wants_the_network_of_preview_2_gets_none() {
    // What the sandbox does not give is a missing import like any other.
    let home = Home::new();
    let text = r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func)))))"#;
    module(&home, "fetch.wasm", text);
    refused(&home, "fetch.wasm", 126, &["wasi:http"]);
}

#[test]
fn a_file_of_an_unknown_kind() {
    let home = Home::new();
    home.write("notes.txt", "just notes\n");
    refused(&home, "notes.txt", 126, &["notes.txt", ".py", ".wasm"]);
}

#[test]
fn native_code_is_never_taken_from_outside() {
    let home = Home::new();
    home.write("native.cwasm", "\x7fELF and whatever follows");
    refused(&home, "native.cwasm", 126, &["native.cwasm"]);
}

#[test]
fn a_peer_nobody_knows() {
    let home = Home::new();
    let finished = home.run(["--on", "nobody"]).arg(guest("cat")).finish();
    finished.expect(125).says(&["nobody", "potluck join"]);
    assert_eq!(finished.out(), "");
}

#[test]
fn an_environment_nobody_knows() {
    let home = Home::new();
    home.write("script.py", "print(1)\n");
    let finished = home.run(["--env", "cobol", "script.py"]).finish();
    finished.expect(126).says(&["cobol", "python"]);
}

#[test]
fn an_input_that_is_not_there() {
    let home = Home::new();
    let finished = home.run(["-f", "absent.csv"]).arg(guest("look")).finish();
    assert_ne!(finished.code(), 0);
    finished.says(&["absent.csv"]);
    assert_eq!(finished.out(), "", "the job was not started");
}

#[test]
fn a_mount_that_is_not_there() {
    let home = Home::new();
    let finished = home.run(["--mount", "absent::/data"]).arg(guest("look")).finish();
    assert_ne!(finished.code(), 0);
    finished.says(&["absent"]);
    assert_eq!(finished.out(), "", "the job was not started");
}
