//! Packages that a script brings along: found by the user's own pip, sent where they are lacked, and there in the run.

use crate::jobs::given;
use potluck_tests::{Home, Node, join, shared_cache, succeed, write_script};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// pip asks over the network.
const PIP_WITHIN: Duration = Duration::from_secs(300);
/// A script that uses a small package and says where it lies.
const HUMAN: [&str; 3] = ["import humanize", "print(humanize.intcomma(1234567))", "print(humanize.__file__)"];

/// A home in which no pip is found.
fn without_pip() -> Home {
    let home = Home::with_python();
    let nowhere = home.root().join("user").join("bin");
    std::fs::create_dir(&nowhere).expect("a directory can be made");
    home.with_path(&nowhere)
}

/// A cache that shares nothing with others but the bytes of Python and of its compiled code.
fn cache_of_its_own() -> TempDir {
    let shared = shared_cache();
    let beside = shared.parent().expect("a directory lies in one");
    let cache = tempfile::tempdir_in(beside).expect("a directory can be made");
    for name in ["environments", "code"] {
        link_all(&shared.join(name), &cache.path().join(name));
    }
    cache
}

fn link_all(from: &Path, to: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("it is there").flatten() {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            link_all(&path, &place);
        } else {
            // What another test has on its way may go at any moment.
            let _gone = std::fs::hard_link(&path, &place);
        }
    }
}

#[test]
fn a_package_is_there_in_the_run_and_is_found_once() {
    let home = Home::with_python();
    let script = write_script(&home, "human.py", &HUMAN);
    home.run([&script]).finish().expect(126).says(&["humanize", "--with"]);
    let finished = home.run(["--with", "humanize==4.9.0", "-o", "out", &script]).deadline(PIP_WITHIN).finish();
    let out = finished.expect(0).out();
    assert!(out.starts_with("1,234,567\n/usr/local/site-packages/humanize/"), "{out}");
    let brought = std::fs::read_dir(home.work().join("out")).map_or(0, Iterator::count);
    assert_eq!(brought, 0, "packages do not come back");
    // Known now: neither pip nor the network is needed.
    let offline = without_pip();
    let script = write_script(&offline, "human.py", &HUMAN);
    offline.run(["--with", "humanize==4.9.0", &script]).finish().expect(0);
    offline.run(["--with", "humanize==4.9.1a9", &script]).finish().expect(125).says(&["humanize", "pip"]);
}

#[test]
fn a_package_comes_with_what_it_needs_and_with_its_data() {
    let home = Home::with_python();
    let lines = [
        "import importlib.metadata, jsonschema, numpy",
        "jsonschema.validate({'a': 1}, {'type': 'object'})",
        "print(importlib.metadata.version('jsonschema'))",
    ];
    let script = write_script(&home, "check.py", &lines);
    // What it needs of compiled code is not to be had: pip takes an older one that does without.
    let asked = ["--with", "jsonschema", "--with", "numpy", "--image", "none"];
    let finished = home.run(asked).arg(&script).deadline(PIP_WITHIN).finish();
    assert!(finished.expect(0).out().starts_with(|c: char| c.is_ascii_digit()), "{finished}");
    let lines = [
        "import certifi",
        "print(len(open(certifi.where()).read()) > 1000)",
        "import importlib.resources as r",
        "print(r.files('certifi').joinpath('cacert.pem').is_file())",
    ];
    let script = write_script(&home, "data.py", &lines);
    let finished = home.run(["--with", "certifi==2024.7.4", &script]).deadline(PIP_WITHIN).finish();
    assert_eq!(finished.expect(0).out(), "True\nTrue\n");
}

#[test]
fn what_cannot_be_brought_is_refused_by_name_and_with_a_cure() {
    let home = Home::with_python();
    let script = write_script(&home, "x.py", &["print('started')"]);
    for (asked, says) in [
        ("ujson", ["ujson", "compiled"]),
        ("potluck-no-such-package-7f3a", ["potluck-no-such-package-7f3a", "check how it is written"]),
        ("humanize==99.9", ["humanize==99.9", "4."]),
        ("numpy<2", ["numpy<2", "numpy==2."]),
        ("./local", ["./local", "NAME==VERSION"]),
    ] {
        let finished = home.run(["--with", asked, &script]).deadline(PIP_WITHIN).finish();
        assert!(matches!(finished.code(), 125 | 126), "{finished}");
        finished.says(&says);
        assert_eq!(finished.out(), "", "the script was not started");
    }
    home.run(["--with", "humanize", "tool.wasm"]).finish().expect(126).says(&["tool.wasm", "--with"]);
    let finished = home.run(["--with", "pandas", "--with", "PyYAML>=6", &script]).finish();
    assert_eq!(finished.expect(0).out(), "started\n", "what is built in needs no pip");
}

