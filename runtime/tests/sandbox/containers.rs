//! What containers promise beyond the contract of every backend, on a real engine.

use crate::contract::{Bench, Guest, shell};
use crate::engine::{IMAGE, TestEngine, image, with_engine};
use crate::kit::{Ended, Test, block_on, collect, config, request};
use potluck_runtime::{
    ContainerConfig, GuestPath, InputFile, Limits, Outcome, PrepareError, Program, Run, RunEvent, RunRequest, Runtime,
    SilentWatch, StartError, look_at_engine,
};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

pub(crate) const TESTS: &[Test] = &[("containers_keep_their_own_promises", promises)];

type Case = fn(&TestEngine);

const CASES: &[(&str, Case)] = &[
    ("the engine reports every wall", walls),
    ("there is no network, and no name server of the host", no_network),
    ("only allowed images that are there can be used", allow_list),
    ("a name that comes to mean another image changes no prepared job", pinned),
    ("places an image declares are empty and cannot be written", declared_places),
    ("a file of the job can be its program", own_program),
    ("a program that is not there is named", missing_program),
    ("a job that heeds SIGTERM ends by itself", heeded),
    ("a job that was killed by itself says so", killed_by_itself),
    ("open files are bounded", open_files),
    ("what was used is reported", used),
    ("the engine tells what it has", status),
    ("turning containers on sweeps what a dead process left", sweeping),
    ("a dead parent leaves nothing", dead_parent),
    ("containers that are off run nothing", off),
];

fn promises() {
    with_engine(|engine| {
        let mut failed = Vec::new();
        for (name, case) in CASES {
            let started = std::time::Instant::now();
            let holds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(engine))).is_ok();
            let how = if holds { "holds" } else { "DOES NOT HOLD" };
            println!("  {name}: {how} ({} ms)", started.elapsed().as_millis());
            if !holds {
                failed.push(name);
            }
        }
        assert!(failed.is_empty(), "promises are broken: {failed:?}");
    });
}

fn script(engine: &TestEngine, text: &str) -> Ended {
    let bench = Bench::of_containers(engine);
    block_on(bench.kit.run(request(shell(text)), b""))
}

fn walls(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let owner = bench.config().unwrap().owner;
    block_on(async {
        let limits = Limits { memory_bytes: 64 << 20, disk_bytes: 8 << 20, ..Bench::limits() };
        let sleeper = RunRequest { limits, args: vec!["sleep".to_owned()], ..bench.request(Guest::Hog) };
        let Run { stdin: _stdin, mut events, canceller } = bench.kit.start(sleeper).await;
        let RunEvent::Output { .. } = events.next().await else { panic!("it said nothing") };
        let names = engine.belongings(&owner).await;
        assert_eq!(names.len(), 3, "{names:?}");
        for name in names.iter().filter_map(|name| name.strip_prefix('/')) {
            let container = engine.docker.inspect_container(name, None).await.unwrap();
            let (own, host) = (container.config.unwrap(), container.host_config.unwrap());
            assert_eq!(own.user.as_deref(), Some("65534:65534"));
            assert_eq!(host.network_mode.as_deref(), Some("none"));
            assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
            assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
            assert_eq!(host.privileged, Some(false));
            assert_eq!((host.pids_limit, host.ipc_mode.as_deref()), (Some(256), Some("private")));
            assert_eq!(host.memory, host.memory_swap);
            assert!(
                host.pid_mode.is_none_or(|mode| mode.is_empty()) && host.binds.is_none_or(|binds| binds.is_empty())
            );
            assert!(container.mounts.unwrap().iter().all(|mount| mount.typ.as_deref() != Some("bind")));
            if !name.ends_with("holder") {
                assert_eq!(host.readonly_rootfs, Some(true));
                assert_eq!((host.memory, host.nano_cpus), (Some(72 << 20), Some(1_000_000_000)));
            }
        }
        canceller.end();
        collect(events).await;
    });
    let status =
        script(engine, "grep -E '^(Cap...:|NoNewPrivs|Uid|Seccomp:)' /proc/self/status; touch /x /bin/x").stdout;
    let lines: Vec<String> = status.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines.contains(&"NoNewPrivs: 1".to_owned()) && lines.contains(&"Seccomp: 2".to_owned()), "{lines:?}");
    assert!(
        lines.iter().filter(|line| line.starts_with("Cap")).all(|line| line.ends_with(&"0".repeat(16))),
        "{lines:?}"
    );
    assert!(lines.contains(&"Uid: 65534 65534 65534 65534".to_owned()), "{lines:?}");
}

