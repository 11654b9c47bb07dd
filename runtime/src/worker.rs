//! The worker: a process that does what its parent tells it, one thing at a time: it loads code, runs guests, or makes
//! something to be kept (native code, an image), after which it ends. It reads its orders from stdin and answers on stdout; before it answers, everything of
//! the order is dropped, and only loaded code stays. When stdin closes the parent is gone, and the worker removes the
//! directory it was given and ends at once, whatever the guest is doing.

mod compile;
mod disk;
mod fuel;
mod guest;
mod image_memory;
mod inspect;
mod interpreter;
mod load;
mod loaded;
mod make;
mod memory;
mod meter;
mod orders;
mod orphan;
mod preview1;
mod preview2;
mod stdio;

use crate::protocol::{Answer, FrameReader, Spec};
use loaded::Loaded;
use orders::Orders;
use orphan::{Left, Orphan};
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use stdio::Outbox;
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
        let orphan = Orphan::end_with_parent(stdin.try_clone()?)?;
        let orders = Orders::open(FrameReader::new(pipe::Receiver::from_owned_fd(stdin)?));
        let outbox = Outbox::open(pipe::Sender::from_owned_fd(stdout)?);
        if !serve(orders, &orphan, &outbox).await? || outbox.finish().await.is_err() {
            // The parent is gone, and the thread that watches it ends this process when it has cleaned up. Ending here
            // would cut that short.
            std::future::pending::<()>().await;
        }
        Ok(())
    })
}

/// Does what is ordered; false when the parent is gone, true when this process has done its last.
async fn serve(mut orders: Orders, orphan: &Orphan, outbox: &Outbox) -> io::Result<bool> {
    let mut loaded = Loaded::default();
    while let Some(order) = orders.next().await {
        let (spec, inbox) = order?;
        let answer = match spec {
            Spec::Compile(spec) => {
                orphan.leave(Left::File(spec.output.clone()));
                outbox.answer(&compile::compile(&spec))?;
                return Ok(true);
            }
            Spec::Base(spec) => {
                orphan.leave(Left::File(spec.output.clone()));
                outbox.answer(&compile::base(&spec))?;
                return Ok(true);
            }
            Spec::Warm(spec) => {
                let parent_gone = orphan.leave(Left::Directory(spec.run.scratch.clone()));
                outbox.answer(&guest::warm(&spec, parent_gone, inbox, outbox).await)?;
                return Ok(true);
            }
            Spec::Load(spec) => loaded.program(&spec).map_or_else(|answer| answer, |_| Answer::Loaded),
            Spec::Run(spec) => {
                let parent_gone = orphan.leave(Left::Directory(spec.scratch.clone()));
                let answer = guest::run(&spec, &mut loaded, parent_gone, inbox.clone(), outbox).await;
                inbox.close();
                answer
            }
        };
        outbox.answer(&answer)?;
    }
    Ok(false)
}
