//! Whether a home is of one mind with itself; costs as much as it has jobs, so only tests ask.

use super::{Home, LEASE_MS, SWEEP_MS};
use crate::state::now::Now;

impl Home {
    /// What is wrong with it, if anything is.
    pub(in crate::state) fn is_sound(&self, now: Now) -> Result<(), String> {
        let (mut waiting, mut runs) = (0, 0);
        for (index, job) in self.jobs.iter() {
            let id = job.spec.id;
            waiting += usize::from(job.waits.is_some());
            runs += job.runs.len();
            for run in &job.runs {
                let machine = self.machines.find(run.place).map(|number| &self.machines[number]);
                let machine = machine.ok_or_else(|| format!("{id} has a run at nobody: {run:?}"))?;
                if !run.suspect && machine.silent_ms(now.mono) > LEASE_MS + 2 * SWEEP_MS {
                    return Err(format!("{id} is left with {}, whose lease is over", machine.name()));
                }
                if !machine.runs.contains(&(index, run.attempt)) || machine.suspect != run.suspect {
                    return Err(format!("{id} and {} disagree about {run:?}", machine.name()));
                }
            }
            let last_hope = !job.may_run_again() && !job.runs.is_empty();
            if job.waits.is_none() && !job.runs_somewhere() && !last_hope {
                return Err(format!("{id} neither waits nor runs: {job:?}"));
            }
            if job.waits.is_some() && job.runs_somewhere() {
                return Err(format!("{id} waits and runs: {job:?}"));
            }
        }
        if waiting != self.lanes.waiting() {
            return Err(format!("{waiting} jobs wait, and {} are in lanes", self.lanes.waiting()));
        }
        let with_machines: usize = self.machines.numbers().map(|number| self.machines[number].runs.len()).sum();
        if runs != with_machines {
            return Err(format!("jobs have {runs} runs, and machines {with_machines}"));
        }
        for number in self.machines.numbers() {
            let machine = &self.machines[number];
            if machine.hold.as_ref().is_some_and(|(until, _)| until.since(now.mono) > 3_600_000) {
                return Err(format!("{} is left alone for too long", machine.name()));
            }
        }
        Ok(())
    }
}
