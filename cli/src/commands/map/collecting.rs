//! What the node says of a map's jobs, into the files of their tasks: of each that ended what it printed and made, and then
//! how it ended. A task counts as ended when all of that is in its place.

use super::account::{Account, Came};
use super::results::Results;
use crate::guest_words::OwnJson;
use crate::standing::Ending;
use potluck_node::client::{Following, HomeEvent};
use potluck_node::state::home::end::{End, Failure};
use potluck_node::wire::{JobAt, JobId, JobNow};
use std::cell::RefCell;

/// Collects what a map's jobs come to.
pub(super) struct Collecting<'a> {
    account: &'a RefCell<Account>,
    /// What comes of the run that speaks now.
    current: Option<Coming>,
    /// A job whose results are in their place; its end comes next.
    kept: Option<(JobId, Came)>,
}

/// What comes of a run.
struct Coming {
    job: JobId,
    results: Results,
    files: Vec<String>,
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
                if let Some(current) = &mut self.current {
                    current.results.write(stream, &bytes)?;
                }
            }
            HomeEvent::File { path, .. } => {
                self.current.iter_mut().for_each(|current| current.files.push(path.to_string()));
            }
            HomeEvent::RunEnded(ended) => {
                self.run_is_over(ended.left_behind, ended.result.as_ref().map(OwnJson::from))?;
            }
            HomeEvent::RunFailed(_) => self.run_is_over(Vec::new(), None)?,
            HomeEvent::Said(_) | HomeEvent::Stage(_) | HomeEvent::Started | HomeEvent::Time(_) => {}
        }
        Ok(())
    }

    fn job(&mut self, now: JobNow) -> anyhow::Result<()> {
        let JobAt::Ended(end) = &now.at else { return Ok(()) };
        let kept = self.kept.take().filter(|(job, _)| *job == now.job);
        let (ending, came) = match kept {
            None if has_run(end) => {
                (Ending::lost("the node has its end and not its output any more".to_owned()), Came::default())
            }
            kept => (Ending::from(end), kept.map(|(_, came)| came).unwrap_or_default()),
        };
        let mut account = self.account.borrow_mut();
        account.end(now.job, &ending, now.place.as_deref(), came)
    }

    fn says(&mut self, job: JobId, following: &mut Following) -> anyhow::Result<()> {
        let account = self.account.borrow();
        // Of a run that did not come to its end, nothing is kept.
        self.current = None;
        if let Some(index) = account.task_of(job) {
            let task = &account.tasks[index];
            let before = account.known(index).map(|known| known.files.as_slice()).unwrap_or_default();
            let results = Results::begin(&account.dir, task, before)?;
            following.bring_to(task.files(&account.dir));
            self.current = Some(Coming { job, results, files: Vec::new() });
        }
        Ok(())
    }

    fn run_is_over(&mut self, left_behind: Vec<String>, result: Option<OwnJson>) -> anyhow::Result<()> {
        if let Some(Coming { job, results, files }) = self.current.take() {
            let account = self.account.borrow();
            if let Some(task) = account.task_of(job) {
                let last_line = results.keep(&account.tasks[task])?;
                self.kept = Some((job, Came { last_line, files: Some(files), left_behind, result }));
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
