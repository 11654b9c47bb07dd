//! Jobs and maps by any beginning of their id that is theirs alone.

use crate::exit::{Refusal, Trouble};
use crate::records;
use crate::render::tame;
use crate::standing::Ending;
use potluck_node::client::{Client, ClientError};
use potluck_node::state::home::spec::BatchId;
use potluck_node::store::jobs::history::{Filter, Listed};
use potluck_node::store::jobs::{IdError, JobRecord, JobStore, Role};
use potluck_node::wire::JobId;
use std::collections::BTreeMap;

/// Digits of a whole id.
const DIGITS: usize = 32;

/// The ids that are known here.
pub(crate) struct JobIds {
    client: Client,
    store: JobStore,
}

impl JobIds {
    /// Opens the records.
    pub(crate) fn open(client: &Client) -> anyhow::Result<Self> {
        Ok(Self { client: client.clone(), store: records::open(client)? })
    }

    /// The records.
    pub(crate) fn store(&self) -> &JobStore {
        &self.store
    }

    /// The job of this machine whose id begins so: one that it gave away, not one that it ran for another.
    pub(crate) async fn find(&self, text: &str) -> anyhow::Result<JobId> {
        let id = match self.store.find(text) {
            Ok(id) => id,
            Err(IdError::Unknown(_)) => return self.find_at_home(text).await,
            Err(error) => return Err(error.into()),
        };
        match (self.record(id)?, self.store.job(id, Role::Ran)?) {
            (None, Some(ran)) => {
                let whom = ran.peer.map_or_else(|| "another machine".to_owned(), |peer| peer.name);
                let text = format!("{} ran here for {whom}; only there more can be asked of it", self.short(id));
                Err(Refusal::error(Trouble::Failed, text))
            }
            _ => Ok(id),
        }
    }

    /// The same, of a job that was given to the node, which keeps what it says. What was run in the foreground is refused with
    /// what is known of it.
    pub(crate) async fn find_given(&self, text: &str) -> anyhow::Result<JobId> {
        let id = self.find(text).await?;
        let Some(record) = self.record(id)?.filter(|record| record.task.is_none()) else { return Ok(id) };
        let Some(end) = record.end.as_ref().filter(|_| record.keep_until_ms.is_none()) else { return Ok(id) };
        if self.store.request(id, Role::Sent)?.is_some() {
            return Ok(id);
        }
        let text = format!(
            "{} ({}) was run in the foreground and is {}: what it printed and made went to the command that ran it, and is \
             not kept; `potluck run -d` has it kept",
            self.short(id),
            tame(&record.program),
            Ending::from(end),
        );
        Err(Refusal::error(Trouble::Failed, text))
    }

    /// All of these.
    pub(crate) async fn find_all(&self, texts: &[String]) -> anyhow::Result<Vec<JobId>> {
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            ids.push(self.find(text).await?);
        }
        Ok(ids)
    }

    /// The map whose id begins so, and how many of its jobs have not ended. One that has ended is known by its whole id.
    pub(crate) async fn find_map(&self, text: &str) -> anyhow::Result<(BatchId, u64)> {
        if !self.client.daemon_runs() {
            return Err(ClientError::NoDaemon.into());
        }
        let begins = text.to_ascii_lowercase();
        let mut maps: BTreeMap<JobId, u64> = BTreeMap::new();
        for map in self.client.home_jobs(usize::MAX).await?.jobs.iter().filter_map(|job| job.map) {
            if map.0.to_string().starts_with(&begins) {
                *maps.entry(map.0).or_default() += 1;
            }
        }
        let refuse = |text: String| Err(Refusal::error(Trouble::Failed, text));
        match (maps.pop_first(), maps.is_empty()) {
            (Some((map, count)), true) => Ok((BatchId(map), count)),
            (Some(_), false) => refuse(format!("{text} is the beginning of several maps' ids; give more of it")),
            (None, _) => match parse(text) {
                Some(id) if !self.store.ended_of_map(id, 0, 1)?.is_empty() => Ok((BatchId(id), 0)),
                _ => refuse(format!(
                    "no map's id begins with {text} that has not ended; `potluck jobs --json` shows each job's `map`"
                )),
            },
        }
    }

    /// The jobs that were given to the node and have not ended, as the records have them: the newest first.
    pub(crate) fn unended(&self) -> anyhow::Result<Vec<Listed>> {
        let filter = Filter { role: Some(Role::Sent), unended: true, ..Filter::default() };
        let mut given = Vec::new();
        for listed in self.store.history(&filter)? {
            // What is asked for is kept of what was given, and of nothing that a command runs itself.
            if self.store.request(listed.job.id, Role::Sent)?.is_some() {
                given.push(listed);
            }
        }
        Ok(given)
    }

    /// What is known of a job that this machine gave away.
    pub(crate) fn record(&self, id: JobId) -> anyhow::Result<Option<JobRecord>> {
        Ok(self.store.job(id, Role::Sent)?)
    }

    /// The beginning of an id that tells it from all others here; all of it where the records cannot be read.
    pub(crate) fn short(&self, id: JobId) -> String {
        self.store.shortened(id).unwrap_or_else(|_| id.to_string())
    }

    /// A job that is not in the records yet.
    async fn find_at_home(&self, text: &str) -> anyhow::Result<JobId> {
        let begins = text.to_ascii_lowercase();
        let home = self.client.home_jobs(usize::MAX).await?;
        let mut found = home.jobs.iter().map(|job| job.job).filter(|id| id.to_string().starts_with(&begins));
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => {
                let text = format!("{text} is the beginning of several jobs' ids; give more of it");
                Err(Refusal::error(Trouble::Failed, text))
            }
            (None, _) => Err(IdError::Unknown(text.to_owned()).into()),
        }
    }
}

/// A whole id.
pub(crate) fn parse(text: &str) -> Option<JobId> {
    let text = text.to_ascii_lowercase();
    let bytes = (text.len() == DIGITS).then(|| data_encoding::HEXLOWER.decode(text.as_bytes()).ok()).flatten()?;
    bytes.try_into().ok().map(JobId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_is_read_as_it_is_printed_and_nothing_else_is() {
        let id = JobId([0xa7; 16]);
        assert_eq!(parse(&id.to_string()), Some(id));
        assert_eq!(parse(&id.to_string().to_uppercase()), Some(id));
        for text in ["", "a7", "z".repeat(32).as_str(), "a".repeat(33).as_str()] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
