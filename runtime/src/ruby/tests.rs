use super::{RubyError, ruby_command};
use wasmparser::{Parser, Payload, Validator};

/// What Ruby's module has of what its start needs.
const SMALL: &str = r#"
(module
  (type $value (func (param i32) (result i32)))
  (import "rb-js-abi-host" "is-js: func() -> bool" (func $js (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (type $value)))
  (import "canonical_abi" "resource_new_rb-abi-value" (func $handle (type $value)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $js)
  (func (export "_initialize") (call $exit (call $handle (call $js (call $close (i32.const 1))))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "ruby-init: func(args: list<string>) -> ()") (param i32 i32))
  (func (export "rb-eval-string-protect: func(str: string) -> tuple") (param i32 i32) (result i32) (i32.const 0))
  (@custom "producers" "x"))
"#;

fn command(text: &str) -> Result<Vec<u8>, RubyError> {
    ruby_command(&wat::parse_str(text).expect("the test's module is valid"))
}

#[test]
fn a_reactor_becomes_a_command_of_wasi_alone() {
    let made = command(SMALL).unwrap();
    Validator::new().validate_all(&made).expect("what is written is valid");
    let (mut imports, mut exports, mut custom) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(&made) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    assert_eq!(import.module, "wasi_snapshot_preview1");
                    imports.push(import.name.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|one| one.unwrap().name.to_owned()))
            }
            Payload::CustomSection(_) => custom += 1,
            _ => {}
        }
    }
    assert_eq!(imports, ["fd_close", "proc_exit", "args_sizes_get", "args_get"]);
    assert_eq!((exports, custom), (vec!["memory".to_owned(), "_start".to_owned()], 0));
    assert!(made == command(SMALL).unwrap(), "the same bytes in give the same bytes out");
}

#[test]
fn what_is_no_ruby_is_refused() {
    let refusal = |text: &str| command(text).expect_err("the module is refused").to_string();
    for name in ["_initialize", "cabi_realloc", "ruby-init", "rb-eval-string-protect"] {
        let lacking = refusal(&SMALL.replace(&format!("(export \"{name}"), "(export \"other"));
        assert!(lacking.contains(name), "{lacking}");
    }
    assert!(refusal("(module (import \"a\" \"b\" (memory 1)))").contains("a.b"));
    assert!(matches!(ruby_command(b"\0asm\x01\0\0\0\xff"), Err(RubyError::Damaged(_))));
    assert!(matches!(ruby_command(b""), Err(RubyError::Damaged(_) | RubyError::Lacks(_) | RubyError::Unwritable(_))));
}
