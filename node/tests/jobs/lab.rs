//! Machines for tests: each has directories of its own, and what runs on it can be counted.

use bytes::Bytes;
use potluck_node::Node;
use potluck_node::client::{Client, ClientConfig, Job, JobEvent, JobStdin};
use potluck_node::config::{Config, PortChoice, Settings};
use potluck_node::identity::NodeId;
use potluck_node::net::dial;
use potluck_node::net::link::Link;
use potluck_node::net::quic::QuicEndpoint;
use potluck_node::paths::Paths;
use potluck_node::trust::book::BookStore;
use potluck_node::trust::invitations::Grant;
use potluck_node::wire::Ended;
use potluck_runtime::{Outcome, OutputStream, WorkerCommand};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Copies stdin to stdout until its end.
pub(crate) const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func (export "_start")
    (loop $more
      (i32.store (i32.const 0) (i32.const 4096))
      (i32.store (i32.const 4) (i32.const 131072))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.eqz (i32.load (i32.const 8))) (then return))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (loop $rest
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 8))))
        (i32.store (i32.const 4) (i32.sub (i32.load (i32.const 4)) (i32.load (i32.const 8))))
        (br_if $rest (i32.load (i32.const 4))))
      (br $more))))"#;

/// Computes and says nothing.
pub(crate) const SPIN: &str =
    r#"(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))"#;

/// Writes to stdout as fast as it is read, and never reads.
pub(crate) const FLOOD: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 65536))
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $again))))"#;

/// Copies `/data/a/in.txt` (the first folder, which is descriptor 5) to `out.txt` and to stdout.
pub(crate) const COPY: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "a/in.txt")
  (data (i32.const 96) "out.txt")
  (func $must (param $error i32)
    (if (local.get $error) (then (call $exit (local.get $error)))))
  (func (export "_start")
    (call $must (call $open (i32.const 5) (i32.const 0) (i32.const 64) (i32.const 8) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
    (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 96) (i32.const 7) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 20)))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 4096))
    (call $must (call $read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (call $must (call $write (i32.load (i32.const 20)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// A machine with a name; its node runs between [`Machine::up`] and [`Machine::down`].
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) dir: tempfile::TempDir,
    paths: Paths,
    node: Option<Node>,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub(crate) fn with(name: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(&dir.path().join("home"));
        let mut config = Settings::default().resolve().unwrap();
        config.name = name.into();
        config.port = PortChoice::Exactly(0);
        config.discovery = None;
        change(&mut config);
        // The argument does nothing but tell this machine's workers from others.
        let worker = WorkerCommand { program: worker_program(), args: vec![dir.path().into()] };
        let client = Client::open(ClientConfig { paths: paths.clone(), config, worker });
        Self { name: name.into(), client, dir, paths, node: None }
    }

    pub(crate) async fn up(&mut self) {
        self.paths.create().unwrap();
        let jobs = Arc::new(self.client.job_service().unwrap());
        self.node = Some(Node::start(&self.paths, self.client.config().clone(), jobs).await.unwrap());
    }

    pub(crate) async fn down(&mut self) {
        if let Some(node) = self.node.take() {
            node.shutdown().await;
        }
    }

    /// The node ends without a word to anyone.
    pub(crate) fn kill(&mut self) {
        self.node = None;
    }

    pub(crate) async fn wait_for_stop(&mut self) {
        if let Some(node) = &self.node {
            node.wait().await;
        }
        self.down().await;
    }

    pub(crate) fn id(&self) -> NodeId {
        self.client.identity().unwrap().id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.node.as_ref().unwrap().port()
    }

    /// A connection of this machine's to `other`, and what carries it.
    pub(crate) async fn link_to(&self, other: &Machine) -> (QuicEndpoint, Link) {
        let identity = self.client.identity().unwrap();
        let book = BookStore::in_dir(&self.paths.data_dir).read().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, other.port()));
        dial(&identity, &book, other.id(), &[address]).await.unwrap()
    }

    /// Becomes a member of `other`'s group.
    pub(crate) async fn join(&self, other: &Machine) {
        let ticket = other.client.invite(Duration::from_secs(600), Grant::Enters).await.unwrap().ticket;
        self.client.join(&ticket).await.unwrap();
    }

    /// Writes a program that others can be given the path of.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        path
    }

    /// Worker processes that this machine has now and that have a job: they hold its working directory.
    pub(crate) fn workers(&self) -> usize {
        let mark = self.dir.path().as_os_str().as_encoded_bytes();
        let is_worker = |process: &Path| {
            let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == mark)
        };
        let has_job = |process: &Path| {
            let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            let mut files = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            files.any(|file| file.starts_with(&self.paths.scratch_dir))
        };
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
        processes.filter(|process| is_worker(process) && has_job(process)).count()
    }

    fn leftovers(&self) -> usize {
        let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_worker =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"worker-"));
        let inside = entries(&self.paths.scratch_dir).flat_map(|owner| entries(&owner).collect::<Vec<_>>());
        let (workers, runs): (Vec<PathBuf>, Vec<PathBuf>) = inside.filter(|path| path.is_dir()).partition(is_worker);
        let runs = runs.len() + workers.iter().map(|worker| entries(worker).count()).sum::<usize>();
        runs + entries(&self.paths.data_dir.join("mounts")).count()
    }

    /// Waits until nothing of any job is left: no process and no directory.
    pub(crate) async fn is_clean(&self) {
        wait_until(async || self.workers() == 0 && self.leftovers() == 0).await;
    }
}

fn worker_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/worker");
    assert!(program.exists(), "run `cargo build --release -p potluck-node --example worker` first");
    program
}

/// What a job did.
pub(crate) struct End {
    pub(crate) ended: Ended,
    pub(crate) stdout: Vec<u8>,
    pub(crate) bytes_sent: u64,
}

impl End {
    pub(crate) fn outcome(&self) -> Outcome {
        self.ended.report.outcome.clone()
    }
}

pub(crate) async fn next(job: &mut Job) -> JobEvent {
    tokio::time::timeout(PATIENCE, job.events.next()).await.unwrap().unwrap().unwrap()
}

pub(crate) async fn until_started(job: &mut Job) {
    while !matches!(next(job).await, JobEvent::Started) {}
}

pub(crate) async fn ended(job: &mut Job) -> End {
    let (mut stdout, mut bytes_sent) = (Vec::new(), 0);
    loop {
        match next(job).await {
            JobEvent::Output { stream: OutputStream::Stdout, bytes } => stdout.extend_from_slice(&bytes),
            JobEvent::Sending { done, .. } => bytes_sent = done,
            JobEvent::Ended(ended) => return End { ended, stdout, bytes_sent },
            JobEvent::Output { .. }
            | JobEvent::Accepted { .. }
            | JobEvent::Stage(_)
            | JobEvent::Started
            | JobEvent::Said(_)
            | JobEvent::OutputFile { .. } => {}
        }
    }
}

/// Writes to a job's stdin until nobody takes it any more, or `pieces` of 256 KiB were written; returns how many were.
pub(crate) fn feed(mut stdin: JobStdin, pieces: usize) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut written = 0;
        while written < pieces && stdin.write(Bytes::from(vec![7; 1 << 18])).await.is_ok() {
            written += 1;
        }
        written
    })
}

pub(crate) async fn wait_until(condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited for {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
