//! Guests with native code at their hands: a worker of this test's own lets its guests make any system call. What they can
//! do then is what a guest can do that has broken out of WebAssembly.
#![expect(unsafe_code, reason = "these guests are given the system calls that sandboxed code never has")]

use super::endings::{children, is_running};
use super::kit::{Kit, Test, block_on, config, request, until};
use potluck_runtime::{Limits, Outcome, Program, RunRequest, Runtime, RuntimeConfig, SilentWatch};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

pub(crate) const TESTS: &[Test] = &[
    ("an_escaped_guest_makes_system_calls", can_do_what_is_allowed),
    ("an_escaped_guest_makes_no_socket", sockets),
    ("an_escaped_guest_reads_no_key_and_no_home", keys),
    ("an_escaped_guest_starts_no_process", processes),
    ("an_escaped_guest_signals_and_traces_nobody", signals),
    ("an_escaped_guest_changes_no_code_it_was_handed", code),
    ("an_escaped_guest_does_not_outlive_its_parent", outliving),
];

/// Added to an argument that is an address in the guest's memory.
const ADDRESS: i64 = 1 << 60;
/// Where the guest's text lies in its memory, and where room is.
const TEXT: i64 = ADDRESS + 1024;
const ROOM: i64 = ADDRESS + 8192;

/// The life of a worker whose guests can do anything.
pub(crate) fn worker() -> ExitCode {
    potluck_runtime::worker_of_anything(system_call)
}

fn system_call(memory: *mut u8, arguments: [i64; 7]) -> i64 {
    let [call, rest @ ..] = arguments;
    let real = rest.map(|argument| match argument {
        ADDRESS.. => memory.wrapping_add(usize::try_from(argument - ADDRESS).unwrap()) as i64,
        _ => argument,
    });
    let [a, b, c, d, e, f] = real;
    // SAFETY: it is not safe, and that is the point: this process is one that nobody minds.
    let result = unsafe { libc::syscall(call, a, b, c, d, e, f) };
    if result < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { result }
}

/// A guest that makes these calls, with this text in its memory, and ends with the number of the error of the last one.
pub(crate) fn guest(text: &str, calls: &[[i64; 7]]) -> String {
    let call = |arguments: &[i64; 7]| {
        let words: String = arguments.iter().map(|argument| format!("(i64.const {argument})")).collect();
        format!("(local.set 0 (call $anything {words}))")
    };
    let calls: String = calls.iter().map(call).collect();
    let text: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(module
            (import "anything" "call" (func $anything (param i64 i64 i64 i64 i64 i64 i64) (result i64)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 2)
            (data (i32.const 1024) "{text}\00")
            (func (export "_start") (local i64)
                {calls}
                (if (i64.lt_s (local.get 0) (i64.const 0))
                    (then (call $exit (i32.wrap_i64 (i64.sub (i64.const 0) (local.get 0))))))
                (call $exit (i32.const 0))))"#
    )
}

pub(crate) fn kit() -> Kit {
    let mut kit = Kit::new();
    kit.runtime = Runtime::open(escaped(kit.home.path())).unwrap();
    kit
}

fn escaped(home: &Path) -> RuntimeConfig {
    let mut config = config(home);
    config.worker.args = vec!["escaped-worker".into()];
    config
}

/// The number of the error with which the last of these calls ends; 0 for success.
fn error_of(kit: &Kit, text: &str, calls: &[[i64; 7]]) -> i32 {
    match kit.outcome(&guest(text, calls), Limits { wall_ms: 60_000, ..Limits::default() }) {
        Outcome::Exited(code) => code,
        outcome => panic!("{outcome}"),
    }
}

/// Each of these calls is denied.
fn are_denied(kit: &Kit, attempts: &[(&str, &str, [i64; 7])]) {
    let denials = [libc::EPERM, libc::EACCES, libc::ENOSYS];
    for (what, text, call) in attempts {
        let error = error_of(kit, text, &[*call]);
        assert!(denials.contains(&error), "{what}: {error}");
    }
}

fn open(flags: i32) -> [i64; 7] {
    [libc::SYS_openat, i64::from(libc::AT_FDCWD), TEXT, i64::from(flags), 0o600, 0, 0]
}

/// Without this the other tests would say nothing.
fn can_do_what_is_allowed() {
    let kit = kit();
    assert_eq!(error_of(&kit, "", &[[libc::SYS_getpid, 0, 0, 0, 0, 0, 0]]), 0);
    assert_eq!(error_of(&kit, "", &[[libc::SYS_getrandom, ROOM, 16, 0, 0, 0, 0]]), 0);
    assert_eq!(error_of(&kit, "", &[[libc::SYS_close, 4000, 0, 0, 0, 0, 0]]), libc::EBADF);
}

fn sockets() {
    let make = |family: i32, kind: i32| [libc::SYS_socket, i64::from(family), i64::from(kind), 0, 0, 0, 0];
    are_denied(
        &kit(),
        &[
            ("TCP", "", make(libc::AF_INET, libc::SOCK_STREAM)),
            ("UDP over IPv6", "", make(libc::AF_INET6, libc::SOCK_DGRAM)),
            ("Unix", "", make(libc::AF_UNIX, libc::SOCK_STREAM)),
            ("raw", "", make(libc::AF_PACKET, libc::SOCK_RAW)),
            ("netlink", "", make(libc::AF_NETLINK, libc::SOCK_RAW)),
            ("io_uring", "", [libc::SYS_io_uring_setup, 4, ROOM, 0, 0, 0, 0]),
        ],
    );
}

