//! Reads a wheel: an archive of strangers. Its table of contents is counted before memory is taken for it, no name leads out of
//! the directory it is unpacked in, there are no links, and what comes out is counted as it comes.

use super::WHEEL_LEN_MAX;
use crate::job::GuestPath;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use zip::ZipArchive;

/// Files in one wheel.
const FILES_MAX: u64 = 20_000;
/// Bytes of the file that says what a wheel is.
const ABOUT_LEN_MAX: u64 = 64 << 10;
/// The record at an archive's end, without its comment, which follows it.
const END_LEN: usize = 22;
/// Bytes of a comment.
const COMMENT_LEN_MAX: usize = u16::MAX as usize;
/// What that record begins with.
const END_MAGIC: &[u8] = b"PK\x05\x06";
/// What of a wheel stands beside the packages: scripts, headers and the like, which nothing here would find.
const DATA: &str = ".data";

/// What is wrong with a wheel.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// It cannot be read as one.
    #[error("it is no wheel: {0}")]
    Damaged(String),
    /// It has parts that are not Python.
    #[error("it is for {0}, and only what is written in Python alone runs in the sandbox")]
    Native(String),
    /// It is too large.
    #[error("it has more than {most} {what}")]
    Large {
        /// How many there may be.
        most: u64,
        /// Of what.
        what: &'static str,
    },
    /// With the others it is too large.
    #[error("the job's packages come to more than 512 MiB or 50000 files when they are unpacked")]
    Full,
    /// One of its names leads elsewhere, or means two things.
    #[error("it names {name:?}, which cannot be unpacked: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: String,
    },
    /// The disk refused.
    #[error("it cannot be unpacked")]
    Disk(#[source] io::Error),
}

/// What may still come out of wheels that are unpacked together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of files.
    pub(crate) bytes: u64,
    /// Files.
    pub(crate) files: u64,
}

/// A wheel whose table of contents was read and is sound.
pub(crate) struct Wheel<R> {
    archive: ZipArchive<R>,
    members: Vec<Member>,
}

/// A file of a wheel.
struct Member {
    index: usize,
    path: GuestPath,
}

impl<R: Read + Seek> Wheel<R> {
    /// Reads the table of contents, and what the wheel says of itself.
    pub(crate) fn open(mut reader: R) -> Result<Self, WheelError> {
        check_end(&mut reader)?;
        let mut archive = ZipArchive::new(reader).map_err(|error| WheelError::Damaged(error.to_string()))?;
        if archive.len() as u64 > FILES_MAX {
            return Err(WheelError::Large { most: FILES_MAX, what: "files" });
        }
        let mut members = Vec::new();
        let mut about = None;
        for index in 0..archive.len() {
            let member = archive.by_index_raw(index).map_err(|error| WheelError::Damaged(error.to_string()))?;
            let name = member.name().map_err(|error| WheelError::Damaged(error.to_string()))?.into_owned();
            if member.is_symlink() {
                return Err(WheelError::Name { name, why: "it is a link".to_owned() });
            }
            let place = GuestPath::parse(name.trim_end_matches('/'));
            let place = place.map_err(|error| WheelError::Name { name, why: error.to_string() })?;
            if member.is_dir() {
                continue;
            }
            if is_about(place.as_str()) {
                about = Some(index);
            }
            if let Some(path) = placed(&place) {
                members.push(Member { index, path });
            }
        }
        let about = about.ok_or_else(|| WheelError::Damaged("it does not say what it is".to_owned()))?;
        check_about(&text(&mut archive, about)?)?;
        Ok(Self { archive, members })
    }

    /// What an `import` can find in it.
    pub(crate) fn modules(&self) -> BTreeSet<String> {
        let module = |member: &Member| match member.path.as_str().split_once('/') {
            Some((top, rest)) => rest.ends_with(".py").then(|| top.to_owned()),
            None => member.path.as_str().strip_suffix(".py").map(str::to_owned),
        };
        self.members.iter().filter_map(module).collect()
    }

    /// Puts its files below a directory that nobody else writes to. What another wheel has put there stays.
    pub(crate) fn unpack(&mut self, dir: &Path, room: &mut Room) -> Result<(), WheelError> {
        for member in &self.members {
            room.files = room.files.checked_sub(1).ok_or(WheelError::Full)?;
            let path = dir.join(member.path.as_str());
            let clash = |error: io::Error| match error.kind() {
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    let why = "it is a file in one place and a folder in another".to_owned();
                    WheelError::Name { name: member.path.to_string(), why }
                }
                _ => WheelError::Disk(error),
            };
            if let Some(parent) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(clash)?;
            }
            let mut file = match File::create_new(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_file() => continue,
                Err(error) => return Err(clash(error)),
            };
            let bytes = self.archive.by_index(member.index).map_err(|error| WheelError::Damaged(error.to_string()))?;
            let written = copy(bytes, &mut file, room.bytes)?;
            room.bytes -= written;
        }
        Ok(())
    }
}

