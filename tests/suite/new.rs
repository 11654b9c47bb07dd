//! `potluck new`: what it makes is tested, built and run by the commands that its README names.

use crate::words::readme_code;
use potluck_tests::{Home, Node, guest_cargo, lasting, native_cargo, succeed, wasi_sdk, workspace};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SAYS: &str = "29 numbers on 30 lines, sum 452\n";

/// A fresh project, always in the same place, so that what is compiled for it is found again.
fn project(home: &Home, language: &str, name: &str) -> PathBuf {
    let place = lasting("new").join(language);
    // There is none the first time.
    let _none = fs::remove_dir_all(place.join(name));
    fs::create_dir_all(&place).expect("a directory can be made");
    let made = home.potluck(["new", language, name]).within(&place).finish();
    assert!(made.expect(0).out().contains(&format!("cd {name}\n")), "{made}");
    place.join(name)
}

/// The program adds what it is sent, on a node, and says what it should.
#[track_caller]
fn runs(home: &Home, project: &Path, program: &str) {
    let _node = Node::start(home);
    let run = home.run(["--json", "-f", "numbers.txt", program, "numbers.txt"]).within(project).finish();
    let object = run.expect(0).json();
    assert_eq!(object["stdout"], SAYS, "{object:#}");
    let result = &object["result"];
    assert_eq!((&result["lines"], &result["numbers"]), (&json!(30), &json!(29)), "{object:#}");
    assert_eq!(result["sum"].as_f64(), Some(452.0), "{object:#}");
    let warned = object["events"].as_array().expect("a list").iter().find(|event| event["log"]["level"] == "warn");
    assert_eq!(warned.expect("one line is no number")["log"]["fields"]["line"], 13, "{object:#}");
}

#[test]
fn a_rust_job_is_tested_built_and_run() {
    let home = Home::new();
    let project = project(&home, "rust", "word-count");
    succeed(native_cargo().args(["test", "--quiet"]).current_dir(&project));
    let run = || succeed(native_cargo().args(["run", "--quiet", "--", "numbers.txt"]).current_dir(&project));
    assert_eq!(run(), SAYS);
    let mut build = guest_cargo();
    build.args(["build", "--quiet", "--release", "--target", "wasm32-wasip1"]).current_dir(&project);
    succeed(&mut build);
    let (_, target) = build.get_envs().find(|(name, _)| *name == "CARGO_TARGET_DIR").expect("it was set");
    let built = Path::new(target.expect("it was set")).join("wasm32-wasip1/release/word-count.wasm");
    runs(&home, &project, built.to_str().expect("the path is text"));

    fs::write(project.join("src/main.rs"), readme_code("rust")).expect("the source can be written");
    assert_eq!(run(), "", "what the README shows compiles, and outside Potluck it says nothing");
}

#[test]
fn a_c_job_is_tested_built_and_run() {
    let home = Home::new();
    let project = project(&home, "c", "columns");
    assert!(succeed(Command::new("make").arg("test").current_dir(&project)).ends_with("test passed\n"));
    succeed(Command::new("make").env("WASI_SDK_PATH", wasi_sdk()).current_dir(&project));
    runs(&home, &project, "columns.wasm");
}

#[test]
fn a_c_job_without_a_compiler_says_where_to_get_one() {
    let home = Home::new();
    let project = project(&home, "c", "columns-2");
    let mut make = Command::new("make");
    make.env("WASI_SDK_PATH", "/nowhere").env("WASI_CC", "/nowhere/clang").current_dir(&project);
    let failed = make.output().expect("make can be run");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && said.contains("WASI_SDK_PATH=DIRECTORY make"), "{said}");
}

#[test]
fn a_python_job_is_tested_and_run() {
    let home = Home::with_python();
    let project = project(&home, "python", "sum-up");
    let mut python = Command::new("python3");
    succeed(python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", "unittest", "--quiet"]).current_dir(&project));
    runs(&home, &project, "sum_up.py");
    assert!(project.join("potluck.pyi").is_file());
}

#[test]
fn what_is_there_is_left_alone() {
    let home = Home::new();
    home.write("mine/file.txt", "mine");
    home.potluck(["new", "c", "mine"]).finish().expect(125).says(&["mine is here already"]);
    home.write("file", "mine");
    home.potluck(["new", "c", "file"]).finish().expect(125).says(&["file is here already"]);
    assert_eq!(fs::read_dir(home.work().join("mine")).expect("it is there").count(), 1);
}

#[test]
fn a_name_that_leads_elsewhere_or_means_something_else_is_refused() {
    let home = Home::new();
    for (language, name, why) in [
        ("rust", "../evil", "is a path"),
        ("python", "/tmp/evil", "is a path"),
        ("c", "..", "cannot be a job's name"),
        ("rust", "My Job", "cannot be a job's name"),
        ("rust", "fn", "means something else in rust"),
        ("python", "json", "json-job"),
        ("python", "potluck", "means something else in python"),
    ] {
        home.potluck(["new", language, name]).finish().expect(125).says(&[why]);
    }
    home.potluck(["new", "cobol", "x"]).finish().expect(2).says(&["possible values: rust, c, python"]);
    assert_eq!(fs::read_dir(home.work()).expect("it is there").count(), 0);
}

#[test]
fn the_manifest_of_the_words_is_that_of_the_sdk() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).expect("a manifest is text");
    let (ours, theirs) = (read("guest-sdk/Cargo.toml"), read("cli/templates/rust/potluck-guest.toml"));
    let features = |text: &str| {
        text.lines().filter(|line| line.contains("\"dep:") || line.starts_with("default =")).collect::<String>()
    };
    assert_eq!(features(&ours), features(&theirs));
    let line =
        |start: &str| read("Cargo.toml").lines().find(|line| line.starts_with(start)).expect("it is there").to_owned();
    for shared in [line("version ="), line("edition ="), line("license =")] {
        assert!(theirs.lines().any(|line| line == shared), "{shared}");
    }
}
