//! What a session costs over the owner's socket: a turn, a twin, writing it to a file, going on from one. The node runs in a
//! process of its own; this program is the node and its workers too. It needs the cache with Python that `cargo xtask env`
//! names. `benches/kernel.py` measures a notebook's kernel to set beside it.

use criterion::{BatchSize, Criterion};
use potluck_benches::{NodeProcess, client, has_python, role};
use potluck_node::client::{Client, OpeningEvent, SessionHandle, SessionOpening, Target, TurnEvent};
use potluck_runtime::{BuiltIn, ImageChoice, OutputStream};
use std::path::Path;
use std::process::ExitCode;
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    if let Some(code) = role() {
        return code;
    }
    let directory = TempDir::new().expect("there is a temporary directory");
    let node = NodeProcess::start(directory.path());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system has room");
    let client = client(directory.path());
    let mut criterion = Criterion::default().configure_from_args();
    if has_python(&tokio, &client) {
        turns(&mut criterion, &tokio, &client);
        states(&mut criterion, &tokio, &client, directory.path());
    } else {
        eprintln!("skipped: there is no Python; `eval \"$(cargo xtask env)\"` names a cache with it");
    }
    drop(node);
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn turns(criterion: &mut Criterion, tokio: &Runtime, client: &Client) {
    let session = tokio.block_on(open(client, SessionOpening::new()));
    let mut group = criterion.benchmark_group("session_turn");
    group.bench_function("1+1", |bencher| bencher.iter(|| tokio.block_on(turn(&session, "1+1", "2\n"))));
    group.finish();
    tokio.block_on(session.stop()).expect("it can be ended");
}

fn states(criterion: &mut Criterion, tokio: &Runtime, client: &Client, directory: &Path) {
    let data = ImageChoice::Recipe(BuiltIn::named("data").expect("it is built in").recipe());
    let session = tokio.block_on(open(client, SessionOpening::new().image(data)));
    tokio.block_on(turn(&session, "import pandas as pd; df = pd.DataFrame({'a': range(1000)}); len(df)", "1000\n"));
    let mut group = criterion.benchmark_group("session_state");
    group.sample_size(20);
    let stop = |twin: SessionHandle| tokio.block_on(twin.stop()).expect("it can be ended");
    let stopped = |make: &dyn Fn() -> SessionHandle| {
        let started = std::time::Instant::now();
        let twin = make();
        let elapsed = started.elapsed();
        stop(twin);
        elapsed
    };
    let fork = || tokio.block_on(session.fork(None)).expect("it can be forked");
    group.bench_function("fork_pandas", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| stopped(&fork)).sum())
    });
    let file = directory.join("saved.potluck");
    let save = || tokio.block_on(session.save(&file, &mut |_| {})).expect("it can be saved");
    group.bench_function("save_pandas", |bencher| bencher.iter_batched(|| (), |()| save(), BatchSize::PerIteration));
    let restore = || tokio.block_on(open(client, SessionOpening::new().saved(&file)));
    group.bench_function("restore_pandas", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| stopped(&restore)).sum());
    });
    group.finish();
    stop(session.clone());
}

async fn open(client: &Client, opening: SessionOpening) -> SessionHandle {
    let mut opening = client.open_session(Target::Local, opening).await.expect("the session is taken");
    loop {
        match opening.next().await.expect("there is an end").expect("nothing fails") {
            OpeningEvent::Open(session) => return session,
            OpeningEvent::Job(_) => {}
        }
    }
}

async fn turn(session: &SessionHandle, source: &str, says: &str) {
    let mut turn = session.turn(source, None).await.expect("the turn is taken");
    let mut said = Vec::new();
    loop {
        match turn.next().await.expect("nothing fails") {
            TurnEvent::Output { stream, bytes } => {
                assert_eq!(stream, OutputStream::Stdout, "{}", String::from_utf8_lossy(&bytes));
                said.extend_from_slice(&bytes);
            }
            TurnEvent::Ended(_) => return assert_eq!(String::from_utf8_lossy(&said), says),
            _ => {}
        }
    }
}
