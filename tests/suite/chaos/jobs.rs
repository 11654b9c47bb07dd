//! The load: one person after the other's jobs, of many kinds, each of which knows how it has to end.

use super::Over;
use super::tally::Tally;
use crate::random::Random;
use crate::sight::{command, module};
use potluck_tests::{Finished, Home, guest, holds_within};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many files one job makes.
const FILES: usize = 300;
/// Bytes of an input.
const INPUT_LEN: usize = 512 << 10;
/// The longest time before a command is killed.
const PATIENCE_MAX: Duration = Duration::from_millis(600);

/// Somebody who has one job after the other.
pub(super) struct Submitter<'a> {
    home: &'a Home,
    /// The machines to be asked; none for whoever uses the node of the own machine.
    places: &'a [&'a str],
    /// How many files and programs were made.
    made: u64,
}

impl<'a> Submitter<'a> {
    /// Somebody without a node.
    pub(super) fn guest(home: &'a Home, places: &'a [&'a str]) -> Self {
        Self { home, places, made: 0 }
    }

    /// The owner of a node.
    pub(super) fn owner(home: &'a Home) -> Self {
        Self { home, places: &["local"], made: 0 }
    }

    /// One job after the other.
    pub(super) fn submit_until(mut self, over: &AtomicBool, mut random: Random, tally: &Tally) {
        // Who finds a job that does not end as it should need not let the others go on.
        let _over = Over(over);
        while !over.load(Ordering::Relaxed) {
            let place = *random.of_these(self.places);
            match random.below(12) {
                0 => self.says("a module", place, &["weave"], tally),
                1 => self.compiles(place, tally),
                2 => self.ends("a loop", place, "(loop $again (br $again))", &["--timeout", "400ms"], 124, tally),
                3 => self.ends("a loop with fuel", place, "(loop $again (br $again))", &["--fuel", "50M"], 137, tally),
                4 => self.ends("a trap", place, "unreachable", &[], 134, tally),
                5 => self.ends("a code", place, "(call $exit (i32.const 42))", &[], 42, tally),
                6 => self.makes_files(place, tally),
                7 => self.reads_input(place, &mut random, tally),
                8 => self.streams(place, tally),
                9 => self.has_session(place, tally),
                10 => self.attaches_folder(place, tally),
                _ => self.gives_up(place, &mut random, tally),
            }
        }
    }

    fn fresh(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}", self.made)
    }

    #[track_caller]
    fn says(&self, kind: &'static str, place: &str, programs: &[&str], tally: &Tally) {
        for program in programs {
            let finished = self.home.run(["--on", place]).arg(guest(program)).arg("1").finish();
            judged(kind, &finished, 0, tally).then(|| assert_eq!(finished.out(), "0\n"));
        }
    }

