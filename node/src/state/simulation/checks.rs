//! What must be true after every step, whatever went wrong.

use super::Report;
use super::plan::Does;
use super::runner::Runner;
use super::world::{Node, World};
use crate::state::home::Home;
use crate::state::home::end::{End, Failure, LostWhy};
use crate::state::home::run::{Over, RunId};
use crate::state::home::words::{News, Record};
use crate::state::placement::Place;
use crate::wire::JobId;
use potluck_runtime::Outcome;

impl World {
    /// A home writes something down. It must follow from what it wrote before, and an end must be the right one.
    pub(super) fn persist(&mut self, at: usize, record: Record) {
        match &record {
            Record::Job(_) => self.nodes[at].open += 1,
            Record::End { job, end, winner, .. } => {
                self.nodes[at].open = self.nodes[at].open.wrapping_sub(1);
                let winner = winner.map(|(run, _)| run);
                if winner.is_some_and(|run| run.attempt > 1) {
                    self.met.met("second run won");
                }
                if let Err(why) = self.is_right(at, *job, end, winner) {
                    self.broken(format!("{job} ended wrongly ({end}): {why}"));
                }
            }
            Record::Run { race: true, .. } => self.met.met("race"),
            Record::RunOver { over: Over::GivenBack, .. } => self.met.met("given back"),
            Record::RunOver { over: Over::Down, .. } => self.met.met("node down"),
            Record::Batch(_)
            | Record::Run { .. }
            | Record::RunOver { .. }
            | Record::Checkpointed { .. }
            | Record::Ending { .. } => {}
        }
        if let Err(wrong) = self.nodes[at].saved.apply(record) {
            self.broken(wrong.to_string());
        }
    }

    /// Whether a job may end so: as its program does, or for a reason that was there.
    fn is_right(&self, at: usize, id: JobId, end: &End, winner: Option<RunId>) -> Result<(), String> {
        let job = self.job(id);
        let saved = self.nodes[at].saved.jobs.get(&id).ok_or("it was never written down")?;
        let overs = |wanted: &[Over]| {
            saved.runs.iter().filter(|run| run.over.is_some_and(|over| wanted.contains(&over))).count()
        };
        let ended = winner.is_some_and(|run| run.job == id && self.ended.contains(&run));
        let vanished = overs(&[Over::Vanished, Over::Down]);
        let fits = match (end, job.does) {
            (End::Done, Does::Exits(0)) => ended,
            (End::Failed(Failure::Outcome(Outcome::Exited(code))), Does::Exits(does)) => ended && *code == does,
            (End::Cancelled, _) => job.may_be_cancelled || job.stops_with_its_map,
            (End::Lost(LostWhy::NoMachine { .. }), _) => job.spec.queue_timeout_ms.is_some(),
            (End::Lost(LostWhy::Vanished { .. }), _) => vanished > job.spec.retries as usize,
            (End::Lost(LostWhy::Poison { times, .. }), _) => {
                let downs = overs(&[Over::Down]);
                downs == *times as usize && downs >= crate::state::home::POISON_MAX as usize
            }
            (End::Lost(LostWhy::BrokenOff { times, .. }), _) => {
                let broken_off = overs(&[Over::BrokenOff]);
                broken_off == *times as usize && broken_off >= crate::state::home::BROKEN_OFF_MAX as usize
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("{job:?}, winner {winner:?}, {saved:?}")) }
    }

    /// A home says "accepted": from now on it must know these whatever happens.
    pub(super) fn accepted(&mut self, at: usize, jobs: &[JobId]) {
        for id in jobs {
            if !self.nodes[at].saved.jobs.contains_key(id) {
                self.broken(format!("{id} was accepted before it was written down"));
            }
            let job = self.by_id[id];
            self.jobs[job].accepted = true;
        }
    }

    pub(super) fn told(&mut self, at: usize, job: JobId, news: &News) {
        let News::Ended(end) = news else { return };
        let saved = self.nodes[at].saved.jobs.get(&job).and_then(|saved| saved.end.as_ref());
        if saved.is_none_or(|(saved, _)| saved != end) {
            self.broken(format!("{job} was said to be {end} and is {saved:?}"));
        }
    }

