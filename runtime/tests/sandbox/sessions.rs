//! Sessions of the pinned interpreter: what lasts from turn to turn, what a turn cannot break, and where a state may go on.
//! Python and what is compiled of it come from the cache all Python tests share; see `python.rs` beside this directory.

use crate::kit::{Test, block_on, config, request};
use bytes::Bytes;
use potluck_runtime::{
    BuiltIn, GuestPath, ImageChoice, LimitKind, Limits, Outcome, OutputStream, Prepared, Program, RunRequest, Runtime,
    RuntimeConfig, Session, SessionError, SilentWatch, TurnEvent, TurnLimits, TurnReport,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("session_keeps_variables_and_shows_the_last_expression", variables),
    ("session_survives_a_traceback", traceback),
    ("session_turn_reads_its_own_stdin", stdin),
    ("session_turn_that_passes_a_limit_is_undone", limits),
    ("session_turn_is_interrupted_and_the_session_goes_on", interrupt),
    ("session_can_be_interrupted_at_any_moment", any_moment),
    ("session_turn_that_heeds_no_interrupt_is_undone", unheeded),
    ("session_turn_that_is_dropped_is_undone", dropped),
    ("session_ends_when_its_turn_says_so", quit),
    ("session_fork_is_independent_both_ways", fork),
    ("session_can_be_forked_more_often_than_it_has_layers", forks),
    ("session_goes_on_from_a_file", save),
    ("session_parked_goes_on_with_the_next_turn", park),
    ("session_in_a_file_that_does_not_fit_is_refused", refusals),
    ("session_with_open_files_is_not_saved", open_files),
];

struct Bench {
    runtime: Runtime,
    prepared: Prepared,
    home: tempfile::TempDir,
}

fn lasting_cache() -> PathBuf {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-data/shared-cache");
    std::env::var_os("POTLUCK_TEST_HOME").map_or(beside, PathBuf::from)
}

impl Bench {
    async fn open(image: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let cache_dir = lasting_cache();
        std::fs::create_dir_all(&cache_dir).unwrap();
        let runtime =
            Runtime::open(RuntimeConfig { cache_dir, cache_bytes_max: 8 << 30, ..config(home.path()) }).unwrap();
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

    fn request(&self) -> RunRequest {
        request(self.prepared.program().clone())
    }

    async fn session(&self) -> Session {
        self.runtime.open_session(&self.prepared, self.request()).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    async fn restored(&self, path: &Path) -> Result<Session, SessionError> {
        self.runtime.restore_session(path, &self.prepared, self.request()).await
    }
}

struct Said {
    report: TurnReport,
    out: String,
    err: String,
}

fn turn_limits() -> TurnLimits {
    TurnLimits { wall_ms: 60_000, ..TurnLimits::from(&Limits::default()) }
}

/// Runs a turn to its end without input.
async fn turn(session: &mut Session, source: &str) -> Said {
    turn_with(session, source, b"", turn_limits()).await
}

async fn turn_with(session: &mut Session, source: &str, stdin: &'static [u8], limits: TurnLimits) -> Said {
    let mut turn = session.turn(source, limits).await.unwrap_or_else(|error| panic!("{error:?}"));
    let mut pipe = turn.stdin.take().unwrap();
    pipe.write(Bytes::from_static(stdin)).await.unwrap();
    pipe.close().await;
    collect(&mut turn).await
}

async fn collect(turn: &mut potluck_runtime::Turn<'_>) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let work = async {
        loop {
            match turn.next().await {
                TurnEvent::Output { stream: OutputStream::Stdout, bytes } => out.extend_from_slice(&bytes),
                TurnEvent::Output { stream: OutputStream::Stderr, bytes } => err.extend_from_slice(&bytes),
                TurnEvent::Ended(report) => return report,
            }
        }
    };
    let report = tokio::time::timeout(Duration::from_secs(120), work).await.expect("the turn ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { report, out: text(out), err: text(err) }
}

/// What a turn prints that ends well.
async fn out(session: &mut Session, source: &str) -> String {
    let said = turn(session, source).await;
    assert_eq!((said.report.outcome, said.err.as_str()), (Outcome::Exited(0), ""), "{source}: {}", said.out);
    assert!(!said.report.undone);
    said.out
}

fn variables() {
    block_on(async {
        for image in ["interpreter", "none"] {
            let bench = Bench::open(image).await;
            let mut session = bench.session().await;
            assert_eq!(out(&mut session, "x = 20\ndef f(): return x + 1").await, "");
            assert_eq!(out(&mut session, "f() * 2").await, "42\n");
            assert_eq!(out(&mut session, "print('a'); x").await, "a\n20\n");
            assert_eq!(
                out(&mut session, "import sys, os\n__name__, sys.argv, os.getcwd()").await,
                "('__main__', [''], '/')\n"
            );
            session.close().await;
        }
    });
}

fn traceback() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let said = turn(&mut session, "x = 1\nx / 0").await;
        assert_eq!(said.report.outcome, Outcome::Exited(1));
        assert!(said.err.contains("ZeroDivisionError") && said.err.contains("x / 0"), "{}", said.err);
        assert!(!said.report.undone && !said.report.quit);
        let said = turn(&mut session, "def").await;
        assert!(said.err.contains("SyntaxError"), "{}", said.err);
        assert_eq!(out(&mut session, "x").await, "1\n");
    });
}

