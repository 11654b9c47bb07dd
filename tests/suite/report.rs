//! `--json` puts one object on stdout, whose fields are stable; `--quiet` leaves nothing but the job's own words.

use crate::sight::command;
use potluck_tests::{Home, Node, guest, join};
use serde_json::{Value, json};

const FIELDS: [&str; 13] = [
    "job",
    "peer",
    "outcome",
    "exit_code",
    "fuel_used",
    "wall_ms",
    "memory_peak_bytes",
    "stdout",
    "stderr",
    "outputs",
    "truncated",
    "result",
    "events",
];

#[track_caller]
fn fields_of(object: &Value) {
    let mut names: Vec<_> = object.as_object().expect("it is an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut expected = FIELDS;
    expected.sort_unstable();
    assert_eq!(names, expected, "{object}");
}

#[test]
fn a_finished_job_is_one_object_with_the_promised_fields() {
    let home = Home::new();
    let finished = home.run(["--json"]).arg(guest("weave")).arg("4").finish();
    let object = finished.expect(0).json();
    fields_of(&object);
    assert_eq!((&object["stdout"], &object["stderr"]), (&json!("0\n2\n"), &json!("1\n3\n")));
    assert_eq!((&object["exit_code"], &object["truncated"]), (&json!(0), &json!(false)));
    assert!(object["fuel_used"].as_u64().is_some_and(|fuel| fuel > 0), "{object}");
    assert!(object["memory_peak_bytes"].as_u64().is_some_and(|bytes| bytes >= 64 << 10), "{object}");
    assert!(object["wall_ms"].is_u64() && object["outputs"].is_array(), "{object}");
    let job = object["job"].as_str().expect("the job has a name");
    assert!(job.len() == 32 && job.bytes().all(|b| b.is_ascii_hexdigit()), "{job}");
}

#[test]
fn a_failed_job_is_the_same_object_with_its_exit_code() {
    let home = Home::new();
    let exits = command(&home, "exit.wasm", "(call $exit (i32.const 9))");
    let traps = command(&home, "trap.wasm", "unreachable");
    for (program, code, outcome) in [(&exits, 9, "exited"), (&traps, 134, "trapped")] {
        let finished = home.run(["--json", program]).finish();
        let object = finished.expect(code).json();
        fields_of(&object);
        assert_eq!(object["exit_code"], json!(code), "{object}");
        assert!(object["outcome"].to_string().contains(outcome), "{object}");
    }
}

#[test]
fn a_limit_is_named_in_the_object() {
    let home = Home::new();
    let finished = home.run(["--json", "--fuel", "100M"]).arg(guest("hog")).arg("fuel").finish();
    let object = finished.expect(137).json();
    fields_of(&object);
    let outcome = object["outcome"].to_string();
    assert!(outcome.contains("limit") && outcome.contains("fuel"), "{object}");
    assert_eq!(object["stdout"], json!("taking fuel\n"));
}

#[test]
fn the_same_job_uses_the_same_fuel_every_time() {
    let home = Home::new();
    let fuel = || home.run(["--json"]).arg(guest("weave")).arg("100").finish().expect(0).json()["fuel_used"].as_u64();
    let first = fuel();
    assert!(first.is_some());
    assert_eq!(first, fuel());
}

#[test]
fn files_that_came_back_are_listed() {
    let home = Home::new();
    for name in ["keep.txt", "change.txt", "drop.txt"] {
        home.write(name, name);
    }
    let inputs = ["--json", "-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt", "-o", "out"];
    let object = home.run(inputs).arg(guest("edit")).finish().expect(0).json();
    let outputs = object["outputs"].to_string();
    for name in ["made.txt", "deep/er/made.txt", "change.txt"] {
        assert!(outputs.contains(name), "{name} is missing: {object}");
    }
    assert!(!outputs.contains("keep.txt"), "{object}");
}

#[test]
fn the_object_names_the_peer_that_ran_the_job() {
    let lender_home = Home::new().named("lender");
    let lender = Node::start(&lender_home);
    let home = Home::new();
    join(&lender, &home);
    let object = home.run(["--json", "--on", "lender"]).arg(guest("weave")).arg("2").finish().expect(0).json();
    fields_of(&object);
    assert!(object["peer"].to_string().contains("lender"), "{object}");
    assert_eq!(object["stdout"], json!("0\n"));
}

#[test]
fn output_too_long_for_one_object_is_cut_and_says_so() {
    let home = Home::new();
    let finished = home.run(["--json", "--output", "64M"]).arg(guest("cat")).input(vec![b'a'; 48 << 20]).finish();
    let object = finished.expect(0).json();
    let kept = object["stdout"].as_str().expect("stdout is text").len();
    assert_eq!(object["truncated"], json!(kept < 48 << 20), "kept {kept} bytes");
}
