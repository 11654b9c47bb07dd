//! What every backend does.

use super::{Bench, Guest};
use crate::kit::{block_on, collect};
use bytes::Bytes;
use potluck_runtime::{
    GuestPath, InputFile, LimitKind, Limits, Mount, Outcome, OutputListing, Outputs, Report, Run, RunEvent, RunRequest,
};
use std::path::Path;
use std::time::Duration;

pub(crate) type Case = fn(&Bench<'_>);

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a run ends with the code of its program", exit_codes),
    ("arguments and variables arrive, and nothing else does", surroundings),
    ("inputs lie in the working directory as they were sent", inputs),
    ("what a run made or changed comes back, and no link is followed", outputs),
    ("a folder can be read and not written", folders),
    ("files of the host cannot be read", host_files),
    ("stdin comes back byte for byte, and waits for whoever does not read", stdin),
    ("a guest that does not read ends all the same", unread),
    ("fuel is a limit", |bench| limit(bench, "fuel", LimitKind::Fuel, |limits| limits.fuel = 300_000_000)),
    ("wall time is a limit", |bench| limit(bench, "sleep", LimitKind::WallTime, |limits| limits.wall_ms = 5000)),
    ("memory is a limit", |bench| limit(bench, "memory", LimitKind::Memory, |limits| limits.memory_bytes = 48 << 20)),
    ("output is a limit", |bench| limit(bench, "output", LimitKind::Output, |limits| limits.output_bytes = 1 << 20)),
    ("disk is a limit", |bench| limit(bench, "disk", LimitKind::Disk, |_| {})),
    ("the number of files is a limit", |bench| {
        limit(bench, "many-files", LimitKind::Files, |limits| limits.files = 200)
    }),
    ("a run can be cancelled", cancelling),
    ("a run whose events are dropped leaves nothing", dropping),
    ("two runs at once do not see each other", apart),
];

/// How long whoever is held back has to be held back to be believed.
const HELD_BACK: Duration = Duration::from_secs(3);
const CHUNK: usize = 1 << 20;
const CHUNKS: usize = 64;

struct Ended {
    report: Report,
    stdout: String,
    outputs: Outputs,
}

async fn run(bench: &Bench<'_>, request: RunRequest) -> Ended {
    let Run { stdin, mut events, canceller: _canceller } = bench.kit.start(request).await;
    drop(stdin);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match events.next().await {
            RunEvent::Output { stream: potluck_runtime::OutputStream::Stdout, bytes } => {
                stdout.extend_from_slice(&bytes)
            }
            RunEvent::Output { bytes, .. } => stderr.extend_from_slice(&bytes),
            RunEvent::Said(_) | RunEvent::Checkpoint(_) => {}
            RunEvent::Ended { report, outputs } => {
                eprint!("{}", String::from_utf8_lossy(&stderr));
                return Ended { report, stdout: String::from_utf8_lossy(&stdout).into_owned(), outputs };
            }
        }
    }
}

fn input(home: &Path, guest: &str, text: &str) -> InputFile {
    let source = home.join(guest.replace('/', "-"));
    std::fs::write(&source, text).unwrap();
    InputFile { guest: GuestPath::parse(guest).unwrap(), source, executable: false }
}

fn exit_codes(bench: &Bench<'_>) {
    for code in [0, 1, 42, 125] {
        let ended = block_on(run(bench, bench.request(Guest::Exit(code))));
        assert_eq!(ended.report.outcome, Outcome::Exited(code));
    }
    block_on(bench.leaves_nothing());
}

fn surroundings(bench: &Bench<'_>) {
    let args = ["plain", "two words", "", "$HOME; 'quoted'"].map(str::to_owned).to_vec();
    let env = vec![("GIVEN".to_owned(), "a value = \"this\"".to_owned())];
    let ended = block_on(run(bench, RunRequest { args: args.clone(), env, ..bench.request(Guest::Look) }));
    assert_eq!(ended.report.outcome, Outcome::Exited(0));
    let told: Vec<&str> = ended.stdout.lines().filter_map(|line| line.strip_prefix("arg ")).collect();
    assert!(told.ends_with(&args.iter().map(String::as_str).collect::<Vec<_>>()), "{told:?}");
    let variables: Vec<&str> = ended.stdout.lines().filter_map(|line| line.strip_prefix("env ")).collect();
    assert!(variables.contains(&"GIVEN=a value = \"this\""), "{variables:?}");
    assert!(variables.contains(&"HOME=/tmp"), "{variables:?}");
    // Cargo sets dozens for a test, of which a guest may see none.
    assert!(
        !variables.iter().any(|variable| variable.contains("CARGO") || variable.contains("NEXTEST")),
        "{variables:?}"
    );
    assert!(!ended.stdout.lines().any(|line| line.starts_with("file ")), "{}", ended.stdout);
}

