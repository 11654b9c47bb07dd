//! Tiny guests, as text.

/// A preview-1 command with these imports and this body of `_start`, and one page of memory.
pub(crate) fn command(imports: &str, body: &str) -> String {
    format!("(module {imports} (memory (export \"memory\") 1) (func $main (export \"_start\") {body}))")
}

pub(crate) const FD_WRITE: &str =
    r#"(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))"#;
pub(crate) const PROC_EXIT: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))"#;
pub(crate) const PATH_OPEN: &str = r#"(import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;

/// Prints `out` and a newline to stdout, `err` to stderr, then `last` to stdout.
pub(crate) fn printer(out: &str, err: &str, last: &str) -> String {
    let (o, e, l) = (out.len(), err.len(), last.len());
    format!(
        r#"(module {FD_WRITE} (memory (export "memory") 1)
        (data (i32.const 1024) "{out}") (data (i32.const 2048) "{err}") (data (i32.const 3072) "{last}")
        (func $say (param $fd i32) (param $at i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $len))
            (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start")
            (call $say (i32.const 1) (i32.const 1024) (i32.const {o}))
            (call $say (i32.const 2) (i32.const 2048) (i32.const {e}))
            (call $say (i32.const 1) (i32.const 3072) (i32.const {l}))))"#
    )
}

/// Reads nothing and waits for no one, without end.
pub(crate) const BUSY: &str = "(loop $again (br $again))";

/// Creates the file `new` and writes `count` times 64 KiB to it.
pub(crate) fn writer(count: u32) -> String {
    format!(
        r#"(module {FD_WRITE} {PATH_OPEN} (memory (export "memory") 2) (data (i32.const 64) "new")
        (func (export "_start") (local $left i32)
            (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 3) (i32.const 1)
                (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 32)))
            (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 65536))
            (local.set $left (i32.const {count}))
            (loop $again
                (drop (call $fd_write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 8)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $again (local.get $left)))))"#
    )
}

/// Opens the working directory again and again.
pub(crate) fn opener() -> String {
    format!(
        r#"(module {PATH_OPEN} (memory (export "memory") 1) (data (i32.const 64) ".")
        (func (export "_start") (loop $again
            (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 2)
                (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 32)))
            (br $again))))"#
    )
}
