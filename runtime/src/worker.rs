//! The worker: a process that does one thing its parent tells it (compile a program, make an image, or run a guest) and ends. It reads
//! its orders from stdin and answers on stdout; when stdin closes early the parent is gone, and the worker removes the
//! directory it was given and ends at once, whatever the guest is doing.

mod compile;
mod disk;
mod fuel;
mod guest;
mod image_memory;
mod inspect;
mod interpreter;
mod load;
mod make;
mod memory;
mod meter;
mod orphan;
mod preview1;
mod preview2;
mod stdio;

use crate::protocol::{self, FrameReader, Spec, tag};
use orphan::Left;
use std::io;
use std::os::fd::AsFd;
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
                orphan::end_with_parent(watched, Left::File(spec.output.clone()))?;
                compile::compile(&spec)
            }
            Spec::Base(spec) => {
                orphan::end_with_parent(watched, Left::File(spec.output.clone()))?;
                compile::base(&spec)
            }
            Spec::Warm(spec) => {
                let parent_gone = orphan::end_with_parent(watched, Left::Directory(spec.run.scratch.clone()))?;
                let inbox = Inbox::open(frames);
                guest::warm(&spec, parent_gone, inbox, &outbox).await
            }
            Spec::Run(spec) => {
                let parent_gone = orphan::end_with_parent(watched, Left::Directory(spec.scratch.clone()))?;
                let inbox = Inbox::open(frames);
                guest::run(&spec, parent_gone, inbox, &outbox).await
            }
        };
        if outbox.finish(&answer).await.is_err() {
            // Nobody reads any more: the parent is gone, and the thread that watches it ends this process when it has
            // cleaned up. Ending here would cut that short.
            std::future::pending::<()>().await;
        }
        Ok(())
    })
}
