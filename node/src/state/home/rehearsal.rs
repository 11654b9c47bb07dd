//! What would become of a job, were it given now: it is put among the others, looked at, and taken out again. Nothing is
//! written down, told or started for it, and no other job is treated differently because of it.

use super::Home;
use super::reasons::Line;
use super::spec::JobSpec;
use crate::state::now::Now;
use crate::state::placement::fit::Reason;
use std::sync::Arc;

/// What would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The label of the machine it would go to; none when it would wait.
    pub goes_to: Option<String>,
    /// The machines that would not take it now, and why.
    pub lines: Vec<Line>,
}

impl Home {
    /// Where this job would go, by what decides when it is given. One that is here already is told of as it stands.
    #[must_use]
    pub fn rehearse(&mut self, now: Now, spec: JobSpec) -> Rehearsal {
        self.machines.end_holds(now.mono);
        let id = spec.id;
        if self.has(id) {
            return Rehearsal { goes_to: None, lines: self.why(now, id) };
        }
        // What is refused for want of room is refused when it is given; here it takes room for a moment.
        let belongs = self.belongs(now, &spec, None, usize::MAX).expect("without a bound nothing is refused");
        let index = self.add(Arc::new(spec), &belongs);
        let goes_to = self.best(index).map(|machine| self.machines[machine].name());
        let mut lines = self.why(now, id);
        lines.retain(|line| line.reason != Reason::NotItsTurn);
        if let Some(job) = self.jobs.remove(index) {
            self.classes.leave(job.class);
            self.lanes.leave(job.submitter);
        }
        Rehearsal { goes_to, lines }
    }
}
