//! Where every attack happens: a node of Ann's that runs jobs, Bob who has some, and Eve who is a member as he is.

use potluck_node::wire::{JobId, JobProgram, SubmitJob};
use potluck_runtime::{Digest, Limits};
use potluck_tests::{Home, Node, Rogue, guest, join, processes_of};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Runtime;

/// What Ann's node may hold of memory at most, whatever happens: some times what it has when nothing does.
const MEMORY_MAX: u64 = 400 << 20;
/// What it may have written to its log.
const LOG_LEN_MAX: usize = 64 << 10;

/// What an attack is given.
pub(super) struct Scene<'a> {
    /// Ann's.
    pub(super) ann: &'a Home,
    /// Where Eve's key lies.
    pub(super) eve: &'a Home,
    /// Whoever is neither.
    pub(super) bob: &'a Home,
    /// Where the node listens.
    pub(super) port: u16,
    /// The node's process.
    pub(super) node: u32,
}

impl Scene<'_> {
    /// Eve, with her pinned key.
    pub(super) fn rogue(&self) -> Rogue {
        Rogue::of(self.eve, self.port)
    }

    /// Bob's job runs and says what it always says.
    #[track_caller]
    pub(super) fn serves_bob(&self) {
        let finished = self.bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish();
        assert_eq!(finished.expect(0).out(), "0\n");
    }

    /// The most memory the node has held.
    pub(super) fn memory(&self) -> u64 {
        let id = i32::try_from(self.node).expect("a process id");
        let node = processes_of(self.ann.root()).into_iter().find(|process| process.id == id);
        node.and_then(|node| node.memory_peak()).expect("the node lives")
    }
}

/// Runs an attack by Eve while Bob goes on with his jobs.
#[track_caller]
pub(super) fn attacked<F: Future<Output = ()>>(attack: impl FnOnce(Rogue) -> F) {
    attacked_in(|scene| Runtime::new().expect("a tokio runtime can be made").block_on(attack(scene.rogue())));
}

/// As [`attacked`], by whoever the attack wants.
#[track_caller]
pub(super) fn attacked_in(attack: impl FnOnce(&Scene<'_>)) {
    attacked_at(Home::new(), attack);
}

/// The same at a node that has Python.
#[track_caller]
pub(super) fn attacked_with_python(attack: impl FnOnce(&Scene<'_>)) {
    attacked_at(Home::with_python(), attack);
}

#[track_caller]
fn attacked_at(ann: Home, attack: impl FnOnce(&Scene<'_>)) {
    let (ann, bob, eve) = (ann.named("ann"), Home::new().named("bob"), Home::new().named("eve"));
    let mut node = Node::start(&ann);
    join(&node, &bob);
    join(&node, &eve);
    let (port, process) = (node.port(), node.process().id());
    let scene = Scene { ann: &ann, eve: &eve, bob: &bob, port, node: process };
    scene.serves_bob();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            // At least once, however quickly the attack is over.
            loop {
                scene.serves_bob();
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack(&scene)));
        over.store(true, Ordering::Relaxed);
        honest.join().expect("Bob is served throughout");
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    scene.serves_bob();
    let memory = scene.memory();
    assert!(memory < MEMORY_MAX, "the node has held {} MiB", memory >> 20);
    let log = node.process().stderr.text();
    assert!(!log.contains("panicked") && log.len() < LOG_LEN_MAX, "{} bytes of log:\n{log:.4000}", log.len());
}

/// A job of a program with these bytes, which Eve may never send.
pub(super) fn job(number: u64, program: &[u8]) -> SubmitJob {
    let mut id = [0xee; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    SubmitJob {
        job: JobId(id),
        program: JobProgram::Wasm { digest: Digest::of(program), size: program.len() as u64, name: "p.wasm".into() },
        args: vec![],
        env: vec![],
        files: vec![],
        directories: vec![],
        mounts: vec![],
        limits: Limits::default(),
        stdin: false,
        outputs: false,
        requires: vec![],
        packages: vec![],
    }
}