    /// A module that nobody has compiled before.
    #[track_caller]
    fn compiles(&mut self, place: &str, tally: &Tally) {
        let name = self.fresh("fresh");
        let said = format!("{name} of {}", self.home.root().display());
        let text = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 1) (data (i32.const 16) "{said}")
                (func (export "_start") (i32.store (i32.const 0) (i32.const 16))
                    (i32.store (i32.const 4) (i32.const {}))
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
            said.len()
        );
        let program = module(self.home, &format!("{name}.wasm"), &text);
        let finished = self.home.run(["--on", place, &program]).finish();
        judged("a new module", &finished, 0, tally).then(|| assert_eq!(finished.out(), said));
    }

    #[track_caller]
    fn ends(&self, kind: &'static str, place: &str, body: &str, options: &[&str], code: i32, tally: &Tally) {
        let program = command(self.home, &format!("ends-{code}.wasm"), body);
        let finished = self.home.run(["--on", place]).args(options).arg(program).finish();
        judged(kind, &finished, code, tally);
    }

    /// Some hundred files, which come back.
    #[track_caller]
    fn makes_files(&mut self, place: &str, tally: &Tally) {
        let out = self.fresh("out");
        self.home.write("files.py", format!("for n in range({FILES}): open(f'file-{{n}}', 'w').write(str(n))\n"));
        let finished = self.home.run(["--on", place, "-o", &out, "files.py"]).finish();
        let out = self.home.work().join(out);
        if judged("many files", &finished, 0, tally) {
            let came = fs::read_dir(&out).expect("the files came back").count();
            assert_eq!(came, FILES, "{finished}");
            let last = fs::read_to_string(out.join(format!("file-{}", FILES - 1))).expect("it came back");
            assert_eq!(last, (FILES - 1).to_string());
        }
        // It may not have come to be.
        let _removed = fs::remove_dir_all(out);
    }

    /// An input that nobody has.
    #[track_caller]
    fn reads_input(&self, place: &str, random: &mut Random, tally: &Tally) {
        let bytes: Vec<u8> = (0..INPUT_LEN / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
        self.home.write("input.bin", bytes);
        self.home.write("sum.py", "print(sum(open('input.bin', 'rb').read()))\n");
        let finished = self.home.run(["--on", place, "-f", "input.bin", "sum.py"]).finish();
        judged("an input", &finished, 0, tally).then(|| assert_eq!(finished.out(), format!("{sum}\n")));
    }

    /// A folder, whose files are linked to where a job can read them.
    #[track_caller]
    fn attaches_folder(&mut self, place: &str, tally: &Tally) {
        let text = self.fresh("text");
        self.home.write("folder/deep/text.txt", &text);
        let run = self.home.run(["--on", place, "--mount", "folder::/data"]).arg(guest("look"));
        let finished = run.args(["--read", "/data/deep/text.txt"]).finish();
        let said = format!("read /data/deep/text.txt: {text}\n");
        judged("a folder", &finished, 0, tally).then(|| assert!(finished.out().contains(&said), "{finished}"));
    }

    /// What goes in comes out, whole or with a failure.
    #[track_caller]
    fn streams(&self, place: &str, tally: &Tally) {
        let text = "what goes in comes out\n".repeat(10_000);
        let finished = self.home.run(["--on", place]).arg(guest("cat")).input(text.clone()).finish();
        let whole = judged("a stream", &finished, 0, tally);
        assert!(text.starts_with(&finished.out()), "what came out is not what went in");
        assert!(!whole || finished.out() == text, "{} of {} bytes came out", finished.stdout.len(), text.len());
    }

    /// A session whose turns count; one that did not end well has not counted.
    #[track_caller]
    fn has_session(&mut self, place: &str, tally: &Tally) {
        let name = self.fresh("session");
        let on: &[&str] = if place == "local" { &[] } else { &["--on", place] };
        let opened = self.home.potluck(["session", "new", "--name", &name]).args(on).finish();
        if !judged("a session", &opened, 0, tally) {
            return;
        }
        let id = opened.out().trim().to_owned();
        let (mut counted, mut is_sure) = (0, true);
        for turn in 0..4 {
            let code = if turn == 0 { "x = 1; x" } else { "x += 1; x" };
            let finished = self.home.potluck(["session", "run", &id]).args(on).arg(code).finish();
            if judged("a turn", &finished, 0, tally) {
                let now: u32 = finished.out().trim().parse().expect("it prints a number");
                let right = now == counted + 1 || (!is_sure && now == counted);
                assert!(right, "{counted} turns have counted: {finished}");
                (counted, is_sure) = (now, true);
            } else if counted < 2 {
                break;
            } else if finished.err().contains("is what it was before that turn") {
                // Its worker was killed after the turn's end, and before it had said that it had kept what the turn had left.
                is_sure = false;
            }
        }
        let saved = self.home.potluck(["session", "save", &id, "saved.session"]).args(on).finish();
        judged("a session's saving", &saved, 0, tally);
        let stopped = self.home.potluck(["session", "stop", &id]).args(on).finish();
        judged("a session's end", &stopped, 0, tally);
    }

    /// A command that is killed itself.
    fn gives_up(&self, place: &str, random: &mut Random, tally: &Tally) {
        let program = command(self.home, "endless.wasm", "(loop $again (br $again))");
        let mut running = self.home.run(["--on", place, &program]).start();
        let patience = random.pause(PATIENCE_MAX);
        let _ended = holds_within(patience, || !running.is_running());
        running.kill();
        tally.count("a command", "killed");
    }
}

/// Whether a job has ended as it should; if it has not, the failure has a name, and is none of the job's.
#[track_caller]
fn judged(kind: &'static str, finished: &Finished, code: i32, tally: &Tally) -> bool {
    if finished.code() == code {
        tally.count(kind, format!("as it should ({code})"));
        return true;
    }
    assert!(finished.code() == 125 && finished.err().contains("potluck:"), "{kind}: {finished}");
    tally.count_failure(kind, finished);
    false
}
