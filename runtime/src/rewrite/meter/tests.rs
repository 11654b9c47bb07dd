use crate::rewrite::{FUEL_GLOBAL, PAUSE_GLOBAL, PAUSE_IMPORT, rewrite};
use wasmtime::{Caller, Config, Engine, Extern, Instance, Linker, Module, Store, Trap, Val};

/// What a program is given.
const FUEL: i64 = 20_000;
/// How much it uses from one pause to the next, roughly.
const SLICE: i64 = 1_000;
/// Far more than a program can use that is charged; one that is not charged ends by this, and fails its test.
const RUNAWAY: u64 = 1 << 28;

/// The memory of a program after its end is compared in full, so all have the same small one.
const HEAD: &str = r#"(module (memory (export "memory") 1)"#;

fn engine() -> Engine {
    let mut config = Config::new();
    config.consume_fuel(true).wasm_exceptions(true).wasm_tail_call(true).wasm_branch_hinting(true);
    Engine::new(&config).expect("an engine")
}

/// A rewritten program, and how often it has paused.
struct Metered {
    store: Store<u32>,
    instance: Instance,
}

#[derive(Debug, thiserror::Error)]
#[error("no more fuel")]
struct NoMore;

fn pause(mut caller: Caller<'_, u32>) -> wasmtime::Result<()> {
    let (Some(Extern::Global(fuel)), Some(Extern::Global(mark))) =
        (caller.get_export(FUEL_GLOBAL), caller.get_export(PAUSE_GLOBAL))
    else {
        wasmtime::bail!("no globals");
    };
    let left = fuel.get(&mut caller).unwrap_i64();
    assert!(left < mark.get(&mut caller).unwrap_i64(), "it pauses when it has come below the mark");
    if left < 0 {
        return Err(NoMore.into());
    }
    *caller.data_mut() += 1;
    mark.set(&mut caller, Val::I64((left - SLICE).max(0)))
}

fn metered(fields: &str) -> Metered {
    let program = wat::parse_str(format!("{HEAD} {fields})")).expect("the test's module is valid");
    let rewritten = rewrite(&program).expect("rewritten");
    let engine = engine();
    let module = Module::new(&engine, &rewritten.module).expect("what is written is valid");
    let mut linker = Linker::new(&engine);
    linker.func_wrap(PAUSE_IMPORT.0, PAUSE_IMPORT.1, pause).expect("linked");
    let mut store = Store::new(&engine, 0);
    store.set_fuel(RUNAWAY).expect("fuel");
    let instance = linker.instantiate(&mut store, &module).expect("an instance");
    let memory = instance.get_memory(&mut store, "memory").expect("a memory");
    for segment in rewritten.segments {
        let offset = usize::try_from(segment.offset).expect("an offset");
        memory.write(&mut store, offset, &program[segment.bytes]).expect("in bounds");
    }
    for (name, value) in [(FUEL_GLOBAL, FUEL), (PAUSE_GLOBAL, FUEL - SLICE)] {
        let global = instance.get_global(&mut store, name).expect("a global of the meter");
        global.set(&mut store, Val::I64(value)).expect("it can be set");
    }
    Metered { store, instance }
}

/// The program is ended by its meter; gives how often it paused before.
fn is_ended(fields: &str) -> u32 {
    let Metered { mut store, instance } = metered(fields);
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").expect("run");
    let error = run.call(&mut store, ()).expect_err("the program ends by being stopped");
    let trap = error.downcast_ref::<Trap>();
    assert!(trap != Some(&Trap::OutOfFuel), "it is not charged: {fields}");
    let stopped = trap == Some(&Trap::UnreachableCodeReached) || error.downcast_ref::<NoMore>().is_some();
    assert!(stopped, "{fields}: {error:?}");
    let fuel = instance.get_global(&mut store, FUEL_GLOBAL).expect("the fuel");
    assert!(fuel.get(&mut store).unwrap_i64() < 0, "{fields}: {error:?}");
    *store.data()
}