fn no_network(engine: &TestEngine) {
    let text = "ls /sys/class/net; grep nameserver /etc/resolv.conf | grep -v 127.0.0.1; wget -q -T 5 http://192.0.2.1/ || echo cut off";
    let stdout = script(engine, text).stdout;
    assert_eq!(stdout.lines().collect::<Vec<_>>(), ["lo", "cut off"]);
}

fn refusal(bench: &Bench<'_>, image: &str) -> String {
    let program = Program::Container { image: image.to_owned(), command: vec!["sh".to_owned()] };
    match block_on(bench.kit.runtime.prepare(&program, &SilentWatch)) {
        Err(PrepareError::Container { source, .. }) => source.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{image} was taken"),
    }
}

fn allow_list(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let config = bench.config().unwrap();
    let images = vec![IMAGE.to_owned(), "nowhere:1".to_owned()];
    block_on(async { bench.kit.runtime.offer_containers(Some(ContainerConfig { images, ..config })) });
    let refused = refusal(&bench, "python:3.12");
    assert!(refused.contains("does not allow the image python:3.12"), "{refused}");
    assert!(refused.contains(IMAGE), "{refused}");
    let missing = refusal(&bench, "nowhere:1");
    assert!(missing.contains("'docker pull nowhere:1'"), "{missing}");
    assert!(refusal(&bench, "No Name").contains("names no image"));
    // The id of an allowed image is another name, which is not allowed.
    let id = block_on(engine.docker.inspect_image(IMAGE)).unwrap().id.unwrap();
    assert!(refusal(&bench, &id).contains("does not allow"));
    let full = Program::Container { image: format!("docker.io/{IMAGE}"), command: vec!["true".to_owned()] };
    assert!(block_on(bench.kit.runtime.prepare(&full, &SilentWatch)).is_ok());
    block_on(bench.leaves_nothing());
}

fn pinned(engine: &TestEngine) {
    let moving = "potluck-test/moving:1";
    block_on(engine.import(moving, image("/bin/busybox"), &["ENV WHICH=first"]));
    let bench = Bench::of_containers(engine);
    let config = bench.config().unwrap();
    let ended = block_on(async {
        bench.kit.runtime.offer_containers(Some(ContainerConfig { images: vec![moving.to_owned()], ..config }));
        let command = ["sh", "-c", "echo $WHICH"].map(str::to_owned).to_vec();
        let program = Program::Container { image: moving.to_owned(), command };
        let prepared = bench.kit.prepare(&program).await;
        engine.import(moving, image("/bin/busybox"), &["ENV WHICH=second"]).await;
        let run = bench.kit.runtime.start(&prepared, request(program)).await.unwrap();
        drop(run.stdin);
        collect(run.events).await
    });
    assert_eq!(ended.stdout, "first\n");
}

fn declared_places(engine: &TestEngine) {
    let declaring = "potluck-test/declaring:1";
    block_on(engine.import(declaring, image("/bin/busybox"), &["VOLUME /data", "VOLUME /tmp", "HEALTHCHECK CMD true"]));
    let bench = Bench::of_containers(engine);
    let config = bench.config().unwrap();
    block_on(async {
        bench.kit.runtime.offer_containers(Some(ContainerConfig { images: vec![declaring.to_owned()], ..config }));
        let text = "ls /data; touch /data/x || echo kept; touch /tmp/x && echo made";
        let command = ["sh", "-c", text].map(str::to_owned).to_vec();
        let program = Program::Container { image: declaring.to_owned(), command };
        assert_eq!(bench.kit.run(request(program), b"").await.stdout, "kept\nmade\n");
        bench.leaves_nothing().await;
    });
}

