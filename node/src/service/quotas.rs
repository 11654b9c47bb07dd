//! What peers have used of this machine, against what each may: the owner's word on disk, the fuel of the last day, and the
//! bytes that are kept. What the owner changes counts from the next request on; no restart is needed.
//!
//! Fuel is promised when a run begins and charged when it ends, so that jobs that run at once cannot use together what each
//! alone may. It survives a restart; a crash forgives what was used in the last seconds.

use super::blocking;
use super::stored::{KeptBytes, StoredBytes};
use crate::clock::Clock;
use crate::defaults::{FUEL_MS_MOST, QUOTAS_WRITTEN_AFTER};
use crate::identity::NodeId;
use crate::state::fuel_day::FuelDay;
use crate::state::quotas::{Allowance, QuotaHit, Quotas};
use crate::store::record::{Record, RecordError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// What the owner has decided, in the data directory.
const QUOTAS_FILE: &str = "quotas.toml";
/// What was used, beside it.
const USAGE_FILE: &str = "usage.toml";

/// What the owner has decided, as a command changes it and a node heeds it.
#[must_use]
pub(crate) fn quotas_record(data_dir: &Path) -> Record<Quotas> {
    Record::at(&data_dir.join(QUOTAS_FILE))
}

/// What the file of usage holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Usage {
    #[serde(default)]
    fuel: BTreeMap<NodeId, FuelDay>,
}

/// The accounts of all peers.
pub(crate) struct Accounts {
    decided: Record<Quotas>,
    heeded: Mutex<(Option<SystemTime>, Quotas)>,
    /// Jobs of peers that run at once, by the owner's settings.
    places: AtomicU32,
    /// Bytes that all peers together may keep.
    disk: AtomicU64,
    usage: Record<Usage>,
    fuel: Mutex<HashMap<NodeId, Fuel>>,
    is_written_soon: AtomicBool,
    pub(crate) stored: StoredBytes,
}

/// One peer's fuel.
#[derive(Clone, Debug, Default)]
struct Fuel {
    day: FuelDay,
    promised: u64,
}

/// Fuel that a run may use. When it is dropped without an account of the run, what the time it took could have burnt is
/// charged.
pub(super) struct Promise {
    accounts: Arc<Accounts>,
    peer: NodeId,
    fuel: u64,
    begun: Instant,
    settled: bool,
}

impl Accounts {
    /// The accounts of a node that runs `places` jobs of peers at once.
    ///
    /// # Errors
    /// [`RecordError`] when what the owner has decided, or what was used, cannot be read.
    pub(crate) fn open(data_dir: &Path, places: u32, stored: StoredBytes) -> Result<Self, RecordError> {
        let decided = quotas_record(data_dir);
        let heeded = Mutex::new((decided.modified(), decided.read()?));
        let usage: Record<Usage> = Record::at(&data_dir.join(USAGE_FILE));
        let days = usage.read()?.fuel.into_iter();
        let fuel = Mutex::new(days.map(|(peer, day)| (peer, Fuel { day, promised: 0 })).collect());
        let places = AtomicU32::new(places);
        let disk = AtomicU64::new(u64::MAX);
        Ok(Self { decided, heeded, places, disk, usage, fuel, is_written_soon: AtomicBool::new(false), stored })
    }

    /// So many jobs of peers run at once from now on.
    pub(super) fn set_places(&self, places: u32) {
        self.places.store(places, Ordering::Relaxed);
    }

    /// All peers together may keep so many bytes from now on; nothing said is no bound.
    pub(super) fn set_disk(&self, bytes: Option<u64>) {
        self.disk.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Bytes that all peers together may keep.
    pub(super) fn disk(&self) -> u64 {
        self.disk.load(Ordering::Relaxed)
    }

    /// What a peer may, as the owner has decided by now.
    pub(crate) fn of(&self, peer: &NodeId) -> Allowance {
        self.quotas().of(peer, self.places.load(Ordering::Relaxed))
    }

    /// What the owner has decided by now. A file that cannot be read changes nothing, and is named in the log once.
    pub(crate) fn quotas(&self) -> Quotas {
        let mut heeded = lock(&self.heeded);
        let modified = self.decided.modified();
        if modified != heeded.0 {
            heeded.0 = modified;
            match self.decided.read() {
                Ok(quotas) => heeded.1 = quotas,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the quotas stay as they were");
                }
            }
        }
        heeded.1.clone()
    }

    /// Fuel a peer has used in the last day.
    pub(crate) fn fuel_used(&self, peer: &NodeId) -> u64 {
        lock(&self.fuel).get(peer).map_or(0, |fuel| fuel.day.used(Clock::system().unix_now()))
    }

