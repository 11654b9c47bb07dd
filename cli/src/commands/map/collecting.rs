//! What the node says of a map's jobs, into the files of their tasks: of each that ended what it printed and made, and then
//! how it ended. A task counts as ended when all of that is in its place.

use super::account::Account;
use super::results::Results;
use crate::standing::Ending;
use potluck_node::client::{Following, HomeEvent};
use potluck_node::state::home::end::{End, Failure};
use potluck_node::wire::{JobAt, JobId, JobNow};
use std::cell::RefCell;

/// Collects what a map's jobs come to.
pub(super) struct Collecting<'a> {
    account: &'a RefCell<Account>,
    /// What comes of the run that speaks now.
    current: Option<(JobId, Results)>,
    /// A job whose results are in their place, with the last line of its stderr; its end comes next.
    kept: Option<(JobId, String)>,
}

impl<'a> Collecting<'a> {
    pub(super) fn new(account: &'a RefCell<Account>) -> Self {
        Self { account, current: None, kept: None }
    }

    /// One more word of the node.
    pub(super) fn take(&mut self, event: HomeEvent, following: &mut Following) -> anyhow::Result<()> {
        match event {
            HomeEvent::Job(now) => self.job(now)?,
            HomeEvent::Says(says) => self.says(says.job, following)?,
            HomeEvent::Output { stream, bytes } => {
                if let Some((_, results)) = &mut self.current {
                    results.write(stream, &bytes)?;
                }
            }
            HomeEvent::RunEnded(_) | HomeEvent::RunFailed(_) => self.run_is_over()?,
            HomeEvent::Stage(_) | HomeEvent::Started | HomeEvent::Time(_) | HomeEvent::File { .. } => {}
        }
        Ok(())
    }

    fn job(&mut self, now: JobNow) -> anyhow::Result<()> {
        let JobAt::Ended(end) = &now.at else { return Ok(()) };
        let kept = self.kept.take().filter(|(job, _)| *job == now.job);
        let (ending, last_line) = match kept {
            None if has_run(end) => {
                (Ending::lost("the node has its end and not its output any more".to_owned()), String::new())
            }
            kept => (Ending::from(end), kept.map(|(_, last_line)| last_line).unwrap_or_default()),
        };
        let mut account = self.account.borrow_mut();
        account.end(now.job, &ending, now.place.as_deref(), last_line)
    }

    fn says(&mut self, job: JobId, following: &mut Following) -> anyhow::Result<()> {
        let account = self.account.borrow();
        // Of a run that did not come to its end, nothing is kept.
        self.current = None;
        match account.task_of(job) {
            Some(task) => {
                following.bring_to(account.tasks[task].files(&account.dir));
                self.current = Some((job, Results::begin(&account.dir, &account.tasks[task])?));
            }
            None => following.bring_nothing(),
        }
        Ok(())
    }

    fn run_is_over(&mut self) -> anyhow::Result<()> {
        if let Some((job, results)) = self.current.take() {
            let account = self.account.borrow();
            if let Some(task) = account.task_of(job) {
                self.kept = Some((job, results.keep(&account.tasks[task])?));
            }
        }
        Ok(())
    }
}

/// Whether a job that ended so has printed something.
fn has_run(end: &End) -> bool {
    match end {
        End::Done | End::Failed(Failure::Outcome(_)) => true,
        End::Failed(Failure::Refused(_)) | End::Cancelled | End::Lost(_) => false,
    }
}
