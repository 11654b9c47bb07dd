//! What becomes of a session's state besides its turns: twins, files of it, and where those may go on.

use crate::endings::{children, is_running};
use crate::kit::{Test, block_on, config};
use crate::session_kit::{Bench, out, turn_limits, turn_with};
use potluck_runtime::{
    Continuation, GuestPath, InputFile, LimitKind, Limits, Outcome, RunRequest, Runtime, RuntimeConfig, Session,
    SessionError, SessionFile, SessionFiles, TurnEvent, TurnLimits, WorkerCommand,
};
use std::path::Path;

pub(crate) const TESTS: &[Test] = &[
    ("session_fork_is_independent_both_ways", fork),
    ("session_can_be_forked_more_often_than_it_has_layers", forks),
    ("session_goes_on_from_a_file", save),
    ("session_goes_on_from_a_file_with_its_files", files),
    ("session_that_goes_on_elsewhere_is_charged_for_what_it_made_and_not_for_what_it_was_given", charged_files),
    ("session_lists_its_files_when_nobody_writes_to_them", files_after_a_dropped_turn),
    ("session_parked_goes_on_with_the_next_turn", park),
    ("session_parked_stays_parked_while_its_file_is_not_what_was_parked", spoiled_park),
    ("session_parked_can_be_saved_listed_and_forked", park_then),
    ("session_in_a_file_that_does_not_fit_is_refused", refusals),
    ("session_is_refused_before_anything_is_made_for_it", refused_first),
    ("session_with_open_files_is_not_saved", open_files),
];

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

/// What the session's working directory holds, copied to a directory: inputs and directories for another session.
async fn carried(session: &mut Session, to: &Path) -> (Vec<InputFile>, SessionFiles) {
    let files = session.files().await.unwrap();
    std::fs::create_dir_all(to).unwrap();
    let copy = |(number, file): (usize, &SessionFile)| {
        let source = to.join(number.to_string());
        let copied = std::io::copy(&mut files.open(&file.path).unwrap(), &mut std::fs::File::create(&source).unwrap());
        assert_eq!(copied.unwrap(), file.size);
        InputFile { guest: file.path.clone(), source, executable: file.executable }
    };
    (files.files.iter().enumerate().map(copy).collect(), files)
}

fn files() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let (input, path) = (bench.home.path().join("input"), |path| GuestPath::parse(path).unwrap());
        std::fs::write(&input, "in").unwrap();
        let inputs = vec![InputFile { guest: path("tools/run.sh"), source: input, executable: true }];
        let request = RunRequest { inputs, ..bench.request() };
        let mut session = bench.runtime.open_session(&bench.prepared, request).await.unwrap();
        let source = "import os\nos.makedirs('deep/empty')\nos.mkdir('work')\nos.chdir('work')\n\
            open('f', 'w').write('mine')\nopen('/tmp/t', 'w').close()\n\
            os.symlink('f', 'link')\nopen('/deep/a', 'w').close()\nos.link('/deep/a', '/deep/b') and None";
        out(&mut session, source).await;
        let state = bench.home.path().join("state.session");
        session.save(&state).await.unwrap();
        let (inputs, files) = carried(&mut session, &bench.home.path().join("carried")).await;
        let executable = |path, size, executable| SessionFile { path, size, executable };
        assert_eq!(files.files, [executable(path("tools/run.sh"), 2, true), executable(path("work/f"), 4, false)]);
        assert_eq!(files.directories, [path("deep/empty")]);
        let mut left = files.left_behind.clone();
        left.sort();
        let hard = "it is a hard link to another file";
        assert_eq!(
            left,
            [format!("deep/a: {hard}"), format!("deep/b: {hard}"), "work/link: it is a symbolic link".to_owned()]
        );
        let request = RunRequest { inputs, directories: files.directories.clone(), ..bench.request() };
        session.close().await;
        let mut restored =
            bench.runtime.restore_session(&state, &bench.prepared, request, Continuation::Twin).await.unwrap();
        let there =
            "os.getcwd(), open('f').read(), open('/tools/run.sh').read(), os.listdir('/deep'), os.listdir('/tmp')";
        assert_eq!(out(&mut restored, there).await, "('/work', 'mine', 'in', ['empty'], [])\n");
        assert_eq!(std::io::read_to_string(files.open(&path("work/f")).unwrap()).unwrap(), "mine", "held till now");
    });
}

