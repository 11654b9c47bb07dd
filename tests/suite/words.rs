//! The words of a job in each language: outside Potluck they do nothing, and with the contract's variables and files they say
//! what the contract says.

use crate::jobs::{given, job};
use potluck_tests::{
    Contract, DEADLINE, Home, Node, example, guest, join, lasting, native_cargo, online_peers, succeed, until,
    until_within, workspace,
};
use rustix::process::Signal;
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The primes below 300,000 and below 1,000,000, as all three examples give them.
fn part() -> serde_json::Value {
    json!({"below": 300_000, "primes": 25_997, "largest": 299_993})
}

fn whole() -> serde_json::Value {
    json!({"below": 1_000_000, "primes": 78_498, "largest": 999_983})
}

/// Runs one of the examples that count primes, as a command of this machine.
#[track_caller]
fn counts_primes(program: impl Fn() -> Command) {
    counts_primes_as(|contract, end| {
        let mut command = program();
        command.arg(end);
        if let Some(contract) = contract {
            contract.around(&mut command);
        }
        succeed(&mut command)
    });
}

/// Runs one of the examples that count primes: by itself, in parts, from a checkpoint, and cancelled before it has begun.
#[track_caller]
pub(crate) fn counts_primes_as(run: impl Fn(Option<&Contract>, &str) -> String) {
    let outside = run(None, "1000000");
    assert_eq!(outside, fs::read_to_string(example("expected/primes.stdout.txt")).expect("it is text"));

    let first = Contract::new();
    run(Some(&first), "300000");
    assert_eq!(first.last("result"), Some(part()));
    assert_eq!(first.last("progress").expect("it says how far it is")["done"], 300_000);
    assert_eq!(first.said().iter().filter(|event| event.get("checkpoint").is_some()).count(), 3);

    let second = Contract::new();
    second.keep(&first.kept());
    run(Some(&second), "1000000");
    assert_eq!(second.last("result"), Some(whole()));
    assert_eq!(
        second.said().iter().filter(|event| event.get("checkpoint").is_some()).count(),
        7,
        "what was kept is kept"
    );
    assert_eq!(second.last("log").expect("it says that it goes on")["message"], "goes on");

    let third = Contract::new();
    third.say("something new\ncancel\n");
    run(Some(&third), "1000000");
    assert_eq!(third.last("result").expect("a part is a result too")["below"], 0);
}

/// Compiles a C program for this machine, by the strictest of rules.
fn compiled(source: &Path, name: &str) -> PathBuf {
    let program = lasting("c").join(name);
    fs::create_dir_all(lasting("c")).expect("a directory can be made");
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-pedantic", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-I"]);
    succeed(cc.arg(workspace().join("guest-sdk/c")).arg(source).arg("-o").arg(&program));
    program
}

/// What the README shows in this language as the shortest job.
pub(crate) fn readme_code(language: &str) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("the README is text");
    let (_, part) = readme.split_once("## Writing a job").expect("the README says how");
    let (_, code) = part.split_once(&format!("```{language}\n")).expect("it shows the language");
    code.split_once("```").expect("the code has an end").0.to_owned()
}

#[test]
fn what_the_readme_shows_adds_up() {
    let place = lasting("readme");
    fs::create_dir_all(&place).expect("a directory can be made");
    let numbers: String = (1..=2500).map(|number| format!("{number}\n")).collect();
    for (name, text) in [("numbers.txt", numbers), ("job.py", readme_code("python")), ("job.c", readme_code("c"))] {
        fs::write(place.join(name), text).expect("a file can be written");
    }
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", workspace().join("guest-sdk/python")).arg("job.py");
    let c = Command::new(compiled(&place.join("job.c"), "readme"));
    for (mut job, result) in [(python, json!({"line": 2500, "sum": 3_126_250.0})), (c, json!(3_126_250))] {
        let contract = Contract::new();
        assert_eq!(succeed(contract.around(&mut job).current_dir(&place)), "");
        assert_eq!(contract.last("result"), Some(result));
        assert!(!contract.kept().is_empty());
    }
}