fn stdin() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let said = turn_with(&mut session, "a = input(); b = input()", b"one\ntwo\n", turn_limits()).await;
        assert_eq!(said.report.outcome, Outcome::Exited(0), "{}", said.err);
        assert_eq!(
            turn_with(&mut session, "input(), a, b", b"three", turn_limits()).await.out,
            "('three', 'one', 'two')\n"
        );
        let said = turn(&mut session, "input()").await;
        assert!(said.err.contains("EOFError"), "{}", said.err);
        assert_eq!(turn_with(&mut session, "input()", b"four\n", turn_limits()).await.out, "'four'\n");
    });
}

fn limits() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        out(&mut session, "x = ['before']").await;
        let cases = [
            ("x.append(1)\nwhile True: pass", LimitKind::Fuel, TurnLimits { fuel: 1_000_000_000, ..turn_limits() }),
            ("x.append(2)\nwhile True: pass", LimitKind::WallTime, TurnLimits { wall_ms: 300, ..turn_limits() }),
            (
                "x.append(3)\nimport time; time.sleep(60)",
                LimitKind::WallTime,
                TurnLimits { wall_ms: 300, ..turn_limits() },
            ),
            (
                "x.append(4)\nwhile True: print('y' * 1000)",
                LimitKind::Output,
                TurnLimits { output_bytes: 5000, ..turn_limits() },
            ),
            ("x.append(5)\ny = bytearray(1_500_000_000)", LimitKind::Memory, turn_limits()),
        ];
        for (source, kind, limits) in cases {
            let said = turn_with(&mut session, source, b"", limits).await;
            let Outcome::Limit(hit) = &said.report.outcome else { panic!("{source}: {:?} {}", said.report, said.err) };
            assert_eq!(hit.kind, kind);
            assert!(said.report.undone);
            assert_eq!(out(&mut session, "x").await, "['before']\n", "after {source}");
        }
        let said = turn(&mut session, "x.append(6)\nimport os; os._exit(3)").await;
        assert_eq!((said.report.outcome, said.report.undone), (Outcome::Exited(3), true));
        assert_eq!(out(&mut session, "x").await, "['before']\n");
        // Limits are each turn's own.
        let source = "for i in range(100_000): pass";
        let used = turn(&mut session, source).await.report.fuel_used;
        for _ in 0..3 {
            let limits = TurnLimits { fuel: used * 2, ..turn_limits() };
            let said = turn_with(&mut session, source, b"", limits).await;
            assert_eq!(said.report.outcome, Outcome::Exited(0), "{}", said.err);
        }
    });
}

