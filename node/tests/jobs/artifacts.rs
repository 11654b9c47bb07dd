//! Environments that come from where they are: from the submitter's own machine, although no node runs there, and from
//! another peer.

use crate::lab::{Machine, wait_until};
use potluck_node::client::{JobEvent, Submission, Target};
use potluck_node::wire::Stage;
use potluck_runtime::SilentWatch;
use std::path::{Path, PathBuf};

/// The wheel that the environment is in; `cargo xtask test` downloads it once.
fn wheel() -> PathBuf {
    if let Some(wheel) = std::env::var_os("POTLUCK_TEST_WHEEL") {
        return wheel.into();
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-data");
    let mut files = std::fs::read_dir(data).into_iter().flatten().flatten().map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|ending| ending == "whl")).expect("run `cargo xtask test`")
}

fn is_ready(machine: &Machine) -> bool {
    machine.client.runtime().unwrap().environments().list().iter().all(|environment| environment.ready)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitter_without_a_node_gives_its_python_to_the_peer_that_runs_its_script_and_that_peer_to_others() {
    let (desk, mut attic, shed) = (Machine::new("desk"), Machine::new("attic"), Machine::new("shed"));
    attic.up().await;
    desk.join(&attic).await;
    shed.join(&attic).await;
    let environments = desk.client.runtime().unwrap();
    environments.environments().add_wheel("python", &wheel(), &SilentWatch).await.unwrap();
    let script = desk.dir.path().join("hello.py");
    std::fs::write(&script, "print('hello')\n").unwrap();
    let mut job = desk.client.submit(Target::Peer("attic".into()), Submission::new(&script)).await.unwrap();
    let mut fetched = Vec::new();
    while !is_ready(&attic) {
        let event = crate::lab::next(&mut job).await;
        if let JobEvent::Stage(Stage::Fetching { what, .. }) = event {
            fetched.push(what);
        }
    }
    assert!(fetched.iter().any(|what| what.ends_with("from desk")), "{fetched:?}");
    // What follows is minutes of compilation, which is another test's matter.
    drop(job);
    attic.is_clean().await;
    assert!(!is_ready(&shed));
    shed.client.fetch_environment("python", &SilentWatch).await.unwrap();
    assert!(is_ready(&shed));
    wait_until(async || attic.client.info().await.unwrap().jobs_running == 0).await;
    attic.down().await;
}
