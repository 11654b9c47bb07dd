mod swaps;

use super::*;
use crate::job::InputFile;
use crate::runtime::WorkerCommand;
use crate::workspace::Scratch;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

const DISK_BYTES: u64 = 1 << 20;

/// Lays these inputs out, lets `work` do what a guest would, and lists.
fn listing(inputs: &[(&str, &str)], work: impl FnOnce(&Path)) -> (OutputListing, Outputs, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let command = WorkerCommand { program: "/nonexistent".into(), args: Vec::new() };
    let scratch = Scratch::open(&home.path().join("scratch"), 0, command).unwrap();
    let mut workspace = scratch.workspace(crate::job::Tenant::OWNER, DISK_BYTES).unwrap();
    let inputs: Vec<InputFile> = inputs
        .iter()
        .map(|(name, text)| {
            let source = home.path().join(name);
            fs::write(&source, text).unwrap();
            InputFile { guest: GuestPath::parse(name).unwrap(), source, executable: *name == "tool" }
        })
        .collect();
    workspace.lay_out(&inputs, &[]).unwrap();
    work(&workspace.root_path());
    let outputs = Outputs::new(Arc::new(workspace));
    (outputs.files().unwrap(), outputs, home)
}

fn names(listing: &OutputListing) -> Vec<&str> {
    listing.files.iter().map(|entry| entry.path.as_str()).collect()
}

fn check_left_behind(work: impl FnOnce(&Path), why: &str) {
    let (listing, _outputs, _home) = listing(&[], work);
    assert_eq!(names(&listing), Vec::<&str>::new());
    assert!(listing.left_behind.iter().all(|line| line.contains(why)), "{:?}", listing.left_behind);
    assert!(!listing.left_behind.is_empty());
}

#[test]
fn only_what_was_made_or_changed_comes_back() {
    let (listing, outputs, _home) =
        listing(&[("keep", "a"), ("change", "b"), ("rewrite", "c"), ("tool", "d")], |root| {
            fs::write(root.join("change"), "B").unwrap();
            fs::write(root.join("rewrite"), "c").unwrap();
            fs::create_dir(root.join("deep")).unwrap();
            fs::write(root.join("deep/new"), "n").unwrap();
        });
    assert_eq!(names(&listing), ["change", "deep/new"]);
    let entry = &listing.files[1];
    assert_eq!((entry.size, entry.digest, entry.executable), (1, Digest::of(b"n"), false));
    assert_eq!(io::read_to_string(outputs.open(&entry.path).unwrap()).unwrap(), "n");
}

#[test]
fn the_execute_bit_goes_in_and_comes_out() {
    let (listing, _outputs, _home) = listing(&[("tool", "d")], |root| {
        assert_eq!(fs::metadata(root.join("tool")).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(root.join("made"), "m").unwrap();
        fs::set_permissions(root.join("made"), Permissions::from_mode(0o700)).unwrap();
    });
    assert!(listing.files[0].executable);
}

#[test]
fn a_symbolic_link_stays_and_is_not_opened() {
    check_left_behind(|root| symlink("/etc/passwd", root.join("link")).unwrap(), "symbolic link");
    let (_, outputs, _home) = listing(&[], |root| {
        symlink("/etc/passwd", root.join("link")).unwrap();
        symlink("/etc", root.join("dir")).unwrap();
    });
    assert!(outputs.open(&GuestPath::parse("link").unwrap()).is_err());
    assert!(outputs.open(&GuestPath::parse("dir/passwd").unwrap()).is_err());
}

#[test]
fn a_hard_link_stays() {
    let two_names = |root: &Path| {
        fs::write(root.join("one"), "x").unwrap();
        fs::hard_link(root.join("one"), root.join("two")).unwrap();
    };
    check_left_behind(two_names, "hard link");
}

#[test]
fn a_pipe_stays_and_nobody_waits_for_it() {
    let pipe = |root: &Path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    check_left_behind(pipe, "not a regular file");
    let (_, outputs, _home) = listing(&[], pipe);
    assert!(outputs.open(&GuestPath::parse("pipe").unwrap()).is_err());
}

#[test]
fn a_file_of_holes_stays() {
    let holes = |root: &Path| File::create(root.join("holes")).unwrap().write_all_at(b"x", 1 << 33).unwrap();
    check_left_behind(holes, "holes");
}

#[test]
fn many_files_of_holes_are_left_behind_once_they_pass_the_disk_limit() {
    let (listing, _outputs, _home) = listing(&[("keep", "a")], |root| {
        for number in 0..20 {
            File::create(root.join(format!("hole-{number}"))).unwrap().set_len(DISK_BYTES / 4).unwrap();
        }
    });
    assert_eq!((listing.files.len(), listing.left_behind.len()), (4, 16));
    assert!(listing.left_behind.iter().all(|line| line.contains("mostly holes")), "{:?}", listing.left_behind);
}
