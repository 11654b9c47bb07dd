//! What is remembered of jobs, by the node and by commands without one.

use crate::sight::command;
use potluck_tests::{Home, Node, guest, join, until};
use serde_json::Value;

/// What a home's `potluck history` with these options has, as soon as it has so many jobs.
fn history_of(home: &Home, options: &[&str], count: usize) -> Vec<Value> {
    until("the jobs are in the history", || {
        let json = home.potluck(["history", "--json"]).args(options).finish().expect(0).json();
        let jobs = json.as_array().expect("a list of jobs").clone();
        assert!(jobs.len() <= count, "more than {count} jobs: {jobs:#?}");
        (jobs.len() == count).then_some(jobs)
    })
}

#[test]
fn jobs_without_a_node_are_in_the_history_with_their_ends() {
    let home = Home::new();
    let fails = command(&home, "fail.wasm", "(call $exit (i32.const 3))");
    let traps = command(&home, "trap.wasm", "unreachable");
    home.run([guest("cat")]).finish().expect(0);
    home.run([&fails, &"two words".into()]).finish().expect(3);
    home.run([&traps]).finish().expect(134);
    let spins = command(&home, "spin.wasm", "(loop $again (br $again))");
    home.run(["--fuel", "1M", &spins]).finish().expect(137);
    let jobs = history_of(&home, &[], 4);
    let words: Vec<&str> = jobs.iter().map(|job| job["outcome"]["word"].as_str().expect("an outcome")).collect();
    assert_eq!(words, ["limit", "trapped", "exit 3", "done"], "newest first: {jobs:#?}");
    assert_eq!(jobs[2]["program"], "fail.wasm");
    assert_eq!(jobs[2]["args"], "\"two words\"");
    assert_eq!((&jobs[3]["role"], &jobs[3]["peer"]), (&"sent".into(), &Value::Null));
    assert!(jobs[3]["fuel_used"].as_u64() > Some(0) && jobs[3]["started_ms"].is_u64());
    assert!(home.config().join("data/jobs.db").is_file());

    let failed = history_of(&home, &["--failed"], 3);
    assert!(failed.iter().all(|job| job["outcome"]["word"] != "done"));
    assert_eq!(history_of(&home, &["--limit", "1"], 1)[0]["id"], jobs[0]["id"]);
    history_of(&home, &["--since", "1h"], 4);
    history_of(&home, &["--role", "ran"], 0);
    history_of(&home, &["--on", "local"], 4);
    home.potluck(["history", "--on", "nobody"]).finish().expect(125).says(&["nobody"]);
}

#[test]
fn the_history_is_a_table_for_people_and_numbers_with_stats() {
    let home = Home::new();
    let fails = command(&home, "fail.wasm", "(call $exit (i32.const 3))");
    for _ in 0..2 {
        home.run([guest("cat")]).finish().expect(0);
    }
    home.run([&fails]).finish().expect(3);
    let jobs = history_of(&home, &[], 3);
    let out = home.potluck(["history"]).finish().expect(0).out();
    let newest = out.lines().nth(1).expect("a line for the newest job");
    let id = jobs[0]["id"].as_str().expect("an id");
    let short = newest.split_whitespace().next().expect("a short id");
    assert!(short.len() >= 6 && id.starts_with(short), "{id}: {newest}");
    for word in ["fail.wasm", "here", "exit 3"] {
        assert!(newest.contains(word), "no {word:?}: {newest}");
    }
    let stats = home.potluck(["history", "--stats", "--json"]).finish().expect(0).json();
    assert_eq!(stats["all"]["jobs"], 3);
    assert_eq!(stats["all"]["outcomes"], serde_json::json!({ "done": 2, "failed": 1 }));
    let fuel: u64 = jobs.iter().filter_map(|job| job["fuel_used"].as_u64()).sum();
    assert_eq!(stats["all"]["fuel"], fuel);
    assert_eq!(stats["kinds"].as_array().map(Vec::len), Some(2));
    let text = home.potluck(["history", "--stats"]).finish().expect(0).out();
    assert!(text.starts_with("3 jobs: 2 done, 1 failed"), "{text}");
}

#[test]
fn both_sides_of_a_job_remember_it() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    home.run(["--on", "attic"]).arg(guest("cat")).input("soup").finish().expect(0);
    let sent = history_of(&home, &[], 1).remove(0);
    let ran = history_of(&lender_home, &[], 1).remove(0);
    assert_eq!((&sent["role"], &sent["peer"]["name"]), (&"sent".into(), &"attic".into()), "{sent:#}");
    assert_eq!((&ran["role"], &ran["peer"]["name"]), (&"ran".into(), &"desk".into()), "{ran:#}");
    for key in ["id", "program", "digest", "fuel_used", "memory_peak_bytes", "bytes_in", "bytes_out"] {
        assert_eq!(sent[key], ran[key], "{key}");
    }
    assert_eq!(sent["bytes_out"], 4);
    history_of(&home, &["--on", "attic"], 1);
    let id = sent["peer"]["id"].as_str().expect("an id");
    history_of(&home, &["--on", &id[..10]], 1);

    // What the daemon runs for its owner, it remembers; a command beside it does not remember it again.
    lender_home.run(["--on", "local"]).arg(guest("cat")).finish().expect(0);
    let both = history_of(&lender_home, &[], 2);
    assert_eq!((&both[0]["role"], &both[0]["peer"]), (&"sent".into(), &Value::Null), "{both:#?}");
}

