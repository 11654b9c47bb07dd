//! The load: two maps, of a compiled program and of a script, each of whose tasks has a result that follows from its own input
//! alone, and the commands that collect them.

use crate::random::Random;
use crate::sight::module;
use potluck_tests::{Finished, Home, Running, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Longer than any storm: a command ends when all is done, or its node is gone.
const COMMAND_DEADLINE: Duration = Duration::from_secs(3600);
/// How often the same command may be needed once the storm is over: what was lost in it is run again.
const ROUNDS_MAX: u32 = 4;

/// Reads a number from the file that its argument names, steps it on as often as its last bits say, some milliseconds long,
/// and prints what it came to.
const STEPS: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $must (param $error i32) (if (local.get $error) (then unreachable)))
    (func (export "_start") (local $name i32) (local $len i32) (local $number i64) (local $left i64)
        (call $must (call $args (i32.const 1024) (i32.const 2048)))
        (local.set $name (i32.load (i32.const 1028)))
        (loop $longer (if (i32.load8_u (i32.add (local.get $name) (local.get $len)))
            (then (local.set $len (i32.add (local.get $len) (i32.const 1))) (br $longer))))
        (call $must (call $open (i32.const 3) (i32.const 0) (local.get $name) (local.get $len) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))
        (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 8))
        (call $must (call $read (i32.load (i32.const 0)) (i32.const 8) (i32.const 1) (i32.const 16)))
        (call $must (i32.ne (i32.load (i32.const 16)) (i32.const 8)))
        (local.set $number (i64.load (i32.const 64)))
        (local.set $left (i64.add (i64.const 2000000)
            (i64.mul (i64.and (local.get $number) (i64.const 15)) (i64.const 600000))))
        (loop $step
            (local.set $number (i64.add (i64.const 1442695040888963407)
                (i64.mul (local.get $number) (i64.const 6364136223846793005))))
            (local.set $left (i64.sub (local.get $left) (i64.const 1)))
            (br_if $step (i64.ne (local.get $left) (i64.const 0))))
        (i64.store (i32.const 64) (local.get $number))
        (call $must (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))"#;

/// Prints three times the number in the file that its argument names, so often that a home keeps it in a file, and puts four
/// times it into one of its own.
const TIMES: &str = "\
import sys
number = int.from_bytes(open(sys.argv[1], 'rb').read(), 'little')
for _ in range(2000):
    print(number * 3)
open('made.txt', 'w').write(str(number * 4))
";

/// Both maps of one home, and their commands.
pub(super) struct Load<'home> {
    pub(super) home: &'home Home,
    pub(super) maps: [Map; 2],
    commands: [Option<Running>; 2],
    /// Whether each has come to its end.
    done: [bool; 2],
    /// How often a command was run, was killed, and found its node gone.
    run: u64,
    killed: u64,
    left_alone: u64,
    /// Tasks that the machines failed more often than is borne; they were given again.
    lost: u64,
}

/// A map, and what its tasks come to.
pub(super) struct Map {
    program: String,
    list: String,
    /// The folder of its results.
    pub(super) out: &'static str,
    /// What lies where in that folder when all is done.
    pub(super) results: BTreeMap<PathBuf, Vec<u8>>,
    /// The names of its tasks.
    pub(super) tasks: Vec<String>,
}

impl<'home> Load<'home> {
    /// So many tasks of each map, whose inputs follow from the seed.
    pub(super) fn new(home: &'home Home, seed: u64, compiled: u64, scripts: u64) -> Self {
        let program = module(home, "steps.wasm", STEPS);
        let steps = |number: u64, name: &str| vec![(format!("{name}.out"), stepped(number).to_le_bytes().to_vec())];
        let compiled = Map::new(home, ("steps", program), &mut Random::of(seed, 1), compiled, steps);
        home.write("times.py", TIMES);
        let times = |number: u64, name: &str| {
            let number = u128::from(number);
            let files = [
                (format!("{name}.out"), format!("{}\n", number * 3).repeat(2000)),
                (format!("{name}/made.txt"), (number * 4).to_string()),
            ];
            files.map(|(name, text)| (name, text.into_bytes())).to_vec()
        };
        let scripts = Map::new(home, ("times", "times.py".to_owned()), &mut Random::of(seed, 2), scripts, times);
        let (maps, commands, done) = ([compiled, scripts], [None, None], [false; 2]);
        Self { home, maps, commands, done, run: 0, killed: 0, left_alone: 0, lost: 0 }
    }

    pub(super) fn tasks(&self) -> usize {
        self.maps.iter().map(|map| map.tasks.len()).sum()
    }

    /// Runs the command of each map that has none and is not done. The node answers.
    pub(super) fn start(&mut self) {
        for (number, map) in self.maps.iter().enumerate() {
            if self.commands[number].is_none() && !self.done[number] {
                self.commands[number] = Some(map.command(self.home));
                self.run += 1;
            }
        }
    }

    /// Kills one of the commands, and runs it again at once or with the next look.
    pub(super) fn kill(&mut self, random: &mut Random) {
        let number = usize::try_from(random.below(2)).expect("one of two");
        if let Some(mut command) = self.commands[number].take_if(Running::is_running) {
            command.kill();
            self.killed += 1;
            if random.below(2) == 0 {
                self.start();
            }
        }
    }

