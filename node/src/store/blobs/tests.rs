//! What the store keeps, refuses and lets go.

use super::*;

fn store(bytes_max: u64) -> (tempfile::TempDir, BlobStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::new(dir.path().join("blobs"), bytes_max);
    (dir, store)
}

fn put(store: &BlobStore, bytes: &[u8]) -> Result<BlobLease, BlobError> {
    let mut writer = store.receive(Digest::of(bytes), bytes.len() as u64)?;
    writer.write(bytes)?;
    writer.commit()
}

fn names(store: &BlobStore) -> usize {
    let is_blob = |name: &fs::DirEntry| name.file_name() != PRESENCE_FILE;
    fs::read_dir(&store.inner.dir).map_or(0, |names| names.flatten().filter(is_blob).count())
}

#[test]
fn a_store_without_blobs_is_no_directory() {
    let (_dir, store) = store(1 << 20);
    assert_eq!(store.trim().unwrap(), 0);
    assert!(store.lease(Digest::of(b"soup"), 4).is_none());
    assert!(!store.inner.dir.exists());
}

#[test]
fn a_blob_is_found_after_it_was_committed_and_not_before() {
    let (_dir, store) = store(1 << 20);
    let digest = Digest::of(b"soup");
    let mut writer = store.receive(digest, 4).unwrap();
    writer.write(b"so").unwrap();
    assert!(store.lease(digest, 4).is_none());
    writer.write(b"up").unwrap();
    let lease = writer.commit().unwrap();
    assert_eq!(fs::read(lease.path()).unwrap(), b"soup");
    assert!(store.lease(digest, 4).is_some());
    assert!(store.lease(digest, 5).is_none());
}

#[test]
fn bytes_that_are_not_the_digests_leave_nothing() {
    let (_dir, store) = store(1 << 20);
    let mut writer = store.receive(Digest::of(b"soup"), 4).unwrap();
    writer.write(b"soap").unwrap();
    assert!(matches!(writer.commit(), Err(BlobError::Lie { .. })));
    let mut writer = store.receive(Digest::of(b"soup"), 4).unwrap();
    assert!(matches!(writer.write(b"soups"), Err(BlobError::WrongSize { arrived: 5, .. })));
    let mut short = store.receive(Digest::of(b"soup"), 4).unwrap();
    short.write(b"so").unwrap();
    assert!(matches!(short.commit(), Err(BlobError::WrongSize { arrived: 2, .. })));
    drop(writer);
    assert_eq!(names(&store), 0);
}

#[test]
fn two_receivers_of_one_blob_both_succeed() {
    let (_dir, store) = store(1 << 20);
    let mut first = store.receive(Digest::of(b"soup"), 4).unwrap();
    let mut second = store.receive(Digest::of(b"soup"), 4).unwrap();
    first.write(b"soup").unwrap();
    second.write(b"soup").unwrap();
    let (first, second) = (first.commit().unwrap(), second.commit().unwrap());
    assert_eq!(fs::read(first.path()).unwrap(), fs::read(second.path()).unwrap());
    assert_eq!(names(&store), 1);
}

#[test]
fn the_store_is_looked_at_when_it_may_be_full_and_not_for_each_blob() {
    let (_dir, store) = store(64 * 4096);
    let hours = |n: u64| FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(n * 3600));
    let put_old = |byte: u8| {
        let lease = put(&store, &[byte; 4096]).unwrap();
        File::open(lease.path()).unwrap().set_times(hours(1)).unwrap();
        store.trim_if_due().unwrap();
    };
    (0..64).for_each(put_old);
    assert_eq!(names(&store), 64);
    (64..128).for_each(put_old);
    assert!((64..=66).contains(&names(&store)), "{}", names(&store));
}

#[test]
fn trimming_removes_the_oldest_blobs_that_nobody_holds() {
    let (_dir, store) = store(20_000);
    let held = put(&store, &[1; 8192]).unwrap();
    let old = put(&store, &[2; 8192]).unwrap();
    let young = put(&store, &[3; 8192]).unwrap();
    let hours = |n: u64| SystemTime::now() - Duration::from_secs(n * 3600);
    for (lease, age) in [(&held, 9), (&old, 5), (&young, 1)] {
        let file = File::open(lease.path()).unwrap();
        file.set_times(FileTimes::new().set_modified(hours(age))).unwrap();
    }
    let (old_path, young_path) = (old.path().to_owned(), young.path().to_owned());
    drop((old, young));
    assert!(store.trim().unwrap() <= 20_000);
    assert!(held.path().exists() && young_path.exists() && !old_path.exists());
}
