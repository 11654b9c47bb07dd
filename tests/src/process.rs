//! One run of the `potluck` binary. Output is read as it comes; nothing waits without a deadline; what is
//! still running when its handle is dropped is killed.

use crate::capture::Capture;
use crate::wait::{DEADLINE, holds_within};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A command being put together.
#[derive(Debug)]
pub struct Invocation {
    pub(crate) command: Command,
    input: Vec<u8>,
    deadline: Duration,
    one_pipe: bool,
}

impl Invocation {
    pub(crate) fn new(command: Command) -> Self {
        Self { command, input: Vec::new(), deadline: DEADLINE, one_pipe: false }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// What stdin holds; without it stdin is empty.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// A variable of the environment of `potluck` itself.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// The directory it is run in; without it the home's working directory.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// How long it may take in all.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Both outputs into one pipe, as in a terminal; read as stdout.
    #[must_use]
    pub fn one_pipe(mut self) -> Self {
        self.one_pipe = true;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or passes its deadline.
    #[track_caller]
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let input = std::mem::take(&mut self.input);
        let mut running = self.start();
        let mut stdin = running.stdin.take().expect("a started process has its stdin");
        // Its own thread, since the program may write before it has read all. A program that does not read its stdin
        // closes the pipe, which is no failure.
        let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
        let finished = running.finish();
        feeder.join().expect("the feeding thread does not panic");
        finished
    }

    /// Starts it with an open stdin.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        self.command.stdin(Stdio::piped());
        let (stdout, stderr) = if self.one_pipe {
            let (reader, writer) = std::io::pipe().expect("a pipe can be made");
            self.command.stdout(writer.try_clone().expect("a pipe's end can be doubled")).stderr(writer);
            (Some(reader), None)
        } else {
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
            (None, Some(()))
        };
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{shown} cannot be started: {e}"));
        // The command holds the write ends of a shared pipe, which would otherwise never end.
        drop(self.command);
        let stdin = child.stdin.take();
        let (stdout, stderr) = match (stdout, stderr) {
            (Some(reader), _) => (Capture::of(reader), Capture::of(std::io::empty())),
            (None, _) => (
                Capture::of(child.stdout.take().expect("stdout is a pipe")),
                Capture::of(child.stderr.take().expect("stderr is a pipe")),
            ),
        };
        Running { child, shown, stdin, stdout, stderr, end: Instant::now() + self.deadline }
    }

    /// Starts it with a terminal for all three streams; what comes out of `screen` is read as stdout.
    pub(crate) fn start_at(mut self, device: &File, screen: File) -> Running {
        let shown = format!("{:?}", self.command);
        let stream = || device.try_clone().expect("a terminal's descriptor can be doubled");
        self.command.stdin(stream()).stdout(stream()).stderr(stream());
        let child = self.command.spawn().unwrap_or_else(|e| panic!("{shown} cannot be started: {e}"));
        // The command holds the terminal, whose screen would otherwise never end.
        drop(self.command);
        let (stdout, stderr) = (Capture::of(screen), Capture::of(std::io::empty()));
        Running { child, shown, stdin: None, stdout, stderr, end: Instant::now() + self.deadline }
    }

    /// Starts it with stdin and stdout in the caller's hands, for streams too long to be kept.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start_raw(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        self.command.spawn().unwrap_or_else(|e| panic!("{:?} cannot be started: {e}", self.command))
    }
}

/// A process that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    shown: String,
    stdin: Option<ChildStdin>,
    /// What it has written to stdout so far (to both, with [`Invocation::one_pipe`]).
    pub stdout: Capture,
    /// What it has written to stderr so far.
    pub stderr: Capture,
    pub(crate) end: Instant,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its stdin, now.
    ///
    /// # Panics
    /// When stdin was closed, or the process does not take it.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is still open");
        stdin.write_all(text.as_bytes()).expect("the process reads its stdin");
        stdin.flush().expect("a pipe can be flushed");
    }

    /// Ends its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is no longer there.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id above zero");
        kill_process(id, signal).expect("the process is there to be signalled");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has written `text` to stdout.
    ///
    /// # Panics
    /// When it ends without, or passes its deadline.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) {
        if let Err(why) = self.stdout.wait_for(text, 0, self.end) {
            panic!("{why} on stdout of {}; stderr:\n{}", self.shown, self.stderr.text());
        }
    }

    /// Waits until it has written `text` to stderr.
    ///
    /// # Panics
    /// When it ends without, or passes its deadline.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) {
        if let Err(why) = self.stderr.wait_for(text, 0, self.end) {
            panic!("{why} on stderr of {}; stdout:\n{}", self.shown, self.stdout.text());
        }
    }

    /// Ends its stdin and waits for its end.
    ///
    /// # Panics
    /// When it passes its deadline; it is killed first.
    #[track_caller]
    #[must_use]
    pub fn finish(mut self) -> Finished {
        self.close_stdin();
        self.finish_with_stdin_open()
    }

    /// Waits for its end, with its stdin as it is.
    ///
    /// # Panics
    /// When it passes its deadline; it is killed first.
    #[track_caller]
    #[must_use]
    pub fn finish_with_stdin_open(mut self) -> Finished {
        let limit = self.end.saturating_duration_since(Instant::now());
        let mut status = None;
        let ended = holds_within(limit, || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        if !ended {
            self.kill();
            panic!(
                "{} did not end in time; stdout:\n{}\nstderr:\n{}",
                self.shown,
                self.stdout.text(),
                self.stderr.text()
            );
        }
        let status = status.expect("an ended child has a status");
        Finished {
            shown: self.shown.clone(),
            status,
            stdout: self.stdout.all(DEADLINE),
            stderr: self.stderr.all(DEADLINE),
        }
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    shown: String,
    status: ExitStatus,
    /// All it wrote to stdout (to both, with [`Invocation::one_pipe`]).
    pub stdout: Vec<u8>,
    /// All it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Its exit code.
    ///
    /// # Panics
    /// When a signal ended it, since `potluck` always ends by itself.
    #[must_use]
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self}"))
    }

    /// Checks its exit code.
    ///
    /// # Panics
    /// When it is another, with all the process wrote.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert!(self.status.code() == Some(code), "expected exit code {code}: {self}");
        self
    }

    /// What it wrote to stdout, as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it wrote to stderr, as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Checks that stderr holds each text, in any case of letters.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        let said = self.err().to_lowercase();
        for text in texts {
            assert!(said.contains(&text.to_lowercase()), "stderr does not say {text:?}: {self}");
        }
        self
    }

    /// The one JSON value on stdout.
    ///
    /// # Panics
    /// When stdout is anything else.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("stdout is not one JSON value ({e}): {self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}\nstdout:\n{}\nstderr:\n{}", self.status, self.shown, self.out(), self.err())
    }
}
