//! The world: nodes, the messages between them, and time, which goes from one thing that happens to the next.

use super::chance::Chance;
use super::network::{Ask, Link, Message};
use super::plan::{Plan, SimJob, Submission, node_id, work};
use super::runner::Runner;
use super::{Report, faults::Fault};
use crate::state::home::Home;
use crate::state::home::run::RunId;
use crate::state::home::saved::Saved;
use crate::state::home::words::{Effect, Event};
use crate::state::now::{Mono, Now, Wall};
use crate::state::placement::machine::{Lends, MachineFacts};
use crate::state::placement::{Engine, Place};
use crate::state::runs::{Key, Runs};
use crate::wire::JobId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Where the world's time is on the nodes' clocks, before they are wrong.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// How long after the last fault everything may take: runs at a machine that never comes back are waited for, and what is
/// done then may be slow.
const CALM_MS: u64 = 45 * 60_000;
/// How often a node looks at its links.
const LINKS_MS: u64 = 1_000;
/// How often a runner looks at its clock.
const RUNNERS_MS: u64 = 20_000;

/// What happens at some time.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A message arrives, if both ends are still those between which it was sent.
    Deliver {
        from: (usize, u64),
        to: (usize, u64),
        message: Message,
    },
    Wake {
        at: usize,
        boot: u64,
    },
    Links {
        at: usize,
        boot: u64,
    },
    Finish {
        at: usize,
        boot: u64,
        key: Key,
    },
    Submit(usize),
    Fault(Fault),
    /// All runners look at their clocks.
    RunnersTick,
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) up: bool,
    /// It never comes back.
    pub(super) dead: bool,
    pub(super) boot: u64,
    pub(super) booted_at: u64,
    pub(super) clock_ms: i64,
    pub(super) os: &'static str,
    pub(super) fast: bool,
    pub(super) cores: u32,
    pub(super) home: Option<Home>,
    /// What outlives a crash.
    pub(super) saved: Saved,
    /// Of that, jobs that have not ended.
    pub(super) open: usize,
    pub(super) links: Vec<Link>,
    pub(super) runner: Runner,
}

