//! Jobs that nobody wants any more: a guest that runs is asked to end first, and what it leaves is kept; whatever else there is
//! ends at once. That it was asked is written down before anybody is told, so a home that comes back asks nobody again.

use super::end::End;
use super::run::Progress;
use super::spec::BatchId;
use super::words::{Cancel, Effect, Record};
use super::{ENDING_MS, Home};
use crate::state::now::Now;
use crate::wire::JobId;

impl Home {
    pub(super) fn cancelled(&mut self, now: Now, job: JobId, how: Cancel, effects: &mut Vec<Effect>) {
        if let Some(index) = self.jobs.find(job) {
            self.cancel(now, index, how, effects);
        }
    }

    pub(super) fn batch_cancelled(&mut self, now: Now, batch: BatchId, how: Cancel, effects: &mut Vec<Effect>) {
        let batch = self.batches.find(batch).and_then(|index| self.batches.get(index));
        let jobs: Vec<usize> = batch.map(|batch| batch.jobs.iter().copied().collect()).unwrap_or_default();
        for index in jobs {
            self.cancel(now, index, how, effects);
        }
    }

    fn cancel(&mut self, now: Now, index: usize, how: Cancel, effects: &mut Vec<Effect>) {
        let job = &self.jobs[index];
        let is_there = |place| self.machines.find(place).is_some_and(|number| self.machines[number].reachable);
        let runs =
            job.runs.iter().filter(|run| run.progress == Progress::Running && !run.suspect && is_there(run.place));
        let asked: Vec<Effect> =
            runs.map(|run| Effect::AskToEnd { place: run.place, run: job.run_id(run.attempt) }).collect();
        if how == Cancel::Now || job.ends_by.is_some() || asked.is_empty() {
            return self.finish(now, index, End::Cancelled, None, effects);
        }
        let (id, by) = (job.spec.id, now.mono.after(ENDING_MS));
        self.leave_queue(index);
        self.jobs[index].ends_by = Some(by);
        self.endings.insert((by, index));
        effects.push(Effect::Persist(Record::Ending { job: id }));
        effects.extend(asked);
    }

    /// Ends those that were asked long enough ago.
    pub(super) fn end_the_asked(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let due: Vec<usize> = self.endings.range(..=(now.mono, usize::MAX)).map(|(_, index)| *index).collect();
        for index in due {
            self.finish(now, index, End::Cancelled, None, effects);
        }
    }
}
