//! What homes ask about the runs they have here.

use super::run::{NewTask, Task};
use super::{KeptRuns, Said, With};
use crate::dispatch::{Caller, Role};
use crate::service::inbound::Inbound;
use crate::service::inputs::LocalSources;
use crate::service::{Inner, SendFileError, Stop, admission, gone, inputs, send_file, sessions, walk};
use crate::state::home::words::{Kept, Refusal};
use crate::state::placement::Place;
use crate::state::runs::{Event, Key};
use crate::wire::{
    CheckpointIs, CollectRun, Fault, FaultCode, Frame, FrameReader, FrameWriter, JobProgram, KeepRun, RefusedHow,
    RunList, RunRefused, RunState, Tag, WhichRun,
};
use std::sync::Arc;

/// Answers one of them.
pub(in crate::service) async fn answer(
    inner: &Arc<Inner>,
    caller: &Caller,
    first: &Frame,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    local: &LocalSources,
) -> Result<(), Stop> {
    let Some(kept) = inner.kept.get() else {
        let text = format!("{} keeps no runs", inner.name);
        return Err(Fault::new(FaultCode::UNSUPPORTED, text).into());
    };
    match first.tag {
        Tag::RUN_KEEP => keep(inner, kept, caller, first, inbound, writer, local).await,
        Tag::RUN_COLLECT => {
            let CollectRun { run, from } = decoded(first)?;
            collect(kept, key(caller, run), from, writer).await
        }
        Tag::RUN_RELEASE => {
            let run: WhichRun = decoded(first)?;
            kept.tell(Event::Released(key(caller, run)), With::Nothing).await;
            writer.send_empty(Tag::DONE).await.map_err(gone)
        }
        Tag::RUN_WITHDRAW => {
            let run: WhichRun = decoded(first)?;
            let said = kept.tell(Event::Withdrawn(key(caller, run)), With::Nothing).await;
            say(run, said, writer).await
        }
        Tag::RUN_END => {
            let run: WhichRun = decoded(first)?;
            let said = kept.tell(Event::AskedToEnd(key(caller, run)), With::Nothing).await;
            say(run, said, writer).await
        }
        Tag::RUN_CHECKPOINT => checkpoint(kept, key(caller, decoded(first)?), writer).await,
        _ => list(kept, caller, writer).await,
    }
}

/// Sends the last checkpoint of a run.
async fn checkpoint(kept: &KeptRuns, key: Key, writer: &mut FrameWriter) -> Result<(), Stop> {
    let given = kept.live.get(&key).and_then(|live| live.checkpoint());
    let about = given.as_ref().map(|given| given.about);
    writer.send_message(Tag::CHECKPOINT_IS, &CheckpointIs { checkpoint: about }).await.map_err(gone)?;
    let Some(given) = given else { return Ok(()) };
    let unreadable = |error: std::io::Error| {
        tracing::warn!(run = %key.run, %error, "a checkpoint cannot be read");
        Fault::new(FaultCode::INTERNAL, "the checkpoint cannot be read")
    };
    let file = given.file.reopen().map_err(unreadable)?;
    send_file(writer, file, given.about.size, |_| {}).await.map_err(|error| match error {
        SendFileError::Read(error) => unreadable(error).into(),
        SendFileError::Write(error) => gone(error),
    })
}

/// A run that is asked for. What can be refused is refused before anything of it travels.
async fn keep(
    inner: &Arc<Inner>,
    kept: &KeptRuns,
    caller: &Caller,
    first: &Frame,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    local: &LocalSources,
) -> Result<(), Stop> {
    let KeepRun { attempt, submit, restore } = decoded(first)?;
    let run = WhichRun { job: submit.job, attempt };
    let key = key(caller, run);
    if let Some(state) = known(kept, key).await {
        say(run, Said::Kept(state), writer).await?;
        return collect(kept, key, 0, writer).await;
    }
    let gathered = async {
        admit(inner, caller, &submit)?;
        inputs::gather(inner, (&submit, restore), caller, local, inbound, writer).await
    };
    let inputs = match gathered.await {
        Ok(inputs) => inputs,
        Err(Stop::Refused(fault)) => return refuse(refusal(fault.into()), writer).await,
        Err(stop) => return Err(stop),
    };
    let new = NewTask { caller: caller.clone(), job: submit, inputs, restore };
    match kept.tell(Event::Asked(key), With::Task(Task::New(Box::new(new)))).await {
        Said::Kept(_) => {
            writer.send_empty(Tag::RUN_KEPT).await.map_err(gone)?;
            collect(kept, key, 0, writer).await
        }
        Said::Refused(why) => refuse(refusal(why), writer).await,
        Said::All(_) | Said::Done => Ok(()),
    }
}

/// How far a run is that was asked for before.
async fn known(kept: &KeptRuns, key: Key) -> Option<Kept> {
    match kept.tell(Event::AskedForAll { home: key.home, ask: 0 }, With::Nothing).await {
        Said::All(runs) => runs.into_iter().find(|(run, _)| *run == key.run).map(|(_, state)| state),
        Said::Kept(_) | Said::Refused(_) | Said::Done => None,
    }
}

