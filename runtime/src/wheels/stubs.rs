//! What pip is told of the environment: for each package that is built in, an empty wheel of that version, and that no other
//! version will do. So pip takes them for there, fetches nothing for them, and says itself when something wants another.

use super::failed::{PackagesError, failed};
use crate::python::built_ins;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Where pip finds them.
pub(super) struct Stubs {
    /// A folder of wheels.
    pub(super) links: PathBuf,
    /// A list of the only versions.
    pub(super) constraints: PathBuf,
}

impl Stubs {
    /// Lines that ask pip for these, with their hashes.
    pub(super) fn lines(&self, names: &[&str]) -> Result<Vec<String>, PackagesError> {
        let line = |(name, version): (&str, &str)| {
            let path = self.links.join(file_name(name, version));
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(format!("{name}=={version} --hash=sha256:{hash}"))
        };
        built_ins().into_iter().filter(|(name, _)| names.contains(name)).map(line).collect()
    }
}

fn file_name(name: &str, version: &str) -> String {
    format!("{}-{version}-py3-none-any.whl", name.replace('-', "_"))
}

/// Writes them below a directory.
pub(super) fn write(dir: &Path) -> Result<Stubs, PackagesError> {
    let stubs = Stubs { links: dir.join("built-in"), constraints: dir.join("built-in.txt") };
    let write = || -> io::Result<()> {
        fs::create_dir(&stubs.links)?;
        let mut constraints = String::new();
        for (name, version) in built_ins() {
            constraints.push_str(&format!("{name}=={version}\n"));
            fs::write(stubs.links.join(file_name(name, version)), wheel(name, version)?)?;
        }
        fs::write(&stubs.constraints, constraints)
    };
    write().map_err(failed("tell pip what is built in, below", dir))?;
    Ok(stubs)
}

fn wheel(name: &str, version: &str) -> io::Result<Vec<u8>> {
    let about = format!("{}-{version}.dist-info", name.replace('-', "_"));
    let files = [
        ("METADATA", format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")),
        ("WHEEL", "Wheel-Version: 1.0\nGenerator: potluck\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned()),
        ("RECORD", String::new()),
    ];
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (file, text) in files {
        writer.start_file(format!("{about}/{file}"), SimpleFileOptions::default())?;
        writer.write_all(text.as_bytes())?;
    }
    Ok(writer.finish()?.into_inner())
}
