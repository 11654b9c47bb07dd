use super::*;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What a wheel says that is written in Python alone.
pub(crate) const PURE: &str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

/// A wheel with these files beside what it says of itself.
pub(crate) fn wheel(about: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, bytes) in [("pack-1.0.dist-info/WHEEL", about.as_bytes())].iter().chain(files) {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const ROOM: Room = Room { bytes: 1 << 20, files: 100 };

fn unpacked(bytes: &[u8]) -> Result<tempfile::TempDir, WheelError> {
    let dir = tempfile::tempdir().unwrap();
    Wheel::open(Cursor::new(bytes))?.unpack(dir.path(), &mut { ROOM })?;
    Ok(dir)
}

#[test]
fn packages_are_unpacked_with_their_data_and_without_what_is_no_part_of_them() {
    let files: &[(&str, &[u8])] = &[
        ("pack/__init__.py", b"x = 1"),
        ("pack/data/table.csv", b"1,2"),
        ("single.py", b""),
        ("pack-1.0.data/purelib/more/__init__.py", b""),
        ("pack-1.0.data/scripts/tool", b"#!"),
    ];
    let bytes = wheel(PURE, files);
    let dir = unpacked(&bytes).unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name));
    assert_eq!(read("pack/data/table.csv").unwrap(), b"1,2");
    assert!(read("more/__init__.py").is_ok() && read("pack-1.0.dist-info/WHEEL").is_ok());
    assert!(!dir.path().join("pack-1.0.data").exists());
    let modules = Wheel::open(Cursor::new(&bytes)).unwrap().modules();
    assert_eq!(modules.into_iter().collect::<Vec<_>>(), ["more", "pack", "single"]);
}

#[test]
fn what_is_not_python_alone_is_refused() {
    for about in [
        "Root-Is-Purelib: false\nTag: py3-none-any\n",
        "Root-Is-Purelib: true\nTag: cp315-cp315-linux_x86_64\n",
        "Tag: py3-none-any\n",
        "",
    ] {
        assert!(matches!(unpacked(&wheel(about, &[])), Err(WheelError::Native(_))), "{about:?}");
    }
    assert!(matches!(unpacked(b""), Err(WheelError::Damaged(_))));
    assert!(matches!(unpacked(b"PK\x03\x04 and whatever"), Err(WheelError::Damaged(_))));
    let whole = wheel(PURE, &[("a.py", b"x")]);
    assert!(unpacked(&whole[..whole.len() - 3]).is_err() && unpacked(&whole[10..]).is_err());
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../x.py", "/etc/x.py", "a/../../x.py", "a\\b.py", "a//b.py", "./x.py", "x\n.py", &"a/".repeat(70)] {
        let name = format!("{name}y");
        assert!(matches!(unpacked(&wheel(PURE, &[(&name, b"")])), Err(WheelError::Name { .. })), "{name:?}");
    }
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("pack/link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let linked = writer.finish().unwrap().into_inner();
    assert!(matches!(unpacked(&linked), Err(WheelError::Name { .. })));
    let clash = wheel(PURE, &[("a", b""), ("a/b.py", b"")]);
    assert!(matches!(unpacked(&clash), Err(WheelError::Name { .. })));
}

#[test]
fn what_unpacks_to_too_much_is_stopped_on_the_way() {
    let bomb = vec![0; 3 << 20];
    assert!(matches!(unpacked(&wheel(PURE, &[("a.py", &bomb)])), Err(WheelError::Full)));
    let names: Vec<String> = (0..200).map(|n| format!("m{n}.py")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(matches!(unpacked(&wheel(PURE, &files)), Err(WheelError::Full)));
}

#[test]
fn a_count_of_files_beyond_what_there_may_be_is_refused_before_they_are_read() {
    let mut bytes = wheel(PURE, &[]);
    let at = bytes.len() - END_LEN;
    bytes[at + 10..at + 12].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(matches!(unpacked(&bytes), Err(WheelError::Large { what: "files", .. })));
}

#[test]
fn a_wheel_is_called_after_its_package_and_version() {
    assert_eq!(parts("humanize-4.9.0-py3-none-any.whl"), Some(("humanize", "4.9.0")));
    assert_eq!(parts("a_b-1-2-py2.py3-none-any.whl"), Some(("a_b", "1")));
    for none in ["humanize-4.9.0.tar.gz", "x-1.whl", "-1-py3-none-any.whl", ""] {
        assert_eq!(parts(none), None, "{none}");
    }
}
