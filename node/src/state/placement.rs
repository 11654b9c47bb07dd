//! Where a job goes when its submitter said `any`. Pure: what is known of each machine goes in, a choice comes out with
//! the reason why each of the others was not chosen.
//!
//! This machine is preferred while it has a core to spare, because nothing needs to travel; then the online peer with
//! the most free cores, then the most free memory, then the smallest id, so that equal knowledge gives an equal choice.

use super::containers::{Image, Lacks, Offer, lacks};
use crate::identity::NodeId;
use crate::state::sharing::Closed;
use gpu::GpuFacts;
use serde::{Deserialize, Serialize};
use std::fmt;

pub mod machine;

pub mod fit;

pub mod gpu;

pub mod score;

/// What placement knows of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which machine.
    pub place: Place,
    /// Its label.
    pub name: String,
    /// Whether it can be reached now.
    pub online: bool,
    /// What it said of itself; without it, it is not chosen.
    pub capacity: Option<Capacity>,
    /// Whether its engine is known to be unsafe.
    pub engine: Engine,
    /// Why it lends nothing now, if it says so.
    pub closed: Option<Closed>,
    /// What it offers of containers.
    pub docker: Option<Offer>,
    /// Its graphics processors.
    pub gpus: Vec<GpuFacts>,
}

/// What is known of a machine's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Nothing bad.
    Fit,
    /// It is on the list of those that are unsafe.
    Unsafe,
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// The one the submitter sits at.
    Here,
    /// A peer.
    Peer(NodeId),
}

/// What a machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Logical cores.
    pub cores: u32,
    /// Load average over one minute, in thousandths.
    pub load_milli: u32,
    /// Jobs running now.
    pub jobs_running: u32,
    /// Memory free for use, in bytes.
    pub memory_free_bytes: u64,
}

impl Capacity {
    /// Cores nobody uses, in thousandths: by its load or by its jobs, whichever says less.
    fn free_milli(&self) -> u64 {
        let busy = u64::from(self.load_milli).max(u64::from(self.jobs_running) * 1000);
        (u64::from(self.cores) * 1000).saturating_sub(busy)
    }
}

/// What the job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Memory it may use, in bytes.
    pub memory_bytes: u64,
    /// The image of its container, where it runs in one.
    pub container: Option<Image>,
    /// How many graphics processors it is given.
    pub gpus: u32,
}

/// Why a machine was not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotChosen {
    /// It cannot be reached.
    Offline,
    /// Its engine is known to be unsafe.
    UnsafeEngine,
    /// It lends nothing now.
    NotLending(Closed),
    /// It runs no container of the job's image.
    Container(Lacks),
    /// It has too few graphics processors, or gives them to no job.
    Gpu(fit::Reason),
    /// It has not said what it has.
    Unknown,
    /// All its cores are in use.
    Busy,
    /// Too little memory is free.
    Memory {
        /// How much is free, in bytes.
        free: u64,
        /// How much the job may use, in bytes.
        needed: u64,
    },
    /// Another fits better.
    OtherFitsBetter,
}

impl fmt::Display for NotChosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("cannot be reached"),
            Self::UnsafeEngine => f.write_str("its engine is known to be unsafe (`potluck peers` says more)"),
            Self::NotLending(closed) => write!(f, "lends nothing now, because {closed}"),
            Self::Container(lacks) => write!(f, "{lacks}; {}", lacks.change()),
            Self::Gpu(reason) => f.write_str(&reason.with_change()),
            Self::Unknown => f.write_str("has not said what it has"),
            Self::Busy => f.write_str("all its cores are in use"),
            Self::Memory { free, needed } => {
                write!(f, "has {} MiB of memory free and the job may use {} MiB", free >> 20, needed >> 20)
            }
            Self::OtherFitsBetter => f.write_str("another machine fits better"),
        }
    }
}

/// A choice, and why not the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The machines in the order they are to be tried; empty only when the job wants a container that none of them runs.
    pub order: Vec<Place>,
    /// Every machine that is not the first choice, with the reason.
    pub not_chosen: Vec<(Candidate, NotChosen)>,
}