fn own_program(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let source = bench.kit.home.path().join("tool");
    std::fs::write(&source, "#!/bin/sh\necho \"$0 $1\"; pwd; ls -l tool | cut -c1-4; ls -ld . | cut -c1-10\n").unwrap();
    let given = |executable| {
        let program = Program::Container { image: IMAGE.to_owned(), command: vec!["tool".to_owned()] };
        let inputs = vec![InputFile { guest: GuestPath::parse("tool").unwrap(), source: source.clone(), executable }];
        RunRequest { inputs, args: vec!["one".to_owned()], ..request(program) }
    };
    let ended = block_on(bench.kit.run(given(true), b""));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("./tool one\n/work\n-rwx\ndrwx------\n", ""));
    let refused = start_error(&bench, given(false));
    assert!(refused.contains("may not be executed"), "{refused}");
    block_on(bench.leaves_nothing());
}

fn start_error(bench: &Bench<'_>, request: RunRequest) -> String {
    block_on(async {
        let prepared = bench.kit.prepare(&request.program).await;
        match bench.kit.runtime.start(&prepared, request).await {
            Err(error @ StartError::Request(_)) => error.to_string(),
            Err(error) => panic!("{error:?}"),
            Ok(_) => panic!("it was started"),
        }
    })
}

fn missing_program(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let with = |command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        request(Program::Container { image: IMAGE.to_owned(), command })
    };
    let refused = start_error(&bench, with(&["no-such-tool"]));
    assert!(refused.contains("\"no-such-tool\""), "{refused}");
    assert!(start_error(&bench, with(&[])).contains("no command"));
    block_on(bench.leaves_nothing());
}

fn heeded(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let text = "trap 'echo kept > kept; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    block_on(async {
        let Run { stdin: _stdin, mut events, canceller } = bench.kit.start(request(shell(text))).await;
        let RunEvent::Output { .. } = events.next().await else { panic!("it said nothing") };
        canceller.cancel();
        let RunEvent::Ended { report, outputs } = events.next().await else { panic!("it went on") };
        assert_eq!((report.outcome, canceller.was_heeded()), (Outcome::Cancelled, true));
        assert_eq!(outputs.files().unwrap().files.len(), 1);
    });
}

fn killed_by_itself(engine: &TestEngine) {
    assert_eq!(script(engine, "sh -c 'kill -9 $$'; exit $?").report.outcome, Outcome::Exited(137));
    assert_eq!(script(engine, "sh -c 'kill -15 $$'; exit $?").report.outcome, Outcome::Exited(143));
}

fn open_files(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let limits = Limits { open_files: 77, ..Bench::limits() };
    let ended = block_on(bench.kit.run(RunRequest { limits, ..request(shell("ulimit -n; ulimit -c")) }, b""));
    assert_eq!(ended.stdout, "77\n0\n");
}

fn used(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let limits = Limits { wall_ms: 3000, ..Bench::limits() };
    let busy = RunRequest { limits, args: vec!["fuel".to_owned()], ..bench.request(Guest::Hog) };
    let report = block_on(bench.kit.run(busy, b"")).report;
    assert!(report.fuel_used > 100_000_000 && report.wall_ms >= 3000, "{report:?}");
    assert!(report.memory_peak_bytes > 4096, "{report:?}");
}