fn interrupt() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let interrupter = session.interrupter();
        interrupter.interrupt();
        out(&mut session, "n = 0\nimport time").await;
        let cases = [
            "while True:\n  n += 1\n  if n == 1: print('go')",
            "print('go')\ntime.sleep(60)",
            "print('go')\ninput()",
            "print('go')\nsorted(range(100000), key=lambda i: time.sleep(0.01))",
            "print('go')\ntry:\n  while True: n += 1\nexcept ValueError: pass",
        ];
        for source in cases {
            let mut turn = session.turn(source, turn_limits()).await.unwrap();
            let TurnEvent::Output { .. } = turn.next().await else { panic!("{source} says it began") };
            interrupter.interrupt();
            let said = collect(&mut turn).await;
            assert!(said.err.contains("KeyboardInterrupt"), "{source}: {:?} {}", said.report, said.err);
            assert_eq!((said.report.outcome, said.report.undone), (Outcome::Exited(1), false), "{source}");
            drop(turn);
            // One for a turn that is over is no other turn's.
            interrupter.interrupt();
            assert_eq!(out(&mut session, "time.sleep(0.05); 'here'").await, "'here'\n");
        }
        assert_eq!(out(&mut session, "n > 0").await, "True\n", "what a turn did before it was interrupted stays");
        // A turn may deal with it.
        let source = "try:\n  print('go')\n  while True: pass\nexcept KeyboardInterrupt: print('caught')";
        let mut turn = session.turn(source, turn_limits()).await.unwrap();
        let TurnEvent::Output { .. } = turn.next().await else { panic!("it says it began") };
        interrupter.interrupt();
        let said = collect(&mut turn).await;
        assert_eq!((said.report.outcome, said.out.as_str()), (Outcome::Exited(0), "caught\n"));
    });
}

fn any_moment() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let interrupter = session.interrupter();
        for round in 0..300 {
            let source = if round % 2 == 0 { "x = sum(range(1000))" } else { "while True: pass" };
            let mut turn = session.turn(source, turn_limits()).await.unwrap();
            let pause = tokio::time::sleep(Duration::from_micros(round / 2 * 20));
            pause.await;
            interrupter.interrupt();
            let said = collect(&mut turn).await;
            drop(turn);
            assert!(matches!(said.report.outcome, Outcome::Exited(0 | 1)), "{round}: {:?} {}", said.report, said.err);
            assert!(!said.report.undone && !said.report.quit);
            assert_eq!(
                said.report.outcome == Outcome::Exited(1),
                said.err.contains("KeyboardInterrupt"),
                "{round} {}",
                said.err
            );
            assert_eq!(out(&mut session, "'here'").await, "'here'\n", "{round}");
        }
    });
}

fn unheeded() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let interrupter = session.interrupter();
        out(&mut session, "x = 1").await;
        // As a long calculation of a library, which does not look.
        let source =
            "x = 2\nimport signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('go')\nwhile True: pass";
        let mut turn = session.turn(source, turn_limits()).await.unwrap();
        let TurnEvent::Output { .. } = turn.next().await else { panic!("it says it began") };
        interrupter.interrupt();
        let said = collect(&mut turn).await;
        drop(turn);
        assert_eq!((said.report.outcome, said.report.undone), (Outcome::Cancelled, true), "{}", said.err);
        assert_eq!(out(&mut session, "x").await, "1\n");
    });
}

fn dropped() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        out(&mut session, "x = 1").await;
        let mut turn = session.turn("x = 2\nprint('go')\nwhile True: pass", turn_limits()).await.unwrap();
        let TurnEvent::Output { .. } = turn.next().await else { panic!("it says it began") };
        drop(turn);
        assert_eq!(out(&mut session, "x").await, "1\n");
    });
}

fn quit() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let said = turn(&mut session, "import sys; sys.exit(4)").await;
        assert_eq!((said.report.outcome, said.report.quit), (Outcome::Exited(4), false));
        let said = turn(&mut session, "quit(3)").await;
        assert_eq!((said.report.outcome, said.report.quit), (Outcome::Exited(3), true));
        session.close().await;
        let left = std::fs::read_dir(bench.home.path().join("scratch")).unwrap().flatten();
        assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0, "its directories go with it");
    });
}

fn fork() {
    block_on(async {
        let bench = Bench::open("data").await;
        let mut session = bench.session().await;
        out(&mut session, "import pandas as pd, random, numpy as np\nframe = pd.DataFrame({'a': [1, 2]})\nx = 1").await;
        out(&mut session, "with open('kept.txt', 'w') as file: file.write('old') and None").await;
        let mut twin = session.fork().await.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(out(&mut twin, "int(frame.a.sum()), x, open('kept.txt').read()").await, "(3, 1, 'old')\n");
        out(&mut session, "x = 2\nframe.loc[0, 'a'] = 10\nopen('kept.txt', 'w').write('new') and None").await;
        assert_eq!(out(&mut twin, "x, int(frame.a.sum()), open('kept.txt').read()").await, "(1, 3, 'old')\n");
        out(&mut twin, "x = 3").await;
        assert_eq!(out(&mut session, "x, int(frame.a.sum()), open('kept.txt').read()").await, "(2, 12, 'new')\n");
        let draw = "random.random(), float(np.random.rand())";
        assert_ne!(out(&mut session, draw).await, out(&mut twin, draw).await);
        session.close().await;
        assert_eq!(out(&mut twin, "x").await, "3\n");
    });
}

