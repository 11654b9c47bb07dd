//! Every limit bites, names itself, and has its exit code: 124 for wall time, 137 for any other.

use crate::sight::{both_forms, command};
use potluck_tests::{Home, Node, guest, join, write_script};

/// Runs `hog WHAT` under `options` in both forms and checks the exit code and what is said.
#[track_caller]
fn bites(what: &str, options: &[&str], code: i32, says: &[&str]) {
    let home = Home::new();
    for program in both_forms("hog") {
        let finished = home.run(options).arg(&program).arg(what).finish();
        finished.expect(code).says(says);
        assert!(
            finished.stdout.starts_with(format!("taking {what}\n").as_bytes()),
            "output before the end is lost: {finished}"
        );
    }
}

#[test]
fn fuel() {
    bites("fuel", &["--fuel", "100M"], 137, &["fuel", "--fuel"]);
}

#[test]
fn wall_time_of_a_job_that_computes() {
    bites("fuel", &["--timeout", "1s"], 124, &["wall time", "--timeout"]);
}

#[test]
fn wall_time_of_a_job_that_sleeps() {
    bites("sleep", &["--timeout", "1s"], 124, &["wall time", "--timeout"]);
}

#[test]
fn wall_time_of_a_job_that_waits_for_its_stdin() {
    let home = Home::new();
    for program in both_forms("cat") {
        let job = home.run(["--timeout", "1s"]).arg(&program).start();
        job.finish_with_stdin_open().expect(124).says(&["wall time"]);
    }
}

#[test]
fn memory() {
    bites("memory", &["--memory", "64M"], 137, &["memory", "--memory"]);
}

#[test]
fn output() {
    let home = Home::new();
    for program in both_forms("hog") {
        let finished = home.run(["--output", "1M"]).arg(&program).arg("output").finish();
        finished.expect(137).says(&["output", "--output"]);
        assert!(finished.stdout.len() <= 1 << 20, "{} bytes passed a limit of 1 MiB", finished.stdout.len());
        assert!(finished.stdout.len() >= 512 << 10, "what was allowed did not arrive: {} bytes", finished.stdout.len());
    }
}

#[test]
fn output_counts_stdout_and_stderr_together() {
    let home = Home::new();
    let finished = home.run(["--quiet", "--output", "1K"]).arg(guest("weave")).arg("10000").finish();
    finished.expect(137);
    assert!(finished.stdout.len() <= 1024, "{} bytes on stdout alone", finished.stdout.len());
}

#[test]
fn disk_in_the_working_directory() {
    bites("disk", &["--disk", "1M"], 137, &["disk", "--disk"]);
}

#[test]
fn disk_in_the_temporary_directory() {
    bites("tmp", &["--disk", "1M"], 137, &["disk", "--disk"]);
}

#[test]
fn disk_by_countless_empty_files() {
    bites("many-files", &["--disk", "1M"], 137, &["disk", "--disk"]);
}

/// As a module alone: in the component form of the same guest, the adapter inside it runs out of its own 128 descriptors
/// first. The runtime's tests let the limit bite a component by a lower one.
#[test]
fn open_files() {
    let finished = Home::new().run([guest("hog")]).arg("open-files").finish();
    finished.expect(137).says(&["open files"]);
}

#[test]
fn open_files_by_the_flag() {
    bites("open-files", &["--open-files", "40"], 137, &["open files", "--open-files"]);
}

#[test]
fn the_number_of_files() {
    bites("many-files", &["--file-count", "100"], 137, &["files limit: used 101 of 100", "--file-count"]);
}

#[test]
fn the_depth_of_directories() {
    bites("deep", &[], 137, &["path depth limit: used 129 of 128"]);
}

#[test]
fn the_length_of_paths() {
    bites("long", &[], 137, &["path length limit", "of 2 KiB"]);
}

#[test]
fn the_stack() {
    let home = Home::new();
    let program = command(&home, "stack.wasm", "(call $forever)");
    home.run([&program]).finish().expect(137).says(&["stopped by its stack limit: used 4 MiB of 4 MiB"]);
}

#[test]
fn a_job_within_its_limits_is_left_alone() {
    let home = Home::new();
    home.write("in.txt", "x".repeat(2 << 20));
    let limits = ["--fuel", "1G", "--memory", "16M", "--timeout", "1m", "--disk", "1K", "--output", "4M"];
    // The input is larger than the disk limit: inputs are not counted.
    let finished = home.run(limits).args(["-f", "in.txt"]).arg(guest("look")).args(["--read", "in.txt"]).finish();
    assert!(finished.expect(0).out().contains("file in.txt 2097152\n"), "the input was seen");
}

#[test]
fn python_that_never_ends_meets_the_wall_time() {
    let home = Home::with_python();
    let script = write_script(&home, "spin.py", &["print('on')", "while True: pass"]);
    let finished = home.run(["--timeout", "3s", &script]).finish();
    assert_eq!(finished.expect(124).says(&["wall time"]).out(), "on\n");
    let script = write_script(&home, "sleep.py", &["import time", "print('on')", "time.sleep(1e6)"]);
    let finished = home.run(["--timeout", "3s", &script]).finish();
    assert_eq!(finished.expect(124).says(&["wall time"]).out(), "on\n");
}

#[test]
fn python_that_swallows_every_exception_meets_its_limits_all_the_same() {
    let home = Home::with_python();
    let lines = [
        "data = b'x' * 65536",
        "file = open('big', 'wb', buffering=0)",
        "while True:",
        "    try:",
        "        file.write(data)",
        "    except BaseException:",
        "        pass",
    ];
    let script = write_script(&home, "stubborn.py", &lines);
    home.run(["--disk", "1M", "--timeout", "60s", &script]).finish().expect(137).says(&["disk"]);
}

#[test]
fn python_that_takes_too_much_memory_is_told_which_limit() {
    let home = Home::with_python();
    let lines = ["kept = []", "while True:", "    kept.append(bytearray(1 << 20))"];
    let script = write_script(&home, "big.py", &lines);
    home.run(["--memory", "400M", &script]).finish().expect(137).says(&["memory", "--memory"]);
}

#[test]
fn a_limit_bites_on_a_peer_as_it_does_here() {
    let lender_home = Home::new().named("lender");
    let lender = Node::start(&lender_home);
    let home = Home::new();
    join(&lender, &home);
    for (what, options, code, limit) in [
        ("fuel", ["--fuel", "100M"], 137, "fuel"),
        ("sleep", ["--timeout", "1s"], 124, "wall time"),
        ("memory", ["--memory", "64M"], 137, "memory"),
        ("output", ["--output", "1M"], 137, "output"),
        ("disk", ["--disk", "1M"], 137, "disk"),
    ] {
        let finished = home.run(options).args(["--on", "lender"]).arg(guest("hog")).arg(what).finish();
        finished.expect(code).says(&[limit]);
    }
}

#[test]
fn a_limit_that_is_no_quantity_is_refused_with_examples_of_one() {
    let home = Home::new();
    for option in ["--fuel", "--memory", "--timeout", "--disk", "--output"] {
        let finished = home.run([option, "plenty"]).arg(guest("cat")).finish();
        assert_ne!(finished.code(), 0, "{finished}");
        finished.says(&[option, "plenty"]);
    }
}