fn keys() {
    let kit = kit();
    let secret = kit.home.path().join("identity.key");
    std::fs::write(&secret, "secret").unwrap();
    let (secret, home) = (secret.to_str().unwrap(), kit.home.path().to_str().unwrap());
    let node = format!("/proc/{}/environ", std::process::id());
    let scratch = kit.home.path().join("scratch");
    let scratch = scratch.to_str().unwrap();
    are_denied(
        &kit,
        &[
            ("a key", secret, open(libc::O_RDONLY)),
            ("a key, to write", secret, open(libc::O_WRONLY | libc::O_TRUNC)),
            ("the home", home, open(libc::O_RDONLY | libc::O_DIRECTORY)),
            ("other workers' directories", scratch, open(libc::O_RDONLY | libc::O_DIRECTORY)),
            ("passwords", "/etc/passwd", open(libc::O_RDONLY)),
            ("the node's environment", &node, open(libc::O_RDONLY)),
            ("itself by number", "/proc/self/exe", open(libc::O_RDONLY)),
            ("a new file elsewhere", "/tmp/potluck-escaped", open(libc::O_WRONLY | libc::O_CREAT)),
            ("removing a key", secret, [libc::SYS_unlinkat, i64::from(libc::AT_FDCWD), TEXT, 0, 0, 0, 0]),
            ("a mount", "/", [libc::SYS_mount, TEXT, TEXT, TEXT, 0, 0, 0]),
        ],
    );
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret");
}

fn processes() {
    let fork = [libc::SYS_clone, i64::from(libc::SIGCHLD), 0, 0, 0, 0, 0];
    are_denied(
        &kit(),
        &[
            ("a program", "/bin/true", [libc::SYS_execve, TEXT, 0, 0, 0, 0, 0]),
            ("a program by descriptor", "", [libc::SYS_execveat, 0, TEXT, 0, 0, 0x1000, 0]),
            ("a fork", "", fork),
            ("a newer fork", "", [libc::SYS_clone3, ROOM, 88, 0, 0, 0, 0]),
            ("namespaces", "", [libc::SYS_unshare, i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0]),
        ],
    );
}

fn signals() {
    let kit = kit();
    let node = i64::from(std::process::id());
    let kill = i64::from(libc::SIGKILL);
    are_denied(
        &kit,
        &[
            ("the node", "", [libc::SYS_kill, node, kill, 0, 0, 0, 0]),
            ("a thread of the node", "", [libc::SYS_tgkill, node, node, kill, 0, 0, 0]),
            ("everybody", "", [libc::SYS_kill, -1, 0, 0, 0, 0, 0]),
            ("a handle", "", [libc::SYS_pidfd_open, node, 0, 0, 0, 0, 0]),
            ("the node's memory", "", [libc::SYS_process_vm_readv, node, ROOM, 1, ROOM, 1, 0]),
            ("tracing the node", "", [libc::SYS_ptrace, i64::from(libc::PTRACE_ATTACH), node, 0, 0, 0, 0]),
            ("the first process", "", [libc::SYS_kill, 1, 0, 0, 0, 0, 0]),
        ],
    );
}

/// The code that this worker runs is another worker's too: what a descriptor was opened for is all that it can do.
fn code() {
    let kit = kit();
    let program = guest("x", &[[libc::SYS_getpid, 0, 0, 0, 0, 0, 0]]);
    kit.outcome(&program, Limits::default());
    let path = std::fs::read_dir(kit.home.path().join("cache/code")).unwrap().flatten();
    let path = path.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "code")).unwrap();
    let before = std::fs::read(&path).unwrap();
    for descriptor in 3..40 {
        for call in [libc::SYS_pwrite64, libc::SYS_ftruncate] {
            // Whatever has this number, the file stays what it was.
            let _number = kit.outcome(&guest("evil", &[[call, descriptor, TEXT, 4, 0, 0, 0]]), Limits::default());
        }
    }
    assert!(std::fs::read(&path).unwrap() == before, "the code was changed");
    are_denied(&kit, &[("the code by its name", path.to_str().unwrap(), open(libc::O_WRONLY))]);
}

/// A guest that asks not to be killed with its parent, blocks every signal, and goes on for ever.
fn stubborn() -> String {
    let calls = [
        [libc::SYS_prctl, i64::from(libc::PR_SET_PDEATHSIG), 0, 0, 0, 0, 0],
        [libc::SYS_setsid, 0, 0, 0, 0, 0, 0],
        [libc::SYS_rt_sigprocmask, i64::from(libc::SIG_SETMASK), ROOM, 0, 8, 0, 0],
    ];
    let mask = "(local i64) (i64.store (i32.const 8192) (i64.const -1))";
    let text = guest("", &calls).replace("(local i64)", mask);
    let (before, _) = text.split_once("(if (i64.lt_s").unwrap();
    format!("{before}(loop (br 0))))")
}

fn outliving() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("stubborn.wasm");
    std::fs::write(&program, wat::parse_str(stubborn()).unwrap()).unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg("escaped-parent")
        .args([home.path(), &program])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    let workers = children(parent.id());
    assert_eq!(workers.len(), 1);
    parent.kill().unwrap();
    parent.wait().unwrap();
    block_on(until("the worker is gone", || workers.iter().all(|pid| !is_running(*pid))));
}

/// The life of a process that starts one such guest and then only waits to be killed.
pub(crate) fn parent(arguments: &[String]) -> ExitCode {
    let [home, program] = arguments else { return ExitCode::FAILURE };
    let program = Program::Wasm { path: program.into(), name: "guest.wasm".to_owned() };
    block_on(async {
        let runtime = Runtime::open(escaped(Path::new(home))).unwrap();
        let prepared = runtime.prepare(&program, &SilentWatch).await.unwrap();
        let _run = runtime.start(&prepared, RunRequest { ..request(program) }).await.unwrap();
        println!("started");
        std::future::pending::<ExitCode>().await
    })
}