    /// Every peer that has used anything.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        let fuel = lock(&self.fuel);
        fuel.keys().copied().chain(self.stored.peers_with_any()).chain(self.quotas().peers.into_keys()).collect()
    }

    /// Whether a peer may use so much fuel more.
    pub(super) fn check_fuel(&self, peer: &NodeId, asked: u64) -> Result<(), QuotaHit> {
        let allowed = self.of(peer).fuel_per_day;
        check(lock(&self.fuel).get(peer), allowed, asked, Clock::system().unix_now())
    }

    /// Promises a peer's run its fuel.
    pub(super) fn promise(self: &Arc<Self>, peer: NodeId, asked: u64) -> Result<Promise, QuotaHit> {
        let allowed = self.of(&peer).fuel_per_day;
        let mut fuel = lock(&self.fuel);
        check(fuel.get(&peer), allowed, asked, Clock::system().unix_now())?;
        let fuel = fuel.entry(peer).or_default();
        fuel.promised = fuel.promised.saturating_add(asked);
        Ok(Promise { accounts: Arc::clone(self), peer, fuel: asked, begun: Instant::now(), settled: false })
    }

    /// Whether a peer may keep so many bytes more; what it does not need now goes first.
    /// What stays of the peer takes so many bytes, that of all so many.
    pub(super) fn make_room(
        &self,
        peer: NodeId,
        bytes: u64,
        [held, held_by_all]: [u64; 2],
    ) -> Result<KeptBytes<'_>, QuotaHit> {
        self.stored.make_room_among_all(bytes, held_by_all, self.disk())?;
        self.stored.make_room(peer, bytes, held, self.of(&peer).stored_bytes)
    }

    /// A peer is not known any more.
    pub(super) fn forget(&self, peer: &NodeId) {
        self.stored.forget(peer);
    }

    /// Writes down what was used.
    pub(super) fn write(&self) {
        let now = Clock::system().unix_now();
        let mut fuel = lock(&self.fuel);
        fuel.retain(|_, fuel| fuel.promised > 0 || !fuel.day.is_over(now));
        let days = fuel.iter().map(|(peer, fuel)| (*peer, fuel.day.clone())).collect();
        drop(fuel);
        if let Err(error) = self.usage.update(|usage| usage.fuel = days) {
            tracing::warn!(error = &error as &dyn std::error::Error, "what peers have used is not written down");
        }
    }

    fn charge(self: &Arc<Self>, peer: NodeId, promised: u64, used: u64) {
        let mut table = lock(&self.fuel);
        let fuel = table.entry(peer).or_default();
        fuel.promised = fuel.promised.saturating_sub(promised);
        fuel.day.charge(Clock::system().unix_now(), used);
        drop(table);
        // One writes for all that end in the next moments.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.is_written_soon.swap(true, Ordering::AcqRel)
        {
            let accounts = Arc::clone(self);
            runtime.spawn(async move {
                tokio::time::sleep(QUOTAS_WRITTEN_AFTER).await;
                accounts.is_written_soon.store(false, Ordering::Release);
                blocking(move || accounts.write()).await;
            });
        }
    }
}

impl Promise {
    /// The run has ended and says what it used; a worker that was killed does not know.
    pub(super) fn settle(mut self, fuel_used: u64) {
        if fuel_used > 0 {
            self.settled = true;
            self.accounts.charge(self.peer, self.fuel, fuel_used);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.settled {
            let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let most = elapsed_ms.saturating_mul(FUEL_MS_MOST).min(self.fuel);
            self.accounts.charge(self.peer, self.fuel, most);
        }
    }
}

fn check(fuel: Option<&Fuel>, allowed: u64, asked: u64, now: u64) -> Result<(), QuotaHit> {
    let used = fuel.map_or(0, |fuel| fuel.day.used(now).saturating_add(fuel.promised));
    if used.saturating_add(asked) <= allowed {
        return Ok(());
    }
    let hours = fuel.map_or(1, |fuel| fuel.day.hours_left(now));
    Err(QuotaHit::Fuel { used, allowed, asked, hours })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::blobs::BlobStore;

    const ANN: NodeId = NodeId::from_bytes([1; 32]);

    fn accounts(dir: &Path) -> Arc<Accounts> {
        let blobs = BlobStore::new(dir.join("blobs"), 1 << 30);
        Arc::new(Accounts::open(dir, 4, StoredBytes::open(blobs, &dir.join("holders")).unwrap()).unwrap())
    }

    fn allow_fuel(dir: &Path, fuel: u64) {
        let change = |quotas: &mut Quotas| quotas.change(Some(ANN), |quota| quota.fuel_per_day = Some(fuel));
        quotas_record(dir).update(change).unwrap();
    }

    #[test]
    fn fuel_is_promised_charged_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        allow_fuel(dir.path(), 100);
        let accounts = accounts(dir.path());
        let first = accounts.promise(ANN, 60).unwrap();
        let refused = accounts.promise(ANN, 60).err().unwrap();
        assert_eq!(refused, QuotaHit::Fuel { used: 60, allowed: 100, asked: 60, hours: 1 });
        first.settle(30);
        assert_eq!(accounts.fuel_used(&ANN), 30);
        accounts.promise(ANN, 60).unwrap().settle(60);
        accounts.write();
        let again = self::accounts(dir.path());
        assert_eq!(again.fuel_used(&ANN), 90);
        assert!(again.check_fuel(&ANN, 11).is_err() && again.check_fuel(&ANN, 10).is_ok());
    }

    #[test]
    fn a_run_that_was_killed_is_charged_by_its_time_and_never_more_than_it_was_promised() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(dir.path());
        let mut promise = accounts.promise(ANN, 1000).unwrap();
        promise.begun = promise.begun.checked_sub(std::time::Duration::from_secs(1)).unwrap();
        promise.settle(0);
        assert_eq!(accounts.fuel_used(&ANN), 1000);
    }

    #[test]
    fn what_the_owner_changes_counts_at_once_and_what_cannot_be_read_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(dir.path());
        assert!(accounts.check_fuel(&ANN, 1000).is_ok());
        allow_fuel(dir.path(), 10);
        assert!(accounts.check_fuel(&ANN, 1000).is_err());
        std::fs::write(dir.path().join(QUOTAS_FILE), "version = 1\n[everyone]\nnothing = 1\n").unwrap();
        assert!(accounts.check_fuel(&ANN, 1000).is_err());
        assert!(
            Accounts::open(dir.path(), 4, StoredBytes::open(BlobStore::new("b".into(), 1), dir.path()).unwrap())
                .is_err()
        );
    }
}