#[test]
fn a_job_whose_submitter_vanishes_is_remembered_as_cancelled() {
    let home = Home::new();
    let _node = Node::start(&home);
    let mut job = home.run([guest("converse")]).start();
    job.wait_for_stdout("ready\n");
    job.kill();
    let jobs = history_of(&home, &[], 1);
    assert_eq!(jobs[0]["outcome"]["word"], "cancelled", "{jobs:#?}");
}

#[test]
fn a_job_that_its_lender_takes_back_is_remembered_by_both_sides() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    let job = home.run(["--on", "attic", "--timeout", "10m"]).arg(guest("hog")).arg("fuel").start();
    job.wait_for_stdout("taking fuel");
    lender_home.potluck(["pause"]).finish().expect(0);
    job.finish_with_stdin_open().expect(125);
    let (sent, ran) = (history_of(&home, &[], 1).remove(0), history_of(&lender_home, &[], 1).remove(0));
    let word = |job: &Value| job["outcome"]["word"].as_str().expect("an outcome").to_owned();
    assert_eq!((word(&sent).as_str(), word(&ran).as_str()), ("lost", "cancelled"), "{sent:#} {ran:#}");
    assert!(sent["outcome"]["why"].as_str().is_some_and(|why| why.contains("paused")), "{sent:#}");
    assert!(sent["started_ms"].is_u64() && ran["started_ms"].is_u64() && sent["id"] == ran["id"]);
    // What nobody accepted ran nowhere.
    home.run(["--on", "attic"]).arg(guest("cat")).finish().expect(125);
    assert_eq!(word(&history_of(&home, &[], 2)[0]), "refused");
    history_of(&lender_home, &[], 1);
}

#[test]
fn jobs_are_forgotten_by_any_beginning_of_their_id_and_by_age() {
    let home = Home::new();
    for _ in 0..3 {
        home.run([guest("cat")]).finish().expect(0);
    }
    let jobs = history_of(&home, &[], 3);
    let id = jobs[1]["id"].as_str().expect("an id");
    home.potluck(["rm", &id[..12]]).finish().expect(0).says(&["1 job"]);
    assert!(history_of(&home, &[], 2).iter().all(|job| job["id"] != id));
    home.potluck(["rm", &id[..12]]).finish().expect(125).says(&[&id[..12], "potluck history"]);
    home.potluck(["rm", "xyz"]).finish().expect(125).says(&["xyz"]);
    home.potluck(["rm"]).finish().expect(2);
    home.potluck(["rm", "--before", "1d"]).finish().expect(0).says(&["0 jobs"]);
    home.potluck(["rm", "--before", "0s"]).finish().expect(0).says(&["2 jobs"]);
    history_of(&home, &[], 0);
}

#[test]
fn what_was_recorded_survives_a_node_that_is_killed() {
    let home = Home::new();
    let node = Node::start(&home);
    for _ in 0..3 {
        home.run([guest("cat")]).finish().expect(0);
    }
    let before = history_of(&home, &[], 3);
    node.die();
    assert_eq!(history_of(&home, &[], 3), before);
    let _node = Node::start(&home);
    home.run([guest("cat")]).finish().expect(0);
    history_of(&home, &[], 4);
}

#[test]
fn damaged_records_are_put_aside_and_said_so() {
    let home = Home::new();
    home.run([guest("cat")]).finish().expect(0);
    history_of(&home, &[], 1);
    let file = home.config().join("data/jobs.db");
    let mut bytes = std::fs::read(&file).expect("the records can be read");
    bytes[..4096].fill(0x5a);
    std::fs::write(&file, bytes).expect("the records can be written");
    let finished = home.potluck(["history"]).finish();
    finished.expect(0).says(&["damaged", "jobs.damaged-"]);
    home.run([guest("cat")]).finish().expect(0);
    history_of(&home, &[], 1);
    let found = home.potluck(["doctor"]).finish().out();
    assert!(found.contains("jobs.db is whole"), "{found}");
}

