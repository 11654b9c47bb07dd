//! The record of one job on the side that runs it: written once, after its end was told, whatever that end was.

use super::Inner;
use crate::clock::Clock;
use crate::dispatch::{Caller, Role};
use crate::store::jobs::{Change, End, JobRecord, JobStore, OtherEnd, Role as Side};
use crate::wire::{Fault, OutputFile, OutputTally, SubmitJob};
use potluck_runtime::{OutputStream, Report};

/// What will be known of a job. Dropped, it is recorded; a job of which nothing more was said was ended by its submitter's
/// leaving.
pub(super) struct Noting {
    store: Option<JobStore>,
    record: Option<JobRecord>,
    output: OutputTally,
}

impl Noting {
    /// A job that was accepted now.
    pub(super) fn begun(inner: &Inner, caller: &Caller, job: &SubmitJob) -> Self {
        let store = inner.records.clone();
        let record = store.is_some().then(|| {
            let side = match caller.role {
                Role::Owner => Side::Sent,
                Role::Peer => Side::Ran,
            };
            let mut record = JobRecord::asked(job, side, Clock::system().unix_now_ms());
            record.peer = match caller.role {
                Role::Owner => None,
                Role::Peer => Some(OtherEnd { id: caller.id, name: caller.name.clone() }),
            };
            record
        });
        Self { store, record, output: OutputTally::counting() }
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

    /// Its run has ended so.
    pub(super) fn ended(&mut self, report: &Report) {
        if let Some(record) = &mut self.record {
            record.reported(report);
        }
    }

    /// It was refused before it ran.
    pub(super) fn refused(&mut self, fault: &Fault) {
        if let Some(record) = &mut self.record {
            record.end.get_or_insert_with(|| End::refused(&fault.text));
        }
    }

    /// It is no job that ends: a session.
    pub(super) fn forget(&mut self) {
        self.record = None;
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        let (Some(store), Some(mut record)) = (self.store.take(), self.record.take()) else { return };
        record.end.get_or_insert(End::Cancelled);
        record.bytes_out = self.output.bytes();
        record.ended_ms = Some(Clock::system().unix_now_ms());
        let id = record.id;
        if let Err(error) = store.recorded(vec![Change::Job(Box::new(record))]) {
            tracing::error!(job = %id, %error, "a job is not recorded");
        }
    }
}
