//! One kept run, from its turn to its end, in a task of its own: nobody need be there.

use super::checkpoints::Checkpoints;
use super::live::Live;
use super::{Inner, KeptRuns, Said, With, requests};
use crate::dispatch::{Caller, Role};
use crate::service::inbound::Inbound;
use crate::service::inputs::{self, Inputs};
use crate::service::noting::Noting;
use crate::service::present::Here;
use crate::service::pump::Times;
use crate::service::walk::{self, Walk};
use crate::service::{Stop, blocking};
use crate::state::home::spec::Input;
use crate::state::home::words::Kept;
use crate::state::placement::Place;
use crate::state::runs::{Event, Key};
use crate::wire::{Ended, Frame, FrameWriter, SubmitJob, Tag};
use potluck_runtime::Outcome;
use std::sync::Arc;

/// What is to be run.
pub(super) enum Task {
    /// It has just come.
    New(Box<NewTask>),
    /// It was waiting when the node stopped. Its inputs may be among what is kept here; it begins anew.
    Saved(Box<SubmitJob>),
}

/// What has just come, with its inputs.
pub(super) struct NewTask {
    pub(super) caller: Caller,
    pub(super) job: SubmitJob,
    pub(super) inputs: Inputs,
    /// The checkpoint it goes on from.
    pub(super) restore: Option<Input>,
}

impl Task {
    /// What of it is written down.
    pub(super) fn request(&self) -> Option<SubmitJob> {
        match self {
            Self::New(new) => Some(new.job.clone()),
            Self::Saved(_) => None,
        }
    }
}

/// The whole life of the run.
pub(super) async fn run(inner: Arc<Inner>, kept: KeptRuns, key: Key, task: Task, live: Arc<Live>) {
    let mut noting = None;
    let event = tokio::select! {
        event = begin_and_run(&inner, &kept, key, task, &live, &mut noting) => event,
        () = live.stop.cancelled() => {
            noting.iter_mut().for_each(|noting| noting.ended_by(live.why_stopped()));
            None
        }
    };
    // Written down before anything else is said of it.
    drop(noting);
    match event {
        Some(End::Evicted) => drop(kept.tell(Event::Evicted(key), With::Nothing).await),
        Some(End::Lost) => drop(kept.tell(Event::Lost(key), With::Nothing).await),
        Some(End::Ended) => {
            let finished = live.clone();
            match blocking(move || finished.finish()).await {
                Ok(recorded) => drop(kept.tell(Event::Ended(key), With::Recorded(recorded)).await),
                Err(error) => {
                    tracing::warn!(%error, "what a run left could not be kept");
                    kept.tell(Event::Lost(key), With::Nothing).await;
                }
            }
        }
        None => {}
    }
}

/// How a run came to its end here.
enum End {
    /// By itself.
    Ended,
    /// Its worker vanished.
    Lost,
    /// It cannot be run here now.
    Evicted,
}

async fn begin_and_run(
    inner: &Arc<Inner>,
    kept: &KeptRuns,
    key: Key,
    task: Task,
    live: &Arc<Live>,
    noting: &mut Option<Noting>,
) -> Option<End> {
    let (caller, job, inputs, restore) = match task {
        Task::New(new) => (new.caller, new.job, new.inputs, new.restore),
        Task::Saved(job) => {
            let job = *job;
            let caller = caller_again(inner, key);
            // What its owner has decided since holds for it, too.
            if requests::admit(inner, &caller, &job).is_err() {
                return Some(End::Evicted);
            }
            match inputs::gather_again(inner, &job) {
                Some(inputs) => (caller, job, inputs, None),
                None => return Some(End::Evicted),
            }
        }
    };
    let (here, dismissed) = inner.present.arrive(&caller);
    here.is_kept(walk::about(&job));
    // Whoever pauses looks for it from now on, or has paused before.
    if caller.role == Role::Owner && inner.lending.admit_own().is_err() {
        return Some(End::Evicted);
    }
    let work = has_place_and_runs(inner, kept, key, (&caller, &job, &inputs, restore), live, (&here, &mut *noting));
    tokio::select! {
        end = work => end,
        why = crate::service::answers::sent_away(Some(dismissed)) => {
            tracing::debug!(run = %key.run, why = why.text, "a run is sent away");
            noting.iter_mut().for_each(|noting| noting.ended_by(&why.text));
            Some(End::Evicted)
        }
    }
}

