//! Guests that go deep.

use super::arena::{attack, attack_python};

/// The engine's, the same for every run.
const STACK: u64 = 4 << 20;

#[test]
fn a_function_that_calls_itself_meets_the_stack_limit() {
    let text =
        r#"(module (memory (export "memory") 1) (func $deep (call $deep)) (func (export "_start") (call $deep)))"#;
    attack(text, &[]).limit("stack", STACK);
}

#[test]
fn functions_that_call_each_other_through_a_table_meet_the_stack_limit() {
    let text = r#"(module (memory (export "memory") 1) (type $n (func)) (table 2 funcref) (elem (i32.const 0) $a $b)
        (func $a (call_indirect (type $n) (i32.const 1))) (func $b (call_indirect (type $n) (i32.const 0)))
        (func (export "_start") (call $a)))"#;
    attack(text, &[]).limit("stack", STACK);
}

#[test]
fn functions_with_many_values_meet_the_stack_limit() {
    let values = "i64 ".repeat(200);
    let text = format!(
        r#"(module (memory (export "memory") 1)
        (func $deep (param {values}) {} (call $deep)) (func (export "_start") {} (call $deep)))"#,
        (0..200).map(|n| format!("(local.get {n}) ")).collect::<String>(),
        "(i64.const 7) ".repeat(200)
    );
    attack(&text, &[]).limit("stack", STACK);
}

#[test]
fn going_deep_and_throwing_comes_back() {
    let text = r#"(module (memory (export "memory") 1) (tag $e)
        (func $deep (param $n i32)
            (if (i32.eqz (local.get $n)) (then (throw $e)))
            (call $deep (i32.sub (local.get $n) (i32.const 1))))
        (func (export "_start") (block $caught
            (try_table (catch_all $caught) (call $deep (i32.const 20000))) unreachable)))"#;
    attack(text, &[]).exited(0);
}

#[test]
fn python_that_goes_deep_is_told_by_python() {
    attack_python("def f(): f()\nf()\n", &[]).exited(1).complained("RecursionError");
}

#[test]
fn python_that_raises_its_own_bound_meets_a_named_end() {
    let script = "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f([x])\nf(0)\n";
    let attacked = attack_python(script, &["--memory", "300M", "--timeout", "5s"]);
    let json = attacked.finished.json();
    let kind = json["outcome"]["kind"].as_str();
    assert!(matches!(kind, Some("exited" | "trapped" | "limit")), "{json}");
}
