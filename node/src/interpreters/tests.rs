//! Adding, finding and removing interpreters.

use super::*;
use std::fs;

const PROGRAM: &[u8] = b"\0asm\x01\0\0\0";

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn interpreters(&self) -> Interpreters {
        Interpreters::of(&Paths::under(&self.root.path().join("home")))
    }

    /// A folder with a manifest of these lines more.
    fn tiny(&self, name: &str, more: &str) -> PathBuf {
        let folder = self.root.path().join(format!("from-{name}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tiny.wasm"), PROGRAM).unwrap();
        let text = format!("name = \"{name}\"\nversion = \"1\"\nprogram = \"tiny.wasm\"\n{more}");
        fs::write(folder.join("environment.toml"), text).unwrap();
        folder
    }

    fn add(&self, name: &str, from: &Path) -> Result<Interpreter, InterpreterError> {
        let interpreters = self.interpreters();
        interpreters.candidate(name, from).and_then(|candidate| interpreters.add(candidate))
    }
}

#[test]
fn what_is_added_is_found_by_name_and_by_ending_and_gone_when_removed() {
    let place = Place::new();
    let from = place.tiny("tiny", "endings = [\"tn\"]\n[files]\n\"/share\" = \"lib\"\n");
    fs::create_dir_all(from.join("lib/deep")).unwrap();
    fs::write(from.join("lib/deep/x"), "12345").unwrap();
    let added = place.add("tiny", &from).unwrap();
    assert_eq!(fs::read(&added.program).unwrap(), PROGRAM);
    let share = added.folder.join(added.manifest.files["/share"].as_str());
    assert_eq!(fs::read(share.join("deep/x")).unwrap(), b"12345");
    assert_eq!(added.manifest.program.size, Some(8), "what was not said is pinned");
    let interpreters = place.interpreters();
    assert_eq!(interpreters.named("tiny").unwrap(), Some(added.clone()));
    assert_eq!(interpreters.of_ending("tn").unwrap(), Some(added));
    assert_eq!(interpreters.known(), "python, lua, javascript, ruby, python-lite, tiny");
    // The same name again takes its place, from the manifest itself as well.
    place.tiny("tiny", "title = \"other\"\n");
    assert_eq!(place.add("tiny", &from.join("environment.toml")).unwrap().manifest.title, "other");
    assert!(interpreters.remove("tiny").unwrap() > Some(8));
    assert_eq!((interpreters.named("tiny").unwrap(), interpreters.remove("tiny").unwrap()), (None, None));
    let left = fs::read_dir(place.root.path().join("home/data/environments")).unwrap().count();
    assert_eq!(left, 0, "nothing is left aside");
}

#[test]
fn names_and_endings_of_others_are_refused() {
    let place = Place::new();
    for name in ["lua", "python", "javascript", "Tiny", "../x", ""] {
        let from = place.root.path();
        assert!(matches!(place.add(name, from), Err(InterpreterError::Taken { .. })), "{name}");
    }
    let said = place.add("tiny", &place.tiny("tiny", "endings = [\"lua\"]\n")).unwrap_err().to_string();
    assert!(said.contains("run by lua") && said.contains("--env tiny"), "{said}");
    place.add("one", &place.tiny("one", "endings = [\"tn\"]\n")).unwrap();
    let said = place.add("two", &place.tiny("two", "endings = [\"tn\"]\n")).unwrap_err().to_string();
    assert!(said.contains("run by one"), "{said}");
    let said = place.add("three", &place.tiny("one", "")).unwrap_err().to_string();
    assert!(said.contains("potluck env add one"), "{said}");
    assert!(matches!(place.interpreters().remove("lua"), Err(InterpreterError::Bundled(_))));
}

#[test]
fn nothing_outside_of_the_manifests_folder_is_taken() {
    let place = Place::new();
    let secret = place.root.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "mine").unwrap();
    let from = place.tiny("tiny", "[files]\n\"/share\" = \"lib\"\n");
    std::os::unix::fs::symlink(&secret, from.join("lib")).unwrap();
    assert!(place.add("tiny", &from).unwrap_err().to_string().contains("link"));
    fs::remove_file(from.join("lib")).unwrap();
    fs::create_dir(from.join("lib")).unwrap();
    std::os::unix::fs::symlink(secret.join("key"), from.join("lib/key")).unwrap();
    assert!(place.add("tiny", &from).unwrap_err().to_string().contains("link"));
    fs::remove_file(from.join("lib/key")).unwrap();
    fs::remove_file(from.join("tiny.wasm")).unwrap();
    std::os::unix::fs::symlink(secret.join("key"), from.join("tiny.wasm")).unwrap();
    assert!(place.add("tiny", &from).unwrap_err().to_string().contains("link"));
    assert_eq!(place.interpreters().named("tiny").unwrap(), None);
}

