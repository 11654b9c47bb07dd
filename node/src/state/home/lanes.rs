//! Who waits, and who is next. A lane is a kind of job that waits: one submitter's, of one priority, class and map. Within a
//! lane the oldest is first; of a submitter's lanes the most urgent, and among those the one whose first is oldest; of
//! submitters the one that has had least. A job that is to keep off some machines waits in a lane of its own, so that it is in
//! nobody's way.

use super::share::{Account, CREDIT_MS};
use super::spec::{Priority, Submitter};
use crate::state::now::Mono;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Submitters that are remembered; beyond, those that wait for nothing and had least are forgotten.
pub(super) const SUBMITTERS_MAX: usize = 1024;

/// Every so many choices one goes to a submitter's oldest job, whatever its priority, so that none waits for ever.
const PATIENCE: u64 = 16;

/// A kind of job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneKey {
    pub(super) priority: Reverse<Priority>,
    pub(super) class: usize,
    pub(super) batch: Option<usize>,
    /// The job that is alone in it.
    pub(super) alone: Option<usize>,
}

/// A place in a lane: the order of arrival, and the job.
pub(super) type Ticket = (u64, usize);

/// Those of one submitter.
#[derive(Debug)]
struct Line {
    name: Submitter,
    account: Account,
    lanes: BTreeMap<LaneKey, BTreeSet<Ticket>>,
    jobs: usize,
    choices: u64,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lines: Vec<Option<Line>>,
    by_name: HashMap<Submitter, usize>,
    /// Those with somebody who waits.
    backlogged: BTreeSet<usize>,
    waiting: usize,
}

impl Lanes {
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Kinds of job that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lines.iter().flatten().map(|line| line.lanes.len()).sum()
    }

    /// A job of this submitter comes; none when it would be one more than `most` that have jobs.
    pub(super) fn enter(&mut self, name: &Submitter, now: Mono, most: usize) -> Option<usize> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => self.open(name, now, most)?,
        };
        self.lines[index].as_mut()?.jobs += 1;
        Some(index)
    }

    fn open(&mut self, name: &Submitter, now: Mono, most: usize) -> Option<usize> {
        if self.by_name.len() >= most {
            self.forget_one(now)?;
        }
        let line = Line { name: name.clone(), account: Account::new(now), lanes: BTreeMap::new(), jobs: 0, choices: 0 };
        let vacant = self.lines.iter().position(Option::is_none);
        let index = vacant.unwrap_or(self.lines.len());
        match vacant {
            Some(index) => self.lines[index] = Some(line),
            None => self.lines.push(Some(line)),
        }
        self.by_name.insert(name.clone(), index);
        Some(index)
    }

    /// Makes room by forgetting the idle submitter that had least.
    fn forget_one(&mut self, now: Mono) -> Option<()> {
        let idle = self.lines.iter().enumerate().filter_map(|(index, line)| Some((index, line.as_ref()?)));
        let idle = idle.filter(|(_, line)| line.jobs == 0);
        let (index, _) = idle.min_by_key(|(index, line)| (line.account.used_ms(now), *index))?;
        let line = self.lines[index].take()?;
        self.by_name.remove(&line.name);
        Some(())
    }

    /// A job of it has ended.
    pub(super) fn leave(&mut self, submitter: usize) {
        if let Some(Some(line)) = self.lines.get_mut(submitter) {
            line.jobs -= 1;
        }
    }

    /// A job waits.
    pub(super) fn wait(&mut self, submitter: usize, lane: LaneKey, ticket: Ticket, now: Mono) {
        if self.backlogged.insert(submitter) {
            let others = self.backlogged.iter().filter(|other| **other != submitter);
            let least = others.filter_map(|other| Some(self.lines[*other].as_ref()?.account.used_ms(now))).min();
            if let (Some(least), Some(line)) = (least, self.lines[submitter].as_mut()) {
                line.account.raise_to(now, least.saturating_sub(CREDIT_MS));
            }
        }
        if let Some(line) = self.lines[submitter].as_mut() {
            self.waiting += usize::from(line.lanes.entry(lane).or_default().insert(ticket));
        }
    }

    /// A job waits no more.
    pub(super) fn stop_waiting(&mut self, submitter: usize, lane: LaneKey, ticket: Ticket) {
        let Some(line) = self.lines[submitter].as_mut() else { return };
        let Some(tickets) = line.lanes.get_mut(&lane) else { return };
        self.waiting -= usize::from(tickets.remove(&ticket));
        if tickets.is_empty() {
            line.lanes.remove(&lane);
        }
        if line.lanes.is_empty() {
            self.backlogged.remove(&submitter);
        }
    }

    /// The next lane to be served among those that can be, and its submitter. Its first is to be taken.
    pub(super) fn next(&mut self, now: Mono, can: impl Fn(&LaneKey) -> bool) -> Option<(usize, LaneKey)> {
        let lines = &self.lines;
        let line = |index: &usize| lines[*index].as_ref();
        let mut order: Vec<(u64, usize)> = Vec::with_capacity(self.backlogged.len());
        order.extend(self.backlogged.iter().filter_map(|index| Some((line(index)?.account.standing_ms(now), *index))));
        order.sort_unstable();
        let (submitter, lane) = order.iter().find_map(|(_, index)| Some((*index, line(index)?.next(&can)?)))?;
        self.lines[submitter].as_mut()?.choices += 1;
        Some((submitter, lane))
    }

    /// The first so many of a lane.
    pub(super) fn first(&self, submitter: usize, lane: &LaneKey, most: usize) -> impl Iterator<Item = Ticket> {
        let tickets = self.lines[submitter].as_ref().and_then(|line| line.lanes.get(lane));
        tickets.into_iter().flatten().take(most).copied()
    }

    /// A run of this submitter is given out, or is over.
    pub(super) fn account(&mut self, submitter: usize, change: impl FnOnce(&mut Account)) {
        if let Some(Some(line)) = self.lines.get_mut(submitter) {
            change(&mut line.account);
        }
    }

    /// Forgets of everybody what has grown old.
    pub(super) fn decay(&mut self, now: Mono) {
        self.lines.iter_mut().flatten().for_each(|line| line.account.decay(now));
    }
}

impl Line {
    fn next(&self, can: impl Fn(&LaneKey) -> bool) -> Option<LaneKey> {
        let any_priority = self.choices % PATIENCE == PATIENCE - 1;
        let mut best: Option<(Reverse<Priority>, Ticket, LaneKey)> = None;
        for (lane, tickets) in &self.lanes {
            if let Some((priority, ..)) = best
                && lane.priority > priority
                && !any_priority
            {
                break;
            }
            let Some(first) = tickets.first() else { continue };
            if best.is_none_or(|(_, oldest, _)| *first < oldest) && can(lane) {
                best = Some((lane.priority, *first, *lane));
            }
        }
        best.map(|(_, _, lane)| lane)
    }
}