fn inputs(bench: &Bench<'_>) {
    let home = tempfile::tempdir().unwrap();
    let inputs = vec![input(home.path(), "top.txt", "12345"), input(home.path(), "a/b/inner.txt", "1")];
    let directories = vec![GuestPath::parse("empty/inside").unwrap()];
    let args = ["--read", "a/b/inner.txt"].map(str::to_owned).to_vec();
    let ended = block_on(run(bench, RunRequest { inputs, directories, args, ..bench.request(Guest::Look) }));
    assert_eq!(ended.report.outcome, Outcome::Exited(0));
    for line in ["file top.txt 5", "file a/b/inner.txt 1", "dir empty/inside", "read a/b/inner.txt: 1"] {
        assert!(ended.stdout.lines().any(|told| told == line), "no {line:?} in {}", ended.stdout);
    }
    let listing = ended.outputs.files().unwrap();
    assert_eq!((listing.files.len(), listing.left_behind.len()), (0, 0), "{listing:?}");
}

fn outputs(bench: &Bench<'_>) {
    let home = tempfile::tempdir().unwrap();
    let texts = [("keep.txt", "kept"), ("change.txt", "before"), ("drop.txt", "dropped")];
    let inputs = texts.map(|(name, text)| input(home.path(), name, text)).to_vec();
    let Ended { report, outputs, .. } = block_on(run(bench, RunRequest { inputs, ..bench.request(Guest::Edit) }));
    assert_eq!(report.outcome, Outcome::Exited(0));
    let OutputListing { files, left_behind } = outputs.files().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["change.txt", "deep/er/made.txt", "made.txt"]);
    assert_eq!(left_behind, ["link: it is a symbolic link"]);
    let read = |name: &str| std::io::read_to_string(outputs.open(&GuestPath::parse(name).unwrap()).unwrap()).unwrap();
    assert_eq!((read("change.txt").trim_end(), read("made.txt").trim_end()), ("cccccc", "made beside kept"));
    assert!(outputs.open(&GuestPath::parse("link").unwrap()).is_err());
    drop(outputs);
    block_on(bench.leaves_nothing());
}

fn folders(bench: &Bench<'_>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("input"), "mine").unwrap();
    open_to_all(folder.path());
    let mounts = vec![Mount { host: folder.path().to_owned(), guest: "/data".to_owned() }];
    let args = ["--read", "/data/input", "--write", "/data/input", "--write", "/data/new"].map(str::to_owned).to_vec();
    let ended = block_on(run(bench, RunRequest { mounts, args, ..bench.request(Guest::Look) }));
    assert!(ended.stdout.contains("read /data/input: mine"), "{}", ended.stdout);
    assert!(ended.stdout.contains("cannot write /data/input"), "{}", ended.stdout);
    assert!(ended.stdout.contains("cannot write /data/new"), "{}", ended.stdout);
    assert_eq!(std::fs::read_to_string(folder.path().join("input")).unwrap(), "mine");
}

