//! The same job in every language: on a second node it says how far it is, gives a result and a file, and fails in its language's own
//! words; and it runs on a host that has never heard of Potluck, a script under its interpreter alone.

use crate::words::counts_primes_as;
use potluck_tests::{Contract, Home, Node, Outside, example, guest, join, ruby_package};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The job in one language.
struct Job {
    program: PathBuf,
    /// What it says when it is asked for primes below a word, and what it ends with then.
    refuses: (&'static str, i32),
}

fn jobs() -> [Job; 8] {
    let script = |name: &str, refuses| Job { program: example(name), refuses };
    [
        Job { program: guest("rust-primes"), refuses: ("usage: rust-primes", 2) },
        Job { program: guest("c-primes"), refuses: ("usage: c-primes", 2) },
        Job { program: guest("go-primes"), refuses: ("usage: go-primes", 2) },
        Job { program: guest("assemblyscript-primes"), refuses: ("usage: assemblyscript-primes", 2) },
        script("primes.py", ("ValueError: invalid literal for int()", 1)),
        script("primes.js", ("RangeError: soup is no whole number", 1)),
        script("primes.rb", ("invalid value for Integer(): \"soup\" (ArgumentError)", 1)),
        script("primes.lua", ("\"soup\" is no whole number", 1)),
    ]
}

fn add_ruby(home: &Home) {
    home.potluck(["env", "add", "ruby", "--from"]).arg(ruby_package()).finish().expect(0);
}

/// Runs it on a second node.
fn counts_there(home: &Home, job: &Job) {
    let finished =
        home.run(["--on", "attic", "--json", "-o", "back"]).arg(&job.program).args(["300000", "line.txt"]).finish();
    let object = finished.expect(0).json();
    let line = "25997 primes below 300000, the largest 299993\n";
    assert_eq!((&object["peer"], &object["stdout"]), (&"attic".into(), &line.into()), "{object:#}");
    assert_eq!(object["result"], json!({"below": 300_000, "primes": 25_997, "largest": 299_993}));
    let progress: Vec<_> =
        object["events"].as_array().into_iter().flatten().filter_map(|one| one.get("progress")).collect();
    assert!(progress.iter().any(|one| one["message"] == "sieving"), "{object:#}");
    assert_eq!(progress.last().map(|one| (&one["done"], &one["total"])), Some((&300_000.into(), &300_000.into())));
    let back = fs::read_to_string(home.work().join("back/line.txt")).expect("its file came back");
    assert_eq!(back, line);
    fs::remove_dir_all(home.work().join("back")).expect("a directory can be removed");
    let (words, code) = job.refuses;
    home.run(["--on", "attic"]).arg(&job.program).arg("soup").finish().expect(code).says(&[words]);
}

#[test]
fn the_same_job_runs_on_a_second_node_in_every_language() {
    let lender_home = Home::with_python().named("attic");
    let home = Home::with_python();
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    add_ruby(&home);
    for job in jobs() {
        counts_there(&home, &job);
    }
    assert!(!lender_home.config().join("data/environments").exists(), "nothing is added for a peer");
}

#[test]
fn ruby_greets() {
    let home = Home::with_python();
    add_ruby(&home);
    let expected =
        fs::read_to_string(example("expected/hello-rb.stdout.txt")).expect("the example says what it prints");
    assert_eq!(home.run([example("hello.rb")]).arg("Ada").finish().expect(0).out(), expected);
}

/// The command of an environment.
fn interpreter(home: &Home, name: &str) -> PathBuf {
    let path = home.potluck(["env", "path", name]).finish().expect(0).out();
    let path = Path::new(path.trim());
    if path.is_dir() { path.join("program.wasm") } else { path.to_owned() }
}

#[test]
fn the_same_job_runs_outside_of_potluck_under_its_interpreter_alone() {
    let home = Home::with_python();
    add_ruby(&home);
    for (name, script) in [("lua", "primes.lua"), ("javascript", "primes.js"), ("ruby", "primes.rb")] {
        let outside = Outside::of(&interpreter(&home, name));
        let script = example(script);
        let script = script.to_str().expect("the workspace lies at a path in UTF-8");
        counts_primes_outside(&outside, &[name, script]);
    }
}

#[test]
fn the_same_job_in_go_and_assemblyscript_runs_outside_of_potluck() {
    for name in ["go-primes", "assemblyscript-primes"] {
        counts_primes_outside(&Outside::of(&guest(name)), &[name]);
    }
}

fn counts_primes_outside(outside: &Outside, words: &[&str]) {
    counts_primes_as(|contract, end| {
        let variables = contract.map(Contract::variables).unwrap_or_default();
        outside.run(&[words, &[end]].concat(), &variables)
    });
}
