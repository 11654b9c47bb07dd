//! The record of a job that this process sends or runs by itself: left behind when the job is over, in one piece, without
//! waiting for a disk.

use super::failure::{FailureKind, SubmitError};
use crate::clock::Clock;
use crate::identity::NodeId;
use crate::store::jobs::{End, JobRecord, JobStore, Kept, KeptReceipt, OtherEnd, Role, Spooled};
use crate::wire::receipt::{Expected, request_digest_of};
use crate::wire::{Accepted, Ended, OutputFile, OutputTally, SubmitJob};
use potluck_runtime::{Digest, Limits, OutputStream};
use std::path::{Path, PathBuf};

/// What will be known of a job. Dropped, it is recorded; a job of which nothing more was heard was let go.
pub(super) struct Trace {
    data_dir: PathBuf,
    kept: Kept,
    record: JobRecord,
    output: OutputTally,
    /// What is to be compared with the receipt of a peer.
    asked: Option<Box<Asked>>,
    ended: Option<Ended>,
}

/// What the submitter of a job knows of it, and its receipt must say.
struct Asked {
    ran: NodeId,
    sent: NodeId,
    request: Digest,
    limits: Limits,
}

impl Trace {
    /// A job that is submitted now.
    pub(super) fn begun(data_dir: &Path, kept: Kept, job: &SubmitJob) -> Self {
        let record = JobRecord::asked(job, Role::Sent, Clock::system().unix_now_ms());
        Self { data_dir: data_dir.to_owned(), kept, record, output: OutputTally::counting(), asked: None, ended: None }
    }

    /// The same job, sent by this node to a peer of that name.
    pub(super) fn to(mut self, sent: NodeId, ran: NodeId, name: &str, job: &SubmitJob) -> Self {
        self.record.peer = Some(OtherEnd { id: ran, name: name.to_owned() });
        self.output = OutputTally::digesting();
        let (request, limits) = (request_digest_of(job), job.limits.clone());
        self.asked = Some(Box::new(Asked { ran, sent, request, limits }));
        self
    }

    /// A node has it.
    pub(super) fn accepted(&mut self, accepted: &Accepted) {
        if let Some(peer) = &mut self.record.peer {
            peer.name.clone_from(&accepted.name);
        }
    }

    /// Its guest has started.
    pub(super) fn started(&mut self) {
        self.record.started_ms = Some(Clock::system().unix_now_ms());
        self.record.attempts = 1;
    }

    /// Its guest said this.
    pub(super) fn printed(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.output.printed(stream, bytes);
    }

    /// This file of it has come back.
    pub(super) fn brought(&mut self, file: &OutputFile) {
        self.output.brought(file);
    }

    /// It has ended so.
    pub(super) fn ended(&mut self, ended: &Ended) {
        self.record.reported(&ended.report);
        self.record.result.clone_from(&ended.result);
        self.ended = Some(ended.clone());
    }

    /// The receipt that came with the end, and what is to be thought of it.
    fn receipt(&mut self) -> Option<KeptReceipt> {
        let (Ended { report, receipt, .. }, asked) = (self.ended.take()?, self.asked.take()?);
        let (receipt, output) = (receipt?, self.output.digest()?);
        let Asked { ran, sent, request, limits } = *asked;
        let (job, program) = (self.record.id, self.record.digest);
        let expected = Expected { ran, sent, job, program, request, limits, report, output };
        let wrong = receipt.check(&expected).err();
        if let Some(why) = &wrong {
            let peer = self.record.peer.as_ref().map_or("", |peer| &peer.name);
            tracing::warn!(peer, why, "the receipt of the job is wrong");
        }
        Some(KeptReceipt { receipt, wrong })
    }

    /// There will be no more of it.
    pub(super) fn failed(&mut self, error: &SubmitError) {
        let why = crate::service::chain(error);
        let ran = self.record.started_ms.is_some();
        self.record.end = Some(match error.kind() {
            FailureKind::Cancelled => End::cancelled(),
            FailureKind::Lost => End::lost(&why),
            FailureKind::NotFound
            | FailureKind::BadProgram
            | FailureKind::BadInput
            | FailureKind::Unreachable
            | FailureKind::Refused
            | FailureKind::Environment
            | FailureKind::Internal => {
                if ran {
                    End::lost(&why)
                } else {
                    End::refused(&why)
                }
            }
        });
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let receipt = self.receipt();
        let mut job = self.record.clone();
        job.end.get_or_insert_with(End::cancelled);
        job.ended_ms = Some(Clock::system().unix_now_ms());
        job.bytes_out = self.output.bytes();
        if let Err(error) = JobStore::leave(&self.data_dir, &Spooled { job, receipt }, self.kept) {
            tracing::warn!(error = %crate::service::chain(&error), "this job is not in the history");
        }
    }
}
