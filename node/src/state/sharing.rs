//! How much of this machine is lent now, and why. Pure: the owner's rules and what is seen of the machine go in, a decision
//! comes out. What closes closes at once; what opens again does so after a while of calm, so that nothing flaps.

pub mod ceiling;
pub mod hours;
pub mod rules;
mod sentence;

use crate::identity::NodeId;
use ceiling::{Ceiling, Seen};
use hours::{Hours, LocalTime};
use rules::{Amounts, Policy, Rules, When};

/// How long the load of others must be low before lending goes on.
pub const LOAD_CALM_S: u64 = 60;
/// How long the machine must be cool before lending goes on.
pub const HEAT_CALM_S: u64 = 30;
/// How far below its bound a temperature is cool, in degrees.
pub const HEAT_MARGIN: u32 = 5;
/// How long the machine must be on mains before lending goes on.
pub const POWER_CALM_S: u64 = 10;
/// How long the owner must count as away before lending goes on; for means that come and go.
pub const OWNER_CALM_S: u64 = 10;
/// When to ask again where nobody knows: as often as a person looks.
const ASK_AGAIN_S: u64 = 10 * 60;

/// What is seen of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Seconds of a clock that does not go back.
    pub now_s: u64,
    /// Seconds since 1970.
    pub unix_s: u64,
    /// The time where the machine stands; nothing where the system does not tell.
    pub local: Option<LocalTime>,
    /// What its owner does.
    pub owner: Owner,
    /// Whether it runs on battery.
    pub on_battery: bool,
    /// Thousandths of cores that others than our workers use.
    pub others_milli: Option<u32>,
    /// Degrees Celsius at the hottest place.
    pub temperature: Option<u32>,
}

/// What the owner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody can tell, so the owner counts as active.
    Unknown,
    /// There was no input for so many seconds.
    AwayFor(u64),
}

/// Why nothing is lent. The order is that in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The owner does not lend, or not to this peer.
    Never,
    /// The owner has paused it.
    Paused,
    /// It is not the hour.
    Hours,
    /// The machine runs on battery.
    Battery,
    /// The machine is too hot.
    Heat,
    /// Others use it.
    Load,
    /// The owner is active.
    Owner,
    /// It cannot be seen whether the owner is active.
    OwnerUnseen,
    /// For a reason of a version that this one does not know.
    Unsaid,
}

/// What has less lent than at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// The owner is active.
    Active,
    /// The machine runs on battery.
    Battery,
}

/// What is lent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Jobs and turns of peers at once, of those to whom it lends.
    pub places: u32,
    /// Those that run already and may go on: more than `places` for a grace.
    pub keeps: u32,
    /// Cores they may use; nothing said is all.
    pub cores: Option<u32>,
    /// Bytes of memory that all of them may ask for.
    pub memory_bytes: Option<u64>,
    /// Bytes of disk all peers may keep.
    pub disk_bytes: Option<u64>,
    /// Why nothing is lent to those of whom nothing else is said.
    pub closed: Option<Closed>,
    /// What has less lent than at most.
    pub situation: Option<Situation>,
    /// Whether what runs for them goes on all the same, for a grace.
    goes_on: bool,
    /// What holds for everybody whatever is said of them.
    firm: Option<Closed>,
    /// Whether the owner is away, for peers with rules of their own.
    away: Result<(), Closed>,
    /// Seconds until the owner counts as away, it is cool, and others have stopped, if nothing happens.
    opens_in: [u64; 3],
    facts: Facts,
    rules: Rules,
    settled: Policy,
}

/// What is lent to one peer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    /// Why nothing is.
    pub closed: Option<Closed>,
    /// Whether what runs for it may go on.
    pub goes_on: bool,
    /// Bytes of memory one job may ask for.
    pub job_memory_bytes: Option<u64>,
}

/// What was decided before, as far as it matters.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    owner: Ceiling,
    power: Ceiling,
    load: Ceiling,
    heat: Ceiling,
    /// Jobs that may go on.
    keeps: u32,
    /// Since when less is lent than goes on.
    less_since: Option<u64>,
    /// Since when nothing is lent.
    closed_since: Option<u64>,
}

