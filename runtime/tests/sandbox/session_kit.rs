//! Sessions of the pinned interpreter, and turns of them. Python and what is compiled of it come from the cache all Python
//! tests share; see `python.rs` beside this directory.

use crate::kit::{config, request};
use bytes::Bytes;
use potluck_runtime::{
    BuiltIn, Continuation, GuestPath, ImageChoice, Limits, Outcome, OutputStream, Prepared, Program, Ready, RunRequest,
    Runtime, RuntimeConfig, Session, SessionError, SilentWatch, Turn, TurnEvent, TurnLimits, TurnReport,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) prepared: Prepared,
    pub(crate) home: tempfile::TempDir,
}

pub(crate) fn lasting_cache() -> PathBuf {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-data/shared-cache");
    std::env::var_os("POTLUCK_TEST_HOME").map_or(beside, PathBuf::from)
}

impl Bench {
    pub(crate) async fn open(image: &str) -> Self {
        Self::with_ready(image, Ready::none()).await
    }

    /// Workers wait for sessions.
    pub(crate) async fn with_ready(image: &str, ready: Ready) -> Self {
        let home = tempfile::tempdir().unwrap();
        let cache_dir = lasting_cache();
        std::fs::create_dir_all(&cache_dir).unwrap();
        let config = RuntimeConfig { cache_dir, cache_bytes_max: 8 << 30, ready, ..config(home.path()) };
        let runtime = Runtime::open(config).unwrap();
        if !runtime.environments().missing("python").unwrap().is_empty() {
            let wheel = std::env::var_os("POTLUCK_TEST_WHEEL").expect("this test needs POTLUCK_TEST_WHEEL");
            runtime.environments().add_wheel("python", Path::new(&wheel), &SilentWatch).await.unwrap();
        }
        let image = match BuiltIn::named(image) {
            Some(image) => ImageChoice::Recipe(image.recipe()),
            None => ImageChoice::None,
        };
        let entry = GuestPath::parse("main.py").unwrap();
        let program = Program::Script { environment: "python".to_owned(), entry, image };
        let prepared = runtime.prepare(&program, &SilentWatch).await.unwrap_or_else(|error| panic!("{error}"));
        Self { runtime, prepared, home }
    }

    pub(crate) fn request(&self) -> RunRequest {
        request(self.prepared.program().clone())
    }

    pub(crate) async fn session(&self) -> Session {
        self.runtime.open_session(&self.prepared, self.request()).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(crate) async fn restored(&self, path: &Path) -> Result<Session, SessionError> {
        self.runtime.restore_session(path, &self.prepared, self.request(), Continuation::Twin).await
    }
}

pub(crate) struct Said {
    pub(crate) report: TurnReport,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn turn_limits() -> TurnLimits {
    TurnLimits { wall_ms: 60_000, ..TurnLimits::from(&Limits::default()) }
}

/// Runs a turn to its end without input.
pub(crate) async fn turn(session: &mut Session, source: &str) -> Said {
    turn_with(session, source, b"", turn_limits()).await
}

pub(crate) async fn turn_with(session: &mut Session, source: &str, stdin: &'static [u8], limits: TurnLimits) -> Said {
    let mut turn = session.turn(source, limits).await.unwrap_or_else(|error| panic!("{error:?}"));
    let mut pipe = turn.stdin.take().unwrap();
    pipe.write(Bytes::from_static(stdin)).await.unwrap();
    pipe.close().await;
    collect(&mut turn).await
}

pub(crate) async fn collect(turn: &mut Turn<'_>) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let work = async {
        loop {
            match turn.next().await {
                TurnEvent::Output { stream: OutputStream::Stdout, bytes } => out.extend_from_slice(&bytes),
                TurnEvent::Output { stream: OutputStream::Stderr, bytes } => err.extend_from_slice(&bytes),
                TurnEvent::InputWanted => {}
                TurnEvent::Ended(report) => return report,
            }
        }
    };
    let report = tokio::time::timeout(Duration::from_secs(400), work).await.expect("the turn ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { report, out: text(out), err: text(err) }
}

/// What a turn prints that ends well.
pub(crate) async fn out(session: &mut Session, source: &str) -> String {
    let said = turn(session, source).await;
    assert_eq!((said.report.outcome, said.err.as_str()), (Outcome::Exited(0), ""), "{source}: {}", said.out);
    assert!(!said.report.undone);
    said.out
}
