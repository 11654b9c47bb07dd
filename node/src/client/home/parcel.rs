//! A job that was read, and can be given: what travels is known, and nothing has.

use crate::client::packing::{LeftOut, Packed, Source};
use crate::state::home::spec::Kind;
use crate::wire::bounds::SUBMIT_LEN_MAX;
use crate::wire::{JobId, JobProgram, SubmitJob, encode};
use potluck_runtime::{Digest, TASK_VARIABLE, TASKS_VARIABLE};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What the parcels of one [`Client::give`](crate::client::Client::give) may weigh together; as much again is left for what was
/// estimated too low.
pub const PARCELS_WEIGHT_MAX: usize = SUBMIT_LEN_MAX / 2;
/// Bytes of what its home is told of a job beside what is run: a hundred, and the words of its requirements.
const PARCEL_WEIGHT: usize = 1024;
/// Bytes of a digest and a path; so many that no more are told than [`BLOBS_MAX`](crate::wire::bounds::BLOBS_MAX).
const SOURCE_WEIGHT: usize = 256;

/// A job that was read, and can be given.
#[derive(Debug)]
pub struct Parcel {
    packed: Packed,
    /// Where the bytes lie of what it shares with others.
    shared: Arc<HashMap<Digest, Source>>,
    task: Option<Task>,
}

/// Which task of a map a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number, from 0.
    pub number: u32,
    /// Of how many; its result does not depend on that, so that a map may grow.
    pub count: u32,
}

impl Parcel {
    pub(super) fn of(packed: Packed, task: Option<Task>) -> Self {
        Self::sharing(packed, Arc::default(), task)
    }

    pub(in crate::client) fn sharing(
        mut packed: Packed,
        shared: Arc<HashMap<Digest, Source>>,
        task: Option<Task>,
    ) -> Self {
        // Whoever comes back wants what it made.
        packed.job.outputs = true;
        packed.job.stdin = false;
        Self { packed, shared, task }
    }

    /// A job whose bytes the daemon has.
    pub(in crate::client) fn again(mut job: SubmitJob) -> Self {
        job.events = true;
        let packed = Packed { job, sources: HashMap::new(), left_out: LeftOut::default() };
        Self { packed, shared: Arc::default(), task: None }
    }

    /// What is asked for, and its number; where its bytes lie is added to `sources`.
    pub(super) fn unpacked(mut self, sources: &mut HashMap<Digest, Source>) -> (SubmitJob, Option<u32>) {
        if let Some(Task { number, count }) = self.task {
            let variables = [(TASK_VARIABLE, number), (TASKS_VARIABLE, count)];
            self.packed.job.env.extend(variables.map(|(name, value)| (name.to_owned(), value.to_string())));
        }
        for (digest, source) in self.shared.iter() {
            sources.entry(*digest).or_insert_with(|| source.clone());
        }
        sources.extend(self.packed.sources);
        (self.packed.job, self.task.map(|task| task.number))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.packed.job.job
    }

    /// What it runs.
    #[must_use]
    pub fn program(&self) -> &JobProgram {
        &self.packed.job.program
    }

    /// Where the bytes of its interpreter lie, where one goes along.
    #[must_use]
    pub fn interpreter_path(&self) -> Option<&Path> {
        let digest = self.packed.job.program.interpreter()?.digest;
        self.packed.sources.get(&digest).or_else(|| self.shared.get(&digest)).map(|source| source.path.as_path())
    }

    /// The bytes it needs where it runs, program included.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        self.packed.job.blobs()
    }

    /// What else than its requirements decides whether a machine takes it.
    pub(super) fn kind(&self) -> Kind {
        self.packed.job.kind()
    }

    /// What it reads, in the order it is listed: names there, and digests.
    #[must_use]
    pub fn inputs(&self) -> Vec<(String, Digest)> {
        self.packed.job.files.iter().map(|file| (file.path.to_string(), file.digest)).collect()
    }

    /// The name of all that its result depends on: program, arguments, variables and the bytes of every file. Where it runs and
    /// what it may use are no part of that.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        let SubmitJob { program, args, env, files, directories, mounts, packages, .. } = &self.packed.job;
        let program = match program {
            JobProgram::Wasm { digest, name, .. } => (Some(*digest), name.as_str(), ""),
            JobProgram::Script { environment, entry, interpreter, .. } => {
                (interpreter.as_ref().map(|own| own.digest), entry.as_str(), environment.as_str())
            }
            // What it is given to run is the whole line.
            JobProgram::Container(container) => (None, container.image.name().as_str(), "docker"),
            JobProgram::Session { environment, .. } => (None, "", environment.as_str()),
        };
        // The whole line that an interpreter is given; alone its digest would say nothing of how it is called.
        let called = match &self.packed.job.program {
            JobProgram::Container(container) => container.command.as_slice(),
            program => program.interpreter().map_or(&[][..], |own| &own.argv),
        };
        let line: Vec<&String> = called.iter().chain(args).collect();
        let all = (program, line, env, files, directories, mounts);
        // Without packages it is what it was before there were any.
        if packages.is_empty() { Digest::of(&encode(&all)) } else { Digest::of(&encode(&(all, packages))) }
    }

    /// Roughly the bytes it takes in what the daemon is told; those of one
    /// [`Client::give`](crate::client::Client::give) come to [`PARCELS_WEIGHT_MAX`] at most.
    #[must_use]
    pub fn weight(&self) -> usize {
        encode(&self.packed.job).len() + PARCEL_WEIGHT + self.packed.sources.len() * SOURCE_WEIGHT
    }

    /// What would be sent, with sizes: every file once, by the name it has there.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let job = &self.packed.job;
        let carried = job.mounts.iter().flat_map(|mount| {
            mount.files.iter().map(move |file| (format!("{}/{}", mount.guest, file.path), file.size))
        });
        let program = match &job.program {
            JobProgram::Wasm { name, size, .. } => Some((name.clone(), *size)),
            JobProgram::Script { environment, interpreter: Some(own), .. } => {
                Some((format!("the interpreter {environment}"), own.size))
            }
            JobProgram::Script { interpreter: None, .. } | JobProgram::Container(_) | JobProgram::Session { .. } => {
                None
            }
        };
        program
            .into_iter()
            .chain(job.files.iter().map(|file| (file.path.to_string(), file.size)))
            .chain(carried)
            .chain(job.packages.iter().map(|package| (package.name.clone(), package.size)))
            .collect()
    }

    /// What stays behind of the folders it was given.
    #[must_use]
    pub const fn left_out(&self) -> &LeftOut {
        &self.packed.left_out
    }
}
