//! Watches what a container uses, by what its engine measures: core time, which is its fuel, and memory. It is asked a few
//! times a second, so a limit is overshot by as much as a job can use in between; a job that is over before the first time
//! has used nothing that is known.

use crate::limits::{LimitHit, LimitKind, Limits};
use bollard::Docker;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;
use std::time::Duration;

/// How long it is waited between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// What the memory is called that a job holds beside files: by version 1 and 2 of control groups.
const HELD: [&str; 3] = ["total_rss", "rss", "anon"];

/// What a container has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Core time, in nanoseconds.
    pub(crate) fuel: u64,
    /// The most memory that was seen, in bytes.
    pub(crate) memory_peak: u64,
}

/// The measure of one container.
pub(crate) struct Gauge {
    docker: Docker,
    name: String,
    fuel_max: u64,
    memory_max: u64,
    used: Used,
}

impl Gauge {
    pub(crate) fn new((docker, name): (Docker, String), limits: &Limits) -> Self {
        Self { docker, name, fuel_max: limits.fuel, memory_max: limits.memory_bytes, used: Used::default() }
    }

    pub(crate) fn used(&self) -> Used {
        self.used
    }

    /// Looks again and again, until a limit is passed.
    pub(crate) async fn passed(&mut self) -> LimitHit {
        loop {
            if let Some(hit) = self.look().await {
                return hit;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&mut self) -> Option<LimitHit> {
        let once = StatsOptions { stream: false, one_shot: true };
        let stats = self.docker.stats(&self.name, Some(once)).next().await;
        self.note(&stats?.ok()?)
    }

    fn note(&mut self, stats: &ContainerStatsResponse) -> Option<LimitHit> {
        let cpu = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
        let held = stats.memory_stats.as_ref().and_then(|memory| {
            let stats = memory.stats.as_ref()?;
            HELD.iter().find_map(|name| stats.get(*name)).copied()
        });
        // What has ended is said to use nothing.
        self.used.fuel = self.used.fuel.max(cpu.unwrap_or_default());
        self.used.memory_peak = self.used.memory_peak.max(held.unwrap_or_default());
        let hit = |kind, used, allowed| (used > allowed).then_some(LimitHit { kind, used, allowed });
        hit(LimitKind::Fuel, self.used.fuel, self.fuel_max)
            .or_else(|| hit(LimitKind::Memory, self.used.memory_peak, self.memory_max))
    }
}
