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

pub(crate) const FD_READ: &str =
    r#"(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))"#;

/// Copies stdin to stdout, 64 KiB at a time, writing all of what it read.
pub(crate) fn copier() -> String {
    format!(
        r#"(module {FD_READ} {FD_WRITE} (memory (export "memory") 2)
        (func (export "_start") (local $at i32) (local $left i32) (loop $again
            (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 65536))
            (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
            (local.set $left (i32.load (i32.const 8)))
            (if (i32.eqz (local.get $left)) (then return))
            (local.set $at (i32.const 1024))
            (loop $more
                (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $left))
                (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
                (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
                (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
                (br_if $more (local.get $left)))
            (br $again))))"#
    )
}

/// Makes directories without end: `aaaa`, `baaa`, and so on through all names of four letters, again and again.
pub(crate) fn maker() -> String {
    r#"(module (import "wasi_snapshot_preview1" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 64) "aaaa")
        (func (export "_start") (local $at i32) (loop $again
            (drop (call $make (i32.const 3) (i32.const 64) (i32.const 4)))
            (local.set $at (i32.const 64))
            (loop $carry
                (i32.store8 (local.get $at) (i32.add (i32.load8_u (local.get $at)) (i32.const 1)))
                (if (i32.gt_u (i32.load8_u (local.get $at)) (i32.const 122)) (then
                    (i32.store8 (local.get $at) (i32.const 97))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $carry (i32.lt_u (local.get $at) (i32.const 68))))))
            (br $again))))"#
        .to_owned()
}