/// All there is.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) chance: Chance,
    pub(super) now: u64,
    pub(super) stormy: bool,
    pub(super) nodes: Vec<Node>,
    pub(super) jobs: Vec<SimJob>,
    pub(super) by_id: HashMap<JobId, usize>,
    pub(super) submissions: Vec<Submission>,
    /// Groups that are cut off from all others, until some time.
    pub(super) cuts: Vec<(BTreeSet<usize>, u64)>,
    /// Guests that were started.
    pub(super) begun: HashSet<(usize, Key)>,
    /// Guests that ended by themselves.
    pub(super) ended: HashSet<RunId>,
    /// Where each run was sent first.
    pub(super) started: HashMap<RunId, (usize, Place)>,
    pub(super) met: Report,
    steps: BTreeMap<(u64, u64), Step>,
    next_step: u64,
    failed: Option<String>,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        // Each has a stream of its own, so that fewer of one kind leave the others as they were.
        let stream = |number: u64| Chance::new(plan.seed.wrapping_mul(8) + number);
        let (jobs, submissions) = work(&plan, &mut stream(1));
        let homes = plan.homes();
        let mut by_chance = stream(2);
        let nodes: Vec<Node> = (0..plan.nodes).map(|index| node(&plan, &mut by_chance, index, homes)).collect();
        let (faults, chance) = (stream(3), stream(4));
        let by_id = jobs.iter().enumerate().map(|(index, job)| (job.spec.id, index)).collect();
        let mut world = Self {
            plan,
            chance,
            now: 0,
            stormy: true,
            nodes,
            jobs,
            by_id,
            submissions,
            cuts: Vec::new(),
            begun: HashSet::new(),
            ended: HashSet::new(),
            started: HashMap::new(),
            met: Report::default(),
            steps: BTreeMap::new(),
            next_step: 0,
            failed: None,
        };
        for index in 0..world.submissions.len() {
            world.later(world.submissions[index].at, Step::Submit(index));
        }
        world.plan_faults(faults);
        world.later(RUNNERS_MS, Step::RunnersTick);
        (0..homes).for_each(|at| world.later(0, Step::Links { at, boot: 0 }));
        world
    }

    /// Lets everything happen; an error says what was broken first.
    pub(super) fn run(mut self) -> Result<Report, String> {
        while let Some(((at, _), step)) = self.steps.pop_first() {
            if self.stormy && at >= self.plan.storm_ms {
                self.stormy = false;
                self.calm_down();
            }
            self.now = at;
            self.met.met("steps");
            let home = matches!(step, Step::Links { .. });
            self.happens(step);
            if let Some(why) = self.failed {
                return Err(format!("seed {} at {at} ms: {why}", self.plan.seed));
            }
            if !self.stormy && home && self.all_is_over() {
                return self.report();
            }
            if at > self.plan.storm_ms + CALM_MS {
                return Err(format!("seed {} is stuck: {}", self.plan.seed, self.what_is_left()));
            }
        }
        Err("nothing happens any more".to_owned())
    }

    fn happens(&mut self, step: Step) {
        match step {
            Step::Deliver { from, to, message } => self.deliver(from, to, message),
            Step::Wake { at, boot } => {
                if self.nodes[at].up && self.nodes[at].boot == boot {
                    self.home_event(at, Event::Tick);
                }
            }
            Step::Links { at, boot } => {
                if self.nodes[at].up && self.nodes[at].boot == boot {
                    self.look_at_links(at);
                    self.later(LINKS_MS, Step::Links { at, boot });
                }
            }
            Step::Finish { at, boot, key } => self.finishes(at, boot, key),
            Step::Submit(index) => self.submit(index),
            Step::Fault(fault) => self.fault(fault),
            Step::RunnersTick => {
                (0..self.nodes.len()).for_each(|at| self.runner_event(at, crate::state::runs::Event::Tick));
                self.later(RUNNERS_MS, Step::RunnersTick);
            }
        }
    }

    pub(super) fn later(&mut self, ms: u64, step: Step) {
        self.next_step += 1;
        self.steps.insert((self.now + ms, self.next_step), step);
    }

    pub(super) fn broken(&mut self, why: String) {
        self.failed.get_or_insert(why);
    }

    /// Whether nothing more is to be performed there: it has crashed, or all is over.
    pub(super) fn is_over(&mut self, at: usize) -> bool {
        let crashes = self.stormy && self.nodes[at].up && self.chance.permille(self.plan.crash_permille);
        if crashes {
            self.crash(at, None);
        }
        !self.nodes[at].up || self.failed.is_some()
    }

    pub(super) fn job(&self, id: JobId) -> &SimJob {
        &self.jobs[self.by_id[&id]]
    }

    pub(super) fn now_of(&self, at: usize) -> Now {
        let node = &self.nodes[at];
        let wall = (EPOCH_MS + self.now).saturating_add_signed(node.clock_ms);
        Now { mono: Mono(self.now - node.booted_at), wall: Wall(wall) }
    }

    pub(super) fn home_event(&mut self, at: usize, event: Event) {
        let now = self.now_of(at);
        let node = &mut self.nodes[at];
        let Some(home) = node.home.as_mut().filter(|_| node.up) else { return };
        let effects = home.handle(now, event);
        self.perform_home(at, effects);
        self.check_home(at);
    }

    pub(super) fn perform_home(&mut self, at: usize, effects: Vec<Effect>) {
        let effects = match self.plan.sabotage {
            Some(sabotage) => sabotage.of_home(effects),
            None => effects,
        };
        for effect in effects {
            self.perform_at_home(at, effect);
            if self.is_over(at) {
                return;
            }
        }
    }

    fn perform_at_home(&mut self, at: usize, effect: Effect) {
        let ask = |place: Place, ask: Ask| (Self::place_index(at, place), Message::ToRunner(ask));
        match &effect {
            Effect::Attach { .. } => self.met.met("attach"),
            Effect::Withdraw { .. } => self.met.met("withdraw"),
            _ => {}
        }
        let (to, message) = match effect {
            Effect::Persist(record) => return self.persist(at, record),
            Effect::Accepted { jobs } => return self.accepted(at, &jobs),
            Effect::NotAccepted { why, .. } => return self.broken(format!("jobs were refused: {why}")),
            Effect::Tell { job, news } => return self.told(at, job, &news),
            Effect::WakeAt(mono) => {
                let (at_ms, boot) = (self.nodes[at].booted_at + mono.0, self.nodes[at].boot);
                return self.later(at_ms.saturating_sub(self.now), Step::Wake { at, boot });
            }
            Effect::Start { place, run, .. } => {
                self.check_start(at, place, run);
                ask(place, Ask::Start(run))
            }
            Effect::Attach { place, ask: number } => ask(place, Ask::Attach(number)),
            Effect::Collect { place, run } => ask(place, Ask::Collect(run)),
            Effect::Withdraw { place, run } => ask(place, Ask::Withdraw(run)),
            Effect::Release { place, run } => ask(place, Ask::Release(run)),
        };
        self.send(at, to, message);
    }

    /// What the book knows is answered from the book; the others are given to the home until it says that it has them.
    fn submit(&mut self, index: usize) {
        let Submission { home: at, batch, jobs, .. } = self.submissions[index].clone();
        if self.nodes[at].up {
            let wall = self.now_of(at).wall;
            let mut given = Vec::new();
            for id in &jobs {
                let job = self.by_id[id];
                if self.nodes[at].saved.jobs.contains_key(id) {
                    self.jobs[job].accepted = true;
                } else if !self.jobs[job].accepted {
                    self.jobs[job].spec.submitted = wall;
                    given.push(self.jobs[job].spec.clone());
                }
            }
            if !given.is_empty() {
                self.home_event(at, Event::Submitted { batch, jobs: given });
            }
        }
        if jobs.iter().any(|id| !self.job(*id).accepted) {
            self.later(2_000, Step::Submit(index));
        }
    }

    pub(super) fn facts(&self, at: usize, other: usize) -> MachineFacts {
        let node = &self.nodes[other];
        let tag = |text: &str| text.parse().expect("it is a word");
        MachineFacts {
            place: Self::home_place(at, other),
            name: format!("node{other}"),
            os: Some(tag(node.os)),
            arch: Some(tag("x86_64")),
            cores: node.cores,
            memory_bytes: 8 << 30,
            memory_free_bytes: 4 << 30,
            load_milli: 0,
            gpus: Vec::new(),
            docker: None,
            tags: node.fast.then(|| tag("fast")).into_iter().collect(),
            engine: Engine::Fit,
            lends: if node.runner.paused { Lends::Not("paused".to_owned()) } else { Lends::Now },
            places: u32::try_from(node.runner.places).expect("there are few places"),
            round_trip_ms: 4,
        }
    }
}

fn node(plan: &Plan, chance: &mut Chance, index: usize, homes: usize) -> Node {
    let cores = u32::try_from(chance.between(2, 8)).expect("it is small");
    let places = usize::try_from(chance.between(1, u64::from(cores))).expect("it is small");
    let hours = chance.between(0, 20);
    let clock_ms = i64::try_from(hours * 3_600_000).expect("it is small") - 10 * 3_600_000;
    debug_assert_eq!(super::plan::node_index(&node_id(index)), index);
    let mut node = Node {
        up: true,
        dead: false,
        boot: 0,
        booted_at: 0,
        clock_ms,
        // The first two are of each kind, so that every job fits somewhere that comes back.
        os: if index % 5 == 1 { "macos" } else { "linux" },
        fast: index == 0 || chance.permille(300),
        cores,
        home: None,
        saved: Saved::default(),
        open: 0,
        links: vec![Link::default(); plan.nodes],
        runner: Runner { runs: Runs::default(), places, ..Runner::default() },
    };
    if index < homes {
        node.home = Some(Home::new(Now { mono: Mono(0), wall: Wall(EPOCH_MS.saturating_add_signed(clock_ms)) }));
    }
    node
}