    /// A run is about to be given to a machine.
    pub(super) fn check_start(&mut self, at: usize, place: Place, run: RunId) {
        if self.started.contains_key(&run) {
            self.met.met("start again");
        }
        let first = *self.started.entry(run).or_insert((at, place));
        if first != (at, place) {
            self.broken(format!("{run} was given to {first:?} and to {place:?}"));
        }
        let Some(job) = self.nodes[at].saved.jobs.get(&run.job) else {
            return self.broken(format!("{run} was given to {place:?}, and its job is not written down"));
        };
        let mut live = job.runs.iter().filter(|run| run.over.is_none());
        let written = live.clone().any(|saved| saved.attempt == run.attempt && saved.place == place);
        // Each run that is suspect is one retry, and one more may be a race.
        let (count, most) = (live.by_ref().count(), job.spec.retries as usize + 2);
        if !written {
            self.broken(format!("{run} was given to {place:?} and is not written down as there"));
        } else if count > most {
            self.broken(format!("{run} is one of {count} runs at once, of {most} that may be"));
        }
    }

    /// A home knows every job that was accepted and has not ended, and is of one mind with itself.
    pub(super) fn check_home(&mut self, at: usize) {
        let deep = self.next_deep_check();
        let node = &self.nodes[at];
        let Some(home) = node.home.as_ref().filter(|_| node.up) else { return };
        // What effects that were broken break is caught where it shows.
        if self.plan.sabotage.is_none() && home.len() != node.open {
            let (has, open) = (home.len(), node.open);
            return self.broken(format!("home {at} has {has} jobs, and {open} are written down and not ended"));
        }
        let sound = if deep { home.is_sound(self.now_of(at)) } else { Ok(()) };
        if let Err(why) = sound {
            self.broken(format!("home {at}: {why}"));
        }
    }

    /// Looking at all of a home costs as much as it has jobs: now and then is enough to find what stays wrong.
    fn next_deep_check(&mut self) -> bool {
        let often = (4_000 / self.jobs.len().max(200)) as u64;
        self.chance.permille(often)
    }

    /// No more guests than places, and none on a machine that its owner took back.
    pub(super) fn check_owner(&mut self, at: usize) {
        let Runner { ref running, places, paused, .. } = self.nodes[at].runner;
        let running = running.len();
        if running > if paused { 0 } else { places } {
            self.broken(format!("node {at} runs {running} guests, has {places} places, paused: {paused}"));
        }
    }

    /// A runner that comes back knows whatever it said it had.
    pub(super) fn check_promises(&mut self, at: usize) {
        let runner = &self.nodes[at].runner;
        let forgotten = runner.promised.iter().find(|key| runner.runs.state(key).is_none());
        if let Some(key) = forgotten {
            let run = key.run;
            self.broken(format!("node {at} said it had {run} and forgot it"));
        }
    }

    /// Every job has ended, and nobody keeps anything for anybody.
    pub(super) fn all_is_over(&self) -> bool {
        let ended = |node: &Node| {
            let nothing_kept = node.dead || node.runner.records.is_empty();
            nothing_kept && node.open == 0 && node.home.as_ref().is_none_or(Home::is_empty)
        };
        self.nodes.iter().all(ended) && self.jobs.iter().all(|job| job.accepted)
    }

    pub(super) fn what_is_left(&self) -> String {
        let mut text = String::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if !node.dead && !node.runner.records.is_empty() {
                text += &format!("\nnode {at} (up: {}) keeps {:?}", node.up, node.runner.records);
            }
            let Some(home) = &node.home else { continue };
            for (id, job) in node.saved.jobs.iter().filter(|(_, job)| job.end.is_none()).take(3) {
                text += &format!("\nhome {at}: {id}: {job:?}");
                for line in home.why(self.now_of(at), *id) {
                    text += &format!("\n    {line}");
                }
            }
        }
        for job in self.jobs.iter().filter(|job| !job.accepted).take(3) {
            text += &format!("\nnever accepted: {:?}", job.spec.id);
        }
        text
    }

    /// What every job came to, and what was met on the way.
    pub(super) fn report(mut self) -> Result<Report, String> {
        for job in &self.jobs {
            let end = self.nodes.iter().find_map(|node| node.saved.jobs.get(&job.spec.id)?.end.as_ref());
            self.met.met(match end {
                Some((End::Done, _)) => "done",
                Some((End::Failed(_), _)) => "failed",
                Some((End::Cancelled, _)) if job.stops_with_its_map => "cancelled by its map",
                Some((End::Cancelled, _)) => "cancelled",
                Some((End::Lost(LostWhy::NoMachine { .. }), _)) => "lost: no machine",
                Some((End::Lost(LostWhy::Vanished { .. }), _)) => "lost: vanished",
                Some((End::Lost(LostWhy::Poison { .. }), _)) => "lost: poison",
                Some((End::Lost(LostWhy::BrokenOff { .. }), _)) => "lost: broken off",
                None => return Err(format!("seed {}: {} has no end", self.plan.seed, job.spec.id)),
            });
        }
        Ok(self.met)
    }
}