    /// Takes in what commands that have ended came to, while their node was there.
    #[track_caller]
    pub(super) fn look(&mut self) {
        for number in 0..self.commands.len() {
            if let Some(ended) = self.commands[number].take_if(|command| !command.is_running()) {
                self.ended(number, &ended.finish());
            }
        }
    }

    /// The node has been killed: no command may hang for that. One that had not asked for it yet has started another in the
    /// background, and is killed with it.
    #[track_caller]
    pub(super) fn node_is_gone(&mut self) {
        let home = self.home;
        let in_background = || {
            let all = potluck_tests::processes_of(home.root()).into_iter();
            all.filter(|process| process.command.contains("--in-background")).collect::<Vec<_>>()
        };
        for number in 0..self.commands.len() {
            let Some(mut command) = self.commands[number].take() else { continue };
            until("a command ends without its node, or has started another", || {
                (!command.is_running() || !in_background().is_empty()).then_some(())
            });
            if command.is_running() {
                command.kill();
                self.killed += 1;
                continue;
            }
            let finished = command.finish();
            if finished.code() == 125 {
                finished.says(&["node"]);
                self.left_alone += 1;
            } else {
                self.ended(number, &finished);
            }
        }
        in_background().iter().for_each(potluck_tests::Process::kill);
        until("a node in the background is gone", || in_background().is_empty().then_some(()));
    }

    /// Runs both commands to the end, again for what was lost; how often.
    #[track_caller]
    pub(super) fn finish(&mut self) -> u32 {
        for round in 1..=ROUNDS_MAX {
            self.start();
            for number in 0..self.commands.len() {
                if let Some(command) = self.commands[number].take() {
                    self.ended(number, &command.finish());
                }
            }
            if self.done == [true; 2] {
                return round;
            }
        }
        panic!("tasks are lost though nothing is amiss any more: {self}");
    }

    /// A command has come to its map's end. Nothing may have happened to a task but that the machines failed it.
    #[track_caller]
    fn ended(&mut self, number: usize, finished: &Finished) {
        assert!(matches!(finished.code(), 0 | 1), "{finished}");
        let object = finished.json();
        let count = |key: &str| object[key].as_u64().unwrap_or_else(|| panic!("no count {key}: {object:#}"));
        let total = self.maps[number].tasks.len() as u64;
        assert_eq!(count("total"), total, "{object:#}");
        assert_eq!(count("done") + count("skipped") + count("lost"), total, "{finished}");
        let machines = object["machines"].as_object().expect("machines").values().filter_map(Value::as_u64);
        assert_eq!(machines.sum::<u64>(), count("done"), "{object:#}");
        self.lost += count("lost");
        self.done[number] = finished.code() == 0;
        assert_eq!(self.done[number], count("lost") == 0, "{finished}");
    }
}

impl Map {
    fn new(
        home: &Home,
        (out, program): (&'static str, String),
        random: &mut Random,
        tasks: u64,
        results_of: impl Fn(u64, &str) -> Vec<(String, Vec<u8>)>,
    ) -> Self {
        let (mut names, mut results, mut list) = (Vec::new(), BTreeMap::new(), String::new());
        for task in 0..tasks {
            let (name, number) = (format!("{out}-{task}"), random.next());
            home.write(&format!("inputs/{name}.bin"), number.to_le_bytes());
            list.push_str(&format!("inputs/{name}.bin\n"));
            results.extend(results_of(number, &name).into_iter().map(|(path, bytes)| (PathBuf::from(path), bytes)));
            names.push(name);
        }
        let file = format!("{out}.list");
        home.write(&file, list);
        Self { program, list: file, out, results, tasks: names }
    }

    fn command(&self, home: &Home) -> Running {
        let map = home.potluck(["map", "--json", "-k", "-o", self.out, "--inputs", &self.list, &self.program]);
        map.deadline(COMMAND_DEADLINE).start()
    }

    /// All that lies in the folder of results.
    pub(super) fn found(&self, home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
        let dir = home.work().join(self.out);
        let mut found = BTreeMap::new();
        let mut dirs = vec![dir.clone()];
        while let Some(next) = dirs.pop() {
            for entry in fs::read_dir(&next).expect("the folder of results can be read").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    let bytes = fs::read(&path).expect("a result can be read");
                    found.insert(path.strip_prefix(&dir).expect("it lies there").to_owned(), bytes);
                }
            }
        }
        found
    }
}

/// What a number comes to after its steps, by squaring one step instead of taking them.
fn stepped(mut number: u64) -> u64 {
    let mut left = 2_000_000 + (number & 15) * 600_000;
    let (mut factor, mut term) = (6_364_136_223_846_793_005_u64, 1_442_695_040_888_963_407_u64);
    while left > 0 {
        if left & 1 == 1 {
            number = number.wrapping_mul(factor).wrapping_add(term);
        }
        term = term.wrapping_mul(factor.wrapping_add(1));
        factor = factor.wrapping_mul(factor);
        left >>= 1;
    }
    number
}

impl fmt::Display for Load<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, killed, left_alone, lost, .. } = self;
        write!(f, "{run} commands, of which {killed} were killed and {left_alone} lost their node; {lost} tasks lost")
    }
}