fn status(engine: &TestEngine) {
    let config = ContainerConfig {
        engine: Some(engine.socket()),
        images: vec![IMAGE.to_owned(), "nowhere:1".to_owned()],
        owner: "status".to_owned(),
    };
    let status = block_on(look_at_engine(&config)).unwrap();
    assert_eq!((status.name.as_str(), status.is_rootless, status.gives_gpus), ("Docker", false, false));
    assert!(!status.version.is_empty() && status.api_version.starts_with("1."), "{status:?}");
    assert!(
        status.images[0].local.as_ref().is_some_and(|image| image.id.starts_with("sha256:") && image.size > 100_000)
    );
    assert_eq!((&status.images[1].local, status.images[1].pull_command.as_str()), (&None, "docker pull nowhere:1"));
}

fn sweeping(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    let config = bench.config().unwrap();
    let labelled = |process: &str| {
        let labels = [("potluck.owner", config.owner.as_str()), ("potluck.process", process)];
        bollard::models::ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(vec!["sleep".to_owned(), "1000".to_owned()]),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..Default::default()
        }
    };
    block_on(async {
        let none = None::<bollard::query_parameters::CreateContainerOptions>;
        let left = engine.docker.create_container(none, labelled("1-1")).await.unwrap().id;
        engine.docker.start_container(&left, None).await.unwrap();
        bench.kit.runtime.offer_containers(Some(config.clone()));
        engine.until_nothing_belongs_to(&config.owner).await;
        // One of a process that runs is not swept.
        let Run { stdin: _stdin, mut events, canceller } =
            bench.kit.start(RunRequest { args: vec!["sleep".to_owned()], ..bench.request(Guest::Hog) }).await;
        let RunEvent::Output { .. } = events.next().await else { panic!("it said nothing") };
        let left = engine.docker.create_container(None, labelled("1-1")).await.unwrap().id;
        let other = Runtime::open(config_of_another(bench.kit.home.path())).unwrap();
        other.offer_containers(Some(config.clone()));
        let gone = || async { engine.docker.inspect_container(&left, None).await.is_err() };
        while !gone().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(engine.belongings(&config.owner).await.len(), 3);
        canceller.end();
        assert_eq!(collect(events).await.report.outcome, Outcome::Cancelled);
    });
}

fn config_of_another(home: &Path) -> potluck_runtime::RuntimeConfig {
    config(&home.join("other"))
}

fn dead_parent(engine: &TestEngine) {
    let home = tempfile::tempdir().unwrap();
    let owner = home.path().display().to_string();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg("container-parent")
        .args([home.path(), &engine.socket()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    block_on(async {
        assert_eq!(engine.belongings(&owner).await.len(), 6);
        parent.kill().unwrap();
        parent.wait().unwrap();
        engine.until_nothing_belongs_to(&owner).await;
    });
}

/// The life of a process that starts two containers and then only waits to be killed.
pub(crate) fn parent(arguments: &[String]) -> ExitCode {
    let [home, socket] = arguments else { return ExitCode::FAILURE };
    let program = shell("echo ready; exec sleep 1000000");
    block_on(async {
        let runtime = Runtime::open(config(Path::new(home))).unwrap();
        let images = vec![IMAGE.to_owned()];
        runtime.offer_containers(Some(ContainerConfig { engine: Some(socket.into()), images, owner: home.clone() }));
        let prepared = runtime.prepare(&program, &SilentWatch).await.unwrap();
        let mut started = Vec::new();
        for _ in 0..2 {
            let mut run = runtime.start(&prepared, request(program.clone())).await.unwrap();
            let RunEvent::Output { .. } = run.events.next().await else { panic!("it said nothing") };
            started.push(run);
        }
        println!("started");
        std::future::pending::<ExitCode>().await
    })
}

fn off(engine: &TestEngine) {
    let bench = Bench::of_containers(engine);
    block_on(async {
        let prepared = bench.kit.prepare(&shell("true")).await;
        bench.kit.runtime.offer_containers(None);
        assert!(bench.kit.runtime.containers().is_none());
        let refused = bench.kit.runtime.start(&prepared, request(shell("true"))).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("has not turned them on")));
    });
    assert!(refusal(&bench, IMAGE).contains("has not turned them on"));
}
