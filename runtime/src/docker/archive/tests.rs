use super::*;

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, entries: 100 };

/// An archive of these entries: kind, name, content or target.
fn archive(entries: &[(EntryType, &[u8], &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let is_file = *kind == EntryType::Regular;
        let mut header = header(*kind, 0o644, 0, if is_file { content.len() as u64 } else { 0 });
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        if !is_file && !content.is_empty() {
            header.set_link_name_literal(content).unwrap();
        }
        header.set_cksum();
        builder.append(&header, if is_file { content.as_bytes() } else { b"" }).unwrap();
    }
    builder.into_inner().unwrap()
}

fn laid(bytes: &[u8], bounds: Bounds) -> (tempfile::TempDir, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let left = lay_down(bytes, &Dir::open_ambient_dir(&root, ambient_authority()).unwrap(), bounds).unwrap();
    (home, left)
}

#[test]
fn files_and_folders_arrive_where_they_were() {
    use EntryType::{Directory, Regular};
    let bytes = archive(&[
        (Directory, b"work/", ""),
        (Regular, b"work/a", "1"),
        (Directory, b"work/d/", ""),
        (Regular, b"work/d/e/f", "22"),
    ]);
    let (home, left) = laid(&bytes, BOUNDS);
    assert!(left.is_empty(), "{left:?}");
    let read = |path: &str| std::fs::read_to_string(home.path().join("root").join(path)).unwrap();
    assert_eq!((read("a"), read("d/e/f")), ("1".to_owned(), "22".to_owned()));
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let names: [&[u8]; 5] = [b"work/../../out", b"work//etc/out", b"/work/../out", b"work/a/../../../out", b"work/.."];
    for name in names {
        let (home, left) = laid(&archive(&[(EntryType::Regular, name, "out")]), BOUNDS);
        assert_eq!(left.len(), 1, "{name:?}");
        assert!(!home.path().join("out").exists());
    }
}

#[test]
fn links_lead_nowhere_and_nothing_is_written_through_them() {
    use EntryType::{Link, Regular, Symlink};
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("target");
    std::fs::write(&target, "kept").unwrap();
    let entries: [(EntryType, &[u8], &str); 2] =
        [(Symlink, &b"work/l"[..], target.to_str().unwrap()), (Regular, b"work/b", "1")];
    let (there, _) = laid(&archive(&entries), BOUNDS);
    assert_eq!(std::fs::read_link(there.path().join("root/l")).unwrap(), Path::new(NOWHERE));
    let (_there, left) = laid(&archive(&[(Link, b"work/h", "/etc/passwd"), (Link, b"work/i", "work/../x")]), BOUNDS);
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_is_no_file_is_named() {
    let entries: [(EntryType, &[u8], &str); 2] =
        [(EntryType::Fifo, &b"work/pipe"[..], ""), (EntryType::Char, b"work/device", "")];
    assert_eq!(laid(&archive(&entries), BOUNDS).1.len(), 2);
}

#[test]
fn what_is_too_much_is_left_behind() {
    let entries: [(EntryType, &[u8], &str); 2] =
        [(EntryType::Regular, &b"work/a"[..], "123"), (EntryType::Regular, b"work/b", "456")];
    let bytes = archive(&entries);
    let (home, left) = laid(&bytes, Bounds { bytes: 4, ..BOUNDS });
    assert_eq!(left.len(), 1);
    assert_eq!(std::fs::read(home.path().join("root/a")).unwrap(), b"123");
    assert_eq!(std::fs::read(home.path().join("root/b")).unwrap(), [0; 3]);
    let (home, left) = laid(&bytes, Bounds { entries: 1, ..BOUNDS });
    assert_eq!((left.len(), home.path().join("root/b").exists()), (1, false));
}

#[test]
fn an_archive_that_is_cut_off_is_an_error() {
    let bytes = archive(&[(EntryType::Regular, b"work/a", "123")]);
    let home = tempfile::tempdir().unwrap();
    let root = Dir::open_ambient_dir(home.path(), ambient_authority()).unwrap();
    assert!(lay_down(&bytes[..513], &root, BOUNDS).is_err());
}

#[test]
fn what_is_packed_is_what_was_there() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("d")).unwrap();
    std::fs::write(home.path().join("d/tool"), "#!").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(home.path().join("d/tool"), mode).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let packed = runtime.block_on(async { pack(home.path().to_owned(), 7).collect::<Vec<_>>().await });
    let packed: Vec<u8> = packed.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    let mut archive = Archive::new(packed.as_slice());
    let entries: Vec<(String, u32, u64)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.uid().unwrap())
        })
        .collect();
    assert_eq!(entries, [("d".to_owned(), 0o755, 7), ("d/tool".to_owned(), 0o755, 7)]);
}
