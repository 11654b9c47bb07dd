//! The worker: a process that does one thing its parent tells it (compile a program, or run a guest) and ends. It reads
//! its orders from stdin and answers on stdout; when stdin closes early the parent is gone, and the worker removes the
//! directory it was given and ends at once, whatever the guest is doing.

mod compile;
mod inspect;
mod guest;
mod load;
mod stdio;
mod meter;
mod memory;
mod disk;
mod preview1;
mod preview2;

use crate::protocol::{self, FrameReader, Spec, tag};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use stdio::{Inbox, Outbox};
use tokio::net::unix::pipe;

/// The exit code of a worker that could not even read its orders.
const EXIT_UNABLE: u8 = 70;

/// The whole life of a worker process.
#[must_use]
pub fn worker_main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nobody is left to tell if this fails.
            let _unsaid = writeln!(io::stderr(), "worker: {error}");
            ExitCode::from(EXIT_UNABLE)
        }
    }
}

fn work() -> io::Result<()> {
    // One thread runs the guest and moves its bytes; polling the pipes between any two turns keeps both lively.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(4).build()?;
    runtime.block_on(async {
        // Ctrl-C in a terminal may reach the whole process group; what it means is for the parent to decide.
        let _ignored = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let watched = stdin.try_clone()?;
        let mut frames = FrameReader::new(pipe::Receiver::from_owned_fd(stdin)?);
        let outbox = Outbox::open(pipe::Sender::from_owned_fd(stdout)?);
        let spec = match frames.next().await? {
            Some((tag::SPEC, payload)) => protocol::decode(&payload)?,
            Some(_) | None => return Err(io::Error::other("no orders came")),
        };
        let answer = match spec {
            Spec::Compile(spec) => {
                end_with_parent(watched, spec.output.clone())?;
                compile::compile(&spec)
            }
            Spec::Run(spec) => {
                end_with_parent(watched, spec.scratch.clone())?;
                let inbox = Inbox::open(frames);
                guest::run(&spec, inbox, &outbox).await
            }
        };
        outbox.finish(&answer).await
    })
}

/// Waits, on a thread of its own, for the parent's end of the pipe to close; removes `left` then and ends the process.
fn end_with_parent(pipe: OwnedFd, left: PathBuf) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    std::thread::Builder::new().name("parent".to_owned()).stack_size(64 << 10).spawn(move || {
        loop {
            // No event is asked for: only the hang-up, which is always reported, wakes this thread.
            let mut polled = [PollFd::new(&pipe, PollFlags::empty())];
            match poll(&mut polled, None) {
                Ok(_) if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        // A parent that is gone cannot be told of trouble; its successor sweeps what is left.
        let _unsaid = if left.is_dir() { std::fs::remove_dir_all(&left) } else { std::fs::remove_file(&left) };
        #[expect(clippy::disallowed_methods, reason = "the guest's thread cannot be asked to return")]
        std::process::exit(i32::from(EXIT_UNABLE));
    })?;
    Ok(())
}
