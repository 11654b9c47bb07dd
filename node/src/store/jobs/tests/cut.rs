//! What a power cut leaves: all that was synced, and of the rest any part, in pieces of a sector.

use super::disk::Op;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Bytes that a disk writes as one.
const SECTOR: usize = 512;

/// Chance under a seed (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsynced {
    Lost,
    Kept,
    Chance,
}

#[derive(Clone, Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    pending: Vec<Pending>,
}

/// The files as they stand, and what may be left of them.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    files: BTreeMap<String, File>,
    /// Files whose removal may not have reached the disk.
    removed: BTreeMap<String, File>,
    /// The version of each job that the program was told.
    pub(super) told: HashMap<u32, u32>,
}

impl State {
    /// Takes the next thing that happened in.
    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Write { file, at, bytes } => {
                self.files.entry(file.clone()).or_default().pending.push(Pending::Write(*at, bytes.clone()));
            }
            Op::Truncate { file, len } => {
                self.files.entry(file.clone()).or_default().pending.push(Pending::Truncate(*len));
            }
            Op::Sync { file, dir } => {
                let file = self.files.entry(file.clone()).or_default();
                for pending in std::mem::take(&mut file.pending) {
                    apply(&mut file.synced, &pending);
                }
                if *dir {
                    self.removed.clear();
                }
            }
            Op::Delete { file, dir } => {
                let gone = self.files.remove(file);
                if *dir {
                    self.removed.clear();
                } else if let Some(gone) = gone {
                    self.removed.insert(file.clone(), gone);
                }
            }
            Op::SyncDir => self.removed.clear(),
            Op::Told { job, version } => {
                let known = self.told.entry(*job).or_default();
                *known = (*known).max(*version);
            }
        }
    }

    /// Lays out in `dir` what a cut now leaves.
    pub(super) fn cut(&self, unsynced: Unsynced, dice: &mut Dice, dir: &Path) {
        let mut left = BTreeMap::new();
        for (name, file) in &self.files {
            left.insert(name, remains(file, unsynced, dice));
        }
        for (name, file) in &self.removed {
            let comes_back = match unsynced {
                Unsynced::Lost => true,
                Unsynced::Kept => false,
                Unsynced::Chance => dice.coin(),
            };
            if comes_back {
                left.insert(name, remains(file, unsynced, dice));
            }
        }
        for (name, bytes) in left {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

fn remains(file: &File, unsynced: Unsynced, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = file.synced.clone();
    for pending in &file.pending {
        match unsynced {
            Unsynced::Lost => {}
            Unsynced::Kept => apply(&mut bytes, pending),
            Unsynced::Chance => match (dice.below(4), pending) {
                (0, _) => {}
                (1, Pending::Write(at, written)) => torn(&mut bytes, *at, written, dice),
                _ => apply(&mut bytes, pending),
            },
        }
    }
    bytes
}

fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write(at, written) => {
            let end = at + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(written);
        }
        Pending::Truncate(len) => bytes.resize(*len, 0),
    }
}

/// Some sectors of a write.
fn torn(bytes: &mut Vec<u8>, at: usize, written: &[u8], dice: &mut Dice) {
    let mut from = 0;
    while from < written.len() {
        let sector_end = (at + from) / SECTOR * SECTOR + SECTOR;
        let to = written.len().min(sector_end - at);
        if dice.coin() {
            apply(bytes, &Pending::Write(at + from, written[from..to].to_vec()));
        }
        from = to;
    }
}