/// Chooses. When every machine is busy or short of memory, this machine is used all the same: it can wait for itself,
/// and its owner asked. A job in a container goes then to one that would run it if it had room; none is chosen when no machine
/// ever would.
#[must_use]
pub fn place(candidates: &[Candidate], needs: &Needs) -> Placement {
    let mut fitting: Vec<&Candidate> = candidates.iter().filter(|c| obstacle(c, needs).is_none()).collect();
    if fitting.is_empty() {
        fitting.extend(candidates.iter().filter(|c| can_wait_for(c, needs)));
    }
    fitting.sort_by_key(|c| rank(c));
    let order: Vec<Place> = fitting.iter().map(|c| c.place).collect();
    let first = order.first().copied();
    let not_chosen = candidates
        .iter()
        .filter(|c| Some(c.place) != first)
        .map(|c| (c.clone(), obstacle(c, needs).unwrap_or(NotChosen::OtherFitsBetter)))
        .collect();
    Placement { order, not_chosen }
}

/// Whether a machine without room for the job is used when none has any.
fn can_wait_for(candidate: &Candidate, needs: &Needs) -> bool {
    match &needs.container {
        None => candidate.place == Place::Here,
        Some(_) => matches!(obstacle(candidate, needs), Some(NotChosen::Busy | NotChosen::Memory { .. })),
    }
}

/// Whether a machine is in reach and neither busy nor short of what the job needs.
#[must_use]
pub fn has_room(candidate: &Candidate, needs: &Needs) -> bool {
    obstacle(candidate, needs).is_none()
}

fn obstacle(candidate: &Candidate, needs: &Needs) -> Option<NotChosen> {
    if !candidate.online {
        return Some(NotChosen::Offline);
    }
    // The owner's own jobs may run here whatever the engine.
    if candidate.engine == Engine::Unsafe && candidate.place != Place::Here {
        return Some(NotChosen::UnsafeEngine);
    }
    // Nor is it lent to its owner.
    if let Some(closed) = candidate.closed.filter(|_| candidate.place != Place::Here) {
        return Some(NotChosen::NotLending(closed));
    }
    let Some(capacity) = &candidate.capacity else { return Some(NotChosen::Unknown) };
    if let Some(lacks) = needs.container.as_ref().and_then(|image| lacks(candidate.docker.as_ref(), image)) {
        return Some(NotChosen::Container(lacks));
    }
    if let Some(reason) = gpu::obstacle(&candidate.gpus, candidate.docker.as_ref(), (needs.gpus, 0)) {
        return Some(NotChosen::Gpu(reason));
    }
    if capacity.free_milli() < CORE_TO_SPARE_MILLI {
        return Some(NotChosen::Busy);
    }
    let (free, needed) = (capacity.memory_free_bytes, needs.memory_bytes);
    (free < needed).then_some(NotChosen::Memory { free, needed })
}

/// How much of a core must be unused for a machine not to count as busy, in thousandths: a desktop at rest still shows
/// a load of a few tenths.
const CORE_TO_SPARE_MILLI: u64 = 500;

