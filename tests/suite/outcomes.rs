//! How a run ends is how `potluck run` ends: the job's own code, or a documented one of ours.

use crate::sight::{both_forms, command, until_no_run_is_left};
use potluck_tests::{Home, guest, processes_of, until};
use rustix::process::Signal;

#[test]
fn the_exit_code_of_a_job_is_passed_on() {
    let home = Home::new();
    for code in [0, 1, 2, 3, 42, 77, 120] {
        let program = command(&home, &format!("exit{code}.wasm"), &format!("(call $exit (i32.const {code}))"));
        let finished = home.run(["--quiet", &program]).finish();
        finished.expect(code);
        assert_eq!((finished.out(), finished.err()), (String::new(), String::new()), "--quiet says nothing of its own");
    }
}

#[test]
fn a_trap_is_134_and_says_what_happened() {
    let home = Home::new();
    for (name, body, says) in [
        ("unreachable", "unreachable", "unreachable"),
        ("bounds", "(drop (i32.load (i32.const 0x7fffffff)))", "out of bounds"),
        ("division", "(drop (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("table", "(call_indirect (type $nullary) (i32.const 0))", "uninitialized"),
    ] {
        let program = command(&home, &format!("{name}.wasm"), body);
        home.run([&program]).finish().expect(134).says(&["trap", says, "\npotluck:   at "]);
    }
}

#[test]
fn a_panic_of_a_guest_is_134_after_its_own_words() {
    let home = Home::new();
    for program in both_forms("hog") {
        home.run([&program]).arg("nothing").finish().expect(134).says(&["nothing is called nothing", "trap"]);
    }
}

#[test]
fn ctrl_c_cancels_a_run_and_is_130() {
    let home = Home::new();
    for program in both_forms("converse") {
        let job = home.run([&program]).start();
        job.wait_for_stdout("ready\n");
        job.signal(Signal::INT);
        job.finish_with_stdin_open().expect(130).says(&["cancelled"]);
        until_no_run_is_left(&home, 0);
    }
}

#[test]
fn ctrl_c_stops_a_job_that_never_yields() {
    let home = Home::new();
    let job = home.run([guest("hog")]).arg("fuel").start();
    job.wait_for_stdout("taking fuel\n");
    job.signal(Signal::INT);
    job.finish_with_stdin_open().expect(130);
    until_no_run_is_left(&home, 0);
}

#[test]
fn a_terminated_run_leaves_nothing_behind() {
    let home = Home::new();
    let job = home.run([guest("hog")]).arg("fuel").start();
    job.wait_for_stdout("taking fuel\n");
    job.signal(Signal::TERM);
    let finished = job.finish_with_stdin_open();
    assert_ne!(finished.code(), 0);
    until_no_run_is_left(&home, 0);
}

#[test]
fn a_killed_run_leaves_nothing_behind() {
    let home = Home::new();
    for what in ["fuel", "sleep"] {
        let mut job = home.run([guest("hog")]).arg(what).start();
        job.wait_for_stdout("taking ");
        job.kill();
        until_no_run_is_left(&home, 0);
    }
}

#[test]
fn a_worker_that_dies_is_our_failure_and_not_the_jobs() {
    let home = Home::new();
    let job = home.run([guest("hog")]).arg("fuel").start();
    job.wait_for_stdout("taking fuel\n");
    let own = i32::try_from(job.id()).expect("a process id fits");
    let workers: Vec<_> = processes_of(home.root()).into_iter().filter(|process| process.id != own).collect();
    assert!(!workers.is_empty(), "a run happens in a process of its own");
    workers.iter().for_each(potluck_tests::Process::kill);
    job.finish_with_stdin_open().expect(125).says(&["worker"]);
    until_no_run_is_left(&home, 0);
}

#[test]
fn runs_side_by_side_do_not_see_each_other() {
    let home = Home::new();
    home.write("one/name.txt", "one");
    home.write("two/name.txt", "two");
    let start = |folder: &str| home.run(["-f", &format!("{folder}/name.txt")]).arg(guest("converse")).start();
    let (mut one, mut two) = (start("one"), start("two"));
    one.wait_for_stdout("ready\n");
    two.wait_for_stdout("ready\n");
    assert!(until("both have a directory", || (home.scratch_entries().len() >= 2).then_some(true)));
    one.write("1\n");
    two.write("2\n");
    let (one, two) = (one.finish(), two.finish());
    assert_eq!(one.expect(0).out(), "ready\nheard 1\n");
    assert_eq!(two.expect(0).out(), "ready\nheard 2\n");
}
