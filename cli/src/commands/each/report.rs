//! What became of the program on each machine: a line for people, an object for programs.

use super::{EachArgs, Machine, Over};
use crate::capture::{Capture, PrintedObject};
use crate::commands::run;
use crate::exit;
use crate::guest_words::OwnJson;
use crate::outcome::{self, OutcomeObject};
use crate::render::{self, say, tame};
use potluck_node::wire::Ended;
use potluck_runtime::Outcome;
use serde::Serialize;

/// The program on one machine.
pub(super) struct Report {
    machine: String,
    id: String,
    /// None as long as it is not over, or when it was cancelled before it began.
    end: Option<Result<Ended, String>>,
    exit_code: u8,
    pub(super) capture: Capture,
}

/// The object of one machine.
#[derive(Serialize)]
struct MachineObject<'a> {
    machine: &'a str,
    id: &'a str,
    outcome: OutcomeObject,
    exit_code: u8,
    fuel_used: u64,
    wall_ms: u64,
    memory_peak_bytes: u64,
    #[serde(flatten)]
    printed: PrintedObject,
    /// What the program says it has come to.
    result: Option<OwnJson>,
}

impl Report {
    /// Nothing is known yet.
    pub(super) fn new(machine: &Machine) -> Self {
        let (machine, id) = (machine.name.clone(), machine.id.clone());
        Self { machine, id, end: None, exit_code: exit::CANCELLED, capture: Capture::default() }
    }

    /// It is over there.
    pub(super) fn over(&mut self, over: Over) {
        match over {
            Over::Ended(ended) => {
                self.exit_code = exit::code_of_outcome(&ended.report.outcome);
                self.end = Some(Ok(ended));
            }
            Over::Failed(error) => {
                self.exit_code = run::trouble(&error).code();
                self.end = Some(Err(render::sentence(&anyhow::Error::new(error))));
            }
            Over::Cancelled => {}
        }
    }

    /// Whether it ended with 0.
    pub(super) fn is_good(&self) -> bool {
        self.exit_code == exit::SUCCESS
    }

    /// How it ended, in a sentence.
    fn sentence(&self) -> String {
        match &self.end {
            None => "the job was cancelled".to_owned(),
            Some(Err(why)) => why.clone(),
            Some(Ok(Ended { report, .. })) => match &report.outcome {
                Outcome::Exited(code) => format!("ended with {code}"),
                outcome => outcome::explanation(outcome).unwrap_or_default(),
            },
        }
    }

    fn object(&self) -> MachineObject<'_> {
        let ended = self.end.as_ref().and_then(|end| end.as_ref().ok());
        let report = ended.map(|ended| &ended.report);
        MachineObject {
            machine: &self.machine,
            id: &self.id,
            outcome: report
                .map_or_else(|| OutcomeObject::Failed { why: self.sentence() }, |report| report.outcome.clone().into()),
            exit_code: self.exit_code,
            fuel_used: report.map_or(0, |report| report.fuel_used),
            wall_ms: report.map_or(0, |report| report.wall_ms),
            memory_peak_bytes: report.map_or(0, |report| report.memory_peak_bytes),
            printed: PrintedObject::from(&self.capture),
            result: ended.and_then(|ended| ended.result.as_ref()).map(OwnJson::from),
        }
    }
}

/// Prints the objects, or says where it failed.
pub(super) fn show(reports: &[Report], args: &EachArgs) -> anyhow::Result<()> {
    if args.json {
        return render::print_json(&reports.iter().map(Report::object).collect::<Vec<_>>());
    }
    let failed = reports.iter().filter(|report| !report.is_good());
    for report in failed {
        say(&format!("{}: {}", report.machine, tame(&report.sentence())));
    }
    if !args.quiet {
        let good = reports.iter().filter(|report| report.is_good()).count();
        say(&format!("done on {good} of {} machines", reports.len()));
    }
    Ok(())
}
