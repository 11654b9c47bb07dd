//! Copies of a working directory, for a session's twin: through directory handles, and no link is followed.

use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};

/// How deep directories are copied.
const DEPTH_MAX: usize = 256;

/// Copies files, directories and links, and follows no link.
pub(super) fn copy_directory(from: &Dir, to: &Dir, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other(format!("directories are nested deeper than {DEPTH_MAX}")));
    }
    for entry in from.entries()? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() {
            to.create_dir(&name)?;
            copy_directory(&entry.open_dir()?, &to.open_dir(&name)?, depth + 1)?;
        } else if kind.is_file() {
            copy_file(from, to, &name)?;
        } else if kind.is_symlink() {
            to.symlink_contents(from.read_link_contents(&name)?, &name)?;
        }
    }
    Ok(())
}

/// Copies a file; its holes stay holes, or a guest could have its host write more than the guest itself may.
fn copy_file(from: &Dir, to: &Dir, name: &OsStr) -> io::Result<()> {
    let mut read = OpenOptions::new();
    read.read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    let source = from.open_with(name, &read)?;
    let metadata = source.metadata()?;
    let mut create = OpenOptions::new();
    create.write(true).create_new(true).mode(metadata.mode() & 0o777);
    let (source, mut target) = (source.into_std(), to.open_with(name, &create)?.into_std());
    target.set_len(metadata.len())?;
    let mut end = 0;
    while let Some(start) = seek(&source, SeekFrom::Data(end))? {
        end = seek(&source, SeekFrom::Hole(start))?.unwrap_or(metadata.len());
        for file in [&source, &target] {
            rustix::fs::seek(file, SeekFrom::Start(start))?;
        }
        io::copy(&mut (&source).take(end.saturating_sub(start)), &mut target)?;
    }
    Ok(())
}

/// Where the file's next data or hole begins; nothing behind the last.
fn seek(file: &File, to: SeekFrom) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, to) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use std::os::unix::fs::{FileExt, MetadataExt as _, PermissionsExt, symlink};

    #[test]
    fn a_copy_is_like_what_was_copied_and_its_holes_take_no_room() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let holes = File::create(from.path().join("holes")).unwrap();
        for at in [0, 1 << 20, 1 << 33] {
            holes.write_all_at(b"data", at).unwrap();
        }
        holes.set_len(1 << 34).unwrap();
        std::fs::create_dir_all(from.path().join("a/empty")).unwrap();
        std::fs::write(from.path().join("a/tool"), "text").unwrap();
        std::fs::set_permissions(from.path().join("a/tool"), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(from.path().join("none"), "").unwrap();
        symlink("/nowhere", from.path().join("link")).unwrap();
        let open = |dir: &tempfile::TempDir| Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        copy_directory(&open(&from), &open(&to), 0).unwrap();
        let copied = File::open(to.path().join("holes")).unwrap();
        let metadata = copied.metadata().unwrap();
        assert!(metadata.len() == 1 << 34 && metadata.blocks() < 1 << 10, "{metadata:?}");
        for at in [0, 1 << 20, 1 << 33] {
            let mut data = [0; 5];
            copied.read_exact_at(&mut data, at).unwrap();
            assert_eq!(&data, b"data\0");
        }
        let tool = to.path().join("a/tool");
        assert_eq!(std::fs::read_to_string(&tool).unwrap(), "text");
        assert_eq!(std::fs::metadata(&tool).unwrap().mode() & 0o777, 0o700);
        assert!(to.path().join("a/empty").is_dir() && to.path().join("none").is_file());
        assert_eq!(std::fs::read_link(to.path().join("link")).unwrap().to_str(), Some("/nowhere"));
    }
}
