//! What becomes of a session whose worker is killed in the worst moment: while it keeps what the session is.

use crate::endings::{children, is_running};
use crate::kit::{Test, block_on};
use crate::session_kit::{Bench, collect, lasting_cache, out, turn_limits};
use potluck_runtime::{Outcome, Ready, SessionError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) const TESTS: &[Test] = &[
    ("session_whose_worker_is_killed_while_it_keeps_is_lost_by_name_and_alone", killed_keeping),
    ("session_whose_worker_is_killed_while_it_opens_opens_with_another_or_not_at_all", killed_opening),
];

/// What is compiled, which all share, and when it was.
fn compiled() -> Vec<(PathBuf, SystemTime)> {
    let entries = std::fs::read_dir(lasting_cache().join("code")).unwrap().flatten();
    let codes = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "code"));
    codes.map(|path| (path.clone(), made(&path).unwrap())).collect()
}

fn made(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

#[track_caller]
fn assert_stays(compiled: &[(PathBuf, SystemTime)]) {
    let stays = compiled.iter().all(|(path, before)| made(path) == Some(*before));
    assert!(stays, "what is compiled stays as it is");
}

fn workers() -> Vec<u32> {
    children(std::process::id()).into_iter().filter(|pid| is_running(*pid)).collect()
}

/// It may end by itself meanwhile.
fn kill(pid: u32) {
    let _ignored = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).output();
}

fn kill_workers() {
    workers().into_iter().for_each(kill);
}

fn killed_keeping() {
    const TRIES: u64 = 200;
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let before = compiled();
        let (mut lost, mut tries) = (0, 0);
        while lost == 0 {
            assert!(tries < TRIES, "no worker was killed in the middle of keeping anything");
            let mut session = bench.session().await;
            out(&mut session, "x = 1").await;
            let mut turn = session.turn("x = 2; big = bytearray(200 << 20)", turn_limits()).await.unwrap();
            let ended = collect(&mut turn).await;
            assert_eq!(ended.report.outcome, Outcome::Exited(0), "{}", ended.err);
            drop(turn);
            std::thread::sleep(Duration::from_millis(tries % 20 * 5));
            kill_workers();
            // What is told first may be that of the worker, which is gone; from then on the session is whole, or is not.
            let first = session.turn("x", turn_limits()).await.map(drop);
            let now = match first {
                Err(SessionError::Half(_)) => first,
                _ => session.turn("x", turn_limits()).await.map(drop),
            };
            match now {
                Err(SessionError::Half(_)) => lost += 1,
                Err(error) => panic!("{error:?}"),
                Ok(()) => assert!(["1\n", "2\n"].contains(&out(&mut session, "x").await.as_str())),
            }
            tries += 1;
        }
        assert_stays(&before);
    });
}

fn killed_opening() {
    const TRIES: u64 = 400;
    block_on(async {
        let ready = Ready { spares_max: 2, kept_max: 0, idle: Duration::from_secs(60) };
        let bench = Bench::with_ready("interpreter", ready).await;
        bench.session().await.close().await;
        let before = compiled();
        let mut opened = 0;
        for each in 0..TRIES {
            // A dead one that nobody asked for anything yet counts as one that waits.
            for _ in 0..20 {
                if workers().len() >= 2 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let killing = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(each % 200 * 50));
                // One of them, the one that opens the session or not; the other is there for it.
                workers().first().into_iter().for_each(|pid| kill(*pid));
            });
            match bench.runtime.open_session(&bench.prepared, bench.request()).await {
                Ok(session) => {
                    opened += 1;
                    session.close().await;
                }
                Err(error) => assert!(matches!(error, SessionError::Worker(_)), "{error:?}"),
            }
            killing.join().unwrap();
            assert_stays(&before);
        }
        assert!(opened > 0);
    });
}
