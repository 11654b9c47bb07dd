//! The worker: a process that does what its parent tells it, one thing at a time: it loads code, runs guests, or makes
//! something to be kept (native code, an image), after which it ends. It reads its orders from stdin and answers on stdout; before it answers, everything of
//! the order is dropped, and only loaded code stays, and the memory of a script, which is what its image is again before
//! another guest gets it. Before it reads the first order it confines itself, and from then on opens nothing by name but
//! what lies in its own directory. When stdin closes nobody wants it any more and it ends; when its parent is gone the system kills
//! it, whatever the guest is doing.

mod anything;
mod compile;
mod confine;
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
mod pages;
mod paths;
mod preview1;
mod preview2;
mod prove;
mod randomness;
mod session;
mod spare_memory;
mod state_file;
mod stdio;
mod talk;
mod tree;

pub use anything::{Anything, worker_of_anything};

use crate::protocol::{Answer, FrameReader, OpenSpec, Spec, TurnSpec};
use crate::worker_role::{Role, WorkerRole};
use confine::confine;
use loaded::Loaded;
use orders::Orders;
use session::Session;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use stdio::{Inbox, Outbox};
use tokio::net::unix::pipe;

/// The exit code of a worker that could not even read its orders.
const EXIT_UNABLE: u8 = 70;

/// The whole life of a worker process, or of one that cleans up after its parent.
#[must_use]
pub fn worker_main() -> ExitCode {
    let worked = match Role::of_this_process() {
        Some(Role::Worker(role)) => work(&role),
        Some(Role::Sweeper(scratch)) => crate::workspace::sweep_after_parent(&scratch),
        Some(Role::ContainerSweeper(role)) => crate::docker::sweep_containers_after_parent(&role),
        None => Err(io::Error::other("this is the inside of Potluck, and is started by it alone")),
    };
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nobody is left to tell if this fails.
            let _unsaid = writeln!(io::stderr(), "worker: {error}");
            ExitCode::from(EXIT_UNABLE)
        }
    }
}

fn work(role: &WorkerRole) -> io::Result<()> {
    confine::begin(role)?;
    // One thread runs the guest and moves its bytes; polling the pipes between any two turns keeps both lively.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(4).build()?;
    runtime.block_on(async {
        // Ctrl-C in a terminal may reach the whole process group; what it means is for the parent to decide.
        let _ignored = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let stdin = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let stdout = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
        pages::open_pagemap();
        tree::open_descriptors();
        confine(role)?;
        let orders = Orders::open(FrameReader::new(stdin));
        let outbox = Outbox::open(stdout);
        serve(role, orders, &outbox).await?;
        // Nobody may be left to read it.
        let _unread = outbox.finish().await;
        Ok(())
    })
}

/// Does what is ordered, until this process has done its last or the parent wants no more.
async fn serve(role: &WorkerRole, mut orders: Orders, outbox: &Outbox) -> io::Result<()> {
    let mut loaded = Loaded::default();
    let mut session = None;
    while let Some(order) = orders.next().await {
        let (spec, inbox) = order?;
        let answer = match spec {
            Spec::Inspect(spec) => return outbox.answer(&compile::inspect(&spec)),
            Spec::Compile(spec) => return outbox.answer(&compile::compile(&spec)),
            Spec::Base(spec) => return outbox.answer(&compile::base(&spec)),
            Spec::Warm(spec) => return outbox.answer(&guest::warm(&spec, inbox, outbox).await),
            Spec::Load(spec) => loaded.program(&spec).map_or_else(|answer| answer, |_| Answer::Loaded),
            Spec::Run(spec) => {
                let answer = guest::run(&spec, &mut loaded, inbox.clone(), outbox).await;
                inbox.close();
                outbox.answer(&answer)?;
                outbox.written().await;
                loaded.tidy();
                continue;
            }
            Spec::Open(spec) => {
                let opened = open(*spec, &mut loaded, inbox, outbox).await;
                opened.and_then(|opened| session.insert(opened).keep()).unwrap_or_else(|answer| answer)
            }
            Spec::Turn(spec) => turn(&mut session, &spec, inbox, outbox).await?,
            Spec::Layer(spec) => with(&mut session, |session| session.layer(&spec)),
            Spec::Save(spec) => with(&mut session, |session| session.save(&spec)),
            Spec::Prove => Answer::Proved(prove::prove(role)),
        };
        outbox.answer(&answer)?;
    }
    Ok(())
}

async fn open(spec: OpenSpec, loaded: &mut Loaded, inbox: Inbox, outbox: &Outbox) -> Result<Session, Answer> {
    let interpreter = loaded.interpreter(&spec.run.code, spec.run.kind)?;
    Session::open(spec, &interpreter, inbox, outbox).await
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
