//! Something of a guest that lives on while its files are collected, and swaps what was looked at for something else before it
//! is opened.

use super::*;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const HARMLESS: &str = "harmless";
/// As long, so that a length gives nothing away.
const SECRET: &str = "s3cret!!";
/// How often each of what can happen has to have happened.
const OFTEN: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of opening what was just swapped, or not.
#[derive(Default)]
struct Seen {
    opened: u32,
    refused: u32,
}

impl Seen {
    fn note(&mut self, opened: io::Result<File>) {
        let Ok(mut file) = opened else { return self.refused += 1 };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, HARMLESS);
        self.opened += 1;
    }

    fn is_enough(&self) -> bool {
        self.opened > OFTEN && self.refused > OFTEN
    }
}

/// Collects while `harmless` below the working directory and what `make` puts beside it change places; `inside` is what is
/// opened of it.
fn collect_while_swapped(harmless: fn(&Path), make: fn(&Path, &Path), inside: &str) {
    let (_, outputs, home) = listing(&[], |_| ());
    let (root, outside) = (outputs.workspace.root_path(), home.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), SECRET).unwrap();
    harmless(&root.join("one"));
    make(&root.join("two"), &outside);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, two) = (root.join("one"), root.join("two"));
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let _over = Over(&over);
        let (mut direct, mut listed, start) = (Seen::default(), Seen::default(), Instant::now());
        let at = |name: &str| GuestPath::parse(&format!("{name}{inside}")).unwrap();
        while !(direct.is_enough() && listed.is_enough()) {
            assert!(start.elapsed() < PATIENCE, "the race is never won or never lost");
            ["one", "two"].iter().for_each(|name| direct.note(outputs.open(&at(name))));
            match outputs.files() {
                Ok(listing) => {
                    let digest = Digest::of(HARMLESS.as_bytes());
                    assert!(listing.files.iter().all(|entry| entry.digest == digest), "{:?}", listing.files);
                    listing.files.iter().for_each(|entry| listed.note(outputs.open(&entry.path)));
                }
                // What was a file a moment ago is none any more: it is said of which.
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("one") || text.contains("two"), "{text}");
                    listed.refused += 1;
                }
            }
        }
    });
}

/// Says that it is over, also when the test has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn file(place: &Path) {
    fs::write(place, HARMLESS).unwrap();
}

fn directory(place: &Path) {
    fs::create_dir(place).unwrap();
    file(&place.join("file"));
}

#[test]
fn a_file_that_is_swapped_for_a_link_while_it_is_collected_gives_nothing_away() {
    collect_while_swapped(file, |place, outside| symlink(outside.join("file"), place).unwrap(), "");
}

#[test]
fn a_directory_that_is_swapped_for_a_link_while_it_is_collected_gives_nothing_away() {
    collect_while_swapped(directory, |place, outside| symlink(outside, place).unwrap(), "/file");
}

#[test]
fn a_file_that_is_swapped_for_a_second_name_of_another_gives_nothing_away() {
    collect_while_swapped(file, |place, outside| fs::hard_link(outside.join("file"), place).unwrap(), "");
}

#[test]
fn a_file_that_is_swapped_for_a_pipe_keeps_nobody_waiting() {
    let pipe = |place: &Path, _: &Path| {
        mknodat(CWD, place, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    };
    collect_while_swapped(file, pipe, "");
}