/// Whether a session may write so many bytes more.
async fn writes(session: &mut Session, name: &str, len: usize) -> bool {
    let source = format!("with open('{name}', 'wb') as file: file.write(bytes({len})) and None");
    let said = turn_with(session, &source, b"", turn_limits()).await;
    match said.report.outcome {
        Outcome::Exited(0) => true,
        Outcome::Limit(hit) if hit.kind == LimitKind::Disk => false,
        other => panic!("{other:?}: {}", said.err),
    }
}

fn charged_files() {
    const MIB: usize = 1 << 20;
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let input = bench.home.path().join("input");
        std::fs::write(&input, vec![7; 3 * MIB]).unwrap();
        let inputs = vec![InputFile { guest: GuestPath::parse("given").unwrap(), source: input, executable: false }];
        let limits = Limits { disk_bytes: 2 << 20, ..Limits::default() };
        let request = RunRequest { inputs, limits, ..bench.request() };
        let mut session = bench.runtime.open_session(&bench.prepared, request.clone()).await.unwrap();
        assert!(writes(&mut session, "made", MIB).await, "what it was given is not counted");
        for place in ["first", "second"] {
            let (state, dir) = (bench.home.path().join(place), bench.home.path().join(format!("{place}-files")));
            session.save(&state).await.unwrap();
            let (inputs, _files) = carried(&mut session, &dir).await;
            let request = RunRequest { inputs, ..request.clone() };
            session.close().await;
            let restored = bench.runtime.restore_session(&state, &bench.prepared, request, Continuation::Same).await;
            session = restored.unwrap();
            assert!(writes(&mut session, "less", MIB / 2).await, "what it was given is not counted: {place}");
            assert!(!writes(&mut session, "more", MIB).await, "what it made before is: {place}");
            out(&mut session, "import os; os.remove('less'); os.remove('more')").await;
        }
    });
}

/// Each try kills the worker a little later after a turn's end: before, while or after it keeps what the turn has left.
fn files_after_a_dropped_turn() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let source = "print('go')\nn = 0\nwhile True:\n  n += 1\n  open(f'f{n}', 'w').close()";
        let mut turn = session.turn(source, turn_limits()).await.unwrap();
        let TurnEvent::Output { .. } = turn.next().await else { panic!("it says it began") };
        drop(turn);
        let first = session.files().await.unwrap();
        let second = session.files().await.unwrap();
        assert_eq!(first.files, second.files, "nobody writes any more");
    });
}

/// How many files in memory this process holds: the layers of sessions.
fn layers_held() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let names = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    names.filter(|name| name.to_string_lossy().contains("memfd")).count()
}

fn has_workers() -> bool {
    children(std::process::id()).into_iter().any(is_running)
}

fn park() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let file = bench.home.path().join("parked.session");
        out(&mut session, "x = 'kept'; open('file.txt', 'w').write('too') and None").await;
        for round in 0..3 {
            assert!(layers_held() > 0 && session.is_awake());
            session.park(&file).await.unwrap();
            assert_eq!((layers_held(), has_workers(), session.is_awake()), (0, false, false));
            assert!(session.is_parked());
            assert_eq!(out(&mut session, "x, open('file.txt').read()").await, "('kept', 'too')\n", "{round}");
            assert!(!session.is_parked());
        }
    });
}

