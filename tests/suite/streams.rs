//! stdin, stdout and stderr are streams from end to end: nothing waits for the end of a job, nothing is collected in
//! memory, and order is kept.

use crate::sight::both_forms;
use potluck_tests::{Home, Node, guest, join, processes_of, until, write_script};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

/// What any one process may hold while a stream far longer than this passes through it.
const MEMORY_MAX: u64 = 256 << 20;
const STREAM_DEADLINE: Duration = Duration::from_secs(300);

#[test]
fn the_first_line_arrives_while_the_job_still_runs() {
    let home = Home::new();
    for program in both_forms("converse") {
        let mut job = home.run([&program]).start();
        // The job ends only after it has been told something, so what is seen before that was seen while it ran.
        job.wait_for_stdout("ready\n");
        job.write("over to you\n");
        job.wait_for_stdout("heard over to you\n");
        job.wait_for_stderr("noted over to you\n");
        assert!(job.is_running());
        job.finish().expect(0);
    }
}

#[test]
fn a_line_python_prints_is_a_line_seen() {
    let home = Home::with_python();
    let script = write_script(&home, "talk.py", &["print('ready')", "print('heard', input('say: '))"]);
    let mut job = home.run([&script]).start();
    job.wait_for_stdout("ready\n");
    job.wait_for_stdout("say: ");
    job.write("hello\n");
    job.wait_for_stdout("heard hello\n");
    job.finish().expect(0);
}

#[test]
fn a_gibibyte_passes_through_a_local_job_without_being_held() {
    let home = Home::new();
    stream_through(&home, &[&home], &[], 1 << 30);
}

#[test]
fn a_quarter_gibibyte_passes_through_a_peer_without_being_held() {
    let lender_home = Home::new().named("lender");
    let lender = Node::start(&lender_home);
    let home = Home::new();
    join(&lender, &home);
    stream_through(&home, &[&home, &lender_home], &["--on", "lender"], 256 << 20);
}

/// Sends `length` bytes through `cat` and checks what comes back and what every process of `homes` held at most.
#[track_caller]
fn stream_through(home: &Home, homes: &[&Home], options: &[&str], length: u64) {
    let mut job = home.run(["--output", "2G"]).args(options).arg(guest("cat")).start_raw();
    let mut stdin = job.stdin.take().expect("stdin is a pipe");
    let mut stdout = job.stdout.take().expect("stdout is a pipe");
    let feeder = thread::spawn(move || {
        let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 253) as u8).collect();
        for _ in 0..length >> 20 {
            stdin.write_all(&block).expect("the job takes its stdin");
        }
        stdin
    });
    let end = std::time::Instant::now() + STREAM_DEADLINE;
    let mut block = vec![0u8; 1 << 20];
    let expected: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 253) as u8).collect();
    for number in 0..length >> 20 {
        stdout.read_exact(&mut block).expect("as much comes out as went in");
        assert!(block == expected, "block {number} was changed");
        assert!(std::time::Instant::now() < end, "only {number} MiB came through in time");
    }
    // Everything has passed and the job still waits for the end of its stdin: each process's peak is in.
    let processes: Vec<_> = homes.iter().flat_map(|home| processes_of(home.root())).collect();
    assert!(processes.len() >= 2, "the job and its worker are still there: {processes:?}");
    for process in &processes {
        let peak = process.memory_peak().expect("the process is still there");
        assert!(peak < MEMORY_MAX, "{} held {} MiB", process.command, peak >> 20);
    }
    drop(feeder.join().expect("the feeding thread does not panic"));
    assert_eq!(stdout.read(&mut block).expect("the pipe ends"), 0, "more came out than went in");
    let status = until("the job ends", || job.try_wait().expect("a child can be waited for"));
    assert!(status.success(), "{status}");
}