#[test]
fn work_for_each_other_is_balanced_and_receipts_prove_who_said_so() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    for name in ["keep.txt", "change.txt", "drop.txt"] {
        home.write(name, name);
    }
    let inputs = ["--on", "attic", "-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt", "-o", "out"];
    home.run(inputs).arg(guest("edit")).finish().expect(0);
    home.run(["--on", "attic"]).arg(guest("cat")).input("soup").finish().expect(0);
    let jobs = history_of(&home, &[], 2);
    history_of(&lender_home, &[], 2);
    let fuel: u64 = jobs.iter().filter_map(|job| job["fuel_used"].as_u64()).sum();
    let account = |home: &Home| home.potluck(["ledger", "--json"]).finish().expect(0).json()["peers"][0].clone();
    let (ours, theirs) = (account(&home), account(&lender_home));
    assert_eq!((&ours["name"], &theirs["name"]), (&"attic".into(), &"desk".into()));
    assert_eq!((ours["for_us"]["fuel"].as_u64(), theirs["for_them"]["fuel"].as_u64()), (Some(fuel), Some(fuel)));
    assert_eq!(ours["balance"].as_i64(), theirs["balance"].as_i64().map(|balance| -balance));
    assert_eq!((&ours["for_us"]["receipts"], &ours["for_us"]["wrong_receipts"]), (&2.into(), &0.into()));
    let table = home.potluck(["ledger", "--since", "1d"]).finish().expect(0).out();
    assert!(table.contains("attic") && table.contains("all"), "{table}");

    // Both sides hold the same receipt, and a stranger can check it.
    let id = jobs[1]["id"].as_str().expect("an id");
    let receipt = |home: &Home| home.potluck(["ledger", "receipt", id, "--json"]).finish().expect(0).out();
    assert_eq!(receipt(&home), receipt(&lender_home));
    let said = home.potluck(["ledger", "receipt", id]).finish().expect(0).out();
    assert!(said.contains("signature  good") && said.contains("exited with code 0"), "{said}");
    let stranger = Home::new();
    let file = stranger.write("r.json", receipt(&home));
    let verify = |file: &std::path::Path| stranger.potluck(["ledger", "receipt", "--verify"]).arg(file).finish();
    assert_eq!(verify(&file).expect(0).out(), said);
    let forged = receipt(&home).replacen("\"body\":\"", "\"body\":\"00", 1);
    verify(&stranger.write("forged.json", forged)).expect(125).says(&["no receipt"]);
    verify(&stranger.write("other.json", "{}")).expect(125).says(&["other.json"]);

    // What was forgotten as a job still counts as work.
    home.potluck(["rm", "--before", "0s"]).finish().expect(0).says(&["2 jobs"]);
    assert_eq!(account(&home), ours);
    home.potluck(["ledger", "receipt", id]).finish().expect(125).says(&[id]);
}

#[test]
fn the_cache_is_listed_and_emptied_of_what_nobody_uses() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    home.write("data.bin", [7u8; 100_000]);
    home.run(["--on", "attic", "-f", "data.bin"]).arg(guest("cat")).finish().expect(0);
    let bytes_of = |kind: &str| {
        let list = lender_home.potluck(["cache", "ls", "--json"]).finish().expect(0).json();
        let kinds = list["kinds"].as_array().expect("kinds").clone();
        let found = kinds.into_iter().find(|object| object["kind"] == kind).expect("every kind is listed");
        found["bytes"].as_u64().expect("a size")
    };
    until("all that the job used is in the cache", || {
        (bytes_of("code") > 0 && bytes_of("blobs") > 100_000 && bytes_of("records") > 0).then_some(())
    });
    let table = lender_home.potluck(["cache", "ls"]).finish().expect(0).out();
    assert!(table.contains("blobs") && table.contains("environments"), "{table}");
    let rehearsed = lender_home.potluck(["cache", "gc", "--max", "0", "--dry-run"]).finish();
    rehearsed.expect(0).says(&["would be freed"]);
    assert!(bytes_of("blobs") > 100_000, "a rehearsal removes nothing");
    lender_home.potluck(["cache", "gc", "--older-than", "1h"]).finish().expect(0).says(&["0 bytes freed"]);

    // While a job holds its inputs they stay, and its code does; afterwards they go.
    let mut job = home.run(["--on", "attic", "-f", "data.bin"]).arg(guest("converse")).start();
    job.wait_for_stdout("ready\n");
    lender_home.potluck(["cache", "gc", "--max", "0"]).finish().expect(0).says(&["in use"]);
    assert!(bytes_of("blobs") > 100_000, "what a job holds is gone");
    job.write("over to you\n");
    job.finish().expect(0);
    until("all of it goes when nobody uses it", || {
        lender_home.potluck(["cache", "gc", "--max", "0"]).finish().expect(0);
        (bytes_of("blobs") == 0).then_some(())
    });
    assert!(bytes_of("records") > 0);
    home.run(["--on", "attic", "-f", "data.bin"]).arg(guest("cat")).finish().expect(0);
}
