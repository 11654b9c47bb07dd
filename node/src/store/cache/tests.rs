use super::*;
use std::fs::{File, FileTimes};

fn item(name: &str, kind: Kind, bytes: u64, hours_ago: u64, in_use: bool) -> Item {
    let used = SystemTime::now() - Duration::from_secs(hours_ago * 3600);
    Item { kind, name: name.to_owned(), bytes, used: Some(used), in_use, handle: Handle::None }
}

fn names(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.name.as_str()).collect()
}

#[test]
fn the_least_recently_used_goes_first_and_only_as_much_as_must() {
    let items = [
        item("young", Kind::Blob, 10, 1, false),
        item("old", Kind::Code, 10, 9, false),
        item("busy", Kind::Image, 10, 8, true),
        item("middle", Kind::Image, 10, 5, false),
        item("kept", Kind::Session, 1000, 99, false),
    ];
    let surplus = |bytes_max, hours: Option<u64>| {
        let age_max = hours.map(|hours| Duration::from_secs(hours * 3600 + 60));
        let found = surplus(&items, Bounds { bytes_max, age_max }, SystemTime::now());
        found.iter().map(|item| item.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(surplus(40, None), Vec::<String>::new());
    assert_eq!(surplus(30, None), ["old"]);
    assert_eq!(surplus(20, None), ["old", "busy", "middle"], "what is in use stays, and another goes for it");
    assert_eq!(surplus(0, None), ["old", "busy", "middle", "young"]);
    assert_eq!(surplus(1000, Some(4)), ["old", "busy", "middle"]);
}

fn paths() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::under(dir.path());
    paths.create().unwrap();
    (dir, paths)
}

fn put(paths: &Paths, bytes: &[u8]) -> crate::store::blobs::BlobLease {
    let store = BlobStore::new(blobs_dir(&paths.cache_dir), u64::MAX);
    let mut writer = store.receive(Digest::of(bytes), bytes.len() as u64).unwrap();
    writer.write(bytes).unwrap();
    writer.commit().unwrap()
}

#[test]
fn blobs_that_somebody_holds_stay_and_go_when_nobody_does() {
    let (_dir, paths) = paths();
    let (held, free) = (put(&paths, &[1; 9000]), put(&paths, &[2; 9000]));
    let old = SystemTime::now() - Duration::from_secs(3600);
    for lease in [&held, &free] {
        File::open(lease.path()).unwrap().set_times(FileTimes::new().set_modified(old)).unwrap();
    }
    drop(free);
    let none = Bounds { bytes_max: 0, age_max: None };
    let collected = collect(&paths, none).unwrap();
    assert_eq!((collected.removed.len(), collected.in_use.len()), (0, 2), "any holder keeps all, whoever it is");
    assert!(contents(&paths).unwrap().iter().all(|item| item.in_use));
    drop(held);
    assert_eq!(would_collect(&paths, none).unwrap().removed.len(), 2);
    assert_eq!(contents(&paths).unwrap().len(), 2, "a rehearsal removes nothing");
    let collected = collect(&paths, none).unwrap();
    assert_eq!((collected.removed.len(), collected.in_use.len()), (2, 0));
    assert!(contents(&paths).unwrap().is_empty());
}

#[test]
fn what_is_no_cache_is_listed_and_stays() {
    let (_dir, paths) = paths();
    let session = paths.sessions_dir().join("some");
    std::fs::create_dir_all(&session).unwrap();
    std::fs::write(session.join("memory"), [7; 5000]).unwrap();
    for folder in [paths.recordings_dir(), paths.kept_dir()] {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("long-1"), [7; 6000]).unwrap();
    }
    drop(JobStore::open(&paths.data_dir, crate::store::jobs::Kept::default()).unwrap());
    let items = contents(&paths).unwrap();
    let kinds: Vec<Kind> = items.iter().map(|item| item.kind).collect();
    assert!(kinds.contains(&Kind::Session) && kinds.contains(&Kind::Records), "{:?}", names(&items));
    assert!(items.iter().find(|item| item.kind == Kind::Session).unwrap().bytes >= 5000);
    let recordings = items.iter().filter(|item| item.kind == Kind::Recording);
    assert_eq!(recordings.map(|item| u32::from(item.bytes >= 6000)).sum::<u32>(), 2, "{:?}", names(&items));
    let everything = Bounds { bytes_max: 0, age_max: Some(Duration::ZERO) };
    assert_eq!(collect(&paths, everything).unwrap(), Collected::default());
    assert!(session.join("memory").exists() && paths.recordings_dir().join("long-1").exists());
}