/// The program has the same result and leaves the same memory as it does unmetered; gives what it was charged.
fn is_unchanged(fields: &str, argument: i32) -> i64 {
    let program = wat::parse_str(format!("{HEAD} {fields})")).expect("the test's module is valid");
    let engine = engine();
    let mut store = Store::new(&engine, ());
    store.set_fuel(RUNAWAY).expect("fuel");
    let module = Module::new(&engine, program).expect("valid");
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run").expect("run");
    let expected = run.call(&mut store, argument).expect("it ends");
    let memory = instance.get_memory(&mut store, "memory").expect("a memory").data(&store).to_vec();

    let Metered { mut store, instance } = metered(fields);
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run").expect("run");
    assert_eq!(run.call(&mut store, argument).expect("it ends"), expected);
    assert_eq!(instance.get_memory(&mut store, "memory").expect("a memory").data(&store), memory);
    let fuel = instance.get_global(&mut store, FUEL_GLOBAL).expect("the fuel");
    FUEL - fuel.get(&mut store).unwrap_i64()
}

#[test]
fn a_loop_without_end_is_ended() {
    is_ended(r#"(func (export "run") (loop $again (br $again)))"#);
    is_ended(
        r#"(func (export "run") (local i32) (loop $again
        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
        (br_if $again (i32.or (local.get 0) (i32.const 1)))))"#,
    );
}

#[test]
fn loops_in_loops_are_ended_whichever_of_them_turns() {
    // The inner loop ends each time; the outer one does not.
    is_ended(
        r#"(func (export "run") (local $i i32) (loop $outer
            (local.set $i (i32.const 0))
            (loop $inner
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $inner (i32.lt_u (local.get $i) (i32.const 3))))
            (br $outer)))"#,
    );
    // The inner loop continues the outer one, and a call makes the outer one read the global.
    is_ended(
        r#"(func $nothing) (func (export "run")
            (loop $outer (call $nothing) (loop $inner (br $outer))))"#,
    );
    is_ended(r#"(func (export "run") (loop $outer (loop $inner (br $inner)) (br $outer)))"#);
}

#[test]
fn a_loop_turned_by_a_branch_table_is_ended() {
    is_ended(
        r#"(func (export "run") (local i32)
            (block $out (loop $again
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (block $other (br_table $again $other $again (i32.and (local.get 0) (i32.const 1))))
                (br $again))))"#,
    );
}

#[test]
fn a_loop_with_parameters_and_results_is_ended() {
    is_ended(
        r#"(func (export "run")
            (drop (i64.const 5) (f32.const 1)
                (loop $again (param i64 f32) (result i32)
                    (drop) (drop) (i64.const 6) (f32.const 2) (br $again))))"#,
    );
}

