//! Hostile preview-1 modules, written with little: all of WASI is imported, and texts lie where the test says.

/// Every function of WASI that an attack uses, by its own name.
const IMPORTS: &[(&str, &str)] = &[
    ("clock_time_get", "(param i32 i64 i32) (result i32)"),
    ("fd_allocate", "(param i32 i64 i64) (result i32)"),
    ("fd_close", "(param i32) (result i32)"),
    ("fd_filestat_set_size", "(param i32 i64) (result i32)"),
    ("fd_filestat_set_times", "(param i32 i64 i64 i32) (result i32)"),
    ("fd_fdstat_set_flags", "(param i32 i32) (result i32)"),
    ("fd_fdstat_set_rights", "(param i32 i64 i64) (result i32)"),
    ("fd_prestat_dir_name", "(param i32 i32 i32) (result i32)"),
    ("fd_pwrite", "(param i32 i32 i32 i64 i32) (result i32)"),
    ("fd_read", "(param i32 i32 i32 i32) (result i32)"),
    ("fd_readdir", "(param i32 i32 i32 i64 i32) (result i32)"),
    ("fd_renumber", "(param i32 i32) (result i32)"),
    ("fd_seek", "(param i32 i64 i32 i32) (result i32)"),
    ("fd_write", "(param i32 i32 i32 i32) (result i32)"),
    ("path_create_directory", "(param i32 i32 i32) (result i32)"),
    ("path_filestat_get", "(param i32 i32 i32 i32 i32) (result i32)"),
    ("path_link", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    ("path_readlink", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_rename", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_symlink", "(param i32 i32 i32 i32 i32) (result i32)"),
    ("path_unlink_file", "(param i32 i32 i32) (result i32)"),
    ("poll_oneoff", "(param i32 i32 i32 i32) (result i32)"),
    ("proc_exit", "(param i32)"),
    ("random_get", "(param i32 i32) (result i32)"),
    ("sched_yield", "(result i32)"),
    ("sock_accept", "(param i32 i32 i32) (result i32)"),
];

/// Numbers of errors in WASI.
pub(super) const EBADF: u32 = 8;
pub(super) const EINVAL: u32 = 28;
pub(super) const ENAMETOOLONG: u32 = 37;

/// A command with this memory (in pages), these texts at these places, and this body of `_start`.
///
/// `$open` opens a path below a descriptor with flags (1 creates, 2 is for directories, 8 truncates) and answers the new
/// descriptor, which for a directory has no right to write; `$want` ends the guest with a code unless two numbers are equal; `$deny` does unless the first is an error.
pub(super) fn guest(pages: u64, texts: &[(u32, &str)], body: &str) -> String {
    let imports: String = IMPORTS
        .iter()
        .map(|(name, kind)| format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {kind}))\n"))
        .collect();
    let data: String = texts.iter().map(|(at, text)| format!("(data (i32.const {at}) \"{text}\")\n")).collect();
    format!(
        r#"(module {imports} (memory (export "memory") {pages}) {data}
        (func $want (param $got i32) (param $wanted i32) (param $code i32)
            (if (i32.ne (local.get $got) (local.get $wanted)) (then (call $proc_exit (local.get $code)))))
        (func $deny (param $got i32) (param $code i32)
            (if (i32.eqz (local.get $got)) (then (call $proc_exit (local.get $code)))))
        (func $try_open (param $fd i32) (param $path i32) (param $len i32) (param $flags i32) (result i32)
            (call $path_open (local.get $fd) (i32.const 1) (local.get $path) (local.get $len) (local.get $flags)
                (select (i64.const 0x1fffffbf) (i64.const 0x1fffffff) (i32.eq (local.get $flags) (i32.const 2)))
                (i64.const 0x1fffffff) (i32.const 0) (i32.const 32)))
        (func $open (param $fd i32) (param $path i32) (param $len i32) (param $flags i32) (result i32)
            (call $want (call $try_open (local.get $fd) (local.get $path) (local.get $len) (local.get $flags))
                (i32.const 0) (i32.const 99))
            (i32.load (i32.const 32)))
        (func $buffer (param $at i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $len)))
        (func (export "_start") (local $fd i32) (local $n i32) {body}))"#
    )
}
