//! Which of several machines that may run a job should: the one where it is expected to end first, after what its submitter
//! prefers and what the owner of this machine keeps for themself.

use super::Place;
use super::machine::MachineFacts;

/// Bytes a link carries in a millisecond: half of what a gigabit does, because it is shared.
const BYTES_PER_MS: u64 = 64 << 10;

/// Places of this machine that stay for its owner's own work while another machine has one.
const HERE_KEPT: u32 = 1;

/// What is known of a machine besides what it says.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'a> {
    /// What it says.
    pub machine: &'a MachineFacts,
    /// Runs of this home that are with it.
    pub bound: u32,
    /// Fuel it gets through in a millisecond, as measured; none before the first run.
    pub speed: Option<u64>,
    /// Bytes of the job that it has not got.
    pub missing_bytes: u64,
    /// Whether the submitter prefers it.
    pub preferred: bool,
}

/// What is known of the job.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How long jobs like it run, in milliseconds.
    pub task_ms: u64,
    /// The speed that was measured by.
    pub speed: Option<u64>,
}

/// The rank of a bid; the least is chosen. Equal knowledge gives equal choices: the last word has the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It would wait there behind others.
    waits: bool,
    not_preferred: bool,
    /// 0 here with room to spare, 1 at a peer, 2 here without.
    whose: u8,
    expected_ms: u64,
    bound: u32,
    place: Place,
}

/// Ranks one machine for a job.
#[must_use]
pub fn rank(bid: &Bid<'_>, work: Work) -> Rank {
    let machine = bid.machine;
    let room = bid.bound + HERE_KEPT < machine.places;
    let whose = match machine.place {
        Place::Here if room => 0,
        Place::Peer(_) => 1,
        Place::Here => 2,
    };
    Rank {
        waits: bid.bound >= machine.places,
        not_preferred: !bid.preferred,
        whose,
        expected_ms: expected_ms(bid, work),
        bound: bid.bound,
        place: machine.place,
    }
}

/// How long the job is expected to take there, in milliseconds.
fn expected_ms(bid: &Bid<'_>, work: Work) -> u64 {
    let travel = bid.missing_bytes / BYTES_PER_MS + u64::from(bid.machine.round_trip_ms);
    let run = match (bid.speed, work.speed) {
        (Some(speed), Some(norm)) if speed > 0 => scaled(work.task_ms, norm, speed),
        _ => work.task_ms,
    };
    // What else runs there slows it by as much as there are more at work than cores, itself included.
    let cores = u64::from(bid.machine.cores.max(1)) * 1000;
    let at_work = u64::from(bid.machine.load_milli).max(u64::from(bid.bound) * 1000) + 1000;
    travel.saturating_add(scaled(run, at_work.max(cores), cores))
}

fn scaled(value: u64, by: u64, over: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(by) / u128::from(over.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