impl Closed {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Paused => "paused",
            Self::Hours => "hours",
            Self::Battery => "battery",
            Self::Heat => "temperature",
            Self::Load => "load",
            Self::Owner => "owner_active",
            Self::OwnerUnseen => "owner_unseen",
            Self::Unsaid => "unsaid",
        }
    }

    /// The reason that a peer gives with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let all = [
            Self::Never,
            Self::Paused,
            Self::Hours,
            Self::Battery,
            Self::Heat,
            Self::Load,
            Self::Owner,
            Self::OwnerUnseen,
        ];
        all.into_iter().find(|closed| closed.word() == word).unwrap_or(Self::Unsaid)
    }

    /// Whether the owner has said so just now, so that nothing that runs goes on for a grace.
    const fn is_owners_word(self) -> bool {
        matches!(self, Self::Never | Self::Paused)
    }
}

impl Sharing {
    /// Decides by what is seen now.
    pub fn decide(&mut self, rules: &Rules, settled: Policy, facts: Facts) -> Decision {
        let now = facts.now_s;
        let active = self.owner.look(now, seen_owner(rules, &facts), OWNER_CALM_S) && rules.mind_the_owner();
        let on_battery = self.power.look(now, if facts.on_battery { Seen::Over } else { Seen::Calm }, POWER_CALM_S);
        let heat = self.heat.look(now, seen_heat(rules, &facts), HEAT_CALM_S);
        let load = self.load.look(now, seen_load(rules, &facts), LOAD_CALM_S);
        let unseen = if facts.owner == Owner::Unknown { Closed::OwnerUnseen } else { Closed::Owner };
        let away = if active { Err(unseen) } else { Ok(()) };
        let none_on_battery = rules.battery.is_empty() || rules.battery.jobs == Some(0);
        let firm = [
            (!settled.lend || rules.when == When::Never, Closed::Never),
            (is_paused(rules, &facts), Closed::Paused),
            (on_battery && none_on_battery, Closed::Battery),
            (heat, Closed::Heat),
            (load, Closed::Load),
            (active && rules.active.jobs == Some(0), unseen),
        ];
        let firm = firm.iter().find(|(holds, _)| *holds).map(|(_, closed)| *closed);
        let closed = firm.or_else(|| closed_by(rules.when, &rules.hours, &facts, away));
        let most = Amounts { jobs: Some(settled.jobs_max), ..rules.at_most };
        let less = |lent: Amounts, (holds, less): (bool, &Amounts)| if holds { lent.at_most(less) } else { lent };
        let lent = [(active, &rules.active), (on_battery, &rules.battery)].into_iter().fold(most, less);
        let situation = if active && less(most, (true, &rules.active)) != most {
            Some(Situation::Active)
        } else {
            (on_battery && lent != most).then_some(Situation::Battery)
        };
        let places = lent.jobs.unwrap_or(settled.jobs_max);
        Decision {
            places,
            keeps: self.keep(now, places, rules.grace_s()),
            cores: lent.cores,
            memory_bytes: lent.memory_bytes,
            disk_bytes: rules.disk_bytes,
            closed,
            situation: situation.filter(|_| closed.is_none()),
            goes_on: self.go_on(now, closed, rules.grace_s()),
            firm,
            away,
            opens_in: [
                owner_away_in(rules, &facts).max(self.owner.opens_in(now, OWNER_CALM_S)),
                self.heat.opens_in(now, HEAT_CALM_S),
                self.load.opens_in(now, LOAD_CALM_S),
            ],
            facts,
            rules: rules.clone(),
            settled,
        }
    }

    /// How many that run may go on.
    fn keep(&mut self, now_s: u64, places: u32, grace_s: u64) -> u32 {
        let is_over = |since: u64| now_s.saturating_sub(since) >= grace_s;
        if places >= self.keeps || is_over(*self.less_since.get_or_insert(now_s)) {
            (self.keeps, self.less_since) = (places, None);
        }
        self.keeps
    }

    /// Whether what runs may go on.
    fn go_on(&mut self, now_s: u64, closed: Option<Closed>, grace_s: u64) -> bool {
        let Some(closed) = closed else {
            self.closed_since = None;
            return true;
        };
        let since = *self.closed_since.get_or_insert(now_s);
        !closed.is_owners_word() && now_s.saturating_sub(since) < grace_s
    }
}

