//! Proves the second wall: a confined worker tries what a guest that has broken out of the first one would try. Each
//! attempt is the system call itself, so that nothing but the wall can be what stops it.
#![expect(unsafe_code, reason = "calls are made that no library offers, because none of them is to succeed")]

use crate::protocol::Proof;
use crate::worker_role::WorkerRole;
use libc::c_long;
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Tries everything.
pub(super) fn prove(role: &WorkerRole) -> Vec<Proof> {
    let cell = &role.cell;
    let files = [
        ("read a file of the system", "/etc/passwd".to_owned()),
        ("read the root directory", "/".to_owned()),
        ("read the working directories of other workers", parent_of(cell)),
        ("read the node's environment", format!("/proc/{}/environ", std::os::unix::process::parent_id())),
        ("read the node's memory", format!("/proc/{}/mem", std::os::unix::process::parent_id())),
        ("read other processes' names", "/proc".to_owned()),
    ];
    let files = files.into_iter().map(|(what, path)| attempt(what, open(&path, libc::O_RDONLY)));
    // Where it has none, there is nothing to leave.
    let groups =
        role.cgroup.iter().map(|dir| attempt("leave its control group", open(&members_above(dir), libc::O_WRONLY)));
    let outside = format!("/tmp/potluck-proof-{}", std::process::id());
    let written = open(&outside, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL);
    if written.is_ok() {
        drop(std::fs::remove_file(&outside));
    }
    let device = c_string(&cell.join("device").to_string_lossy());
    let made = call(libc::SYS_mknodat, [libc::AT_FDCWD as usize, device.as_ptr() as usize, libc::S_IFIFO as usize, 0]);
    files
        .chain(groups)
        .chain([attempt("make a file outside of its directory", written), attempt("make a pipe with a name", made)])
        .chain(sockets())
        .chain(processes())
        .chain(kernel())
        .collect()
}

fn parent_of(path: &Path) -> String {
    path.parent().unwrap_or(path).to_string_lossy().into_owned()
}

/// The file that a process writes its number to, to be a member of the group above this one.
fn members_above(dir: &Path) -> String {
    dir.parent().unwrap_or(dir).join(crate::cgroup::MEMBERS).to_string_lossy().into_owned()
}

fn sockets() -> impl Iterator<Item = Proof> {
    let families = [
        ("make an IPv4 socket", libc::AF_INET),
        ("make an IPv6 socket", libc::AF_INET6),
        ("make a Unix socket", libc::AF_UNIX),
        ("make a netlink socket", libc::AF_NETLINK),
        ("make a vsock socket", libc::AF_VSOCK),
    ];
    let made = |(what, family): (&'static str, i32)| {
        attempt(what, call(libc::SYS_socket, [number(family), number(libc::SOCK_DGRAM), 0]))
    };
    let connected = attempt("connect", call(libc::SYS_connect, [0, 0, 0]));
    let listening = attempt("listen", call(libc::SYS_listen, [0, 1]));
    families.into_iter().map(made).chain([connected, listening])
}

fn processes() -> Vec<Proof> {
    let parent = std::os::unix::process::parent_id() as usize;
    let program = c_string("/bin/true");
    let nothing = [program.as_ptr(), std::ptr::null()];
    let execute = [program.as_ptr() as usize, nothing.as_ptr() as usize, 0];
    vec![
        attempt("start a program", call(libc::SYS_execve, execute)),
        attempt("start a program from memory", call(libc::SYS_execveat, [0, program.as_ptr() as usize, 0, 0, 0])),
        attempt("fork", fork()),
        attempt("fork in the newer way", call(libc::SYS_clone3, [0, 0])),
        attempt("signal the node", call(libc::SYS_kill, [parent, 0])),
        attempt("signal a thread of the node", call(libc::SYS_tgkill, [parent, parent, 0])),
        attempt("open a handle of the node", call(libc::SYS_pidfd_open, [parent, 0])),
        attempt("take a descriptor of another process", call(libc::SYS_pidfd_getfd, [0, 0, 0])),
        attempt("trace the node", call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, parent, 0, 0])),
        attempt("read the memory of another process", call(libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0, 0])),
        attempt("write the memory of another process", call(libc::SYS_process_vm_writev, [parent, 0, 0, 0, 0, 0])),
        attempt("change the node's limits", call(libc::SYS_prlimit64, [parent, 0, 0, 0])),
        attempt("outlive the node", call(libc::SYS_prctl, [number(libc::PR_SET_PDEATHSIG), 0])),
        attempt("run before others", call(libc::SYS_setpriority, [0, 0, 0])),
        attempt("type into a terminal", call(libc::SYS_ioctl, [0, libc::TIOCSTI as usize, program.as_ptr() as usize])),
    ]
}

