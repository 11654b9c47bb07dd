//! The kit itself: a check that cannot fail is no check.

use potluck_tests::{Home, in_lab, png_size, processes_of, until};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};

#[test]
fn a_process_that_outlives_its_home_is_seen() {
    let home = Home::new();
    assert_eq!(home.traces(), Vec::<String>::new());
    // It has nothing of the home but its working directory, as a worker with an empty environment would.
    let mut child =
        Command::new("sleep").arg("1000").env_clear().current_dir(home.work()).spawn().expect("sleep can be run");
    until("it is seen", || (home.traces().len() == 1).then_some(()));
    processes_of(home.root()).iter().for_each(potluck_tests::Process::kill);
    until("it was ended", || child.try_wait().expect("a child can be waited for"));
}

#[test]
fn a_working_directory_that_is_left_is_seen() {
    let home = Home::new();
    std::fs::create_dir_all(home.scratch().join("run-1")).expect("a directory can be made");
    assert_eq!(home.traces().len(), 1);
    std::fs::remove_dir(home.scratch().join("run-1")).expect("a directory can be removed");
}

#[test]
fn a_lab_is_taken_away_after_a_panic_too() {
    in_lab("kit::a_lab_is_taken_away_after_a_panic_too", |lab| {
        lab.switch("lan");
        let host = lab.host("one");
        lab.plug("one", "lan", "eth0", &["10.77.0.1/24", "fd77::1/64"]);
        let shown = Command::new("ip").args(["-n", &host, "addr"]).output().expect("ip can be run");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("10.77.0.1/24") && shown.contains("fd77::1/64"), "{shown}");
    });
    let mut name = String::new();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        in_lab("kit::a_lab_is_taken_away_after_a_panic_too", |lab| {
            name = lab.host("one");
            let sleep =
                Command::new("ip").args(["netns", "exec", &name, "sleep", "1000"]).stdout(Stdio::null()).spawn();
            drop(sleep.expect("ip can be run"));
            panic!("in the middle");
        });
    }));
    let listed = Command::new("ip").args(["netns", "list"]).output().expect("ip can be run");
    assert!(name.is_empty() || failed.is_err());
    assert!(name.is_empty() || !String::from_utf8_lossy(&listed.stdout).contains(&name), "{name} is left");
}

#[test]
fn a_broken_picture_is_told_from_a_whole_one() {
    // One grey pixel.
    let whole = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82";
    assert_eq!(png_size(whole), Ok((1, 1)));
    let mut flipped = whole.to_vec();
    flipped[45] ^= 1;
    for broken in [&whole[..whole.len() - 1], &whole[..20], b"", &flipped, b"GIF89a"] {
        assert!(png_size(broken).is_err());
    }
}
