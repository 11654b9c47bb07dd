//! Graphics processors: what a machine says of its own, and what is said to whoever needs one.

use potluck_tests::{Home, Node, guest, online_peers, pair, succeed, until, workspace};
use serde_json::Value;
use std::process::Command;

/// Puts what is taken for NVIDIA's library into the machine that a home's sensors see.
fn install_library(home: &Home, flags: &[&str]) {
    let source = workspace().join("node/src/host/gpus/false_nvml.c");
    let library = home.system().join("libnvidia-ml.so.1");
    succeed(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).args(flags));
}

fn check(home: &Home) -> Value {
    let checks = home.potluck(["doctor", "--json"]).finish().json();
    let all = checks.as_array().expect("doctor prints a list");
    all.iter().find(|check| check["name"] == "gpu").cloned().expect("one check is about graphics processors")
}

#[test]
fn a_machine_says_of_its_graphics_processor_what_its_library_says_with_a_node_and_without() {
    let home = Home::new();
    install_library(&home, &[]);
    let expected = serde_json::json!([{
        "name": "NVIDIA GeForce RTX 3060",
        "vendor": "nvidia",
        "memory_bytes": 12u64 << 30,
        "memory_free_bytes": 9u64 << 30,
        "driver": "550.54.14",
        "cuda": "12.4",
        "busy_percent": 7,
    }]);
    assert_eq!(home.potluck(["status", "--json"]).finish().json()["gpus"], expected);
    let check = check(&home);
    assert_eq!(check["result"], "ok", "{check}");
    let found = check["found"].as_str().unwrap();
    assert!(found.contains("RTX 3060, 9 GiB of 12 GiB free") && found.contains("WebAssembly cannot"), "{found}");
    let _node = Node::start(&home);
    until("the node has looked", || {
        (home.potluck(["status", "--json"]).finish().expect(0).json()["gpus"] == expected).then_some(())
    });
    let text = home.potluck(["status"]).finish().expect(0).out();
    assert!(text.contains("gpus          NVIDIA GeForce RTX 3060, 9 GiB of 12 GiB free"), "{text}");
}

#[test]
fn a_library_that_fails_is_told_by_doctor_and_does_not_keep_a_node_from_starting() {
    let home = Home::new();
    install_library(&home, &["-DINIT=9"]);
    home.write_system("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: NVIDIA T400\n");
    let _node = Node::start(&home);
    let status = home.potluck(["status", "--json"]).finish().expect(0).json();
    assert_eq!(status["gpus"][0]["name"], "NVIDIA T400", "{status:#}");
    let check = check(&home);
    assert_eq!(check["result"], "warn", "{check}");
    assert!(check["found"].as_str().unwrap().contains("libnvidia-ml.so.1 fails"), "{check}");
}

#[test]
fn of_a_machine_without_one_it_is_said_what_was_tried() {
    let home = Home::new();
    let check = check(&home);
    assert_eq!(check["result"], "ok", "{check}");
    for word in ["none seen", "libnvidia-ml.so.1 is not there", "sys/class/drm has 0 of AMD or Intel"] {
        assert!(check["found"].as_str().unwrap().contains(word), "{word}: {check}");
    }
    let status = home.potluck(["status", "--json"]).finish().json();
    assert_eq!(status["gpus"], serde_json::json!([]));
}

#[test]
fn peers_show_those_of_others() {
    let (attic, desk) = (Home::new().named("attic"), Home::new().named("desk"));
    install_library(&attic, &["-DCOUNT=2"]);
    let (lender, node) = (Node::start(&attic), Node::start(&desk));
    pair(&lender, &node);
    until("desk has heard of them", || {
        let info = online_peers(&desk).first()?["info"].clone();
        (info["gpus"].as_array()?.len() == 2 && info["gpus"][1]["memory_bytes"] == 12u64 << 30).then_some(())
    });
    let table = desk.potluck(["peers"]).finish().expect(0).out();
    assert!(table.contains("NVIDIA GeForce RTX 3060 12 GiB, NVIDIA"), "{table}");
    let top = desk.potluck(["top", "--once"]).finish().expect(0).out();
    assert!(top.contains("GPU") && top.contains("RTX 3060 12 GiB"), "{top}");
}

#[test]
fn who_needs_one_for_webassembly_is_told_at_once_what_reaches_one() {
    let home = Home::new();
    install_library(&home, &[]);
    let program = guest("weave").display().to_string();
    home.write("in.txt", "1");
    let run: [&[&str]; 5] = [
        &["run", "--need", "gpu", &program],
        &["run", "-d", "--need", "gpu=2", &program],
        &["run", "--dry-run", "--need", "gpu-memory=8G", &program],
        &["run", "-d", "--need", "gpu", "not-even-there.py"],
        &["map", "--need", "gpu", &program, "in.txt", "-o", "out"],
    ];
    for words in run {
        home.potluck(words).finish().expect(125).says(&["only the Docker backend", "--backend docker --docker-image"]);
    }
    home.potluck(["run", "-d", "--need", "gpu=17", &program]).finish().says(&["from 1 to 16"]);
    assert!(!home.config().join("data/up.log").exists(), "no node was started");
}
