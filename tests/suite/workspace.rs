//! The world of a job: its arguments, variables, working directory, read-only folders, and what comes back of it.
//! Nothing else of the machine is there.

use potluck_tests::{Home, guest};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Every file below `directory`, with its text.
fn files_of(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().expect("an entry has a type").is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).expect("it lies below").to_string_lossy().into_owned();
            found.insert(name, fs::read_to_string(&path).unwrap_or_else(|error| format!("{error}")));
        }
    }
    found
}

fn lines_with<'a>(out: &'a str, head: &str) -> Vec<&'a str> {
    out.lines().filter_map(|line| line.strip_prefix(head)).collect()
}

#[test]
fn arguments_arrive_as_they_are() {
    let home = Home::new();
    let args = ["--fuel", "-x", "two words", "", "*", "ä€𝄞", "--"];
    let finished = home.run([guest("look")]).args(args).finish();
    assert_eq!(lines_with(&finished.expect(0).out(), "arg ")[1..], args, "what follows the program is the program's");
}

#[test]
fn nothing_of_the_callers_environment_is_seen() {
    let home = Home::new();
    let finished =
        home.run(["-e", "A=1", "-e", "B=x=y", "-e", "C="]).arg(guest("look")).env("SECRET", "s3cret").finish();
    let out = finished.expect(0).out();
    let mut variables = lines_with(&out, "env ");
    let own = ["HOME=", "TMPDIR=", "POTLUCK=1", "POTLUCK_EVENTS=", "POTLUCK_CONTROL="];
    variables.retain(|variable| !own.iter().any(|own| variable.starts_with(own)));
    assert_eq!(variables, ["A=1", "B=x=y", "C="], "{out}");
    assert!(!out.contains("s3cret") && !out.contains(&home.root().display().to_string()), "{out}");
}

#[test]
fn files_and_folders_given_with_f_are_the_working_directory() {
    let home = Home::new();
    home.write("data/a.txt", "aa");
    home.write("data/deep/b.txt", "bbb");
    home.write("single.txt", "c");
    fs::create_dir(home.work().join("data/empty")).expect("a directory can be made");
    let finished = home.run(["-f", "data", "-f", "single.txt"]).arg(guest("look")).finish();
    let out = finished.expect(0).out();
    assert_eq!(lines_with(&out, "file "), ["data/a.txt 2", "data/deep/b.txt 3", "single.txt 1"], "{out}");
    assert_eq!(lines_with(&out, "dir "), ["data", "data/deep", "data/empty"], "{out}");
}

#[test]
fn a_working_directory_without_inputs_is_empty() {
    let home = Home::new();
    home.write("lies-beside.txt", "not given");
    let finished = home.run([guest("look")]).finish();
    let out = finished.expect(0).out();
    assert!(lines_with(&out, "file ").is_empty() && lines_with(&out, "dir ").is_empty(), "{out}");
}

#[test]
fn inputs_are_copies() {
    let home = Home::new();
    let path = home.write("mine.txt", "mine");
    let finished = home.run(["-f", "mine.txt"]).arg(guest("look")).args(["--write", "mine.txt"]).finish();
    assert!(finished.expect(0).out().contains("wrote mine.txt"));
    assert_eq!(fs::read_to_string(path).expect("it is still there"), "mine");
}

#[test]
fn nothing_outside_the_working_directory_is_reachable() {
    let home = Home::new();
    let secret = home.write("secret.txt", "s3cret");
    let secret = secret.to_str().expect("the path is text");
    let escapes = [
        "/etc/passwd",
        "/etc/hostname",
        "../secret.txt",
        "../../../../../../../../etc/passwd",
        "/proc/self/environ",
        secret,
    ];
    let reads: Vec<&str> = escapes.iter().flat_map(|path| ["--read", path]).collect();
    let finished = home.run([guest("look")]).args(&reads).finish();
    let out = finished.expect(0).out();
    assert_eq!(lines_with(&out, "cannot read ").len(), escapes.len(), "{out}");
    assert!(!out.contains("s3cret") && !out.contains("root:"), "{out}");
}