#[test]
fn a_job_that_does_not_read_leaves_its_writer_waiting_and_not_the_memory_full() {
    let home = Home::new();
    let mut job = home.run(["--timeout", "5s"]).arg(guest("hog")).arg("sleep").start_raw();
    let mut stdin = job.stdin.take().expect("stdin is a pipe");
    let feeder = thread::spawn(move || {
        let block = vec![7u8; 1 << 20];
        // Ends with an error when the job is over and nobody holds the other end any more.
        (0..512).take_while(|_| stdin.write_all(&block).is_ok()).count()
    });
    let mut out = String::new();
    job.stdout.take().expect("stdout is a pipe").read_to_string(&mut out).expect("the output is text");
    let status = until("the job ends", || job.try_wait().expect("a child can be waited for"));
    assert_eq!(status.code(), Some(124));
    let taken = feeder.join().expect("the feeding thread does not panic");
    assert!(taken < 128, "{taken} MiB were taken in for a job that reads nothing");
}

#[test]
fn stdout_and_stderr_of_a_job_come_out_apart_and_untouched() {
    let home = Home::new();
    let finished = home.run(["--quiet"]).arg(guest("weave")).arg("6").finish();
    finished.expect(0);
    assert_eq!((finished.out().as_str(), finished.err().as_str()), ("0\n2\n4\n", "1\n3\n5\n"));
}

#[test]
fn bytes_that_are_no_text_pass_untouched() {
    let home = Home::new();
    let bytes: Vec<u8> = (0..=255).chain([0xff, 0xfe, 0x00, 0x0a, 0xc3]).collect();
    let finished = home.run([guest("cat")]).input(bytes.clone()).finish();
    assert_eq!(finished.expect(0).stdout, bytes);
}

#[test]
fn stdin_none_gives_the_job_an_empty_stdin() {
    let home = Home::new();
    let mut job = home.run(["--stdin", "none"]).arg(guest("cat")).start();
    job.write("not to be seen");
    let finished = job.finish_with_stdin_open();
    assert_eq!(finished.expect(0).out(), "");
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let home = Home::new();
    let mut job = home.run(["--output", "100G", "--fuel", "100T"]).arg(guest("hog")).arg("output").start_raw();
    let mut first = [0u8; 16];
    job.stdout.take().expect("stdout is a pipe").read_exact(&mut first).expect("the job writes");
    // The reading end is closed now, as `head -1` does it.
    drop(job.stdin.take());
    until("the run ends when nobody reads it any more", || job.try_wait().expect("a child can be waited for"));
}

#[test]
fn a_terminal_that_is_stopped_holds_up_neither_the_job_nor_its_progress_and_loses_nothing() {
    const LINES: usize = 400;
    let home = Home::new();
    let _node = Node::start(&home);
    let lines = [
        "local events = io.open(os.getenv('POTLUCK_EVENTS'), 'a')",
        "local function say(done)",
        "  events:write('{\"progress\":{\"done\":' .. done .. ',\"total\":400,\"message\":\"stirring\"}}\\n')",
        "  events:flush()",
        "end",
        "say(0)",
        "io.read()",
        "for line = 1, 400 do say(line) print('line ' .. line) io.stdout:flush() end",
    ];
    let script = write_script(&home, "stir.lua", &lines);
    let mut terminal = home.run([&script]).start_in_terminal();
    terminal.shows("stirring");
    // Ctrl-S, and only then what the script waits for.
    terminal.types("\u{13}");
    terminal.types("go\n");
    until("the job is through while the terminal shows nothing", || {
        let status = home.potluck(["status", "--json"]).finish().expect(0).json();
        (status["jobs_running"] == 0).then_some(())
    });
    assert!(terminal.process().is_running(), "what it printed is not shown yet");
    terminal.types("\u{11}");
    terminal.shows(&format!("line {LINES}\r\n"));
    let finished = terminal.finish();
    let screen = finished.expect(0).out();
    let missing: Vec<usize> = (1..=LINES).filter(|line| !screen.contains(&format!("line {line}\r\n"))).collect();
    assert!(missing.is_empty(), "{missing:?} of\n{screen}");
}
