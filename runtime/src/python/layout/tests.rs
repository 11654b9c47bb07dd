use super::*;
use std::io::Write;
use zip::write::SimpleFileOptions;

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn an_archive_of_plain_files_is_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    unpack(archive(&[("fonts/a.ttf", b"font"), ("matplotlibrc", b"rc")]), directory.path()).unwrap();
    assert_eq!(fs::read(directory.path().join("fonts/a.ttf")).unwrap(), b"font");
}

#[test]
fn a_name_that_leads_out_of_the_archive_is_refused() {
    for name in ["../out", "a/../../out", "/etc/out"] {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let result = unpack(archive(&[(name, b"x")]), &inside);
        assert!(result.is_err() || inside.join("etc/out").exists(), "{name}");
        assert!(!directory.path().join("out").exists(), "{name}");
    }
}

#[test]
fn an_archive_that_unpacks_to_too_much_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let much = vec![0; usize::try_from(MPL_DATA_BYTES_MAX).unwrap() + 1];
    let error = unpack(archive(&[("bomb", &much)]), directory.path()).unwrap_err();
    assert!(error.to_string().contains("unpacks to more"), "{error}");
}

#[test]
fn guest_files_are_laid_out_once_and_whole() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("lib")).unwrap();
    let name = guest_files(root.path()).unwrap();
    assert_eq!(guest_files(root.path()).unwrap(), name);
    for (file, text) in GUEST_FILES {
        assert_eq!(fs::read_to_string(root.path().join("lib").join(&name).join(file)).unwrap(), *text);
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "something was left aside");
}
