//! One kept run as this process knows it: what it has said so far, and how it is told to begin or to stop.

use super::checkpoints::Checkpoint;
use crate::state::placement::Place;
use crate::state::runs::Key;
use crate::store::recording::{self, Follower, Recorded, Recorder, RecordingWriter, Room};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Those of all runs that are kept.
#[derive(Clone)]
pub(super) struct LiveRuns {
    table: Arc<Mutex<Table>>,
    dir: Arc<Path>,
}

#[derive(Default)]
struct Table {
    runs: HashMap<Key, Arc<Live>>,
    /// What those of each home take.
    rooms: HashMap<Place, Arc<Room>>,
}

/// One of them.
pub(super) struct Live {
    /// Where its recording lies, should it be long.
    path: PathBuf,
    /// What it takes, with the others of its home.
    room: Arc<Room>,
    said: Mutex<Said>,
    /// What another run could go on from, for as long as this one runs.
    checkpoint: Mutex<GoesOnFrom>,
    /// Its turn has come.
    pub(super) start: Notify,
    /// Its guest is to end by itself.
    pub(super) asked: CancellationToken,
    /// Nobody wants it any more.
    pub(super) stop: CancellationToken,
    /// This node is leaving: that stops it, and not its home.
    leaving: AtomicBool,
}

/// What another run could go on from.
#[derive(Default)]
struct GoesOnFrom {
    kept: Option<Arc<Checkpoint>>,
    /// Nobody will ask any more.
    is_over: bool,
}

/// What it has said.
enum Said {
    /// So far. It takes memory, or an open file.
    Growing(Arc<Recorder>),
    /// All of it. It takes nothing but what it is.
    All(Recorded),
    /// Nothing that counts.
    Nothing,
}