#[test]
fn rust_says_it() {
    let cargo = |word: &str| {
        let mut cargo = native_cargo();
        let manifest = example("rust-primes/Cargo.toml");
        cargo.args([word, "--quiet", "--locked", "--manifest-path"]).arg(manifest);
        cargo
    };
    succeed(&mut cargo("test"));
    counts_primes(|| {
        let mut run = cargo("run");
        run.arg("--");
        run
    });
}

#[test]
fn c_says_it() {
    let program = compiled(&example("c-primes/primes.c"), "primes");
    counts_primes(|| Command::new(&program));
}

#[test]
fn python_says_it() {
    counts_primes(|| {
        let mut python = Command::new("python3");
        python.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", workspace().join("guest-sdk/python"));
        python.arg(example("primes.py"));
        python
    });
}

#[test]
fn python_passes_its_own_tests() {
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", "unittest", "--quiet"]);
    succeed(python.current_dir(workspace().join("guest-sdk/python")));
}

#[test]
fn c_says_any_text_and_refuses_what_is_too_long() {
    let program = compiled(&workspace().join("tests/guests/c/words.c"), "words");
    assert_eq!(succeed(&mut Command::new(&program)), "", "outside nothing is said, and nothing fails");

    let contract = Contract::new();
    succeed(contract.around(&mut Command::new(&program)));
    let said = contract.said();
    assert_eq!(said[0], json!({"progress": {"done": 1}}));
    let message = "a \"b\" \\ \n\u{1} ü \u{fffd} \u{fffd}\u{fffd}\u{fffd} 😀";
    assert_eq!(said[1], json!({"progress": {"done": 2, "total": 5, "message": message}}));
    let fields =
        json!({"na\"me": "a\tb", "integer": -9_007_199_254_740_993_i64, "real": 0.1, "none": null, "json": [1, true]});
    assert_eq!(said[2], json!({"log": {"level": "warn", "message": "odd", "fields": fields}}));
    assert_eq!(said[3]["log"]["message"].as_str().map(str::len), Some(8192), "what is too long is cut");
    assert_eq!(contract.last("result"), Some(json!([1, 2])));
    assert_eq!(contract.last("progress"), Some(json!({"done": 100_000, "total": 100_000, "message": "turning"})));
    assert_eq!(contract.last("checkpoint"), Some(json!(null)));
    assert!(said.len() < 1000, "{} lines for a loop that does nothing", said.len());
}

#[test]
fn c_is_told_all_that_there_is_to_tell() {
    let program = compiled(&workspace().join("tests/guests/c/words.c"), "told");
    assert_eq!(succeed(Command::new(&program).arg("told")), "task 0 0 0\nkept 0 \ncancelled 0\n");
    let contract = Contract::new();
    contract.keep(b"longer than its room");
    contract.say("hurry\ncancel\n");
    let told = succeed(contract.around(Command::new(&program).arg("told")));
    assert_eq!(told, "task 1 17 100\nkept 20 longer t\ncancelled 1\n");
}

#[test]
fn a_script_finds_the_words_without_bringing_them() {
    let home = Home::with_python();
    home.write("script.py", "import potluck\nprint(list(potluck.track('abc')), potluck.__name__, potluck.restore())\n");
    for image in ["none", "interpreter", "numpy"] {
        let finished = home.run(["--image", image, "script.py"]).finish();
        assert_eq!(finished.expect(0).out(), "['a', 'b', 'c'] potluck None\n", "from {image}");
    }
}

#[test]
fn a_script_that_brings_its_own_words_gets_those() {
    let home = Home::with_python();
    home.write("potluck.py", "def progress(): return 'its own'\n");
    home.write("script.py", "import potluck\nprint(potluck.progress())\n");
    assert_eq!(home.run(["-f", "potluck.py", "script.py"]).finish().expect(0).out(), "its own\n");
}