fn spoiled_park() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let (mut session, mut other) = (bench.session().await, bench.session().await);
        let file = bench.home.path().join("parked.session");
        let elsewhere = bench.home.path().join("other.session");
        out(&mut session, "x = 'kept'").await;
        out(&mut other, "x = 'other'").await;
        other.save(&elsewhere).await.unwrap();
        other.close().await;
        session.park(&file).await.unwrap();
        let good = std::fs::read(&file).unwrap();
        let mut harmed = good.clone();
        harmed[1 << 20] ^= 1;
        let spoiled = [(harmed, "damaged"), (good[..good.len() - 100].to_vec(), "image"), (Vec::new(), "too short")];
        for (bytes, expected) in spoiled.into_iter().chain([(std::fs::read(&elsewhere).unwrap(), "another session")]) {
            std::fs::write(&file, bytes).unwrap();
            match session.turn("x", turn_limits()).await.map(drop) {
                Err(SessionError::Refused { path, why }) => assert!(path == file && why.contains(expected), "{why}"),
                other => panic!("{expected}: {other:?}"),
            }
            assert!(!has_workers() && !session.is_awake() && session.is_parked());
        }
        // Nothing is lost: it goes on once the file is as it was, wherever it lies now.
        std::fs::write(&file, good).unwrap();
        std::fs::rename(&file, &elsewhere).unwrap();
        assert_eq!(out(&mut session, "x").await, "'kept'\n");
        session.park(&file).await.unwrap();
        std::fs::remove_file(&file).unwrap();
        for refused in [session.turn("x", turn_limits()).await.map(drop), session.save(&elsewhere).await] {
            let Err(SessionError::Refused { why, .. }) = refused else { panic!("{refused:?}") };
            assert!(why.contains("deleted"), "{why}");
        }
        assert!(!has_workers() && layers_held() == 0);
    });
}

fn park_then() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let (file, second) = (bench.home.path().join("parked.session"), bench.home.path().join("saved.session"));
        out(&mut session, "x = 'kept'; open('file.txt', 'w').write('too') and None").await;
        session.park(&file).await.unwrap();
        let listed = session.files().await.unwrap();
        assert_eq!(listed.files[0].path.as_str(), "file.txt");
        assert!(session.is_parked(), "it need not be awake for that");
        session.save(&second).await.unwrap();
        assert_eq!(out(&mut bench.restored(&second).await.unwrap(), "x").await, "'kept'\n");
        session.park(&file).await.unwrap();
        let mut twin = session.fork().await.unwrap();
        out(&mut twin, "x = 'changed'").await;
        // In the place of the file it goes on from.
        session.park(&file).await.unwrap();
        assert_eq!(out(&mut twin, "x, open('file.txt').read()").await, "('changed', 'too')\n");
        assert_eq!(out(&mut session, "x").await, "'kept'\n");
        // A twin shares what both became from, until both are parked.
        session.park(&file).await.unwrap();
        twin.park(&second).await.unwrap();
        assert_eq!(layers_held(), 0);
        assert_eq!(out(&mut session, "x").await + &out(&mut twin, "x").await, "'kept'\n'changed'\n");
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

fn refused_first() {
    block_on(async {
        let bench = Bench::open("interpreter").await;
        let mut session = bench.session().await;
        let file = bench.home.path().join("state.session");
        session.save(&file).await.unwrap();
        // A runtime that can neither lay out a directory nor start a worker.
        let home = bench.home.path().join("unable");
        let worker = WorkerCommand { program: "/nonexistent".into(), args: Vec::new() };
        let unable = Runtime::open(RuntimeConfig { worker, ..config(&home) }).unwrap();
        std::fs::remove_dir_all(home.join("scratch")).unwrap();
        std::fs::write(home.join("scratch"), "").unwrap();
        let restore = || unable.restore_session(&file, &bench.prepared, bench.request(), Continuation::Same);
        assert!(matches!(restore().await.map(drop), Err(SessionError::Start(_))));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[1 << 20] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(matches!(restore().await.map(drop), Err(SessionError::Refused { .. })));
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(restore().await.map(drop), Err(SessionError::File { .. })));
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
        out(&mut session, "f = open('a.txt', 'w'); g = open('b.txt', 'wb'); f.write('kept') and None").await;
        session.close_files().await.unwrap_or_else(|error| panic!("{error:?}"));
        session.save(&file).await.unwrap();
        assert_eq!(out(&mut session, "f.closed, g.closed, open('a.txt').read()").await, "(True, True, 'kept')\n");
    });
}