async fn has_place_and_runs(
    inner: &Arc<Inner>,
    kept: &KeptRuns,
    key: Key,
    (caller, job, inputs, restore): (&Caller, &SubmitJob, &Inputs, Option<Input>),
    live: &Arc<Live>,
    (here, noting): (&Here, &mut Option<Noting>),
) -> Option<End> {
    let _place = match caller.role {
        Role::Owner => inner.gate.enter(),
        Role::Peer => match inner.gate.try_enter(caller.id, &inner.accounts.of(&caller.id), job.memory_bytes()) {
            Ok(place) => place,
            Err(Ok(waiting)) => waiting.place().await,
            Err(Err(_over_quota)) => return Some(End::Evicted),
        },
    };
    if kept.tell(Event::Starting(key), With::Nothing).await != Said::Kept(Kept::Running) {
        return None;
    }
    live.start.notified().await;
    here.has_place();
    let most = said_max(inner, caller);
    let mut writer = live.writer(most).map(FrameWriter::new)?;
    let mut inbound = Inbound::of_nobody(live.asked.clone());
    let noting = noting.insert(Noting::begun_kept(inner, caller, job));
    let walk = Walk { inner, caller, job, inputs, restore, times: Times::Told(kept.clock), here };
    let checkpoints = Checkpoints::of(live.clone(), most);
    let walked = walk.run(&mut inbound, &mut writer, noting, Some(checkpoints)).await;
    if live.asked.is_cancelled() {
        noting.ended_by(live.why_stopped());
    }
    let (last, end) = match walked {
        Ok(frame) => {
            let end = if is_lost(&frame) { End::Lost } else { End::Ended };
            (frame, end)
        }
        Err(Stop::Refused(fault)) => {
            noting.refused(&fault);
            (Frame::message(Tag::FAULT, &fault), End::Ended)
        }
        // It was asked to end before there was a guest to be asked.
        Err(Stop::Cancelled) => return Some(End::Evicted),
        Err(Stop::Gone) => return Some(unkept(key, live, most)),
    };
    match writer.send(last).await {
        Ok(()) => Some(end),
        Err(_) => Some(unkept(key, live, most)),
    }
}

/// Bytes that all runs of a home may have said here.
fn said_max(inner: &Inner, caller: &Caller) -> u64 {
    match caller.role {
        Role::Owner => u64::MAX,
        Role::Peer => {
            inner.accounts.of(&caller.id).stored_bytes.saturating_sub(inner.sessions.stored_bytes(&caller.id))
        }
    }
}

/// What becomes of a run whose words cannot be kept: one that takes too much with others may be tried again, one that takes
/// too much by itself is lost, as where the disk is full.
fn unkept(key: Key, live: &Live, most: u64) -> End {
    if live.lacked_room() && live.len() < most / 2 {
        tracing::debug!(run = %key.run, "a run is given back: its home has all kept here that it may");
        return End::Evicted;
    }
    tracing::warn!(run = %key.run, "what a run says cannot be kept: the disk is full, or it is more than its home may keep");
    End::Lost
}

fn is_lost(last: &Frame) -> bool {
    last.decode::<Ended>().is_ok_and(|ended| matches!(ended.report.outcome, Outcome::Lost(_)))
}

/// Whoever asked for a run before this node was stopped.
fn caller_again(inner: &Inner, key: Key) -> Caller {
    let (id, role) = match key.home {
        Place::Here => (inner.node, Role::Owner),
        Place::Peer(id) => (id, Role::Peer),
    };
    Caller { id, role, name: id.short(), link: None }
}
