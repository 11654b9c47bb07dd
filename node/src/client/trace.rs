//! The record of a job that this process sends or runs by itself: left behind when the job is over, in one piece, without
//! waiting for a disk.

use super::failure::{FailureKind, SubmitError};
use crate::clock::Clock;
use crate::identity::NodeId;
use crate::store::jobs::{End, JobRecord, JobStore, Kept, OtherEnd, Role, Spooled};
use crate::wire::{Accepted, OutputFile, OutputTally, SubmitJob};
use potluck_runtime::{OutputStream, Report};
use std::path::{Path, PathBuf};

/// What will be known of a job. Dropped, it is recorded; a job of which nothing more was heard was let go.
pub(super) struct Trace {
    data_dir: PathBuf,
    kept: Kept,
    record: JobRecord,
    output: OutputTally,
}

impl Trace {
    /// A job that is submitted now.
    pub(super) fn begun(data_dir: &Path, kept: Kept, job: &SubmitJob) -> Self {
        let record = JobRecord::asked(job, Role::Sent, Clock::system().unix_now_ms());
        Self { data_dir: data_dir.to_owned(), kept, record, output: OutputTally::counting() }
    }

    /// The same job, sent to a peer.
    pub(super) fn to(mut self, id: NodeId, name: &str) -> Self {
        self.record.peer = Some(OtherEnd { id, name: name.to_owned() });
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
    pub(super) fn ended(&mut self, report: &Report) {
        self.record.reported(report);
    }

    /// There will be no more of it.
    pub(super) fn failed(&mut self, error: &SubmitError) {
        let why = crate::service::chain(error);
        let ran = self.record.started_ms.is_some();
        self.record.end = Some(match error.kind() {
            FailureKind::Cancelled => End::Cancelled,
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
        let mut job = self.record.clone();
        job.end.get_or_insert(End::Cancelled);
        job.ended_ms = Some(Clock::system().unix_now_ms());
        job.bytes_out = self.output.bytes();
        if let Err(error) = JobStore::leave(&self.data_dir, &Spooled { job }, self.kept) {
            tracing::warn!(error = %crate::service::chain(&error), "this job is not in the history");
        }
    }
}