impl Decision {
    /// What is lent to a peer.
    #[must_use]
    pub fn of(&self, peer: &NodeId) -> Lent {
        let job_memory_bytes = self.settled.job_memory_bytes_max;
        let common = Lent { closed: self.closed, goes_on: self.goes_on, job_memory_bytes };
        let Some(own) = self.rules.of(peer) else { return common };
        let hours = own.hours.as_ref().unwrap_or(&self.rules.hours);
        let when = own.when.unwrap_or(self.rules.when);
        let closed = self.firm.or_else(|| closed_by(when, hours, &self.facts, self.away));
        let goes_on = closed.is_none() || closed == self.closed && self.goes_on;
        Lent { closed, goes_on, job_memory_bytes: own.job_memory_bytes.or(job_memory_bytes) }
    }

    /// What was seen.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The owner's rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The owner's settings.
    #[must_use]
    pub const fn settled(&self) -> Policy {
        self.settled
    }

    /// Whether the owner has paused the machine, whatever else keeps it from lending.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        is_paused(&self.rules, &self.facts)
    }

    /// In how many seconds it is worth asking again; nothing where only the owner knows.
    #[must_use]
    pub fn ask_again_s(&self, closed: Closed) -> Option<u64> {
        let [owner, heat, load] = self.opens_in;
        match closed {
            Closed::Never => None,
            Closed::Paused => {
                let until = self.rules.pause.and_then(|pause| pause.until_unix)?;
                Some(until.saturating_sub(self.facts.unix_s).max(1))
            }
            Closed::Hours => self.hours_change_in().map(|minutes| minutes * 60),
            Closed::Heat => Some(heat.max(1)),
            Closed::Load => Some(load.max(1)),
            Closed::Owner => Some(owner.max(1)),
            Closed::Battery | Closed::OwnerUnseen | Closed::Unsaid => Some(ASK_AGAIN_S),
        }
    }

    /// Minutes until the common hours begin or end.
    fn hours_change_in(&self) -> Option<u64> {
        self.rules.hours.changes_in(self.facts.local?)
    }
}

impl Amounts {
    /// No more of anything than `other` says.
    fn at_most(&self, other: &Self) -> Self {
        Self {
            jobs: least(self.jobs, other.jobs),
            cores: least(self.cores, other.cores),
            memory_bytes: least(self.memory_bytes, other.memory_bytes),
        }
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn is_paused(rules: &Rules, facts: &Facts) -> bool {
    rules.pause.is_some_and(|pause| pause.until_unix.is_none_or(|until| facts.unix_s < until))
}

/// Why nothing is lent by when and in which hours it is. A machine that does not know the time keeps no hours.
fn closed_by(when: When, hours: &Hours, facts: &Facts, away: Result<(), Closed>) -> Option<Closed> {
    let within = hours.is_any() || facts.local.is_some_and(|local| hours.cover(local));
    match when {
        When::Never => Some(Closed::Never),
        _ if !within => Some(Closed::Hours),
        When::Always => None,
        When::Idle => away.err(),
    }
}

fn owner_away_in(rules: &Rules, facts: &Facts) -> u64 {
    match facts.owner {
        Owner::Unknown => ASK_AGAIN_S,
        Owner::AwayFor(seconds) => rules.idle_after_s().saturating_sub(seconds),
    }
}

fn seen_owner(rules: &Rules, facts: &Facts) -> Seen {
    match facts.owner {
        Owner::AwayFor(seconds) if seconds >= rules.idle_after_s() => Seen::Calm,
        Owner::AwayFor(_) | Owner::Unknown => Seen::Over,
    }
}

fn seen_heat(rules: &Rules, facts: &Facts) -> Seen {
    let (Some(bound), Some(now)) = (rules.temperature_max, facts.temperature) else { return Seen::Calm };
    Seen::of(now.into(), bound.into(), bound.saturating_sub(HEAT_MARGIN).into())
}

/// Calm is three quarters of the bound.
fn seen_load(rules: &Rules, facts: &Facts) -> Seen {
    let (Some(bound), Some(now)) = (rules.load_max_milli, facts.others_milli) else { return Seen::Calm };
    Seen::of(now.into(), bound.into(), u64::from(bound) * 3 / 4)
}

#[cfg(test)]
mod tests;
