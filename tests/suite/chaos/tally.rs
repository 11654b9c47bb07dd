//! What became of all the jobs.

use potluck_tests::Finished;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Characters of a sentence that tell what went wrong; ids and digests are left out.
const SENTENCE_LEN_MAX: usize = 110;

/// How many jobs of each kind ended in which way, and what was said when it was not as it should be.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    ends: BTreeMap<(&'static str, String), u64>,
    sentences: BTreeMap<String, u64>,
}

impl Tally {
    /// One job of this kind ended so.
    pub(super) fn count(&self, kind: &'static str, end: impl Into<String>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.ends.entry((kind, end.into())).or_default() += 1;
    }

    /// One job failed, with a sentence.
    pub(super) fn count_failure(&self, kind: &'static str, finished: &Finished) {
        self.count(kind, "failed by name (125)");
        let said = finished.err();
        let sentence = said.lines().rev().find(|line| line.contains("potluck:")).unwrap_or_default();
        let shown: String = sentence.chars().filter(|c| !c.is_ascii_digit()).take(SENTENCE_LEN_MAX).collect();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.sentences.entry(shown).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(f, "{} jobs and turns:", counts.ends.values().sum::<u64>())?;
        for ((kind, end), count) in &counts.ends {
            writeln!(f, "{count:6} {kind}: {end}")?;
        }
        for (sentence, count) in &counts.sentences {
            writeln!(f, "{count:6} said {sentence:?}")?;
        }
        Ok(())
    }
}
