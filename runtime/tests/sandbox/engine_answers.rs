//! Engines that are away, silent, too old, too new, or no engines at all; and what an engine is asked for graphics cards.

use crate::fake_engine::{Asked, FakeEngine, Said};
use crate::kit::{Kit, Test, block_on, request};
use potluck_runtime::{ContainerConfig, EngineError, PrepareError, Program, RunRequest, StartError, look_at_engine};
use std::path::PathBuf;

pub(crate) const TESTS: &[Test] = &[
    ("an_engine_that_is_away_is_named_with_its_places", away),
    ("an_engine_that_says_nothing_is_given_up", silent),
    ("what_is_no_engine_is_told_apart", nonsense),
    ("an_engine_that_is_too_old_is_refused", too_old),
    ("an_engine_that_has_dropped_our_api_is_spoken_to_in_its_own", newer),
    ("an_engine_that_cannot_bound_a_job_is_refused", unbounded),
    ("graphics_cards_are_asked_of_the_engine", cards),
    ("an_engine_without_cards_gives_none", no_cards),
    ("a_program_of_webassembly_gets_no_cards", no_cards_for_workers),
];

fn config(engine: PathBuf) -> ContainerConfig {
    ContainerConfig { engine: Some(engine), images: vec!["tool:1".to_owned()], owner: "me".to_owned() }
}

fn look(engine: PathBuf) -> EngineError {
    block_on(look_at_engine(&config(engine))).unwrap_err()
}

fn away() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = home.path().join("nowhere.sock");
    let error = look(nowhere.clone());
    assert!(matches!(&error, EngineError::NotFound { looked } if *looked == nowhere.display().to_string()), "{error}");
    let stale = home.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let error = look(stale);
    assert!(error.to_string().contains("start the engine"), "{error}");
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(look(file), EngineError::Unreachable { .. }));
}

fn silent() {
    let engine = FakeEngine::start(|_| Said::Silence);
    let error = look(engine.socket());
    assert!(error.to_string().contains("it said nothing for 10 s"), "{error}");
}

fn nonsense() {
    for bytes in [&b"220 mail.example ESMTP\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"] {
        let engine = FakeEngine::start(move |_| Said::Raw(bytes));
        let error = look(engine.socket());
        assert!(matches!(error, EngineError::Answer { .. }), "{error}");
    }
    let engine = FakeEngine::start(|_| Said::Json(200, "{}".to_owned()));
    let error = look(engine.socket());
    assert!(error.to_string().contains("may be no container engine"), "{error}");
}

