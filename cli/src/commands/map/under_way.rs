//! A map that is under way: what the node says of it is taken in while its tasks are given, and whoever sits before it is
//! told how far it is and may leave.

use super::account::Account;
use super::board::Board;
use super::collecting::Collecting;
use super::forgotten::Forgotten;
use crate::following::node_gone;
use crate::guest_words::progress_word;
use crate::signals::{Asked, EndRequests};
use potluck_node::client::{Client, ClientError, HomeEvent};
use potluck_node::state::home::spec::BatchId;
use potluck_node::wire::{CANCELLED_MAX, CancelJobs, FollowMap, HomeJobs, JobAt, JobId, JobNow};
use std::cell::RefCell;
use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the bar is drawn and the journal written.
const TICK: Duration = Duration::from_millis(250);

/// As long as no more tasks are with the node, it is shown how far each is.
const FEW_TASKS: u64 = 16;
/// Jobs of the node that are looked at for that, of whichever map they are.
const HOME_JOBS_MAX: usize = 64;

/// Whether the user wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// They were told how to come back.
    Told,
    Left,
}

/// A map under way.
pub(super) struct Map<'a> {
    client: &'a Client,
    account: &'a RefCell<Account>,
    /// Told when a task has ended.
    ended: &'a Notify,
    collecting: Collecting<'a>,
    forgotten: Forgotten,
    pub(super) board: Board,
    pub(super) leaving: Leaving,
}

/// What is next.
enum Next {
    Given(anyhow::Result<()>),
    Heard(Result<Option<HomeEvent>, ClientError>),
    Tasks(Result<HomeJobs, ClientError>),
    Tick,
    Asked(Asked),
}

/// A question that somebody has asked the node, and that holds up nothing.
type Asking<'a> = Pin<Box<dyn Future<Output = Result<HomeJobs, ClientError>> + 'a>>;

/// Its answer; never one where nothing was asked.
async fn answer(asking: &mut Option<Asking<'_>>) -> Result<HomeJobs, ClientError> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

impl<'a> Map<'a> {
    pub(super) fn new(client: &'a Client, account: &'a RefCell<Account>, ended: &'a Notify, board: Board) -> Self {
        let collecting = Collecting::new(account);
        Self { client, account, ended, collecting, forgotten: Forgotten::default(), board, leaving: Leaving::No }
    }

    /// Follows a map of the node while its tasks are given, until all are and have ended, or the user leaves.
    pub(super) async fn follow(
        &mut self,
        batch: BatchId,
        giving: impl Future<Output = anyhow::Result<()>>,
        requests: &mut EndRequests,
    ) -> anyhow::Result<()> {
        let mut giving = pin!(giving);
        let (mut given, mut stopped) = (false, false);
        let mut following = self.client.follow_map(FollowMap { batch, output: true }).await?;
        let mut tick = tokio::time::interval(TICK);
        let mut asking = None;
        while self.leaving != Leaving::Left && !(given && self.account.borrow().unended().len() == 0) {
            if given && !stopped && self.account.borrow().stopped {
                stopped = true;
                self.stop_the_rest().await?;
            }
            let next = tokio::select! {
                result = &mut giving, if !given => Next::Given(result),
                heard = following.next() => Next::Heard(heard),
                home = answer(&mut asking) => Next::Tasks(home),
                _ = tick.tick() => Next::Tick,
                asked = requests.next_asked() => Next::Asked(asked),
            };
            match next {
                Next::Given(result) => {
                    result?;
                    given = true;
                }
                Next::Heard(heard) => {
                    let event = heard?.ok_or_else(node_gone)?;
                    self.forgotten.heard();
                    self.collecting.take(event, &mut following)?;
                    self.ended.notify_one();
                }
                Next::Tick => {
                    asking = asking.or_else(|| self.asks_for_tasks());
                    if given {
                        self.forgotten.look(self.client, &mut self.account.borrow_mut())?;
                    }
                    self.look()?;
                }
                Next::Tasks(home) => {
                    asking = None;
                    self.look_at_tasks(batch, home);
                }
                Next::Asked(asked) => self.asked(asked, batch),
            }
        }
        self.look()
    }

    /// Asks now and then how far the tasks are that run, if somebody sees it and they are few.
    fn asks_for_tasks(&self) -> Option<Asking<'a>> {
        let few = (1..=FEW_TASKS).contains(&self.account.borrow().counts().running);
        let client = self.client;
        (few && self.board.wants_tasks()).then(|| Box::pin(client.home_jobs(HOME_JOBS_MAX)) as Asking<'a>)
    }

    /// Nothing depends on it: without an answer none is shown, and the question is asked again.
    fn look_at_tasks(&mut self, batch: BatchId, home: Result<HomeJobs, ClientError>) {
        let home = home.unwrap_or_default();
        let account = self.account.borrow();
        let word = |job: &JobNow| {
            let task = account.task_of(job.job)?;
            Some(format!("{} {}", account.tasks[task].name, progress_word(job.progress.as_ref()?)))
        };
        let mut words: Vec<String> = home.jobs.iter().filter(|job| job.map == Some(batch)).filter_map(word).collect();
        words.sort();
        self.board.tasks_are(words);
    }

    fn look(&mut self) -> anyhow::Result<()> {
        self.account.borrow_mut().flush()?;
        self.board.show(&self.account.borrow());
        Ok(())
    }

    /// Cancels what waits after one has failed: the node has done so with what it had then, and more was given since.
    async fn stop_the_rest(&self) -> anyhow::Result<()> {
        let home = self.client.home_jobs(usize::MAX).await?;
        let with_machines: HashSet<JobId> =
            home.jobs.iter().filter(|job| matches!(job.at, JobAt::Sent | JobAt::Runs)).map(|job| job.job).collect();
        let waiting =
            { self.account.borrow().unended().filter(|job| !with_machines.contains(job)).collect::<Vec<_>>() };
        for some in waiting.chunks(CANCELLED_MAX) {
            self.client.cancel_jobs(&CancelJobs { jobs: some.to_vec(), batch: None, now: true }).await?;
        }
        Ok(())
    }

    fn asked(&mut self, asked: Asked, batch: BatchId) {
        if asked == Asked::End || self.leaving == Leaving::Told {
            self.leaving = Leaving::Left;
            return;
        }
        self.leaving = Leaving::Told;
        let open = self.account.borrow().counts().open;
        let rest = if open > 0 {
            format!("; {open} tasks are not given yet, the same command gives them")
        } else {
            String::new()
        };
        self.board.say(&format!(
            "the map goes on at this machine's node: press Ctrl-C again to leave, the same command comes back, \
             `potluck cancel --map {}` ends it{rest}",
            batch.0
        ));
    }
}