#[test]
fn a_folder_of_the_same_name_does_not_hide_the_words() {
    let home = Home::with_python();
    home.write("potluck/data.csv", "1\n");
    home.write("script.py", "import potluck\nprint(potluck.inside(), open('potluck/data.csv').read())\n");
    assert_eq!(home.run(["-f", "potluck", "script.py"]).finish().expect(0).out(), "True 1\n\n");
}

#[test]
fn each_example_gives_its_result_to_whoever_runs_it() {
    let home = Home::with_python();
    let compiled = ["rust-primes", "rust-primes-component", "c-primes"].map(guest);
    for program in compiled.into_iter().chain([example("primes.py")]) {
        let object = home.run(["--json"]).arg(&program).arg("300000").finish().expect(0).json();
        assert_eq!(object["result"], part(), "{}: {object:#}", program.display());
        let events = object["events"].as_array().expect("a list of events");
        let done = events.iter().filter_map(|event| event["progress"]["done"].as_u64()).next_back();
        assert_eq!(done, Some(300_000), "{}: {object:#}", program.display());
    }
}

#[test]
fn what_is_hard_to_say_comes_through_the_sandbox() {
    let home = Home::new();
    let object = home.run(["--json"]).arg(guest("words")).finish().expect(0).json();
    assert_eq!(object["result"], json!([1, 2]), "{object:#}");
    let events = object["events"].as_array().expect("a list of events");
    let logs: Vec<_> = events.iter().filter_map(|event| event["log"]["message"].as_str()).collect();
    assert_eq!((logs[0], logs[1].len(), logs.len()), ("odd", 8192, 2), "{object:#}");
    let told = home.run([guest("words")]).arg("told").finish();
    assert_eq!(told.expect(0).out(), "task 0 0 0\nkept 0 \ncancelled 0\n");
}

#[test]
fn an_example_that_is_cancelled_gives_what_it_has_counted() {
    let home = Home::with_python();
    let compiled = ["rust-primes", "rust-primes-component", "c-primes"].map(guest);
    for program in compiled.into_iter().chain([example("primes.py")]) {
        let job = home.run(["--json"]).arg(&program).arg("1000000000000").start();
        // What it keeps it keeps after it has looked whether it is to end. By its second state the host has long heard of that,
        // which is not given way to as a guest is.
        let kept = || {
            let states = home.scratch_entries().into_iter().map(|run| fs::read(run.join("tmp/.potluck-checkpoint")));
            states.flatten().find(|state| !state.is_empty())
        };
        let first = until("it keeps its state", kept);
        until("it keeps another", || kept().filter(|state| *state != first));
        job.signal(Signal::INT);
        let object = job.finish_with_stdin_open().expect(130).json();
        assert_eq!(object["outcome"]["kind"], "cancelled", "{}: {object:#}", program.display());
        assert!(object["result"]["below"].is_u64(), "{}: {object:#}", program.display());
    }
}

#[test]
fn an_example_goes_on_from_where_a_machine_that_was_killed_had_come_to() {
    let (ann, bob, cid) = (Home::new().named("ann"), Home::new().named("bob"), Home::new().named("cid"));
    let home = Node::start(&ann);
    let (first, second) = (Node::start(&bob), Node::start(&cid));
    join(&home, &bob);
    join(&home, &cid);
    until("both are there", || (online_peers(&ann).len() == 2).then_some(()));
    let program = guest("c-primes");
    let words = ["--on", "bob,cid", "--fuel", "1000T"].map(OsStr::new);
    let id = given(&ann, words.into_iter().chain([program.as_os_str(), "1000000000000".as_ref()]));
    until("its home has a checkpoint", || job(&ann, &id)["checkpoint"]["size"].as_u64());
    let (dies, goes_on) = if job(&ann, &id)["place"] == "bob" { (first, second) } else { (second, first) };
    dies.die();
    until_within(3 * DEADLINE, "it goes on", || {
        ann.potluck(["logs", &id]).finish().err().contains("info: goes on").then_some(())
    });
    ann.potluck(["cancel", &id]).finish().expect(0);
    drop(goes_on);
}
