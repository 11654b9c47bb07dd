//! A session from turn to turn: what lasts, and what a turn cannot break.

use crate::kit::{Test, block_on};
use crate::session_kit::{Bench, Said, collect, out, turn, turn_limits, turn_with};
use bytes::Bytes;
use potluck_runtime::{LimitKind, Limits, Outcome, RunRequest, Session, TurnEvent, TurnLimits};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("session_keeps_variables_and_shows_the_last_expression", variables),
    ("session_survives_a_traceback", traceback),
    ("session_turn_reads_its_own_stdin", stdin),
    ("session_says_how_many_turns_it_had_and_what_memory_it_has", facts),
    ("session_turn_says_when_it_waits_for_input", input_wanted),
    ("session_turn_that_passes_a_limit_is_undone", limits),
    ("session_disk_limit_counts_what_was_written_before", disk),
    ("session_turn_is_interrupted_and_the_session_goes_on", interrupt),
    ("session_can_be_interrupted_at_any_moment", any_moment),
    ("session_turn_is_interrupted_also_where_others_take_the_processors", starved),
    ("session_turn_that_heeds_no_interrupt_is_undone", unheeded),
    ("session_turn_that_is_dropped_is_undone", dropped),
    ("session_ends_when_its_turn_says_so", quit),
];

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

/// What happens in a turn whose stdin holds `first` at once, and one of `answers` more each time it waits for input; then
/// its stdin is closed.
async fn conversation(
    session: &mut Session,
    source: &str,
    first: &'static str,
    answers: &[&'static str],
) -> Vec<String> {
    let mut turn = session.turn(source, turn_limits()).await.unwrap();
    let mut stdin = turn.stdin.take();
    stdin.as_mut().unwrap().write(Bytes::from_static(first.as_bytes())).await.unwrap();
    let mut answers = answers.iter();
    let mut events: Vec<String> = Vec::new();
    let mut is_output = false;
    loop {
        let event = tokio::time::timeout(Duration::from_secs(120), turn.next()).await.expect("something happens");
        let was_output = std::mem::replace(&mut is_output, matches!(event, TurnEvent::Output { .. }));
        match event {
            TurnEvent::Output { bytes, .. } if was_output => {
                events.last_mut().unwrap().push_str(std::str::from_utf8(&bytes).unwrap());
            }
            TurnEvent::Output { bytes, .. } => events.push(String::from_utf8(bytes.to_vec()).unwrap()),
            TurnEvent::InputWanted => {
                events.push("wanted".to_owned());
                match answers.next() {
                    Some(answer) => stdin.as_mut().unwrap().write(Bytes::from_static(answer.as_bytes())).await.unwrap(),
                    None => drop(stdin.take()),
                }
            }
            TurnEvent::Ended(_) => return events,
        }
    }
}

fn input_wanted() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let both = "print(input('1? '), input('2? '))";
        let asked = conversation(&mut session, both, "", &["x\n", "y\n"]).await;
        assert_eq!(asked, ["1? ", "wanted", "2? ", "wanted", "x y\n"]);
        assert_eq!(conversation(&mut session, both, "", &["x\ny\n"]).await, ["1? ", "wanted", "2? x y\n"]);
        // A part of a line is no answer.
        assert_eq!(conversation(&mut session, "input()", "", &["x", "y\n"]).await, ["wanted", "wanted", "'xy'\n"]);
        let until_end = "import sys\nprint(input('? '))\nsys.stdin.read()";
        assert_eq!(conversation(&mut session, until_end, "x\n", &[]).await, ["? x\n", "wanted", "''\n"]);
        // Who looks time and again says it once.
        let looks = "import select\nfor _ in range(3): print(len(select.select([0], [], [], 0.01)[0]))";
        let looked: Vec<String> = conversation(&mut session, looks, "x\n", &[]).await;
        assert_eq!(looked, ["1\n1\n1\n"]);
        let looked = conversation(&mut session, looks, "", &["x\n"]).await;
        assert_eq!(looked.iter().filter(|event| *event == "wanted").count(), 1, "{looked:?}");
        // What was sent is on its way, and so is the end.
        for _ in 0..50 {
            assert_eq!(conversation(&mut session, both, "x\ny\n", &[]).await, ["1? 2? x y\n"]);
            let mut turn = session.turn("try: input()\nexcept EOFError: print('end')", turn_limits()).await.unwrap();
            turn.stdin = None;
            let TurnEvent::Output { .. } = turn.next().await else { panic!("it prints first") };
            let TurnEvent::Ended(_) = turn.next().await else { panic!("it ends then") };
        }
    });
}