/// Copies at most so many bytes, whatever was said of how many there are.
fn copy(mut from: impl Read, to: &mut impl io::Write, most: u64) -> Result<u64, WheelError> {
    let mut buffer = [0; 16 << 10];
    let mut written = 0;
    loop {
        let read = from.read(&mut buffer).map_err(|error| WheelError::Damaged(error.to_string()))?;
        if read == 0 {
            return Ok(written);
        }
        written += read as u64;
        if written > most {
            return Err(WheelError::Full);
        }
        to.write_all(&buffer[..read]).map_err(WheelError::Disk)?;
    }
}

/// Refuses what would take much memory before any is taken: the record at the end says how many files there are.
fn check_end(reader: &mut (impl Read + Seek)) -> Result<(), WheelError> {
    let damaged = |error: io::Error| WheelError::Damaged(error.to_string());
    let len = reader.seek(SeekFrom::End(0)).map_err(damaged)?;
    if len > WHEEL_LEN_MAX {
        return Err(WheelError::Large { most: WHEEL_LEN_MAX, what: "bytes" });
    }
    let tail_len = len.min((END_LEN + COMMENT_LEN_MAX) as u64);
    reader.seek(SeekFrom::Start(len - tail_len)).map_err(damaged)?;
    let mut tail = Vec::new();
    reader.by_ref().take(tail_len).read_to_end(&mut tail).map_err(damaged)?;
    reader.seek(SeekFrom::Start(0)).map_err(damaged)?;
    let ends_there = |at: &usize| {
        let record = &tail[*at..];
        record.starts_with(END_MAGIC)
            && usize::from(u16::from_le_bytes([record[20], record[21]])) == record.len() - END_LEN
    };
    let last = tail.len().checked_sub(END_LEN).into_iter().flat_map(|last| (0..=last).rev()).find(ends_there);
    let Some(at) = last else { return Err(WheelError::Damaged("it has no end of an archive".to_owned())) };
    let count = u16::from_le_bytes([tail[at + 10], tail[at + 11]]);
    if u64::from(count) > FILES_MAX {
        return Err(WheelError::Large { most: FILES_MAX, what: "files" });
    }
    Ok(())
}

/// Whether this file says what the wheel is.
fn is_about(path: &str) -> bool {
    path.split_once('/').is_some_and(|(top, rest)| top.ends_with(".dist-info") && rest == "WHEEL")
}

/// Where a file of a wheel is to lie; nowhere, if it is no part of a package.
fn placed(path: &GuestPath) -> Option<GuestPath> {
    let Some((top, rest)) = path.as_str().split_once('/') else { return Some(path.clone()) };
    if !top.ends_with(DATA) {
        return Some(path.clone());
    }
    let rest = rest.strip_prefix("purelib/").or_else(|| rest.strip_prefix("platlib/"))?;
    GuestPath::parse(rest).ok()
}

fn text<R: Read + Seek>(archive: &mut ZipArchive<R>, index: usize) -> Result<String, WheelError> {
    let member = archive.by_index(index).map_err(|error| WheelError::Damaged(error.to_string()))?;
    let mut text = String::new();
    member.take(ABOUT_LEN_MAX).read_to_string(&mut text).map_err(|error| WheelError::Damaged(error.to_string()))?;
    Ok(text)
}

/// Refuses what is not written in Python alone.
fn check_about(text: &str) -> Result<(), WheelError> {
    let mut is_pure = false;
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("root-is-purelib", value) => is_pure = value.eq_ignore_ascii_case("true"),
            ("tag", tag) if !is_pure_tag(tag) => return Err(WheelError::Native(tag.chars().take(80).collect())),
            _ => {}
        }
    }
    if is_pure { Ok(()) } else { Err(WheelError::Native("one kind of machine".to_owned())) }
}

/// Whether what has this tag runs everywhere.
pub(crate) fn is_pure_tag(tag: &str) -> bool {
    tag.ends_with("-none-any")
}

/// What a wheel's file is called: the package and its version.
pub(crate) fn parts(name: &str) -> Option<(&str, &str)> {
    let stem = name.strip_suffix(".whl")?;
    let mut parts = stem.split('-');
    let (package, version) = (parts.next()?, parts.next()?);
    (!package.is_empty() && !version.is_empty() && parts.count() >= 3).then_some((package, version))
}

#[cfg(test)]
pub(crate) mod tests;
