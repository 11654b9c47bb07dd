//! Giving the tasks of a map to the node, a part at a time, while those before run already. A part is in the journal before
//! it is given.

use super::account::Account;
use super::journal::InputLine;
use crate::commands::run;
use crate::standing::Ending;
use potluck_node::client::{Client, FailureKind, PARCELS_WEIGHT_MAX, Parcel, Pattern, SubmitError, Task, Wish};
use potluck_node::state::home::end::{End, Failure};
use potluck_node::state::home::spec::BatchSpec;
use potluck_node::state::needs::Requirements;
use potluck_node::wire::{GIVEN_MAX, JobId};
use potluck_runtime::Digest;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;
use tokio::sync::Notify;

/// Tasks of the first part, so that machines begin soon; each part after it is twice as large.
const FIRST_PART: usize = 16;
/// Tasks that the node has at once: fewer than it may have in all, and 100 bytes here for each.
const UNENDED_MAX: usize = 100_000;

/// What is the same for all tasks of a map.
pub(super) struct Giving<'a> {
    pub(super) client: &'a Client,
    pub(super) program: PathBuf,
    /// What is the same in all of them.
    pub(super) pattern: Pattern,
    /// The arguments that stand before the names of each task's inputs.
    pub(super) args: Vec<String>,
    pub(super) batch: BatchSpec,
    pub(super) wish: Wish,
    pub(super) requirements: Requirements,
    pub(super) account: &'a RefCell<Account>,
    /// Told when a task has ended.
    pub(super) ended: &'a Notify,
}

/// Tasks that are given together.
#[derive(Default)]
struct Part {
    parcels: Vec<Parcel>,
    weight: usize,
}

impl Giving<'_> {
    /// Gives all that is to be given.
    pub(super) async fn give_all(&self) -> anyhow::Result<()> {
        let tasks = self.account.borrow().tasks.len();
        self.give_each((0..tasks).map(|task| (None, task))).await
    }

    /// Gives these again under the ids they had. Should the node have taken them from an earlier command after all, they are
    /// the same jobs and run once. One that asks for something else by now is not given.
    pub(super) async fn give_again(&self, jobs: Vec<(JobId, usize)>) -> anyhow::Result<()> {
        self.give_each(jobs.into_iter().map(|(job, task)| (Some(job), task))).await
    }

    async fn give_each(&self, tasks: impl Iterator<Item = (Option<JobId>, usize)>) -> anyhow::Result<()> {
        let mut part = Part::default();
        let mut part_max = FIRST_PART;
        let mut begun = false;
        for (job, task) in tasks {
            if self.account.borrow().stopped {
                break;
            }
            let Some((parcel, request)) = self.wanted(job, task).await? else { continue };
            if !begun {
                self.account.borrow_mut().begin(self.batch.id)?;
                begun = true;
            }
            let weight = parcel.weight();
            if part.parcels.len() >= part_max || part.weight + weight > PARCELS_WEIGHT_MAX {
                self.give(std::mem::take(&mut part)).await?;
                part_max = GIVEN_MAX.min(part_max * 2);
            }
            self.note(task, &parcel, request)?;
            part.weight += weight;
            part.parcels.push(parcel);
        }
        self.give(part).await
    }

    /// The task as it would be given, if it is to be: as this job, or a new one.
    async fn wanted(&self, job: Option<JobId>, task: usize) -> anyhow::Result<Option<(Parcel, Digest)>> {
        let (args, inputs) = {
            let account = self.account.borrow();
            let task = &account.tasks[task];
            (self.args.iter().cloned().chain(task.input_names()).collect(), task.inputs.clone())
        };
        match self.pattern.parcel(job, args, inputs, self.task(task)).await {
            Ok(parcel) => {
                let (request, mut account) = (parcel.fingerprint(), self.account.borrow_mut());
                let wanted = match job {
                    Some(_) => account.wants_again(task, &request),
                    None => account.wants(task, &request),
                };
                Ok(wanted.then_some((parcel, request)))
            }
            Err(error) if is_of_program(&error) => Err(run::refusal(error)),
            Err(error) => {
                let why = Failure::Refused(crate::render::sentence(&anyhow::Error::new(error)));
                self.account.borrow_mut().unreadable(task, &Ending::from(&End::Failed(why)))?;
                Ok(None)
            }
        }
    }

    /// What a job is told of its place in the map.
    fn task(&self, task: usize) -> Option<Task> {
        let count = u32::try_from(self.account.borrow().tasks.len()).ok()?;
        Some(Task { number: u32::try_from(task).ok()?, count })
    }

    fn note(&self, task: usize, parcel: &Parcel, request: Digest) -> anyhow::Result<()> {
        let mut account = self.account.borrow_mut();
        let program = self.program.file_name().map(|name| name.to_string_lossy().into_owned());
        let names: HashSet<String> = account.tasks[task].input_names().chain(program).collect();
        let named = parcel.inputs().into_iter().filter(|(name, _)| names.contains(name));
        let inputs = named.map(|(name, digest)| InputLine { name, digest: digest.to_string() }).collect();
        account.give(task, inputs, request, parcel.id())
    }

    /// Gives a part, once the node has room for it.
    async fn give(&self, part: Part) -> anyhow::Result<()> {
        if part.parcels.is_empty() {
            return Ok(());
        }
        while self.account.borrow().unended().len() > UNENDED_MAX {
            self.ended.notified().await;
        }
        if self.account.borrow().stopped {
            self.account.borrow_mut().take_back(part.parcels.iter().map(Parcel::id));
            return Ok(());
        }
        self.account.borrow_mut().flush()?;
        self.client.give(Some(self.batch.clone()), part.parcels, &self.wish, &self.requirements).await?;
        Ok(())
    }
}

/// Whether no task could be given, because the program is at fault and not an input.
fn is_of_program(error: &SubmitError) -> bool {
    matches!(error.kind(), FailureKind::NotFound | FailureKind::BadProgram)
}