fn kernel() -> Vec<Proof> {
    let slash = c_string("/");
    let slash = slash.as_ptr() as usize;
    [
        ("mount", libc::SYS_mount, [slash, slash, slash, 0, 0]),
        ("make namespaces", libc::SYS_unshare, [number(libc::CLONE_NEWUSER), 0, 0, 0, 0]),
        ("enter namespaces", libc::SYS_setns, [0, 0, 0, 0, 0]),
        ("change the root directory", libc::SYS_chroot, [slash, 0, 0, 0, 0]),
        ("use the kernel's key rings", libc::SYS_keyctl, [0, 0, 0, 0, 0]),
        ("add a key", libc::SYS_add_key, [slash, slash, 0, 0, 0]),
        ("use io_uring", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        ("handle page faults", libc::SYS_userfaultfd, [0, 0, 0, 0, 0]),
        ("read performance counters", libc::SYS_perf_event_open, [0, 0, 0, 0, 0]),
        ("load a BPF program", libc::SYS_bpf, [0, 0, 0, 0, 0]),
        ("open a file by its handle", libc::SYS_open_by_handle_at, [0, 0, 0, 0, 0]),
        ("watch files", libc::SYS_fanotify_init, [0, 0, 0, 0, 0]),
        ("set the clock", libc::SYS_clock_settime, [0, 0, 0, 0, 0]),
        ("load a kernel module", libc::SYS_init_module, [0, 0, 0, 0, 0]),
        ("restart the machine", libc::SYS_reboot, [0, 0, 0, 0, 0]),
    ]
    .into_iter()
    .map(|(what, number, arguments)| attempt(what, call(number, arguments)))
    .collect()
}

/// Denied is what the wall denies, and not what would have failed anyway.
fn attempt(what: &str, outcome: io::Result<()>) -> Proof {
    let (denied, how) = match &outcome {
        Ok(()) => (false, "it succeeded".to_owned()),
        Err(error) => {
            let denials = [libc::EPERM, libc::EACCES, libc::ENOSYS];
            (error.raw_os_error().is_some_and(|code| denials.contains(&code)), error.to_string())
        }
    };
    Proof { attempt: what.to_owned(), denied, how }
}

fn open(path: &str, flags: i32) -> io::Result<()> {
    let path = c_string(path);
    let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, number(flags | libc::O_CLOEXEC), 0o600];
    call(libc::SYS_openat, arguments)
}

/// A child that comes to be all the same ends at once.
fn fork() -> io::Result<()> {
    // SAFETY: without shared memory the child is a copy of this process, which has one thread that matters here: it ends.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        0 => {
            // SAFETY: it ends the child and nothing else.
            unsafe { libc::_exit(0) }
        }
        made => result(made),
    }
}

fn call<const N: usize>(number: c_long, arguments: [usize; N]) -> io::Result<()> {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    // SAFETY: every call made here is to be denied before it looks at its arguments; those that are looked at are valid
    // strings, or null.
    result(unsafe {
        libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    })
}

fn result(returned: c_long) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A small number as the system takes it.
fn number(value: i32) -> usize {
    value.unsigned_abs() as usize
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