fn rank(candidate: &Candidate) -> (bool, std::cmp::Reverse<(u64, u64)>, Place) {
    let (free, memory) = candidate.capacity.as_ref().map_or((0, 0), |c| (c.free_milli() / 1000, c.memory_free_bytes));
    (candidate.place != Place::Here, std::cmp::Reverse((free, memory)), candidate.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { memory_bytes: 1 << 30, container: None, gpus: 0 };

    fn peer(number: u8) -> Place {
        Place::Peer(NodeId::from_bytes([number; 32]))
    }

    fn machine(place: Place, cores: u32, jobs: u32, memory_gib: u64) -> Candidate {
        let capacity = Capacity { cores, load_milli: 0, jobs_running: jobs, memory_free_bytes: memory_gib << 30 };
        Candidate {
            place,
            name: "m".into(),
            online: true,
            capacity: Some(capacity),
            engine: Engine::Fit,
            closed: None,
            docker: None,
            gpus: Vec::new(),
        }
    }

    fn reason(placement: &Placement, place: Place) -> Option<NotChosen> {
        placement.not_chosen.iter().find(|(c, _)| c.place == place).map(|(_, reason)| reason.clone())
    }

    #[test]
    fn with_no_group_the_job_stays_here_however_busy_it_is() {
        let placement = place(&[machine(Place::Here, 2, 9, 0)], &NEEDS);
        assert_eq!(placement.order, [Place::Here]);
        assert!(placement.not_chosen.is_empty());
    }

    #[test]
    fn this_machine_is_preferred_while_it_has_a_core() {
        let placement = place(&[machine(peer(1), 64, 0, 64), machine(Place::Here, 2, 1, 4)], &NEEDS);
        assert_eq!(placement.order, [Place::Here, peer(1)]);
        assert_eq!(reason(&placement, peer(1)), Some(NotChosen::OtherFitsBetter));
    }

    #[test]
    fn a_busy_machine_gives_way_to_the_peer_with_most_free_cores_then_memory() {
        let all = [
            machine(Place::Here, 2, 2, 8),
            machine(peer(1), 8, 4, 8),
            machine(peer(2), 8, 1, 8),
            machine(peer(3), 8, 1, 16),
        ];
        let placement = place(&all, &NEEDS);
        assert_eq!(placement.order, [peer(3), peer(2), peer(1)]);
        assert_eq!(reason(&placement, Place::Here), Some(NotChosen::Busy));
    }

    #[test]
    fn load_counts_like_jobs() {
        let mut here = machine(Place::Here, 4, 0, 8);
        here.capacity.as_mut().unwrap().load_milli = 3_900;
        let placement = place(&[here, machine(peer(1), 2, 0, 8)], &NEEDS);
        assert_eq!(placement.order, [peer(1)]);
    }

    #[test]
    fn each_obstacle_is_told() {
        let mut offline = machine(peer(1), 8, 0, 8);
        offline.online = false;
        let mut silent = machine(peer(2), 8, 0, 8);
        silent.capacity = None;
        let small = machine(peer(3), 8, 0, 0);
        let mut leaky = machine(peer(4), 8, 0, 8);
        leaky.engine = Engine::Unsafe;
        let mut paused = machine(peer(5), 8, 0, 8);
        paused.closed = Some(Closed::Paused);
        let mut here = machine(Place::Here, 1, 0, 2);
        here.closed = Some(Closed::Paused);
        let placement = place(&[here, offline, silent, small, leaky, paused], &NEEDS);
        assert_eq!(placement.order, [Place::Here]);
        assert_eq!(reason(&placement, peer(1)), Some(NotChosen::Offline));
        assert_eq!(reason(&placement, peer(2)), Some(NotChosen::Unknown));
        assert_eq!(reason(&placement, peer(4)), Some(NotChosen::UnsafeEngine));
        assert_eq!(reason(&placement, peer(5)), Some(NotChosen::NotLending(Closed::Paused)));
        assert_eq!(reason(&placement, peer(3)), Some(NotChosen::Memory { free: 0, needed: 1 << 30 }));
    }

    #[test]
    fn a_container_goes_only_to_those_that_offer_its_image_and_waits_for_them_when_they_are_busy() {
        let image: Image = "busybox".parse().unwrap();
        let needs = Needs { container: Some(image.clone()), ..NEEDS };
        let offers = |machine: Candidate, images: Vec<(Image, bool)>| Candidate {
            docker: Some(Offer { answers: true, images, gives_gpus: false }),
            ..machine
        };
        let here = machine(Place::Here, 8, 0, 8);
        let other = offers(machine(peer(1), 8, 0, 8), vec![("python".parse().unwrap(), true)]);
        let busy = offers(machine(peer(2), 2, 2, 8), vec![(image.clone(), true)]);
        let placement = place(&[here.clone(), other.clone(), busy], &needs);
        assert_eq!(placement.order, [peer(2)]);
        let why = |place| reason(&placement, place).unwrap().to_string();
        assert!(why(Place::Here).contains("does not offer Docker; its owner can"), "{}", why(Place::Here));
        assert!(why(peer(1)).contains("not the image busybox: it offers python"), "{}", why(peer(1)));
        assert_eq!(place(&[here, other], &needs).order, []);
    }

    #[test]
    fn a_container_that_needs_graphics_processors_goes_to_a_machine_that_has_and_gives_them() {
        let image: Image = "busybox".parse().unwrap();
        let needs = Needs { container: Some(image.clone()), gpus: 2, ..NEEDS };
        let with = |number: u8, count: usize, gives_gpus: bool| Candidate {
            docker: Some(Offer { answers: true, images: vec![(image.clone(), true)], gives_gpus }),
            gpus: vec![GpuFacts { name: "RTX 3060".into(), memory_bytes: None }; count],
            ..machine(peer(number), 8, 0, 8)
        };
        let placement = place(
            &[machine(Place::Here, 8, 0, 8), with(1, 0, true), with(2, 1, true), with(3, 2, false), with(4, 2, true)],
            &needs,
        );
        assert_eq!(placement.order, [peer(4)]);
        let why = |number| reason(&placement, peer(number)).unwrap().to_string();
        assert!(why(1).contains("has no GPU that it can see"), "{}", why(1));
        assert!(why(2).contains("has 1 GPU (RTX 3060), and the job needs 2; ask for `gpu=1`"), "{}", why(2));
        assert!(why(3).contains("gives it to no container"), "{}", why(3));
    }
}