/// A job in a container is nobody, who reads what anybody may read.
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn host_files(bench: &Bench<'_>) {
    let secret = bench.kit.home.path().join("secret");
    std::fs::write(&secret, "of the host").unwrap();
    open_to_all(bench.kit.home.path());
    let secret = secret.display().to_string();
    let args = ["--read", &secret, "--read", "/etc/shadow", "--read", "/proc/1/environ"].map(str::to_owned).to_vec();
    let ended = block_on(run(bench, RunRequest { args, ..bench.request(Guest::Look) }));
    assert_eq!(ended.report.outcome, Outcome::Exited(0));
    assert!(ended.stdout.contains(&format!("cannot read {secret}")), "{}", ended.stdout);
    assert!(ended.stdout.contains("cannot read /etc/shadow"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("CARGO"), "{}", ended.stdout);
}

fn stdin(bench: &Bench<'_>) {
    let limits = Limits { output_bytes: 1 << 30, ..Bench::limits() };
    let request = RunRequest { limits, ..bench.request(Guest::Cat) };
    block_on(async {
        let Run { mut stdin, mut events, canceller: _canceller } = bench.kit.start(request).await;
        let chunk: Bytes = (0..CHUNK).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<u8>>().into();
        let given = chunk.clone();
        let (held, is_held) = tokio::sync::oneshot::channel();
        let feed = tokio::spawn(async move {
            let mut held = Some(held);
            for _ in 0..CHUNKS {
                let mut write = std::pin::pin!(stdin.write(given.clone()));
                if tokio::time::timeout(HELD_BACK, &mut write).await.is_err() {
                    let _told_before = held.take().map(|held| held.send(()));
                    write.await.unwrap();
                }
            }
            stdin.close().await;
        });
        // Nobody reads until the writer has to wait.
        is_held.await.expect("the writer was never held back");
        let mut seen = 0;
        let outcome = loop {
            match events.next().await {
                RunEvent::Output { bytes, .. } => {
                    for byte in &bytes {
                        assert_eq!(*byte, chunk[seen % CHUNK]);
                        seen += 1;
                    }
                }
                RunEvent::Said(_) | RunEvent::Checkpoint(_) => {}
                RunEvent::Ended { report, outputs: _removed } => break report.outcome,
            }
        };
        feed.await.unwrap();
        assert_eq!((outcome, seen), (Outcome::Exited(0), CHUNK * CHUNKS));
    });
}

fn unread(bench: &Bench<'_>) {
    block_on(async {
        let Run { mut stdin, events, canceller: _canceller } = bench.kit.start(bench.request(Guest::Exit(3))).await;
        let feed = tokio::spawn(async move {
            let chunk = Bytes::from(vec![0u8; CHUNK]);
            loop {
                if let Err(error) = stdin.write(chunk.clone()).await {
                    return error.kind();
                }
            }
        });
        assert_eq!(collect(events).await.report.outcome, Outcome::Exited(3));
        assert_eq!(feed.await.unwrap(), std::io::ErrorKind::BrokenPipe);
    });
}

/// The guest that takes this is ended by the limit, after it has begun.
fn limit(bench: &Bench<'_>, what: &str, kind: LimitKind, tighten: fn(&mut Limits)) {
    let mut limits = Limits { disk_bytes: 4 << 20, ..Bench::limits() };
    tighten(&mut limits);
    let args = vec![what.to_owned()];
    let Ended { report, stdout, .. } = block_on(run(bench, RunRequest { limits, args, ..bench.request(Guest::Hog) }));
    assert!(stdout.starts_with(&format!("taking {what}\n")), "{stdout:.80}");
    match &report.outcome {
        Outcome::Limit(hit) => assert!(hit.kind == kind && hit.used >= hit.allowed, "{hit:?}"),
        other => panic!("no limit: {other:?}"),
    }
    block_on(bench.leaves_nothing());
}

fn cancelling(bench: &Bench<'_>) {
    block_on(async {
        let request = RunRequest { args: vec!["sleep".to_owned()], ..bench.request(Guest::Hog) };
        let Run { stdin: _stdin, mut events, canceller } = bench.kit.start(request.clone()).await;
        let RunEvent::Output { .. } = events.next().await else { panic!("it said nothing") };
        canceller.cancel();
        assert_eq!(collect(events).await.report.outcome, Outcome::Cancelled);
        let Run { stdin: _stdin, events, canceller } = bench.kit.start(request).await;
        canceller.end();
        assert_eq!(collect(events).await.report.outcome, Outcome::Cancelled);
        bench.leaves_nothing().await;
    });
}

fn dropping(bench: &Bench<'_>) {
    block_on(async {
        let request = RunRequest { args: vec!["output".to_owned()], ..bench.request(Guest::Hog) };
        let mut run = bench.kit.start(request).await;
        let RunEvent::Output { .. } = run.events.next().await else { panic!("it said nothing") };
        drop(run);
        bench.leaves_nothing().await;
    });
}

fn apart(bench: &Bench<'_>) {
    let home = tempfile::tempdir().unwrap();
    let mine = |name: &str| RunRequest { inputs: vec![input(home.path(), name, "mine")], ..bench.request(Guest::Look) };
    let (one, two) = block_on(async { tokio::join!(run(bench, mine("one")), run(bench, mine("two"))) });
    assert!(one.stdout.contains("file one 4") && !one.stdout.contains("file two"), "{}", one.stdout);
    assert!(two.stdout.contains("file two 4") && !two.stdout.contains("file one"), "{}", two.stdout);
}
