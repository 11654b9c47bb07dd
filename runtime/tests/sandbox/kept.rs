//! Compiled code is kept, checked, shared and bounded; a cache that fails costs time and not the run.

use crate::guests::{PROC_EXIT, command};
use crate::kit::{Kit, Test, block_on, config, request};
use potluck_runtime::{Limits, Outcome, Program, Runtime, RuntimeConfig, SilentWatch};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

pub(crate) const TESTS: &[Test] = &[
    ("damaged_code_is_made_again", damage),
    ("code_is_for_its_user_alone", permissions),
    ("two_processes_compile_a_program_once", once),
    ("the_bound_holds_and_code_in_use_stays", eviction),
    ("a_cache_that_cannot_be_written_costs_a_warning", unwritable),
];

fn exiting(code: u32) -> String {
    command(PROC_EXIT, &format!("(call $proc_exit (i32.const {code}))"))
}

fn codes(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("cache/code")).unwrap().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|name| name == "code")).collect()
}

fn damage() {
    let harm: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[..64].fill(0xaa),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xaa);
        },
        |bytes| bytes.truncate(bytes.len() / 3),
        Vec::clear,
    ];
    for harm in harm {
        let kit = Kit::new();
        assert_eq!(kit.outcome(&exiting(9), Limits::default()), Outcome::Exited(9));
        let [path] = codes(kit.home.path()).try_into().unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut bytes = good.clone();
        harm(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(kit.outcome(&exiting(9), Limits::default()), Outcome::Exited(9));
        assert!(std::fs::read(&path).unwrap() == good, "the damaged file is still there");
    }
}

fn permissions() {
    let kit = Kit::new();
    kit.outcome(&exiting(0), Limits::default());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for dir in ["cache", "cache/code", "scratch"] {
        assert_eq!(mode(&kit.home.path().join(dir)), 0o700, "{dir}");
    }
    for entry in std::fs::read_dir(kit.home.path().join("cache/code")).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
    }
}

fn once() {
    let kit = Kit::new();
    let Program::Wasm { path, .. } = kit.program(&exiting(0)) else { panic!("no module") };
    let prepare =
        || Command::new(std::env::current_exe().unwrap()).arg("preparer").args([kit.home.path(), &path]).spawn();
    let both = [prepare().unwrap(), prepare().unwrap()];
    for mut process in both {
        assert!(process.wait().unwrap().success());
    }
    let log = std::fs::read_to_string(kit.home.path().join("workers.log")).unwrap();
    assert_eq!(log.lines().count(), 1, "{log:?}");
    assert_eq!(codes(kit.home.path()).len(), 1);
}

/// The life of a process that prepares one program, with workers that are counted.
pub(crate) fn preparer(arguments: &[String]) -> ExitCode {
    let [home, program] = arguments else { return ExitCode::FAILURE };
    let mut config = config(Path::new(home));
    config.worker.args = vec!["counted-worker".into(), Path::new(home).join("workers.log").into()];
    let program = Program::Wasm { path: program.into(), name: "guest.wasm".to_owned() };
    let runtime = Runtime::open(config).unwrap();
    block_on(runtime.prepare(&program, &SilentWatch)).unwrap();
    ExitCode::SUCCESS
}

/// A worker that first writes a line into a file.
pub(crate) fn counted_worker(arguments: &[String]) -> ExitCode {
    use std::io::Write;
    let mut log = std::fs::File::options().create(true).append(true).open(&arguments[0]).unwrap();
    if !std::env::args().any(|argument| argument == "--sweeper") {
        writeln!(log, "worker").unwrap();
    }
    potluck_runtime::worker_main()
}

fn eviction() {
    let kit = Kit::new();
    let held = kit.program(&exiting(1));
    block_on(kit.prepare(&held));
    let [code] = codes(kit.home.path()).try_into().unwrap();
    let size = std::fs::metadata(&code).unwrap().len();
    let bound = size * 5 / 2;
    let runtime = Runtime::open(RuntimeConfig { cache_bytes_max: bound, ..config(kit.home.path()) }).unwrap();
    let kept = block_on(runtime.prepare(&held, &SilentWatch)).unwrap();
    for number in 2..8 {
        block_on(runtime.prepare(&kit.program(&exiting(number)), &SilentWatch)).unwrap();
        let total: u64 = codes(kit.home.path()).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
        assert!(total <= bound, "{total} of {bound}");
        assert!(code.exists(), "code in use was removed");
    }
    drop(kept);
}

fn unwritable() {
    let kit = Kit::new();
    // In the directory's place, because no mode keeps root out of a directory.
    let code = kit.home.path().join("cache/code");
    std::fs::remove_dir_all(&code).unwrap();
    std::fs::write(&code, b"").unwrap();
    let program = kit.program(&exiting(5));
    let prepared = block_on(kit.prepare(&program));
    assert!(prepared.warning().is_some_and(|warning| warning.contains("cannot be kept")), "{:?}", prepared.warning());
    assert_eq!(block_on(kit.run(request(program), b"")).report.outcome, Outcome::Exited(5));
}
