//! The commands around `run`: each explains itself, and what it prints for programs is stable.

use potluck_tests::{Home, Node, guest};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const COMMANDS: [&str; 15] = [
    "run",
    "up",
    "down",
    "status",
    "peers",
    "invite",
    "join",
    "whoami",
    "identity",
    "setup",
    "config",
    "env",
    "doctor",
    "completions",
    "version",
];

#[test]
fn every_command_has_help_with_an_example() {
    let home = Home::new();
    let overview = home.potluck(["--help"]).finish().expect(0).out();
    for command in COMMANDS {
        assert!(overview.contains(command), "`potluck --help` does not name {command}");
        let help = home.potluck([command, "--help"]).finish().expect(0).out();
        assert!(
            help.to_lowercase().contains("example") && help.contains(&format!("potluck {command}")),
            "{command}:\n{help}"
        );
    }
}

#[test]
fn the_help_of_run_names_every_option_and_every_exit_code() {
    let home = Home::new();
    let help = home.potluck(["run", "--help"]).finish().expect(0).out();
    for word in [
        "--on",
        "--env",
        "-e",
        "-f",
        "--mount",
        "-o",
        "--fuel",
        "--memory",
        "--timeout",
        "--disk",
        "--output",
        "--stdin",
        "--json",
        "--quiet",
        "124",
        "125",
        "126",
        "127",
        "130",
        "134",
        "137",
    ] {
        assert!(help.contains(word), "no {word} in:\n{help}");
    }
}

#[test]
fn a_command_nobody_knows_is_refused_with_a_word_of_help() {
    let home = Home::new();
    let finished = home.potluck(["fly"]).finish();
    assert_ne!(finished.code(), 0);
    finished.says(&["fly", "--help"]);
}

#[test]
fn version_names_potluck_and_its_engine() {
    let home = Home::new();
    let out = home.potluck(["version"]).finish().expect(0).out();
    assert!(out.contains("potluck") && out.contains(env!("CARGO_PKG_VERSION")) && out.contains("wasmtime"), "{out}");
    assert!(home.potluck(["--version"]).finish().expect(0).out().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn whoami_makes_an_identity_once_and_keeps_it_private() {
    let home = Home::new();
    let first = home.potluck(["whoami"]).finish().expect(0).out();
    assert!(!first.trim().is_empty());
    assert_eq!(home.potluck(["whoami"]).finish().expect(0).out(), first, "the identity stays");
    let mut keys = Vec::new();
    let mut open = vec![home.config()];
    fs::remove_file(home.config().join("config.toml")).expect("it can be removed");
    while let Some(folder) = open.pop() {
        assert_eq!(fs::metadata(&folder).expect("it is there").permissions().mode() & 0o022, 0, "{}", folder.display());
        for entry in fs::read_dir(&folder).expect("it can be read").flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else if fs::read(entry.path())
                .is_ok_and(|bytes| bytes.len() == 32 || bytes.windows(11).any(|w| w == b"PRIVATE KEY"))
            {
                keys.push(entry.path());
            }
        }
    }
    let [key] = keys.as_slice() else { panic!("one key file, not {keys:?}") };
    assert_eq!(fs::metadata(key).expect("it is there").permissions().mode() & 0o777, 0o600, "{}", key.display());
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).expect("a mode can be set");
    let refused = home.potluck(["whoami"]).finish();
    assert_ne!(refused.code(), 0, "a key that others can read is not used");
    refused.says(&["chmod"]);
    let other = Home::new();
    assert_ne!(other.potluck(["whoami"]).finish().expect(0).out(), first);
}

#[test]
fn settings_are_set_read_and_listed() {
    let home = Home::new();
    home.potluck(["config", "set", "name", "attic"]).finish().expect(0);
    assert_eq!(home.potluck(["config", "get", "name"]).finish().expect(0).out(), "attic\n");
    let listing = home.potluck(["config", "ls"]).finish().expect(0).out();
    assert!(listing.lines().any(|line| line.contains("name") && line.contains("attic")), "{listing}");
    assert!(listing.contains("lend"), "defaults are listed too: {listing}");
    home.potluck(["config", "set", "nmae", "attic"]).finish().says(&["nmae", "name"]);
    let finished = home.potluck(["config", "set", "port", "many"]).finish();
    assert_ne!(finished.code(), 0);
    finished.says(&["port", "many"]);
}

