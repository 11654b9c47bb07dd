//! One turn: source in, output out, stdin as it comes. A turn whose asker is gone is undone.

use super::resident::Resident;
use super::{decoded, failure, opening};
use crate::dispatch::Caller;
use crate::service::inbound::Inbound;
use crate::service::present::{About, Here};
use crate::service::{Inner, Stop, admission, gone, pump, walk};
use crate::wire::{Fault, FaultCode, Frame, FrameWriter, RunTurn, Tag, TurnEnded};
use potluck_runtime::{Limits, Turn, TurnEvent, TurnLimits};
use std::sync::Arc;

/// Answers a `SESSION_TURN`.
pub(in crate::service) async fn turn(
    inner: &Arc<Inner>,
    caller: &Caller,
    first: &Frame,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    here: &Here,
) -> Result<(), Stop> {
    let request: RunTurn = decoded(first)?;
    let resident = inner.sessions.find(caller, request.session)?;
    let limits = request.limits.unwrap_or_else(|| TurnLimits::from(&resident.limits));
    here.asks_for(about(&resident, &limits));
    walk::check_lent(inner, caller)?;
    let lent = walk::memory_lent(inner, caller);
    admission::admit_limits(&resident.limits, caller.role, lent, &inner.name)?;
    walk::check_quotas(inner, caller, limits.fuel)?;
    super::check_stored(inner, caller)?;
    let _place = walk::take_place(inner, caller, resident.limits.memory_bytes, inbound, writer).await?;
    here.has_place();
    let mut seat = resident.sit().ok_or_else(busy)?;
    let session = opening::awake(inner, &resident, &mut seat).await?;
    let promise = walk::promise_fuel(inner, caller, limits.fuel)?;
    let begun = session.turn(&request.source, limits).await;
    let mut turn = begun.map_err(|error| failure(&error, caller.role))?;
    here.runs(turn.process());
    let stdin = turn.stdin.take();
    let ended = tokio::select! {
        ended = drain(&mut turn, writer) => ended?,
        stop = pump::feed(stdin, inbound) => return Err(stop),
    };
    drop(turn);
    if let Some(promise) = promise {
        promise.settle(ended.fuel_used);
    }
    resident.note_turn(session);
    drop(seat);
    if ended.quit {
        inner.sessions.end(&resident).await;
    }
    writer.send_message(Tag::TURN_ENDED, &ended).await.map_err(gone)
}

/// What a turn of a session asks for.
fn about(resident: &Resident, limits: &TurnLimits) -> About {
    let what = match &resident.name {
        Some(name) => format!("turn of {name}"),
        None => format!("turn of {}", &resident.session.to_string()[..8]),
    };
    let limits = Limits { fuel: limits.fuel, wall_ms: limits.wall_ms, ..resident.limits.clone() };
    let memory_bytes = limits.memory_bytes;
    About { job: resident.session, what, limits, container: None, memory_bytes }
}

/// Somebody else does something with it.
pub(super) fn busy() -> Fault {
    let text = "a turn of this session runs already; wait for its end, or interrupt it with Ctrl-C where it was begun";
    Fault::new(FaultCode::BUSY, text)
}

/// Passes output on until the turn has ended.
async fn drain(turn: &mut Turn<'_>, writer: &mut FrameWriter) -> Result<TurnEnded, Stop> {
    loop {
        let event = tokio::select! {
            biased;
            event = turn.next() => event,
            // Nothing more happens for now.
            told = writer.flush(), if writer.has_queued() => {
                told.map_err(gone)?;
                continue;
            }
        };
        match event {
            TurnEvent::Output { stream, bytes } => {
                writer.queue_bytes(pump::tag_of(stream), bytes).await.map_err(gone)?;
            }
            TurnEvent::InputWanted => writer.queue(Frame::empty(Tag::STDIN_WANTED)).await.map_err(gone)?,
            TurnEvent::Ended(report) => return Ok(report.into()),
        }
    }
}
