//! Where an attack takes place: a node, an honest job on it that talks before and after, and the attack between.

use crate::sight::is_at_rest;
use potluck_tests::{DEADLINE, Finished, Home, Invocation, Node, Running, join, until};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Answers each line with itself, until its input ends.
const HONEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start") (loop $again
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4096))
        (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (if (i32.eqz (i32.load (i32.const 8))) (then return))
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (br $again))))"#;

/// A node that lends itself, and a peer of it who attacks. The machine's owner tries the same first: nothing that holds for
/// peers is less true for whoever has less to fear.
pub(super) struct Arena {
    /// The peer's, with the files of the attack.
    pub(super) home: Home,
    lender: Home,
}

/// What the machine is called that is attacked.
const LENDER: &str = "attic";

impl Arena {
    pub(super) fn new() -> Self {
        Self { home: Home::new(), lender: Home::new().named(LENDER) }
    }

    pub(super) fn with_python() -> Self {
        Self { home: Home::with_python(), lender: Home::with_python().named(LENDER) }
    }

    /// The same, where the node and all below it may have so many bytes of memory each.
    pub(super) fn with_memory(self, bytes: u64) -> Self {
        Self { lender: self.lender.with_memory(bytes), ..self }
    }

    /// Runs `potluck run --json` with these arguments while an honest job is in the middle of its work.
    #[track_caller]
    pub(super) fn attack(&self, args: &[&str]) -> Attacked {
        self.attack_with(args, Running::finish)
    }

    /// The same, where `end` brings the attacker's command to its end.
    #[track_caller]
    pub(super) fn attack_with(&self, args: &[&str], end: impl Fn(Running) -> Finished) -> Attacked {
        let lender = &self.lender;
        lender.write("honest.wasm", wat::parse_str(HONEST).expect("the honest job is well-formed"));
        let mut node = Node::start(lender);
        join(&node, &self.home);
        // It outlasts both attacks.
        let mut honest = lender.run(["--quiet", "honest.wasm"]).deadline(4 * DEADLINE).start();
        honest.write("before\n");
        honest.wait_for_stdout("before\n");
        let attacked = |attack: Invocation| {
            let attacker = attack.args(args).start();
            lender.potluck(["status"]).finish().expect(0);
            let finished = end(attacker);
            lender.potluck(["status"]).finish().expect(0);
            finished
        };
        let by_owner = attacked(lender.run(["--json"]).within(&self.home.work()));
        self.put_aside_outputs();
        let finished = attacked(self.home.run(["--json", "--on", LENDER]));
        honest.write("after\n");
        honest.wait_for_stdout("after\n");
        let honest = honest.finish();
        assert_eq!(honest.expect(0).out(), "before\nafter\n", "the honest job was told something else");
        until("nothing of any run is left", || is_at_rest(lender).then_some(()));
        let log = node.process().stderr.text();
        assert!(log.len() < LOG_LEN_MAX, "the node's log grew to {} bytes: {:.2000}", log.len(), log);
        node.down();
        Attacked { finished, by_owner }
    }

    /// The peer's attack brings back its own.
    fn put_aside_outputs(&self) {
        let out = self.home.work().join("out");
        if out.exists() {
            fs::rename(&out, self.home.work().join("out-of-owner")).expect("a directory can be renamed");
        }
    }
}

/// The most a node may log of one attack, in bytes.
const LOG_LEN_MAX: usize = 16 << 10;

/// Runs a preview-1 module in its text form under these options.
#[track_caller]
pub(super) fn attack(text: &str, options: &[&str]) -> Attacked {
    attack_bytes(wat::parse_str(text).expect("the attack is well-formed text"), options)
}

/// Runs a program under these options.
#[track_caller]
pub(super) fn attack_bytes(bytes: impl AsRef<[u8]>, options: &[&str]) -> Attacked {
    let arena = Arena::new();
    arena.home.write("attack.wasm", bytes);
    arena.attack(&[options, &["attack.wasm"]].concat())
}

/// Runs a program that lies somewhere, with an argument.
#[track_caller]
pub(super) fn attack_with(program: &Path, argument: &str, options: &[&str]) -> Attacked {
    let program = program.to_str().expect("the path is text");
    Arena::new().attack(&[options, &[program, argument]].concat())
}

/// Runs a Python script under these options.
#[track_caller]
pub(super) fn attack_python(script: &str, options: &[&str]) -> Attacked {
    let arena = Arena::with_python();
    arena.home.write("attack.py", script);
    arena.attack(&[options, &["attack.py"]].concat())
}

/// How an attack ended.
pub(super) struct Attacked {
    /// The peer's.
    pub(super) finished: Finished,
    by_owner: Finished,
}

impl Attacked {
    /// The ends of both, and what each command said.
    fn both(&self) -> [(&Finished, Value); 2] {
        [&self.by_owner, &self.finished].map(|finished| (finished, finished.json()["outcome"].clone()))
    }

    /// It was ended by this limit, of which so much was allowed; answers how much was used.
    #[track_caller]
    pub(super) fn limit(&self, name: &str, allowed: u64) -> u64 {
        let mut most = 0;
        for (finished, outcome) in self.both() {
            assert_eq!((&outcome["kind"], &outcome["limit"]), (&"limit".into(), &name.into()), "{finished}");
            assert_eq!(outcome["allowed"], allowed, "{finished}");
            let used = outcome["used"].as_u64();
            let used = used.unwrap_or_else(|| panic!("it is not said how much was used: {outcome}"));
            assert!(used >= allowed, "{used} of {allowed}: {finished}");
            finished.expect(if name == "wall_time" { 124 } else { 137 });
            most = used.max(most);
        }
        most
    }

    /// Its wall time ended it, and not long after it was over.
    #[track_caller]
    pub(super) fn wall_time(&self, allowed: u64) {
        let used = self.limit("wall_time", allowed);
        assert!(used < allowed + 2000, "{used} ms of {allowed}");
    }

    /// It ended by itself with this code.
    #[track_caller]
    pub(super) fn exited(&self, code: i32) -> &Self {
        for (finished, outcome) in self.both() {
            assert_eq!((&outcome["kind"], &outcome["code"]), (&"exited".into(), &code.into()), "{finished}");
        }
        self
    }

    /// It did what WebAssembly forbids.
    #[track_caller]
    pub(super) fn trapped(&self, why: &str) -> &Self {
        for (finished, outcome) in self.both() {
            let said = outcome["why"].as_str().unwrap_or_default();
            assert!(outcome["kind"] == "trapped" && said.contains(why), "{finished}");
            finished.expect(134);
        }
        self
    }

    /// It was not run, and it was said why.
    #[track_caller]
    pub(super) fn refused(&self, says: &[&str]) -> &Self {
        self.by_owner.expect(126).says(says);
        self.finished.expect(126).says(says);
        self
    }

    /// What it printed.
    #[track_caller]
    pub(super) fn printed(&self) -> String {
        self.finished.json()["stdout"].as_str().unwrap_or_default().to_owned()
    }

    /// What it printed to stderr.
    #[track_caller]
    pub(super) fn complained(&self, text: &str) -> &Self {
        for finished in [&self.by_owner, &self.finished] {
            let said = finished.json()["stderr"].as_str().unwrap_or_default().to_owned();
            assert!(said.contains(text), "{finished}");
        }
        self
    }
}