#[test]
fn a_list_beside_the_script_is_read_and_said_unless_it_is_left_out() {
    let home = Home::with_python();
    let script = write_script(&home, "tool/human.py", &HUMAN);
    home.write("tool/requirements.txt", "# for people\nhumanize==4.9.0\nnumpy\n");
    let finished = home.run([&script]).deadline(PIP_WITHIN).finish();
    finished.expect(0).says(&["requirements.txt", "humanize-4.9.0", "--no-requirements"]);
    home.run(["--no-requirements", &script]).finish().expect(126).says(&["humanize"]);
    home.write("tool/requirements.txt", "--index-url https://example.invalid\n");
    home.run([&script]).finish().expect(126).says(&["requirements.txt", "line 1", "--no-requirements"]);
}

#[test]
fn a_script_names_its_packages_itself_and_the_python_it_wants() {
    let home = Home::with_python();
    let mut lines =
        vec!["# /// script", "# requires-python = '>=3.11'", "# dependencies = ['humanize==4.9.0']", "# ///"];
    lines.extend(HUMAN);
    let script = write_script(&home, "human.py", &lines);
    // A list beside it is for something else.
    home.write("requirements.txt", "potluck-no-such-package-7f3a\n");
    let finished = home.run([&script]).deadline(PIP_WITHIN).finish();
    assert!(finished.expect(0).out().starts_with("1,234,567\n"), "{finished}");
    home.potluck(["inspect", &script]).finish().expect(0);
    lines[1] = "# requires-python = '<3.12'";
    let script = write_script(&home, "old.py", &lines);
    home.run([&script]).finish().expect(126).says(&["old.py", "<3.12", "3.15"]);
}

#[test]
fn a_peer_gets_the_package_by_its_bytes_and_keeps_it_for_the_next_job() {
    let cache = cache_of_its_own();
    let lender_home = Home::new().named("attic").with_cache(cache.path());
    lender_home.potluck(["config", "set", "discovery", "false"]).finish().expect(0);
    let lender = Node::start(&lender_home);
    let home = Home::with_python();
    home.potluck(["config", "set", "discovery", "false"]).finish().expect(0);
    join(&lender, &home);
    let script = write_script(&home, "human.py", &HUMAN);
    for _ in 0..2 {
        let on = ["--on", "attic", "--with", "humanize==4.9.0", &script];
        let finished = home.run(on).deadline(PIP_WITHIN).finish();
        assert!(finished.expect(0).out().starts_with("1,234,567\n"), "{finished}");
    }
    let kinds = lender_home.potluck(["cache", "ls", "--json"]).finish().expect(0).json();
    let kinds = kinds["kinds"].as_array().expect("a list");
    let packages = kinds.iter().find(|kind| kind["kind"] == "packages").expect("it is listed");
    assert_eq!(packages["items"], 1, "what came is unpacked once: {packages}");
    // A script that brings nothing sees nothing.
    let lines =
        ["import os, sys", "print(os.listdir('/usr/local/site-packages'), '/usr/local/site-packages' in sys.path)"];
    let bare = write_script(&home, "bare.py", &lines);
    assert_eq!(home.run(["--on", "attic", &bare]).finish().expect(0).out(), "[] False\n");
}

#[test]
fn a_job_that_was_given_keeps_its_packages_when_it_is_given_again_and_so_do_tasks() {
    let home = Home::with_python();
    let _node = Node::start(&home);
    let script = write_script(&home, "human.py", &HUMAN);
    let id = given(&home, ["--with", "humanize==4.9.0", &script]);
    home.potluck(["wait", &id]).finish().expect(0);
    std::fs::remove_file(home.work().join(&script)).expect("the script is there");
    let again = home.potluck(["rerun", &id]).finish().expect(0).out();
    home.potluck(["wait", again.trim()]).finish().expect(0);
    assert!(home.potluck(["logs", again.trim()]).finish().expect(0).out().starts_with("1,234,567\n"));
    let script = write_script(
        &home,
        "count.py",
        &["import humanize, sys", "print(humanize.ordinal(len(open(sys.argv[-1]).read())))"],
    );
    let inputs: Vec<String> =
        (1..4).map(|n| home.write(&format!("in/{n}.txt"), "x".repeat(n)).display().to_string()).collect();
    home.potluck(["map", "--with", "humanize==4.9.0", "-o", "out", &script])
        .args(&inputs)
        .deadline(PIP_WITHIN)
        .finish()
        .expect(0);
    assert_eq!(std::fs::read_to_string(home.work().join("out/3.out")).expect("a result"), "3rd\n");
}

