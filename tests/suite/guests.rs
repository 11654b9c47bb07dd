//! Each guest program of the tests, in both its forms: preview-1 module and preview-2 component.

use crate::sight::both_forms;
use potluck_tests::Home;

#[test]
pub(crate) fn cat() {
    let home = Home::new();
    // Longer than any one buffer, and no multiple of one.
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    for program in both_forms("cat") {
        let finished = home.run([&program]).input(bytes.clone()).finish();
        assert!(finished.expect(0).stdout == bytes, "{} changed what it copied", program.display());
    }
}

#[test]
pub(crate) fn converse() {
    let home = Home::new();
    for program in both_forms("converse") {
        let finished = home.run([&program]).input("one\ntwo\n").finish();
        assert_eq!(finished.expect(0).out(), "ready\nheard one\nheard two\n");
        assert!(finished.err().contains("noted one\nnoted two\n"), "{finished}");
    }
}

#[test]
pub(crate) fn weave() {
    let home = Home::new();
    for program in both_forms("weave") {
        let finished = home.run(["--quiet"]).arg(&program).arg("400").one_pipe().finish();
        let lines: Vec<u32> = finished.expect(0).out().lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(lines, (0..400).collect::<Vec<_>>(), "{} lost the order of its lines", program.display());
    }
}

#[test]
pub(crate) fn hog() {
    let home = Home::new();
    for program in both_forms("hog") {
        let finished = home.run(["--fuel", "50M"]).arg(&program).arg("fuel").finish();
        assert_eq!(finished.expect(137).out(), "taking fuel\n");
    }
}

#[test]
pub(crate) fn look() {
    let home = Home::new();
    home.write("in.txt", "words");
    for program in both_forms("look") {
        let finished =
            home.run(["-e", "COLOUR=red", "-f", "in.txt"]).arg(&program).args(["a b", "--read", "in.txt"]).finish();
        let out = finished.expect(0).out();
        let name = program.file_name().and_then(|name| name.to_str()).expect("a guest has a name");
        for line in [&format!("arg {name}"), "arg a b", "env COLOUR=red", "file in.txt 5", "read in.txt: words"] {
            assert!(out.lines().any(|l| l == line), "no line {line:?}: {finished}");
        }
    }
}

#[test]
pub(crate) fn edit() {
    for program in both_forms("edit") {
        let home = Home::new();
        for name in ["keep.txt", "change.txt", "drop.txt"] {
            home.write(name, name);
        }
        let inputs = ["-f", "keep.txt", "-f", "change.txt", "-f", "drop.txt", "-o", "out"];
        let finished = home.run(inputs).arg(&program).finish();
        assert_eq!(finished.expect(0).out(), "edited\n");
        let made = std::fs::read_to_string(home.work().join("out/made.txt")).expect("made.txt came back");
        assert_eq!(made, "made beside keep.txt");
    }
}

#[test]
pub(crate) fn tell() {
    let home = Home::new();
    for program in both_forms("tell") {
        let log = r#"{"log":{"level":"info","message":"hello"}}"#;
        let finished = home.run(["-q"]).arg(&program).args(["=out", "*2", log]).finish();
        assert_eq!(finished.expect(0).out(), "out\n");
        assert_eq!(finished.err(), "info: hello\ninfo: hello\n");
    }
}

#[test]
pub(crate) fn climb() {
    let home = Home::new();
    for program in both_forms("climb") {
        let finished = home.run(["-q"]).arg(&program).args(["3", "2"]).finish();
        assert_eq!(
            finished.expect(0).out(),
            "from 0\n3\n",
            "what it keeps is of no use to a job that is not run again"
        );
    }
}