#[test]
fn links_among_the_inputs_do_not_lead_out() {
    let home = Home::new();
    home.write("given/a.txt", "a");
    home.write("hidden/secret.txt", "s3cret");
    symlink(home.work().join("hidden/secret.txt"), home.work().join("given/leak.txt")).expect("a link can be made");
    symlink(home.work().join("hidden"), home.work().join("given/leak")).expect("a link can be made");
    let reads = ["--read", "given/leak.txt", "--read", "given/leak/secret.txt"];
    let finished = home.run(["-f", "given"]).arg(guest("look")).args(reads).finish();
    // Refusing the folder and leaving the links out are both fair; following them is not.
    assert!(!finished.out().contains("s3cret"), "{finished}");
    assert!(finished.code() == 0 || finished.err().contains("leak"), "{finished}");
}

#[test]
fn what_was_made_or_changed_comes_back_and_nothing_else() {
    let home = Home::new();
    for name in ["keep.txt", "change.txt", "drop.txt"] {
        home.write(name, name);
    }
    let inputs = ["-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt", "-o", "new/out"];
    home.run(inputs).arg(guest("edit")).finish().expect(0);
    let back = files_of(&home.work().join("new/out"));
    let expected =
        [("change.txt", "cccccccccc"), ("deep/er/made.txt", "made deep down"), ("made.txt", "made beside keep.txt")];
    assert_eq!(back, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    assert_eq!(fs::read_to_string(home.work().join("change.txt")).expect("it is still there"), "change.txt");
}

#[test]
fn what_a_failing_job_made_comes_back_as_well() {
    let home = Home::with_python();
    home.write("fail.py", "open('log.txt', 'w').write('so far')\nraise SystemExit(7)\n");
    home.run(["-o", "out", "fail.py"]).finish().expect(7);
    assert_eq!(files_of(&home.work().join("out")), [("log.txt".to_owned(), "so far".to_owned())].into());
}

#[test]
fn outputs_are_never_written_through_links_of_the_receiver() {
    let home = Home::new();
    for name in ["keep.txt", "change.txt", "drop.txt"] {
        home.write(name, name);
    }
    let outside = home.write("outside/made.txt", "untouched");
    fs::create_dir(home.work().join("out")).expect("a directory can be made");
    symlink(&outside, home.work().join("out/made.txt")).expect("a link can be made");
    symlink(home.work().join("outside"), home.work().join("out/deep")).expect("a link can be made");
    let inputs = ["-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt", "-o", "out"];
    let _either_way = home.run(inputs).arg(guest("edit")).finish();
    assert_eq!(files_of(&home.work().join("outside")), [("made.txt".to_owned(), "untouched".to_owned())].into());
}

#[test]
fn a_mount_is_seen_and_cannot_be_changed() {
    let home = Home::new();
    let path = home.write("shared/table.txt", "42");
    let looks = ["--read", "/data/table.txt", "--write", "/data/table.txt", "--write", "/data/new.txt"];
    let finished = home.run(["--mount", "shared::/data"]).arg(guest("look")).args(looks).finish();
    let out = finished.expect(0).out();
    assert!(out.contains("read /data/table.txt: 42"), "{out}");
    assert!(out.contains("cannot write /data/table.txt") && out.contains("cannot write /data/new.txt"), "{out}");
    assert_eq!(fs::read_to_string(path).expect("it is still there"), "42");
    assert!(!home.work().join("shared/new.txt").exists());
}

#[test]
fn an_execute_bit_is_kept_both_ways() {
    let home = Home::with_python();
    let path = home.write("tool.sh", "#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    home.write("grow.py", "open('tool.sh', 'a').write('true\\n')\n");
    home.run(["-f", "tool.sh", "-o", "out", "grow.py"]).finish().expect(0);
    let back = fs::metadata(home.work().join("out/tool.sh")).expect("it came back");
    assert_eq!(back.permissions().mode() & 0o111, 0o111 & back.permissions().mode(), "mode bits are readable");
    assert_ne!(back.permissions().mode() & 0o100, 0, "the owner's execute bit was lost");
}

#[test]
fn names_in_other_scripts_come_and_go_unharmed() {
    let home = Home::with_python();
    home.write("größe 東京.txt", "ok");
    home.write("copy.py", "text = open('größe 東京.txt').read()\nopen('copie é.txt', 'w').write(text)\n");
    home.run(["-f", "größe 東京.txt", "-o", "out", "copy.py"]).finish().expect(0);
    assert_eq!(files_of(&home.work().join("out")), [("copie é.txt".to_owned(), "ok".to_owned())].into());
}