#[test]
fn a_script_with_packages_starts_from_an_image_all_the_same() {
    let home = Home::with_python();
    let script = write_script(&home, "human.py", &HUMAN);
    let run = |image: &str| {
        let args = ["--json", "--image", image, "--with", "humanize==4.9.0", &script];
        let finished = home.run(args).deadline(PIP_WITHIN).finish();
        let object = finished.expect(0).json();
        assert!(object["stdout"].as_str().is_some_and(|out| out.starts_with("1,234,567\n")), "{object}");
        object["fuel_used"].as_u64().expect("a number")
    };
    let (warm, fresh) = (run("interpreter"), run("none"));
    assert!(warm < fresh, "{warm} of fuel with the image, {fresh} without");
}

#[test]
fn packages_are_listed_in_the_cache_and_go_like_the_rest_of_it() {
    let home = Home::new();
    let folder = home.cache().join("packages/wheels");
    std::fs::create_dir_all(&folder).expect("a directory can be made");
    let old = std::time::SystemTime::now() - Duration::from_secs(7200);
    let file = std::fs::File::create(folder.join("0000-x-1-py3-none-any.whl")).expect("a file can be made");
    file.set_modified(old).expect("its time can be set");
    let listed = home.potluck(["cache", "ls", "--items", "--json"]).finish().expect(0).json();
    let items = listed["items"].as_array().expect("a list").iter().filter(|item| item["kind"] == "packages").count();
    assert_eq!(items, 1, "{listed}");
    home.potluck(["cache", "gc", "--older-than", "1h"]).finish().expect(0).says(&["1 packages"]);
    assert!(std::fs::read_dir(&folder).expect("it is there").next().is_none());
}

/// A wheel of a package that is one module, in a folder of the home's; its hash.
fn write_wheel(home: &Home, name: &str, needs: &str) -> String {
    let about = format!("{name}-1.0.dist-info");
    let files = [
        (format!("{name}.py"), "WORD = 'stirred'\n".to_owned()),
        (format!("{about}/METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")),
        (format!("{about}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned()),
        (format!("{about}/RECORD"), String::new()),
    ];
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (file, text) in files {
        writer.start_file(file, zip::write::SimpleFileOptions::default()).expect("an archive takes files");
        writer.write_all(text.as_bytes()).expect("an archive takes bytes");
    }
    let bytes = writer.finish().expect("an archive ends").into_inner();
    let path = home.write(&format!("wheels/{name}-1.0-py3-none-any.whl"), bytes);
    let said = succeed(Command::new("sha256sum").arg(path));
    said.split_whitespace().next().expect("a hash").to_owned()
}

#[test]
fn hashes_of_a_list_are_checked_by_pip_and_are_wanted_of_all_once_one_is_there() {
    let cache = cache_of_its_own();
    let home = Home::with_python().with_cache(cache.path());
    let (soup, salt) = (
        write_wheel(&home, "pl_soup", "Requires-Dist: pl_salt\nRequires-Dist: numpy\n"),
        write_wheel(&home, "pl_salt", ""),
    );
    let script = write_script(&home, "tool/eat.py", &["import pl_soup, pl_salt, numpy", "print(pl_soup.WORD)"]);
    let foreign = "0".repeat(64);
    let numpy = built_in(&home, "numpy");
    let run = |lines: &[String]| {
        home.write("tool/requirements.txt", lines.join("\n") + "\n");
        let folder = home.work().join("wheels");
        home.run([&script]).env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", folder).deadline(PIP_WITHIN).finish()
    };
    let line = |name: &str, hash: &str| format!("{name}==1.0 --hash=sha256:{hash}");
    // What is built in comes from the environment, whatever its file elsewhere is.
    let built_in = format!("{numpy} --hash=sha256:{foreign}");
    let wrong = run(&[line("pl_soup", &foreign), line("pl_salt", &salt), built_in.clone()]);
    wrong.expect(125).says(&["DO NOT MATCH THE HASHES", "requirements.txt"]);
    let bare = run(&[line("pl_soup", &soup), "pl_salt==1.0".to_owned(), built_in.clone()]);
    bare.expect(125).says(&["Hashes are required"]);
    let right = run(&[
        line("pl_soup", &soup),
        format!("pl_salt==1.0 \\\n  --hash=sha256:{foreign} \\\n  --hash=sha256:{salt}"),
        built_in,
    ]);
    assert_eq!(right.expect(0).out(), "stirred\n");
    run(&["pl_soup==1.0 --hash=sha256:abc".to_owned()]).expect(126).says(&["line 1", "hexadecimal"]);
}

/// A package that is built in, with its version, as it is said to whoever wants another.
fn built_in(home: &Home, name: &str) -> String {
    let script = write_script(home, "other.py", &["print('started')"]);
    let said = home.run(["--with", &format!("{name}<0.0.1"), &script]).finish().expect(126).err();
    let pinned = said.split(|c: char| c.is_whitespace() || "`,;()".contains(c)).find(|word| word.contains("=="));
    pinned.expect("the version that there is").trim_end_matches('.').to_owned()
}
