//! What is on the screen, and what a key makes of it. Pure: sights and keys go in, what is to be done comes out.

use crate::standing::Standing;
use potluck_node::wire::{JobHere, PeerList, SharingNow};
use potluck_runtime::GuestProgress;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::collections::HashMap;
use std::time::Instant;

/// What the node said at one time.
pub(super) struct Sight {
    pub(super) at: Instant,
    pub(super) list: PeerList,
    pub(super) jobs: Vec<JobHere>,
    pub(super) home: HomeNow,
    pub(super) sharing: SharingNow,
}

/// This machine's own queue: what was given with `run -d` and `map` and has not ended, wherever it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct HomeNow {
    pub(super) count: u64,
    pub(super) waiting: u64,
    /// The first of those that machines have.
    pub(super) with_machines: Vec<HomeJob>,
}

/// A job of this machine's queue that a machine has.
#[derive(Clone, Debug)]
pub(super) struct HomeJob {
    pub(super) id: String,
    /// The beginning of its id that is its alone.
    pub(super) short: String,
    pub(super) program: String,
    pub(super) standing: Standing,
    pub(super) place: Option<String>,
    pub(super) attempt: u32,
    /// What its guest has said last of how far it is.
    pub(super) progress: Option<GuestProgress>,
}

/// What is shown.
pub(super) struct Screen {
    sight: Sight,
    /// Thousandths of a core that each job's worker used between the last two sights.
    cores_milli: HashMap<u64, u64>,
    /// The job that is chosen, by number.
    chosen: Option<u64>,
    question: Option<Question>,
    /// What went wrong last.
    said: Option<String>,
}

/// What is to be answered with y or n.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    number: u64,
    text: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    Look,
    Quit,
    Pause,
    Resume,
    End(u64),
}

impl Screen {
    pub(super) fn new(sight: Sight) -> Self {
        let chosen = sight.jobs.first().map(|job| job.number);
        Self { sight, cores_milli: HashMap::new(), chosen, question: None, said: None }
    }

    pub(super) const fn sight(&self) -> &Sight {
        &self.sight
    }

    /// What is seen now.
    pub(super) fn see(&mut self, sight: Sight) {
        let elapsed_ms = u64::try_from(sight.at.duration_since(self.sight.at).as_millis()).unwrap_or(u64::MAX).max(1);
        let before: HashMap<u64, u64> =
            self.sight.jobs.iter().filter_map(|job| Some((job.number, job.cpu_ms?))).collect();
        let used = |job: &JobHere| Some((job.number, job.cpu_ms?.saturating_sub(*before.get(&job.number)?)));
        self.cores_milli =
            sight.jobs.iter().filter_map(used).map(|(number, ms)| (number, ms * 1000 / elapsed_ms)).collect();
        let row = self.row().unwrap_or(0);
        self.sight = sight;
        let is_here = |number: &u64| self.sight.jobs.iter().any(|job| job.number == *number);
        if !self.chosen.as_ref().is_some_and(is_here) {
            let last = self.sight.jobs.len().saturating_sub(1);
            self.chosen = self.sight.jobs.get(row.min(last)).map(|job| job.number);
        }
        if !self.question.as_ref().is_some_and(|question| is_here(&question.number)) {
            self.question = None;
        }
    }

    /// What went wrong, if anything.
    pub(super) fn say(&mut self, said: Option<String>) {
        self.said = said;
    }

    /// The last line.
    pub(super) fn footer(&self) -> String {
        match (&self.question, &self.said) {
            (Some(question), _) => format!("{} (y/n)", question.text),
            (None, Some(said)) => said.clone(),
            (None, None) => format!(
                "q quits  p {}  arrows choose  k ends the job",
                if self.is_paused() { "resumes" } else { "pauses" }
            ),
        }
    }

    /// Thousandths of a core that a job uses.
    pub(super) fn cores_milli(&self, number: u64) -> Option<u64> {
        self.cores_milli.get(&number).copied()
    }