#[test]
fn folders_are_taken_of_a_folder_that_was_named_and_nothing_hidden_in_them() {
    let place = Place::new();
    let from = place.tiny("tiny", "[files]\n\"/share\" = \"lib\"\n");
    fs::create_dir_all(from.join("lib/deep")).unwrap();
    fs::write(from.join("lib/deep/x"), "12345").unwrap();
    let said = place.add("tiny", &from.join("environment.toml")).unwrap_err().to_string();
    assert!(said.contains("folder of their own") && said.contains("--from"), "{said}");
    for hidden in ["lib/.key", "lib/deep/.key"] {
        fs::write(from.join(hidden), "mine").unwrap();
        let said = place.add("tiny", &from).unwrap_err().to_string();
        assert!(said.contains(hidden) && said.contains("hidden"), "{said}");
        fs::remove_file(from.join(hidden)).unwrap();
    }
    fs::write(from.join("lib/a\\b"), "").unwrap();
    assert!(place.add("tiny", &from).unwrap_err().to_string().contains("call it otherwise"));
    fs::remove_file(from.join("lib/a\\b")).unwrap();
    let candidate = place.interpreters().candidate("tiny", &from).unwrap();
    let [Carried { guest, files, bytes, .. }] = candidate.carried() else { panic!("{candidate:?}") };
    assert_eq!((guest.as_str(), *files, *bytes), ("/share", 1, 5));
}

#[test]
fn what_was_checked_is_what_is_kept_whatever_becomes_of_its_source() {
    let place = Place::new();
    let from = place.tiny("tiny", "");
    let candidate = place.interpreters().candidate("tiny", &from).unwrap();
    fs::write(from.join("tiny.wasm"), "another").unwrap();
    assert_eq!(fs::read(candidate.program()).unwrap(), PROGRAM);
    assert_eq!(fs::read(place.interpreters().add(candidate).unwrap().program).unwrap(), PROGRAM);
}

#[test]
fn what_a_crash_left_aside_goes_once_it_is_old() {
    let place = Place::new();
    let directory = place.root.path().join("home/data/environments");
    let (old, new) = (directory.join(".aside-old"), directory.join(".aside-new"));
    for aside in [&old, &new] {
        fs::create_dir_all(aside.join("whole")).unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7 * 24 * 60 * 60);
    fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    place.add("tiny", &place.tiny("tiny", "")).unwrap();
    assert!(!old.exists() && new.exists());
}

#[test]
fn one_that_was_damaged_is_told_of_with_its_cure_and_can_be_removed() {
    let place = Place::new();
    let added = place.add("tiny", &place.tiny("tiny", "")).unwrap();
    let interpreters = place.interpreters();
    assert!(interpreters.damaged().unwrap().is_empty());
    for file in ["program.wasm", "environment.toml"] {
        fs::remove_file(added.folder.join(file)).unwrap();
        let damaged = interpreters.damaged().unwrap();
        let [(name, path, error)] = damaged.as_slice() else { panic!("{damaged:?}") };
        assert_eq!((name.as_str(), path), ("tiny", &added.folder));
        assert!(error.to_string().contains("potluck env rm tiny"), "{error}");
    }
    assert!(interpreters.remove("tiny").unwrap().is_some() && interpreters.damaged().unwrap().is_empty());
}

#[test]
fn a_program_that_is_not_the_pinned_one_is_refused_and_a_module_is_told_from_a_manifest() {
    let place = Place::new();
    let pinned = format!("program = {{ file = \"tiny.wasm\", sha256 = \"{}\" }}", "0".repeat(64));
    let from = place.tiny("tiny", "");
    fs::write(from.join("environment.toml"), format!("name = \"tiny\"\nversion = \"1\"\n{pinned}\n")).unwrap();
    let said = place.add("tiny", &from).unwrap_err().to_string();
    assert!(said.contains("tiny.wasm") && said.contains("SHA-256"), "{said}");
    let said = place.add("tiny", &from.join("tiny.wasm")).unwrap_err().to_string();
    assert!(said.contains("manifest is wanted"), "{said}");
    assert!(matches!(place.add("tiny", &from.join("gone")), Err(InterpreterError::Disk { .. })));
}
