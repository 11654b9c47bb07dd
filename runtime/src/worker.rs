//! The worker: a process that does what its parent tells it, one thing at a time: it loads code, runs guests, or makes
//! something to be kept (native code, an image), after which it ends. It reads its orders from stdin and answers on stdout; before it answers, everything of
//! the order is dropped, and only loaded code stays, and the memory of a script, which is what its image is again before
//! another guest gets it. When stdin closes the parent is gone, and the worker removes the
//! directory it was given and ends at once, whatever the guest is doing.

mod compile;
mod disk;
mod fuel;
mod guest;
mod image_memory;
pub(crate) mod inspect;
mod interpreter;
mod interrupts;
mod listing;
mod load;
mod loaded;
mod make;
mod memory;
mod meter;
mod orders;
mod orphan;
mod pages;
mod paths;
mod preview1;
mod preview2;
mod randomness;
mod session;
mod spare_memory;
mod state_file;
mod stdio;
mod tree;

use crate::protocol::{Answer, FrameReader, OpenSpec, Spec, TurnSpec};
use loaded::Loaded;
use orders::Orders;
use orphan::{Left, Orphan, ParentGone};
use session::Session;
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
    let mut session = None;
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
                outbox.answer(&answer)?;
                outbox.written().await;
                loaded.tidy();
                continue;
            }
            Spec::Open(spec) => {
                let parent_gone = orphan.leave(Left::Directory(spec.run.scratch.clone()));
                let opened = open(*spec, &mut loaded, parent_gone, inbox, outbox).await;
                opened.and_then(|opened| session.insert(opened).keep()).unwrap_or_else(|answer| answer)
            }
            Spec::Turn(spec) => turn(&mut session, &spec, inbox, outbox).await?,
            Spec::Layer(spec) => with(&mut session, |session| session.layer(&spec)),
            Spec::Save(spec) => with(&mut session, |session| session.save(&spec)),
        };
        outbox.answer(&answer)?;
    }
    Ok(false)
}

async fn open(
    spec: OpenSpec,
    loaded: &mut Loaded,
    parent_gone: ParentGone,
    inbox: Inbox,
    outbox: &Outbox,
) -> Result<Session, Answer> {
    let interpreter = loaded.interpreter(&spec.run.code, spec.run.kind)?;
    Session::open(spec, &interpreter, parent_gone, inbox, outbox).await
}

/// Runs a turn, says how it ended, and then, while nobody waits, keeps what it has left. After a turn that did not come
/// back there is no session here.
async fn turn(session: &mut Option<Session>, spec: &TurnSpec, inbox: Inbox, outbox: &Outbox) -> io::Result<Answer> {
    let Some(mut open) = session.take() else { return Ok(no_session()) };
    let turned = open.turn(spec, inbox.clone()).await;
    inbox.close();
    let turned = match turned {
        Ok(turned) if turned.returned => turned,
        Ok(turned) => return Ok(Answer::Turned(turned)),
        Err(answer) => return Ok(answer),
    };
    outbox.answer(&Answer::Turned(turned))?;
    outbox.written().await;
    let kept = open.keep();
    Ok(kept.map_or_else(
        |answer| answer,
        |answer| {
            *session = Some(open);
            answer
        },
    ))
}

fn with(session: &mut Option<Session>, work: impl FnOnce(&mut Session) -> Result<Answer, Answer>) -> Answer {
    session.as_mut().map_or_else(no_session, |session| work(session).unwrap_or_else(|answer| answer))
}

fn no_session() -> Answer {
    Answer::Failed("no session is open".to_owned())
}