fn forks() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let mut twins = Vec::new();
        for turn in 0..20 {
            out(&mut session, &format!("x = {turn}\nold = globals().get('old', []) + [x]")).await;
            twins.push(session.fork().await.unwrap_or_else(|error| panic!("{turn}: {error:?}")));
        }
        for (turn, twin) in twins.iter_mut().enumerate() {
            assert_eq!(out(twin, "x, old == list(range(x + 1))").await, format!("({turn}, True)\n"));
        }
    });
}

fn save() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let file = bench.home.path().join("state.session");
        out(&mut session, "x = [1] * 3000000\nimport random").await;
        session.save(&file).await.unwrap();
        out(&mut session, "x = 2").await;
        session.close().await;
        // Another node's runtime, with directories of its own.
        let other = Bench::open("interpreter").await;
        let (mut one, mut two) = (other.restored(&file).await.unwrap(), other.restored(&file).await.unwrap());
        assert_eq!(out(&mut one, "sum(x)").await, "3000000\n");
        assert_ne!(out(&mut one, "random.random()").await, out(&mut two, "random.random()").await);
        std::fs::remove_file(&file).unwrap();
        out(&mut one, "x = 5").await;
        let said =
            turn_with(&mut one, "x = 6\nwhile True: pass", b"", TurnLimits { wall_ms: 200, ..turn_limits() }).await;
        assert!(said.report.undone);
        assert_eq!(out(&mut one, "x").await, "5\n");
    });
}

fn park() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let file = bench.home.path().join("parked.session");
        out(&mut session, "x = 'kept'; open('file.txt', 'w').write('too') and None").await;
        session.park(&file).await.unwrap();
        assert!(!session.is_awake());
        assert_eq!(out(&mut session, "x, open('file.txt').read()").await, "('kept', 'too')\n");
        assert!(session.is_awake());
    });
}

fn refusals() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let file = bench.home.path().join("state.session");
        session.save(&file).await.unwrap();
        session.close().await;
        let good = std::fs::read(&file).unwrap();
        let spoiled = bench.home.path().join("spoiled.session");
        let refused = async |bytes: &[u8]| {
            std::fs::write(&spoiled, bytes).unwrap();
            match bench.restored(&spoiled).await {
                Err(SessionError::Refused { why, .. }) => why,
                Err(error) => panic!("{error:?}"),
                Ok(_) => panic!("it is not refused"),
            }
        };
        for cut in [1, 100, good.len() / 2, good.len()] {
            refused(&good[..good.len() - cut]).await;
        }
        let mut harmed = good.clone();
        harmed[1 << 20] ^= 1;
        assert!(refused(&harmed).await.contains("damaged"));
        // The record lies behind the memory: its numbers and its interpreter.
        let tail = good.windows(6).rposition(|part| part == b"python").unwrap();
        let mut other = good.clone();
        other[tail - 2] = 9;
        assert!(refused(&other).await.contains("version 9"), "{:?}", &good[tail - 8..]);
        let mut other = good.clone();
        other[tail..tail + 6].copy_from_slice(b"cobol!");
        assert!(refused(&other).await.contains("cobol!"));
        let mut other = good.clone();
        other[tail + 20] ^= 1;
        assert!(refused(&other).await.contains("another interpreter"));
        refused(b"").await;
    });
}

fn open_files() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let file = bench.home.path().join("state.session");
        out(&mut session, "f = open('a.txt', 'w'); x = 1").await;
        for refused in [session.save(&file).await, session.fork().await.map(drop), session.park(&file).await] {
            assert!(matches!(refused, Err(SessionError::FilesOpen(1))), "{refused:?}");
        }
        assert!(!file.exists());
        out(&mut session, "f.close()").await;
        session.save(&file).await.unwrap();
        assert_eq!(out(&mut session, "x").await, "1\n");
    });
}