fn facts() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let fresh = session.memory_bytes();
        assert!(session.turns() == 0 && fresh > 1 << 20 && session.is_awake());
        out(&mut session, "x = bytearray(50_000_000)").await;
        let grown = session.memory_bytes();
        assert!((50_000_000..fresh + 60_000_000).contains(&grown), "{fresh} {grown}");
        let mut undone = session.turn("y = bytearray(90_000_000)\nprint('go')\ninput()", turn_limits()).await.unwrap();
        let TurnEvent::Output { .. } = undone.next().await else { panic!("it says it began") };
        drop(undone);
        assert!(!session.is_awake());
        assert_eq!((session.turns(), session.memory_bytes()), (2, grown), "nothing of that turn is left");
        session.park(&bench.home.path().join("parked.session")).await.unwrap();
        assert_eq!(session.memory_bytes(), grown, "it has that when it is woken");
        let twin = session.fork().await.unwrap();
        assert_eq!((twin.turns(), twin.memory_bytes()), (0, session.memory_bytes()));
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
            // Twelve seconds of a processor, which others may want as well.
            (
                "x.append(6)\nimport os\nwhile True: os.urandom(1 << 24)",
                LimitKind::RandomBytes,
                TurnLimits { wall_ms: 300_000, ..turn_limits() },
            ),
            ("x.append(7)\nimport os\nos.makedirs('/'.join('d' * 129))", LimitKind::PathDepth, turn_limits()),
            ("x.append(8)\nf = open('f', 'w')\nf.truncate(1 << 40)", LimitKind::Disk, turn_limits()),
            ("x.append(9)\nf = [open('f', 'w') for n in range(2000)]", LimitKind::OpenFiles, turn_limits()),
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

/// What was written stays when a turn is undone, and when the session goes on in another worker; and so it stays counted.
fn disk() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let limits = Limits { disk_bytes: 1 << 20, files: 5, ..Limits::default() };
        let request = RunRequest { limits, ..bench.request() };
        let mut session = bench.runtime.open_session(&bench.prepared, request).await.unwrap();
        out(&mut session, "_ = open('a', 'wb').write(bytes(800_000))").await;
        let more = "open('b', 'wb').write(bytes(800_000))";
        let full = |said: &Said| matches!(&said.report.outcome, Outcome::Limit(hit) if hit.kind == LimitKind::Disk);
        for _ in 0..3 {
            let said = turn(&mut session, more).await;
            assert!(full(&said) && said.report.undone, "{:?}", said.report);
        }
        session.park(&bench.home.path().join("parked.session")).await.unwrap();
        assert!(full(&turn(&mut session, more).await), "after it was parked");
        let mut twin = session.fork().await.unwrap();
        assert!(full(&turn(&mut twin, more).await), "in its twin");
        out(&mut session, "import os; os.unlink('a')").await;
        out(&mut session, "_ = open('b', 'wb').write(bytes(800_000))").await;
        let said = turn(&mut session, "for n in range(9): open(str(n), 'w')").await;
        assert!(
            matches!(&said.report.outcome, Outcome::Limit(hit) if hit.kind == LimitKind::Files),
            "{:?}",
            said.report
        );
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

fn starved() {
    const BUSY: usize = 8;
    let stop = Arc::new(AtomicBool::new(false));
    let spin = |stop: Arc<AtomicBool>| move || while !stop.load(Ordering::Relaxed) {};
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let interrupter = session.interrupter();
        let mut turn = session.turn("print('go')\ninput()", turn_limits()).await.unwrap();
        let TurnEvent::Output { .. } = turn.next().await else { panic!("it says it began") };
        let busy: Vec<_> = (0..BUSY).map(|_| std::thread::spawn(spin(stop.clone()))).collect();
        interrupter.interrupt();
        let said = collect(&mut turn).await;
        stop.store(true, Ordering::Relaxed);
        busy.into_iter().for_each(|busy| busy.join().unwrap());
        assert!(said.err.contains("KeyboardInterrupt"), "{:?} {}", said.report, said.err);
        assert_eq!((said.report.outcome, said.report.undone), (Outcome::Exited(1), false));
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