impl LiveRuns {
    /// None yet; long recordings lie in this directory.
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self { table: Arc::default(), dir: dir.into() }
    }

    /// A run comes, in place of what was known of it.
    pub(super) fn enter(&self, key: Key) -> Arc<Live> {
        let path = self.path_of(&key);
        let said = Said::Growing(Arc::new(Recorder::new(&path)));
        self.put(key, path, said)
    }

    /// A run that an earlier process has left.
    pub(super) fn enter_again(&self, key: Key, recorded: Option<Recorded>) {
        let live = self.put(key, self.path_of(&key), recorded.map_or(Said::Nothing, Said::All));
        live.room.has_taken(live.len());
    }

    fn put(&self, key: Key, path: PathBuf, said: Said) -> Arc<Live> {
        let mut table = self.lock();
        let room = table.rooms.entry(key.home).or_default().clone();
        let live = Arc::new(Live {
            path,
            room,
            said: Mutex::new(said),
            checkpoint: Mutex::default(),
            start: Notify::new(),
            asked: CancellationToken::new(),
            stop: CancellationToken::new(),
            leaving: AtomicBool::new(false),
        });
        table.runs.insert(key, live.clone());
        live
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Live>> {
        self.lock().runs.get(key).cloned()
    }

    /// A run is kept no more: it stops, and what it has said goes.
    pub(super) fn remove(&self, key: &Key) {
        let live = self.lock().runs.remove(key);
        if let Some(live) = live {
            live.stop.cancel();
            live.give_up();
        }
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.lock().runs.keys().copied().collect()
    }

    /// Bytes that runs have said, of the homes that are asked about.
    pub(super) fn stored_bytes(&self, of: impl Fn(Place) -> bool) -> u64 {
        let table = self.lock();
        let rooms = table.rooms.iter().filter(|(home, _)| of(**home));
        rooms.fold(0, |sum, (_, room)| sum.saturating_add(room.taken()))
    }

    /// Removes recordings that count for nothing: of runs that an earlier process forgot, or lost when it was killed. No other
    /// process may keep runs there now.
    pub(super) fn sweep(&self) {
        // Looked at first: what is made from now on is of a run that says something by then.
        let files: Vec<PathBuf> =
            std::fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let table = self.lock();
        let says = |live: &&Arc<Live>| !matches!(&*live.said(), Said::Nothing);
        let kept: HashSet<PathBuf> = table.runs.values().filter(says).map(|live| live.path.clone()).collect();
        drop(table);
        for file in files.iter().filter(|file| !kept.contains(*file)) {
            // What cannot be removed is tried again at the next start.
            let _ = recording::remove(file);
        }
    }

    fn path_of(&self, key: &Key) -> PathBuf {
        let home = match key.home {
            Place::Here => "here".to_owned(),
            Place::Peer(id) => data_encoding::HEXLOWER.encode(id.as_bytes()),
        };
        self.dir.join(format!("{home}-{}-{}", key.run.job, key.run.attempt))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// What adds to what it says, as long as all of its home take at most so many bytes; nothing when nobody wants it any more.
    pub(super) fn writer(&self, most: u64) -> Option<RecordingWriter> {
        match &*self.said() {
            Said::Growing(recorder) => Some(recorder.writer_within(self.room.clone(), most)),
            Said::All(_) | Said::Nothing => None,
        }
    }

    /// Whether something that it said did not find room.
    pub(super) fn lacked_room(&self) -> bool {
        matches!(&*self.said(), Said::Growing(recorder) if recorder.lacked_room())
    }

    /// Hears what it says, from this byte on.
    pub(super) fn follow(&self, from: u64) -> io::Result<Follower> {
        let recorded = match &*self.said() {
            Said::Growing(recorder) => return Ok(recorder.follow(from)),
            Said::All(recorded) => recorded.clone(),
            Said::Nothing => Recorded::Inline(Vec::new()),
        };
        Follower::of(recorded, &self.path, from)
    }

    /// It says nothing more. What it has said is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// What the system says, or that nobody wants it any more.
    pub(super) fn finish(&self) -> io::Result<Recorded> {
        let recorder = match &*self.said() {
            Said::Growing(recorder) => recorder.clone(),
            Said::All(recorded) => return Ok(recorded.clone()),
            Said::Nothing => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        recorder.finish()
    }

    /// This is all it has said. What was given up meanwhile stays so.
    pub(super) fn has_said(&self, recorded: Recorded) {
        self.forget_checkpoints();
        let mut said = self.said();
        if matches!(&*said, Said::Growing(_)) {
            *said = Said::All(recorded);
        }
    }

    /// What it has said does not count. Whoever hears it comes to its end, and its file goes.
    pub(super) fn give_up(&self) {
        self.forget_checkpoints();
        let said = std::mem::replace(&mut *self.said(), Said::Nothing);
        if let Said::Growing(recorder) = &said {
            recorder.give_up();
        }
        self.room.give_back(said.len());
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = recording::remove(&path) {
                tracing::warn!(path = %path.display(), %error, "what a run left cannot be removed");
            }
        });
    }

    /// The last checkpoint of its guest.
    pub(super) fn checkpoint(&self) -> Option<Arc<Checkpoint>> {
        self.goes_on_from().kept.clone()
    }

    /// Another run could go on from there, and not from what there was before. Its room was taken.
    pub(super) fn keep_checkpoint(&self, checkpoint: Option<Checkpoint>) {
        let mut from = self.goes_on_from();
        let checkpoint = checkpoint.map(Arc::new);
        let gone = if from.is_over { checkpoint } else { std::mem::replace(&mut from.kept, checkpoint) };
        drop(from);
        self.give_back(gone.map_or(0, |gone| gone.about.size));
    }

    /// No other run goes on from what this one gives.
    fn forget_checkpoints(&self) {
        let last = {
            let mut from = self.goes_on_from();
            from.is_over = true;
            from.kept.take()
        };
        self.give_back(last.map_or(0, |last| last.about.size));
    }

    fn goes_on_from(&self) -> MutexGuard<'_, GoesOnFrom> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes so much more of its home's room, if no more than this is taken then.
    pub(super) fn take_room(&self, bytes: u64, most: u64) -> Option<u64> {
        self.room.take(bytes, most).then_some(bytes)
    }

    /// So much is not taken any more.
    pub(super) fn give_back(&self, bytes: u64) {
        self.room.give_back(bytes);
    }

    /// Where files of runs lie.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// This node is leaving, and that is why it stops.
    pub(super) fn is_left(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Why it was stopped.
    pub(super) fn why_stopped(&self) -> &'static str {
        if self.leaving.load(Ordering::Relaxed) { "this node was stopped" } else { "its home took it back" }
    }

    /// Bytes that it has said.
    pub(super) fn len(&self) -> u64 {
        self.said().len()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn len(&self) -> u64 {
        match self {
            Self::Growing(recorder) => recorder.len(),
            Self::All(recorded) => recorded.len(),
            Self::Nothing => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::home::run::RunId;
    use crate::wire::JobId;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn what_was_given_up_takes_no_room_also_when_its_end_is_heard_late() {
        let dir = tempfile::tempdir().unwrap();
        let runs = LiveRuns::in_dir(dir.path());
        let key = Key { home: Place::Here, run: RunId { job: JobId([1; 16]), attempt: 1 } };
        let live = runs.enter(key);
        live.writer(1 << 20).unwrap().write_all(b"said").await.unwrap();
        let recorded = live.finish().unwrap();
        assert_eq!(runs.stored_bytes(|_| true), 4);
        runs.remove(&key);
        live.has_said(recorded);
        live.give_up();
        assert_eq!((runs.stored_bytes(|_| true), live.len()), (0, 0));
    }

    #[tokio::test]
    async fn recordings_of_runs_that_were_lost_or_forgotten_are_swept_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let runs = LiveRuns::in_dir(dir.path());
        let key = |number: u8| Key { home: Place::Here, run: RunId { job: JobId([number; 16]), attempt: 1 } };
        for number in 1..=3 {
            std::fs::write(runs.path_of(&key(number)), "said").unwrap();
        }
        runs.enter_again(key(1), None);
        runs.enter_again(key(2), Some(Recorded::File { len: 4 }));
        runs.sweep();
        let left: Vec<bool> = (1..=3).map(|number| runs.path_of(&key(number)).exists()).collect();
        assert_eq!(left, [false, true, false]);
    }
}
