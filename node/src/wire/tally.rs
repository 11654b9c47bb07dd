//! What a job printed and brought back, as both sides see it pass by: counted, and digested into one name for all of it.
//!
//! The digest of an output is BLAKE3 in key-derivation mode (context [`CONTEXT`]) over: the length of stdout (`u64`,
//! little-endian, as all numbers here) and its BLAKE3, the same of stderr, the number of files (`u64`), and the BLAKE3 of
//! their entries in the order of their paths: the path's length (`u32`) and bytes, whether it is executable (one byte),
//! the file's length (`u64`) and BLAKE3. How output was cut into frames, and how stdout and stderr were interlaced, is no
//! part of it, so that it is the same wherever the job runs.

use super::OutputFile;
use potluck_runtime::{Digest, OutputStream};

/// Tells digests of outputs from all others.
pub const CONTEXT: &str = "potluck 2026-11 the output of a job v1";

/// Counts, and digests where that is wanted, which costs a third of a millisecond for each megabyte.
#[derive(Debug, Default)]
pub struct OutputTally {
    bytes: u64,
    digesting: Option<Box<Digesting>>,
}

#[derive(Debug)]
struct Digesting {
    stdout: blake3::Hasher,
    stderr: blake3::Hasher,
    files: blake3::Hasher,
    file_count: u64,
}

impl OutputTally {
    /// Counts only.
    #[must_use]
    pub fn counting() -> Self {
        Self::default()
    }

    /// Counts and digests.
    #[must_use]
    pub fn digesting() -> Self {
        let hasher = blake3::Hasher::new;
        let digesting = Digesting { stdout: hasher(), stderr: hasher(), files: hasher(), file_count: 0 };
        Self { bytes: 0, digesting: Some(Box::new(digesting)) }
    }

    /// The guest said this.
    pub fn printed(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if let Some(digesting) = &mut self.digesting {
            match stream {
                OutputStream::Stdout => digesting.stdout.update(bytes),
                OutputStream::Stderr => digesting.stderr.update(bytes),
            };
        }
    }

    /// This file comes back; files come in the order of their paths.
    pub fn brought(&mut self, file: &OutputFile) {
        self.bytes = self.bytes.saturating_add(file.size);
        if let Some(digesting) = &mut self.digesting {
            let path = file.path.as_str().as_bytes();
            let path_len = u32::try_from(path.len()).unwrap_or(u32::MAX);
            digesting.files.update(&path_len.to_le_bytes());
            digesting.files.update(path);
            digesting.files.update(&[u8::from(file.executable)]);
            digesting.files.update(&file.size.to_le_bytes());
            digesting.files.update(file.digest.as_bytes());
            digesting.file_count += 1;
        }
    }

    /// Bytes printed and brought back so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The name of all of it, if it was digested.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let Digesting { stdout, stderr, files, file_count } = self.digesting.as_deref()?;
        let mut whole = blake3::Hasher::new_derive_key(CONTEXT);
        for stream in [stdout, stderr] {
            whole.update(&stream.count().to_le_bytes());
            whole.update(stream.finalize().as_bytes());
        }
        whole.update(&file_count.to_le_bytes());
        whole.update(files.finalize().as_bytes());
        Some(Digest::from_bytes(*whole.finalize().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_runtime::GuestPath;

    fn file(path: &str, content: &[u8], executable: bool) -> OutputFile {
        let path = GuestPath::parse(path).unwrap();
        OutputFile { path, digest: Digest::of(content), size: content.len() as u64, executable }
    }

    fn digest(printed: &[(OutputStream, &[u8])], files: &[OutputFile]) -> Digest {
        let mut tally = OutputTally::digesting();
        printed.iter().for_each(|(stream, bytes)| tally.printed(*stream, bytes));
        files.iter().for_each(|file| tally.brought(file));
        tally.digest().unwrap()
    }

    #[test]
    fn an_output_has_one_digest_however_it_was_cut_and_interlaced() {
        use OutputStream::{Stderr, Stdout};
        let one = digest(&[(Stdout, b"soup"), (Stderr, b"hot")], &[file("a", b"1", false)]);
        assert_eq!(
            one,
            digest(&[(Stderr, b"h"), (Stdout, b"so"), (Stderr, b"ot"), (Stdout, b"up")], &[file("a", b"1", false)])
        );
        for other in [
            digest(&[(Stdout, b"soup"), (Stdout, b"hot")], &[file("a", b"1", false)]),
            digest(&[(Stdout, b"soup"), (Stderr, b"hot")], &[file("a", b"1", true)]),
            digest(&[(Stdout, b"soup"), (Stderr, b"hot")], &[file("b", b"1", false)]),
            digest(&[(Stdout, b"soup"), (Stderr, b"hot")], &[file("a", b"2", false)]),
            digest(&[(Stdout, b"soup"), (Stderr, b"hot")], &[]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_digest_of_nothing_is_pinned() {
        let nothing = digest(&[], &[]).to_string();
        assert_eq!(
            nothing, "23409a3bed35067bf5c470babf8a51bbc51198ba2b2858829e3220870112b698",
            "a change of this is a change of what receipts mean"
        );
    }

    #[test]
    fn what_is_only_counted_has_no_digest() {
        let mut tally = OutputTally::counting();
        tally.printed(OutputStream::Stdout, b"soup");
        tally.brought(&file("a", b"123", false));
        assert_eq!((tally.bytes(), tally.digest()), (7, None));
    }
}
