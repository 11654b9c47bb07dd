//! Compiled code is kept, and whatever happens to the place where it is kept, programs still run.

use potluck_tests::{Home, compiled_code, guest};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn compiled_files(home: &Home) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(compiled_code(home.cache()))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > 4096))
        .collect();
    files.sort();
    files
}

#[track_caller]
fn copies(home: &Home) -> String {
    let finished = home.run([guest("cat")]).input("words").finish();
    assert_eq!(finished.expect(0).out(), "words");
    finished.err()
}

#[test]
fn a_program_is_compiled_once_and_kept() {
    let home = Home::new();
    copies(&home);
    let kept = compiled_files(&home);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let made = fs::metadata(&kept[0]).and_then(|m| m.modified()).expect("a file has a time");
    copies(&home);
    assert_eq!(compiled_files(&home), kept);
    assert_eq!(
        fs::metadata(&kept[0]).and_then(|m| m.modified()).expect("a file has a time"),
        made,
        "it was made again"
    );
}

#[test]
fn a_damaged_file_is_made_again() {
    let home = Home::new();
    copies(&home);
    let file = compiled_files(&home).pop().expect("compiled code is kept");
    let whole = fs::read(&file).expect("it can be read");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    for damaged in [flipped, whole[..whole.len() / 2].to_vec(), Vec::new(), b"nonsense".repeat(1000)] {
        fs::write(&file, damaged).expect("it can be written");
        copies(&home);
        assert!(fs::read(&file).expect("it is there again") == whole, "the damaged file was not replaced");
    }
}

#[test]
fn code_that_others_could_have_written_is_not_trusted() {
    let home = Home::new();
    copies(&home);
    let file = compiled_files(&home).pop().expect("compiled code is kept");
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o022, 0, "others may write it");
    let folder = fs::metadata(compiled_code(home.cache())).expect("it is there");
    assert_eq!(folder.permissions().mode() & 0o077, 0, "others may enter the folder");
}

#[test]
fn two_processes_fill_an_empty_cache_at_once() {
    let home = Home::new();
    let jobs: Vec<_> = (0..4).map(|_| home.run([guest("cat")]).start()).collect();
    for mut job in jobs {
        job.write("words");
        assert_eq!(job.finish().expect(0).out(), "words");
    }
    assert_eq!(compiled_files(&home).len(), 1);
}

#[test]
fn a_cache_in_the_place_of_which_lies_a_file_is_an_error_that_names_it() {
    let home = Home::new();
    fs::remove_dir_all(home.cache()).expect("it can be removed");
    fs::write(home.cache(), "in the way").expect("it can be written");
    let finished = home.run([guest("cat")]).input("words").finish();
    finished.expect(125).says(&[&home.cache().display().to_string()]);
}

#[test]
fn a_full_disk_is_a_warning() {
    SmallDisk::with(|disk| {
        let home = Home::new().with_cache(disk);
        let said = copies(&home);
        assert!(said.contains("cache"), "the trouble is told: {said}");
        assert!(compiled_files(&home).is_empty(), "half a file is kept");
    });
}

#[test]
fn a_disk_that_cannot_be_written_is_a_warning() {
    SmallDisk::with(|disk| {
        mount(&["-o", "remount,ro"], disk).expect("a disk of our own can be made read-only");
        let home = Home::new().with_cache(disk);
        let said = copies(&home);
        assert!(said.contains("cache"), "the trouble is told: {said}");
    });
}

#[test]
fn the_cache_lies_where_it_is_told_to() {
    let home = Home::new();
    let place = home.root().join("elsewhere");
    let finished = home.run([guest("cat")]).env("POTLUCK_CACHE_DIR", &place).finish();
    finished.expect(0);
    assert!(compiled_code(&place).is_dir(), "nothing lies in {}", place.display());
    assert!(compiled_files(&home).is_empty());
}

#[test]
fn without_variables_the_xdg_directories_hold() {
    let home = Home::new();
    let user = home.root().join("user");
    let run = |args: &[&str]| {
        let mut command = home.command(potluck_tests::binary().as_os_str());
        command.env_remove("POTLUCK_HOME").env_remove("POTLUCK_CACHE_DIR").args(args).arg(guest("cat"));
        command.stdin(std::process::Stdio::null()).output().expect("it can be run")
    };
    assert!(run(&["run"]).status.success());
    assert!(compiled_code(&user.join(".cache/potluck")).is_dir());
    assert!(user.join(".local/share/potluck").is_dir());
}

#[test]
fn a_cache_over_its_size_drops_what_was_used_longest_ago() {
    let home = Home::new();
    home.potluck(["config", "set", "cache_bytes_max", "300000"]).finish().expect(0);
    for name in ["cat", "weave", "converse", "look", "edit", "hog"] {
        // How each ends does not matter here, only that it was compiled.
        let _ = home.run(["--fuel", "1M"]).arg(guest(name)).finish();
    }
    let kept: u64 = compiled_files(&home).iter().map(|file| fs::metadata(file).expect("it is there").len()).sum();
    let largest = compiled_files(&home).iter().map(|file| fs::metadata(file).expect("it is there").len()).max();
    assert!(kept <= 300_000.max(largest.unwrap_or(0)), "{kept} bytes are kept");
    copies(&home);
}

/// A disk with room for next to nothing, unmounted on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Runs `body` with a small disk where one can be made, which root can.
    fn with(body: impl FnOnce(&Path)) {
        match Self::new() {
            Ok(disk) => body(disk.0.path()),
            Err(why) => {
                assert!(!rustix::process::getuid().is_root(), "root cannot make a small disk: {why}");
                eprintln!("SKIPPED: no small disk can be made: {why}");
            }
        }
    }

    fn new() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        mount(&["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"], directory.path())?;
        Ok(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.path().display());
    }
}

fn mount(options: &[&str], place: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(options).arg(place).output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