pub(super) fn admit(inner: &Inner, caller: &Caller, job: &crate::wire::SubmitJob) -> Result<(), Fault> {
    match caller.role {
        Role::Owner => inner.lending.admit_own()?,
        Role::Peer => walk::check_lent(inner, caller)?,
    }
    walk::check_container(inner, job)?;
    admission::admit(job, caller.role, walk::memory_lent(inner, caller), &inner.name, inner.case)?;
    walk::check_quotas(inner, caller, job.limits.fuel)?;
    sessions::check_stored(inner, caller)?;
    let bad = |text: &str| Err(Fault::new(FaultCode::BAD_INPUT, text));
    if job.stdin {
        return bad("a run that is kept has no standard input; give it a file");
    }
    if matches!(job.program, JobProgram::Session { .. }) {
        return bad("a session is no run that is kept");
    }
    let allowance = inner.accounts.of(&caller.id);
    let (_, waiting) = inner.gate.of(&caller.id);
    if caller.role == Role::Peer && waiting >= allowance.queue {
        let hit = crate::state::quotas::QuotaHit::Queue { used: waiting, allowed: allowance.queue };
        return Err(walk::over_quota(inner, hit));
    }
    Ok(())
}

/// Sends what a run says until it is over.
async fn collect(kept: &KeptRuns, key: Key, from: u64, writer: &mut FrameWriter) -> Result<(), Stop> {
    let Some(live) = kept.live.get(&key) else {
        return Err(Fault::new(FaultCode::NOT_FOUND, format!("no run {} is kept here", key.run)).into());
    };
    let follower = live.follow(from).map_err(|error| {
        tracing::warn!(run = %key.run, %error, "what a run left cannot be read");
        Fault::new(FaultCode::INTERNAL, format!("what run {} left cannot be read", key.run))
    })?;
    let mut frames = FrameReader::new(follower);
    let mut has_ended = false;
    loop {
        match frames.next().await {
            Ok(Some(frame)) => {
                has_ended = matches!(frame.tag, Tag::ENDED | Tag::FAULT);
                writer.send(frame).await.map_err(gone)?;
            }
            Ok(None) if has_ended => return Ok(()),
            Ok(None) => return stands(kept, key, writer).await,
            Err(error) => {
                // Who asks from where no frame begins is told the same, and fills no log.
                if from == 0 {
                    tracing::warn!(run = %key.run, %error, "what a run left cannot be read");
                }
                let text = format!("what run {} said cannot be read from byte {from} on: {error}", key.run);
                return Err(Fault::new(FaultCode::INTERNAL, text).into());
            }
        }
    }
}

/// Says of a run that has ended without a word what became of it.
async fn stands(kept: &KeptRuns, key: Key, writer: &mut FrameWriter) -> Result<(), Stop> {
    match known(kept, key).await {
        Some(state @ (Kept::Evicted | Kept::Lost)) => say(key.run.into(), Said::Kept(state), writer).await,
        _ => Ok(()),
    }
}

async fn list(kept: &KeptRuns, caller: &Caller, writer: &mut FrameWriter) -> Result<(), Stop> {
    let said = kept.tell(Event::AskedForAll { home: home_of(caller), ask: 0 }, With::Nothing).await;
    let Said::All(runs) = said else { return Err(Fault::new(FaultCode::BUSY, "the node is leaving").into()) };
    let runs = runs.into_iter().map(|(run, kept)| RunState { run: run.into(), kept: Some(kept) }).collect();
    writer.send_message(Tag::RUNS_ARE, &RunList { runs }).await.map_err(gone)
}

async fn say(run: WhichRun, said: Said, writer: &mut FrameWriter) -> Result<(), Stop> {
    let state = match said {
        Said::Kept(kept) => RunState { run, kept: Some(kept) },
        Said::Refused(why) => return refuse(refusal(why), writer).await,
        Said::All(_) | Said::Done => RunState { run, kept: None },
    };
    writer.send_message(Tag::RUN_IS, &state).await.map_err(gone)
}

async fn refuse(refused: RunRefused, writer: &mut FrameWriter) -> Result<(), Stop> {
    writer.send_message(Tag::RUN_REFUSED, &refused).await.map_err(gone)
}

fn refusal(why: Refusal) -> RunRefused {
    match why {
        Refusal::NotNow { why, retry_after_ms } => RunRefused { how: RefusedHow::NotNow { retry_after_ms }, why },
        Refusal::NotHere(why) => RunRefused { how: RefusedHow::NotHere, why },
        Refusal::Nowhere(why) => RunRefused { how: RefusedHow::Nowhere, why },
        Refusal::Withdrawn => RunRefused { how: RefusedHow::Withdrawn, why: "it was asked back".to_owned() },
    }
}

fn key(caller: &Caller, run: WhichRun) -> Key {
    Key { home: home_of(caller), run: run.into() }
}

fn home_of(caller: &Caller) -> Place {
    match caller.role {
        Role::Owner => Place::Here,
        Role::Peer => Place::Peer(caller.id),
    }
}

fn decoded<T: serde::de::DeserializeOwned>(first: &Frame) -> Result<T, Fault> {
    first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, crate::service::chain(&error)))
}
