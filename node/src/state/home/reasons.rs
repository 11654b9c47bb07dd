//! Why a job is not where it could be: one line for each machine, with the one reason that decides and what would change it.

use super::Home;
use super::jobs::Job;
use super::run::Progress;
use super::schedule::open_to;
use crate::state::now::Now;
use crate::state::placement::Place;
use crate::state::placement::fit::{self, Reason};
use crate::wire::JobId;
use std::collections::BTreeMap;
use std::fmt;

/// What one machine is to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which machine.
    pub place: Place,
    /// Its label.
    pub name: String,
    /// What decides.
    pub reason: Reason,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)?;
        self.reason.change().map_or(Ok(()), |change| write!(f, " ({change})"))
    }
}

impl Home {
    /// One line for each machine that is known; none for a job that is not here, or has ended.
    #[must_use]
    pub fn why(&self, now: Now, job: JobId) -> Vec<Line> {
        let Some(index) = self.jobs.find(job) else { return Vec::new() };
        let job = &self.jobs[index];
        let open = open_to(job, self.classes.get(job.class), &self.machines);
        let mut lines: Vec<Line> = Vec::new();
        for number in self.machines.numbers() {
            let machine = &self.machines[number];
            if self.machines.find(machine.place) != Some(number) {
                continue;
            }
            let reason = self.reason(now, job, number, open.has(number));
            lines.push(Line { place: machine.place, name: machine.name(), reason });
        }
        lines.sort_by_key(|line| line.place);
        lines
    }

    fn reason(&self, now: Now, job: &Job, number: usize, open: bool) -> Reason {
        let machine = &self.machines[number];
        let silent = Reason::Offline { silent_s: now.mono.since(machine.heard) / 1000 };
        if let Some(run) = job.runs.iter().find(|run| run.place == machine.place) {
            return match run.progress {
                _ if run.suspect => silent,
                Progress::Running => Reason::RunsIt,
                Progress::Offered | Progress::Accepted => Reason::HasIt,
            };
        }
        let Some(facts) = &machine.facts else { return Reason::Unknown };
        if let Some((_, why)) = job.refused.iter().find(|(place, _)| *place == machine.place) {
            return Reason::Refused(why.clone());
        }
        if let Some(why) = self.classes.get(job.class).refusal(number) {
            return Reason::Refused(why.to_owned());
        }
        // What cannot be changed there comes before what changes by itself.
        if let Some(reason) = fit::obstacle(facts, &self.classes.get(job.class).requirements) {
            return reason;
        }
        if !machine.reachable || machine.suspect {
            return silent;
        }
        if machine.paused {
            return Reason::Paused;
        }
        if let Some((until, why)) = &machine.hold {
            return Reason::AskedToWait { why: why.clone(), seconds: until.since(now.mono).div_ceil(1000) };
        }
        if job.runs_somewhere() {
            return Reason::Elsewhere;
        }
        if !open {
            let tried = job.tried.contains(&machine.place);
            return if tried { Reason::Tried } else { Reason::Avoided };
        }
        if machine.bound() >= machine.window() {
            return Reason::Full { places: facts.places };
        }
        let limit = job.batch.and_then(|batch| self.batches.get(batch)?.spec.jobs_max);
        match limit {
            Some(jobs_max) if !self.batches.has_room(job.batch) => Reason::MapLimit { jobs_max },
            _ => Reason::NotItsTurn,
        }
    }
}

/// The reasons of several machines in a few words, the commonest first.
#[must_use]
pub fn commonest(lines: &[Line]) -> String {
    const SHOWN: usize = 3;
    let mut counts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in lines {
        counts.entry(line.reason.to_string()).or_default().push(&line.name);
    }
    let mut counts: Vec<(String, Vec<&str>)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let left = counts.len().saturating_sub(SHOWN);
    let mut words: Vec<String> = counts
        .into_iter()
        .take(SHOWN)
        .map(|(reason, names)| match names.as_slice() {
            [name] => format!("{name}: {reason}"),
            more => format!("{} machines: {reason}", more.len()),
        })
        .collect();
    if left > 0 {
        words.push(format!("{left} other reasons"));
    }
    if words.is_empty() { "no machine is known".to_owned() } else { words.join("; ") }
}
