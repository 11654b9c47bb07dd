//! The record of one job on the side that runs it: written once, after its end was told, whatever that end was. A peer gets
//! a receipt with the end.

use super::Inner;
use crate::clock::Clock;
use crate::dispatch::{Caller, Role};
use crate::identity::NodeId;
use crate::store::jobs::{Change, End, JobRecord, JobStore, KeptReceipt, OtherEnd, Role as Side};
use crate::wire::receipt::request_digest;
use crate::wire::{Fault, Frame, OutputFile, OutputTally, Receipt, ReceiptBody, SubmitJob, Tag};
use potluck_runtime::{Digest, JsonText, Limits, OutputStream, Report};

/// What will be known of a job. Dropped, it is recorded; a job of which nothing more was said was ended by somebody: its
/// submitter left, or this machine's owner took the place back.
pub(super) struct Noting {
    store: Option<JobStore>,
    record: Option<JobRecord>,
    output: OutputTally,
    /// What a receipt will say; none of what the owner runs.
    signing: Option<Box<Signing>>,
    receipt: Option<Receipt>,
    /// Why it ended, if it has no end of its own.
    why_left: String,
}

/// What a receipt says beside what the record does.
struct Signing {
    sent: NodeId,
    request: Digest,
    image: Option<Digest>,
    limits: Limits,
    accepted_ms: u64,
}

impl Noting {
    /// A job that was accepted now, asked for by a message of these bytes.
    pub(super) fn begun(inner: &Inner, caller: &Caller, job: &SubmitJob, payload: &[u8]) -> Self {
        let (store, now_ms) = (inner.records.clone(), Clock::system().unix_now_ms());
        let is_peer = caller.role == Role::Peer;
        let record = store.is_some().then(|| {
            let mut record = JobRecord::asked(job, if is_peer { Side::Ran } else { Side::Sent }, now_ms);
            record.peer = is_peer.then(|| OtherEnd { id: caller.id, name: caller.name.clone() });
            record
        });
        let signs = is_peer && inner.signer.is_some();
        let signing = signs.then(|| {
            let (sent, request, limits) = (caller.id, request_digest(payload), job.limits.clone());
            Box::new(Signing { sent, request, image: None, limits, accepted_ms: now_ms })
        });
        let output = if signs { OutputTally::digesting() } else { OutputTally::counting() };
        Self { store, record, output, signing, receipt: None, why_left: String::new() }
    }

    /// A run that is kept for its home. The home records its own jobs itself.
    pub(super) fn begun_kept(inner: &Inner, caller: &Caller, job: &SubmitJob) -> Self {
        match caller.role {
            Role::Owner => {
                let (store, record, signing, receipt) = (None, None, None, None);
                Self { store, record, output: OutputTally::counting(), signing, receipt, why_left: String::new() }
            }
            Role::Peer => Self::begun(inner, caller, job, &Frame::message(Tag::SUBMIT, job).payload),
        }
    }

    /// What its run starts from.
    pub(super) fn starts_from(&mut self, image: Option<Digest>) {
        if let Some(signing) = &mut self.signing {
            signing.image = image;
        }
    }

    /// Its guest starts now.
    pub(super) fn started(&mut self) {
        if let Some(record) = &mut self.record {
            record.started_ms = Some(Clock::system().unix_now_ms());
            record.attempts = 1;
        }
    }

    /// Its guest said this.
    pub(super) fn printed(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.output.printed(stream, bytes);
    }

    /// This file of it is sent back.
    pub(super) fn brought(&mut self, file: &OutputFile) {
        self.output.brought(file);
    }

    /// Its run has ended so. What it has come to is remembered by whoever asked for it.
    pub(super) fn ended(&mut self, report: &Report, result: Option<&JsonText>) {
        if let Some(record) = &mut self.record {
            record.reported(report);
            record.came_to(result.filter(|_| record.role == Side::Sent));
        }
    }

    /// Signs what became of the job, when all of its output has been sent.
    pub(super) fn receipt(&mut self, inner: &Inner, report: &Report) -> Option<Receipt> {
        let (signer, signing, record) = (inner.signer.as_ref()?, self.signing.take()?, self.record.as_ref()?);
        let Signing { sent, request, image, limits, accepted_ms } = *signing;
        let body = ReceiptBody {
            job: record.id,
            ran: signer.id(),
            sent,
            program: record.digest,
            request,
            image,
            engine: inner.runtime.engine_version(),
            limits,
            report: report.clone(),
            output: self.output.digest()?,
            accepted_ms,
            ended_ms: Clock::system().unix_now_ms(),
        };
        self.receipt = Some(Receipt::sign(signer, &body));
        self.receipt.clone()
    }

    /// It was refused before it ran.
    pub(super) fn refused(&mut self, fault: &Fault) {
        if let Some(record) = &mut self.record {
            record.end.get_or_insert_with(|| End::refused(&fault.text));
        }
    }

    /// It is ended from outside now, or was asked to end.
    pub(super) fn ended_by(&mut self, why: &str) {
        why.clone_into(&mut self.why_left);
    }

    /// It is no job that ends: a session.
    pub(super) fn forget(&mut self) {
        self.record = None;
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        let (Some(store), Some(mut record)) = (self.store.take(), self.record.take()) else { return };
        match &mut record.end {
            Some(End::Cancelled(why)) if why.is_empty() => std::mem::swap(why, &mut self.why_left),
            Some(_) => {}
            none => *none = Some(End::Cancelled(std::mem::take(&mut self.why_left))),
        }
        record.ended_ms = Some(Clock::system().unix_now_ms());
        record.bytes_out = self.output.bytes();
        let (job, role) = (record.id, record.role);
        let mut changes = vec![Change::Job(Box::new(record))];
        if let Some(receipt) = self.receipt.take() {
            changes.push(Change::Receipt { job, role, kept: Box::new(KeptReceipt { receipt, wrong: None }) });
        }
        if let Err(error) = store.recorded(changes) {
            tracing::error!(%job, %error, "a job is not recorded");
        }
    }
}