fn too_old() {
    let engine = FakeEngine::start(|_| Said::Json(200, r#"{"ApiVersion":"1.40"}"#.to_owned()));
    let error = look(engine.socket());
    assert!(matches!(&error, EngineError::TooOld { speaks, .. } if speaks == "1.40"), "{error}");
    assert!(error.to_string().contains("1.41 or newer"), "{error}");
}

fn newer() {
    let message = r#"{"message":"client version 1.41 is too old. Minimum supported API version is 1.44"}"#;
    let engine = FakeEngine::start(move |asked| match asked.line.as_str() {
        line if line.contains("/v1.") => Said::Json(400, message.to_owned()),
        line if line.ends_with("/version") => Said::Json(200, r#"{"ApiVersion":"1.60","Version":"99"}"#.to_owned()),
        line if line.ends_with("/info") => Said::Json(200, "{}".to_owned()),
        _ => Said::Json(404, r#"{"message":"no such image"}"#.to_owned()),
    });
    let status = block_on(look_at_engine(&config(engine.socket()))).unwrap();
    assert_eq!((status.version.as_str(), status.api_version.as_str()), ("99", "1.60"));
    assert_eq!(status.images[0].local, None);
}

/// Answers everything up to the start of a job, which it refuses.
fn engine(info: &'static str) -> FakeEngine {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    FakeEngine::start(move |asked: &Asked| {
        let line = asked.line.as_str();
        let said = match line {
            _ if line.ends_with("/version") => r#"{"ApiVersion":"1.41"}"#.to_owned(),
            _ if line.ends_with("/info") => info.to_owned(),
            _ if line.contains("/images/") => format!(r#"{{"Id":"sha256:1","Os":"linux","Architecture":"{arch}"}}"#),
            _ if line.ends_with("/volumes/create") => {
                r#"{"Name":"v","Driver":"local","Mountpoint":"","Labels":{},"Scope":"local","Options":{}}"#.to_owned()
            }
            _ if line.contains("/containers/create") => r#"{"Id":"1","Warnings":[]}"#.to_owned(),
            _ if line.contains("/attach") => return Said::Json(500, r#"{"message":"as far as it goes"}"#.to_owned()),
            _ if line.contains("/containers/json") => "[]".to_owned(),
            _ if line.contains("/volumes") => r#"{"Volumes":[],"Warnings":[]}"#.to_owned(),
            _ => "{}".to_owned(),
        };
        Said::Json(200, said)
    })
}

fn start(engine: &FakeEngine, gpus: u32) -> StartError {
    let kit = Kit::new();
    let program = Program::Container { image: "tool:1".to_owned(), command: vec!["tool".to_owned()] };
    block_on(async {
        kit.runtime.offer_containers(Some(config(engine.socket())));
        let prepared = kit.prepare(&program).await;
        match kit.runtime.start(&prepared, RunRequest { gpus, ..request(program) }).await {
            Err(error) => error,
            Ok(_) => panic!("it was started"),
        }
    })
}

fn unbounded() {
    let engine = engine(r#"{"MemoryLimit":true,"PidsLimit":false}"#);
    let kit = Kit::new();
    let program = Program::Container { image: "tool:1".to_owned(), command: vec!["tool".to_owned()] };
    let refused = block_on(async {
        kit.runtime.offer_containers(Some(config(engine.socket())));
        kit.runtime.prepare(&program, &potluck_runtime::SilentWatch).await
    });
    match refused {
        Err(PrepareError::Container { source, .. }) => {
            assert!(source.to_string().contains("cannot bound the processes"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

fn requested(engine: &FakeEngine) -> serde_json::Value {
    let created = engine.asked().into_iter().rfind(|asked| asked.line.contains("/containers/create")).unwrap();
    let body: serde_json::Value = serde_json::from_str(&created.body).unwrap();
    body["HostConfig"]["DeviceRequests"].clone()
}

fn cards() {
    let with_runtime = engine(r#"{"Runtimes":{"runc":{"path":"runc"},"nvidia":{"path":"nvidia-container-runtime"}}}"#);
    let error = start(&with_runtime, 2);
    assert!(error.to_string().contains("as far as it goes"), "{error}");
    let asked = requested(&with_runtime);
    assert_eq!((&asked[0]["Count"], &asked[0]["Capabilities"]), (&2.into(), &serde_json::json!([["gpu"]])));
    let described = engine(r#"{"DiscoveredDevices":[{"Source":"cdi","ID":"nvidia.com/gpu=0"}]}"#);
    start(&described, 1);
    let asked = requested(&described);
    assert_eq!(
        (&asked[0]["Driver"], &asked[0]["DeviceIDs"]),
        (&"cdi".into(), &serde_json::json!(["nvidia.com/gpu=0"]))
    );
    start(&described, 0);
    assert!(requested(&described).is_null());
}

fn no_cards() {
    let engine = engine(r#"{"Runtimes":{"runc":{"path":"runc"}}}"#);
    let error = start(&engine, 1);
    assert!(error.to_string().contains("gives none"), "{error}");
    assert!(!engine.asked().iter().any(|asked| asked.line.contains("create")));
}

fn no_cards_for_workers() {
    let kit = Kit::new();
    let program = kit.program(&crate::guests::command("", ""));
    let refused = block_on(async {
        let prepared = kit.prepare(&program).await;
        kit.runtime.start(&prepared, RunRequest { gpus: 1, ..request(program) }).await
    });
    assert!(matches!(refused, Err(StartError::Request(why)) if why.contains("graphics cards")));
}