#[test]
fn recursion_is_ended() {
    is_ended(r#"(func $run (export "run") (return_call $run))"#);
    is_ended(
        r#"(func $one (return_call $two)) (func $two (return_call $three)) (func $three (return_call $one))
        (func (export "run") (call $two))"#,
    );
}

#[test]
fn recursion_through_a_table_or_a_reference_is_ended() {
    is_ended(
        r#"(type $t (func)) (table 1 funcref) (elem (i32.const 0) $target)
        (func $target (return_call $helper))
        (func $helper (return_call_indirect (type $t) (i32.const 0)))
        (func (export "run") (call $helper))"#,
    );
    is_ended(
        r#"(type $t (func (param funcref))) (type $n (func)) (elem declare func $target)
        (func $target (return_call $helper (ref.func $target)))
        (func $helper (param (ref $n)) (return_call_ref $n (local.get 0)))
        (func (export "run") (call $helper (ref.func $target)))"#,
    );
    is_ended(
        r#"(type $n (func)) (global $g (ref $n) (ref.func $target))
        (func $target (return_call_ref $n (global.get $g)))
        (func (export "run") (call $target))"#,
    );
}

#[test]
fn a_program_that_calls_pauses() {
    let recursion = r#"(func $run (export "run") (return_call $run))"#;
    assert!((10..=20).contains(&is_ended(recursion)));
    let through_a_table = r#"(type $t (func)) (table 1 funcref) (elem (i32.const 0) $run)
        (func $run (export "run") (return_call_indirect (type $t) (i32.const 0)))"#;
    assert!((10..=20).contains(&is_ended(through_a_table)));
    // A loop is ended, but does not pause by itself.
    assert_eq!(is_ended(r#"(func (export "run") (loop $again (br $again)))"#), 0);
}

#[test]
fn recursion_that_branches_is_ended_before_it_is_deep() {
    is_ended(
        r#"(func $branch (param i32)
            (if (local.get 0) (then
                (call $branch (i32.sub (local.get 0) (i32.const 1)))
                (call $branch (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "run") (call $branch (i32.const 64)))"#,
    );
}

#[test]
fn a_long_way_without_loops_is_ended() {
    let mut fields = String::from(r#"(func $f0 (i32.store (i32.const 0) (i32.const 1)))"#);
    for n in 1..64 {
        fields.push_str(&format!("(func $f{n} (call $f{0}) (call $f{0}))", n - 1));
    }
    is_ended(&format!(r#"{fields} (func (export "run") (call $f63))"#));
}

#[test]
fn a_loop_of_exceptions_is_ended() {
    is_ended(
        r#"(tag $thrown) (func $throws (throw $thrown))
        (func (export "run") (loop $again
            (block $caught (try_table (catch $thrown $caught) (call $throws)))
            (br $again)))"#,
    );
    // The handler is the loop itself.
    is_ended(
        r#"(tag $thrown) (func $throws (throw $thrown))
        (func (export "run") (loop $again (try_table (catch_all $again) (call $throws))))"#,
    );
}

#[test]
fn what_a_program_does_is_unchanged() {
    // Sums squares into memory and back, in loops with parameters, with an inner loop that is left early.
    let squares = r#"(func (export "run") (param $n i32) (result i64) (local $i i32) (local $k i32)
        (i64.const 7)
        (loop $again (param i64) (result i64)
            (i64.add (i64.extend_i32_u (i32.mul (local.get $i) (local.get $i))))
            (i64.store (i32.mul (local.get $i) (i32.const 8)) (i64.extend_i32_u (local.get $i)))
            (local.set $k (i32.const 0))
            (block $out (loop $inner
                (br_if $out (i32.ge_u (local.get $k) (local.get $i)))
                (local.set $k (i32.add (local.get $k) (i32.const 3)))
                (br $inner)))
            (i64.add (i64.extend_i32_u (local.get $k)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $n)))))"#;
    assert!(is_unchanged(squares, 40) > 40);
    let fibonacci = r#"(type $t (func (param i32) (result i64))) (table 2 funcref) (elem (i32.const 0) $direct $fib)
        (func $direct (param i32) (result i64) (i64.load (local.get 0)))
        (func $fib (export "run") (param i32) (result i64)
            (if (result i64) (i32.lt_s (local.get 0) (i32.const 2))
                (then (call_indirect (type $t) (i32.shl (local.get 0) (i32.const 3)) (i32.const 0)))
                (else (i64.add
                    (call $fib (i32.sub (local.get 0) (i32.const 1)))
                    (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 2)) (i32.const 1))))))
        (data (i32.const 0) "\00\00\00\00\00\00\00\00\01")"#;
    assert!(is_unchanged(fibonacci, 8) > 8);
    let thrown = r#"(tag $thrown (param i64))
        (func $throws (param i64) (if (i64.gt_u (local.get 0) (i64.const 5)) (then (throw $thrown (local.get 0)))))
        (func (export "run") (param $n i32) (result i64) (local $i i64)
            (block $caught (result i64)
                (loop $again
                    (try_table (catch $thrown $caught) (call $throws (local.get $i)))
                    (local.set $i (i64.add (local.get $i) (i64.const 1)))
                    (br_if $again (i64.lt_u (local.get $i) (i64.extend_i32_u (local.get $n)))))
                (i64.const -1)))"#;
    assert!(is_unchanged(thrown, 4) > 0);
    assert!(is_unchanged(thrown, 40) > 0);
}

#[test]
fn a_charge_is_about_one_for_each_operator() {
    // Ten operators a turn, of which the `loop` itself is free.
    let sum = r#"(func $add (param i64) (result i64) (i64.add (local.get 0) (i64.const 3)))
        (func (export "run") (param i32) (result i64) (local i64)
            (loop $again
                (local.set 1 (call $add (local.get 1)))
                (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                (br_if $again (local.get 0)))
            (local.get 1))"#;
    // The loop: 2 gets, call, 2 sets, a constant, a subtraction, the condition and the branch: 9. The function: 3.
    assert_eq!(is_unchanged(sum, 500), 500 * 12);
}