#[test]
fn a_settings_file_with_an_unknown_key_is_an_error_that_names_it() {
    let home = Home::new();
    fs::write(home.config().join("config.toml"), "colour = \"red\"\n").expect("it can be written");
    let finished = home.run([guest("cat")]).finish();
    finished.expect(125).says(&["colour", "config.toml"]);
}

#[test]
fn completions_are_scripts_the_shell_understands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.potluck(["completions", shell]).finish().expect(0).out().contains("potluck"));
    }
    let script = home.write("completions.bash", home.potluck(["completions", "bash"]).finish().expect(0).out());
    let checked = Command::new("bash").arg("-n").arg(script).status().expect("bash can be run");
    assert!(checked.success());
}

#[test]
fn doctor_tells_every_step_and_what_to_do_about_a_failure() {
    let home = Home::new().named("patient");
    let _node = Node::start(&home);
    let report = home.potluck(["doctor", "--json"]).finish();
    let json = report.json();
    let text = json.to_string().to_lowercase();
    for step in ["interface", "multicast", "port", "clock", "cache", "python", "worker"] {
        assert!(text.contains(step), "no step {step}: {json}");
    }
    let spoken = home.potluck(["doctor"]).finish();
    assert!(spoken.out().lines().count() >= 7, "{spoken}");
    // Python is not there, which is a finding with its remedy and no reason to fail.
    assert!(spoken.out().contains("potluck env add"), "{spoken}");
}

#[test]
fn doctor_notices_a_cache_that_cannot_be_written() {
    let home = Home::new();
    fs::remove_dir_all(home.cache()).expect("it can be removed");
    fs::write(home.cache(), "in the way").expect("it can be written");
    let finished = home.potluck(["doctor"]).finish();
    assert_ne!(finished.code(), 0, "{finished}");
    assert!(finished.out().contains(&home.cache().display().to_string()), "{finished}");
}

#[test]
fn doctor_notices_a_port_that_is_taken() {
    let home = Home::new();
    let taken = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket can be made");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    home.potluck(["config", "set", "port", &port]).finish().expect(0);
    let finished = home.potluck(["doctor"]).finish();
    assert_ne!(finished.code(), 0, "{finished}");
    assert!(finished.out().contains(&port), "{finished}");
}

#[test]
fn setup_takes_every_answer_as_a_flag() {
    let home = Home::new();
    home.potluck(["setup", "--name", "attic", "--lend", "yes", "--jobs", "2", "--start", "no"]).finish().expect(0);
    assert_eq!(home.potluck(["config", "get", "name"]).finish().expect(0).out(), "attic\n");
    assert_eq!(home.potluck(["config", "get", "lend"]).finish().expect(0).out(), "true\n");
    assert_eq!(home.potluck(["config", "get", "jobs_max"]).finish().expect(0).out(), "2\n");
}

#[test]
fn setup_joins_a_group_and_starts_the_node() {
    let ann = Home::new().named("ann");
    let node = Node::start(&ann);
    let bob = Home::new();
    let answers = ["setup", "--name", "bob", "--lend", "no", "--start", "yes", "--join"];
    bob.potluck(answers).arg(node.invite()).finish().expect(0);
    bob.potluck(["status"]).finish().expect(0);
    potluck_tests::until("ann sees bob", || (potluck_tests::online_peers(&ann).len() == 1).then_some(()));
    bob.potluck(["down"]).finish().expect(0);
}

#[test]
fn setup_without_a_terminal_and_without_answers_says_which_flags_there_are() {
    let home = Home::new();
    let finished = home.potluck(["setup"]).finish();
    assert_ne!(finished.code(), 0, "{finished}");
    finished.says(&["--name"]);
}

#[test]
fn results_go_to_stdout_and_talk_to_stderr() {
    let home = Home::new();
    let finished = home.run([guest("weave")]).arg("1").finish();
    assert_eq!(finished.expect(0).out(), "0\n", "nothing of ours is on stdout");
    let finished = home.potluck(["peers", "--json"]).finish();
    finished.expect(0);
    let _one_value = finished.json();
}