    /// The row of the job that is chosen.
    pub(super) fn row(&self) -> Option<usize> {
        self.sight.jobs.iter().position(|job| Some(job.number) == self.chosen)
    }

    /// What a key, or a change of size, asks for.
    pub(super) fn take(&mut self, event: &Event) -> Asked {
        let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) = event
        else {
            return Asked::Nothing;
        };
        let question = self.question.take();
        if *code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL) {
            return Asked::Quit;
        }
        if let Some(question) = question {
            return if *code == KeyCode::Char('y') { Asked::End(question.number) } else { Asked::Nothing };
        }
        self.said = None;
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Asked::Quit,
            KeyCode::Char('p') => return if self.is_paused() { Asked::Resume } else { Asked::Pause },
            KeyCode::Char('k') => self.ask(),
            KeyCode::Down => self.choose(|row| row + 1),
            KeyCode::Up => self.choose(|row| row.saturating_sub(1)),
            _ => {}
        }
        Asked::Nothing
    }

    fn is_paused(&self) -> bool {
        self.sight.sharing.lends.closed.as_deref() == Some("paused")
    }

    fn ask(&mut self) {
        let job = self.row().and_then(|row| self.sight.jobs.get(row));
        self.question =
            job.map(|job| Question { number: job.number, text: format!("end {} of {}?", job.what, job.who) });
    }

    fn choose(&mut self, step: impl FnOnce(usize) -> usize) {
        let last = self.sight.jobs.len().saturating_sub(1);
        let row = self.row().map_or(0, step).min(last);
        self.chosen = self.sight.jobs.get(row).map(|job| job.number);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use potluck_node::identity::NodeId;
    use potluck_node::wire::{Gpu, JobId, JobState, Lends, NodeInfo, PeerState};
    use std::time::Duration;

    pub(in crate::commands::top) fn job(number: u64, who: &str, cpu_ms: u64) -> JobHere {
        JobHere {
            number,
            job: JobId([1; 16]),
            peer: Some(NodeId::from_bytes([2; 32])),
            who: who.into(),
            what: format!("job{number}.py"),
            state: JobState::Running,
            since_unix: 0,
            memory_bytes_max: 1 << 30,
            fuel_max: 1,
            wall_ms_max: 1,
            cpu_ms: Some(cpu_ms),
            memory_bytes: Some(60 << 20),
            progress: None,
        }
    }

    fn info(name: &str, lends: Lends) -> NodeInfo {
        NodeInfo {
            id: NodeId::from_bytes([3; 32]),
            name: name.into(),
            version: String::new(),
            engine: String::new(),
            os: String::new(),
            arch: String::new(),
            cores: 8,
            memory_bytes: 16 << 30,
            memory_free_bytes: 4 << 30,
            load_milli: 1250,
            gpus: vec![],
            jobs_running: 2,
            environments: vec![],
            addresses: vec![],
            instance: 1,
            walls_missing: None,
            lends: Some(lends),
            tags: vec![],
            docker: None,
            gpu_details: vec![Gpu { memory_bytes: Some(12 << 30), ..Gpu::named("RTX 3060") }],
        }
    }

    pub(in crate::commands::top) fn sight(at: Instant, jobs: Vec<JobHere>, closed: Option<&str>) -> Sight {
        let lends =
            Lends { places: 4, closed: closed.map(Into::into), text: "lends 4 of 8 cores".into(), again_s: None };
        let peer = PeerState {
            id: NodeId::from_bytes([4; 32]),
            name: "desk".into(),
            address: None,
            online: true,
            last_seen_ms: Some(0),
            info: Some(info("desk", Lends { closed: Some("owner_active".into()), ..Lends::default() })),
            remarks: vec![],
        };
        let me = info("attic", lends.clone());
        let list = PeerList { me, peers: vec![peer], pending: vec![], revoked: vec![], remarks: vec![] };
        let job = HomeJob {
            id: "7f3a".repeat(8),
            short: "7f3a7f".into(),
            program: "far.py".into(),
            standing: Standing::Runs("desk".into()),
            place: Some("desk".into()),
            attempt: 1,
            progress: None,
        };
        let home = HomeNow { count: 61, waiting: 60, with_machines: vec![job] };
        Sight { at, list, jobs, home, sharing: SharingNow { lends, ..SharingNow::default() } }
    }

    fn key(code: KeyCode) -> Event {
        Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn the_choice_stays_on_its_job_and_moves_within_the_list() {
        let start = Instant::now();
        let mut screen = Screen::new(sight(start, vec![job(1, "ann", 0), job(2, "bob", 0), job(3, "eve", 0)], None));
        for (code, row) in [(KeyCode::Up, 0), (KeyCode::Down, 1), (KeyCode::Down, 2), (KeyCode::Down, 2)] {
            assert_eq!((screen.take(&key(code)), screen.row()), (Asked::Nothing, Some(row)));
        }
        screen.see(sight(start, vec![job(2, "bob", 0), job(3, "eve", 0)], None));
        assert_eq!(screen.row(), Some(1));
        screen.see(sight(start, vec![job(2, "bob", 0)], None));
        assert_eq!(screen.row(), Some(0));
        screen.see(sight(start, vec![], None));
        assert_eq!(
            (screen.row(), screen.take(&key(KeyCode::Down)), screen.take(&key(KeyCode::Char('k')))),
            (None, Asked::Nothing, Asked::Nothing)
        );
        assert!(screen.footer().contains("q quits"));
    }

    #[test]
    fn a_job_ends_after_a_yes_alone_and_a_question_about_one_that_is_gone_is_not_asked() {
        let start = Instant::now();
        let mut screen = Screen::new(sight(start, vec![job(7, "ann", 0)], None));
        assert_eq!(screen.take(&key(KeyCode::Char('k'))), Asked::Nothing);
        assert!(screen.footer().contains("end job7.py of ann? (y/n)"), "{}", screen.footer());
        assert_eq!(
            (screen.take(&key(KeyCode::Char('n'))), screen.take(&key(KeyCode::Char('y')))),
            (Asked::Nothing, Asked::Nothing)
        );
        screen.take(&key(KeyCode::Char('k')));
        assert_eq!(screen.take(&key(KeyCode::Char('y'))), Asked::End(7));
        screen.take(&key(KeyCode::Char('k')));
        screen.see(sight(start, vec![job(8, "ann", 0)], None));
        assert_eq!(screen.take(&key(KeyCode::Char('y'))), Asked::Nothing);
        let control_c = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        screen.take(&key(KeyCode::Char('k')));
        assert_eq!((screen.take(&control_c), screen.take(&key(KeyCode::Char('q')))), (Asked::Quit, Asked::Quit));
    }

    #[test]
    fn p_pauses_and_resumes_and_use_is_what_was_used_between_two_looks() {
        let start = Instant::now();
        let mut screen = Screen::new(sight(start, vec![job(1, "ann", 1000)], None));
        assert_eq!((screen.take(&key(KeyCode::Char('p'))), screen.cores_milli(1)), (Asked::Pause, None));
        screen.see(sight(start + Duration::from_secs(2), vec![job(1, "ann", 2000), job(2, "bob", 9)], Some("paused")));
        assert_eq!(
            (screen.take(&key(KeyCode::Char('p'))), screen.cores_milli(1), screen.cores_milli(2)),
            (Asked::Resume, Some(500), None)
        );
        screen.say(Some("it failed".into()));
        assert_eq!(screen.footer(), "it failed");
        assert_eq!(
            (screen.take(&Event::Resize(1, 1)), screen.take(&key(KeyCode::Char('x')))),
            (Asked::Nothing, Asked::Nothing)
        );
        assert!(screen.footer().contains("p resumes"));
    }
}
