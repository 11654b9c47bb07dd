//! What a task printed, on its way to its files: written aside, and renamed when all of it has come. One task at a time.

use super::plan::Task;
use anyhow::Context;
use potluck_node::client::PARTIAL_PREFIX;
use potluck_runtime::{GuestPath, OutputStream};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes of the end of stderr that are kept for its last line.
const TAIL_LEN_MAX: usize = 4096;

/// What a task printed so far.
pub(super) struct Results {
    dir: PathBuf,
    stdout: Option<BufWriter<File>>,
    stderr: Option<BufWriter<File>>,
    tail: Vec<u8>,
}

impl Results {
    /// Of a task of which nothing has come. What a command that was killed meanwhile has left of it is removed, and so are the
    /// files that came of its job before: those of the one that comes now are to stand alone. What else lies there stays.
    pub(super) fn begin(dir: &Path, task: &Task, before: &[String]) -> anyhow::Result<Self> {
        let results = Self { dir: dir.to_owned(), stdout: None, stderr: None, tail: Vec::new() };
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let left = partial(dir, stream);
            gone(&left).with_context(|| format!("cannot remove {}", left.display()))?;
        }
        let files = task.files(dir);
        remove_partial_files(&files).with_context(|| format!("cannot tidy {}", files.display()))?;
        remove_files(&files, before).with_context(|| format!("cannot remove what was in {}", files.display()))?;
        Ok(results)
    }

    /// The next piece.
    pub(super) fn write(&mut self, stream: OutputStream, bytes: &[u8]) -> anyhow::Result<()> {
        if stream == OutputStream::Stderr {
            self.tail.extend_from_slice(bytes);
            let over = self.tail.len().saturating_sub(TAIL_LEN_MAX);
            self.tail.drain(..over);
        }
        let path = partial(&self.dir, stream);
        let written = self.file(stream).and_then(|file| file.write_all(bytes));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// All has come: it takes its place. The last line of stderr is given back.
    pub(super) fn keep(mut self, task: &Task) -> anyhow::Result<String> {
        // An empty stdout is a result too.
        let (out, err) = (task.out(&self.dir), task.err(&self.dir));
        self.file(OutputStream::Stdout).with_context(|| format!("cannot write {}", out.display()))?;
        for (stream, place) in [(OutputStream::Stdout, out), (OutputStream::Stderr, err)] {
            let file = match stream {
                OutputStream::Stdout => self.stdout.take(),
                OutputStream::Stderr => self.stderr.take(),
            };
            let kept = match file {
                Some(mut file) => file.flush().and_then(|()| fs::rename(partial(&self.dir, stream), &place)),
                // What an earlier job of the task said is not of this one.
                None => gone(&place),
            };
            kept.with_context(|| format!("cannot write {}", place.display()))?;
        }
        Ok(last_line(&self.tail))
    }

    fn file(&mut self, stream: OutputStream) -> io::Result<&mut BufWriter<File>> {
        let file = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        match file {
            Some(file) => Ok(file),
            None => Ok(file.insert(BufWriter::new(File::create(partial(&self.dir, stream))?))),
        }
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        for (file, stream) in [(&self.stdout, OutputStream::Stdout), (&self.stderr, OutputStream::Stderr)] {
            if file.is_some() {
                // What did not come whole is of no use; the next task begins such a file anew.
                let _gone = fs::remove_file(partial(&self.dir, stream));
            }
        }
    }
}

fn partial(dir: &Path, stream: OutputStream) -> PathBuf {
    dir.join(match stream {
        OutputStream::Stdout => ".potluck-partial-out",
        OutputStream::Stderr => ".potluck-partial-err",
    })
}

/// Removes the files below a folder that have not come whole.
fn remove_partial_files(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_partial_files(&entry.path())?;
        } else if entry.file_name().as_encoded_bytes().starts_with(PARTIAL_PREFIX.as_bytes()) {
            gone(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes these files below a folder, and then the folders in which nothing is left.
fn remove_files(dir: &Path, files: &[String]) -> io::Result<()> {
    // The journal is a file that anybody may have changed, and such a path leads nowhere else.
    for file in files.iter().filter_map(|file| GuestPath::parse(file).ok()) {
        let path = dir.join(file.as_str());
        match fs::remove_file(&path) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            _ => {}
        }
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(dir));
        // One that is not empty stays.
        above.map(fs::remove_dir).take_while(Result::is_ok).for_each(drop);
    }
    Ok(())
}

fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The last line of a text that is not blank.
fn last_line(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};

    fn task() -> Task {
        Task { name: "a".to_owned(), inputs: vec!["a.txt".into()] }
    }

    fn entries(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn stdout_has_a_file_always_and_stderr_when_there_is_some() {
        let dir = tempfile::tempdir().unwrap();
        let mut results = Results::begin(dir.path(), &task(), &[]).unwrap();
        results.write(Stderr, b"first\nsecond\n\n").unwrap();
        assert_eq!(results.keep(&task()).unwrap(), "second");
        assert_eq!(entries(dir.path()), ["a.err", "a.out"]);
        let mut results = Results::begin(dir.path(), &task(), &[]).unwrap();
        results.write(Stdout, b"soup").unwrap();
        assert_eq!(results.keep(&task()).unwrap(), "");
        assert_eq!(entries(dir.path()), ["a.out"], "what the job before said is gone");
        assert_eq!(fs::read(dir.path().join("a.out")).unwrap(), b"soup");
    }

    #[test]
    fn the_files_of_the_job_before_go_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/deep/deeper")).unwrap();
        for file in ["a/one.txt", "a/deep/deeper/two.txt", "a/own.txt", "beside.txt"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let before = ["one.txt", "deep/deeper/two.txt", "never.txt", "../beside.txt"].map(str::to_owned);
        Results::begin(dir.path(), &task(), &before).unwrap().keep(&task()).unwrap();
        assert_eq!(entries(dir.path()), ["a", "a.out", "beside.txt"]);
        assert_eq!(entries(&dir.path().join("a")), ["own.txt"]);
    }

    #[test]
    fn what_did_not_come_whole_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut results = Results::begin(dir.path(), &task(), &[]).unwrap();
        results.write(Stdout, b"so").unwrap();
        drop(results);
        assert_eq!(entries(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_command_left_is_removed_when_the_task_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut results = Results::begin(dir.path(), &task(), &[]).unwrap();
        results.write(Stderr, b"half").unwrap();
        std::mem::forget(results);
        fs::create_dir_all(dir.path().join("a/deep")).unwrap();
        for file in ["a/whole", "a/.potluck-partial-7-1", "a/deep/.potluck-partial-7-2"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        Results::begin(dir.path(), &task(), &[]).unwrap().keep(&task()).unwrap();
        assert_eq!(entries(dir.path()), ["a", "a.out"]);
        assert_eq!(entries(&dir.path().join("a")), ["deep", "whole"]);
        assert_eq!(entries(&dir.path().join("a/deep")), Vec::<String>::new());
    }
}
