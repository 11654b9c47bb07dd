//! How many cores others than our own workers use, over the last seconds.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

/// Looks that are compared: with one every two seconds, what happened in the last ten.
const LOOKS: usize = 6;

/// Compares what the processors have done with what our own processes have.
#[derive(Debug, Default)]
pub(super) struct LoadMeter {
    looks: VecDeque<Look>,
}

/// Time since the machine was started, in ticks of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    /// In which any core did anything.
    busy: u64,
    /// Of all cores.
    total: u64,
    /// In which our own processes did something.
    own: u64,
    cores: u64,
}

impl LoadMeter {
    /// Thousandths of cores; nothing at the first look. Whatever lies below `root`, our own processes are real.
    pub(super) fn others_milli(&mut self, root: &Path, workers: &[u32]) -> Option<u32> {
        // Our own first: what they do meanwhile then counts as others', and not the other way round for ever.
        let own = own_ticks(workers);
        let look = Look { own, ..processors(&fs::read_to_string(root.join("proc/stat")).ok()?)? };
        self.note(look)
    }

    fn note(&mut self, look: Look) -> Option<u32> {
        let before = self.looks.front().copied();
        self.looks.push_back(look);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let before = before?;
        let total = look.total.saturating_sub(before.total);
        if total == 0 {
            return None;
        }
        let own = look.own.saturating_sub(before.own);
        let others = look.busy.saturating_sub(before.busy).saturating_sub(own);
        Some(u32::try_from(others * look.cores * 1000 / total).unwrap_or(u32::MAX))
    }
}

/// What `/proc/stat` says.
fn processors(text: &str) -> Option<Look> {
    let all = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = all.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, idle, waiting, interrupts, soft, stolen, ..] = ticks[..] else { return None };
    let busy = user + nice + system + interrupts + soft;
    let cores = text.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1).max(1);
    Some(Look { busy, total: busy + idle + waiting + stolen, own: 0, cores: u64::try_from(cores).unwrap_or(1) })
}

/// What this process, its children that have ended, and its workers have used.
fn own_ticks(workers: &[u32]) -> u64 {
    let live = workers.iter().map(|id| ticks_of(&id.to_string(), 2));
    ticks_of("self", 4) + live.sum::<u64>()
}

/// The first of the four times of a process: its own, user and system, and those of its children that have ended.
fn ticks_of(process: &str, times: usize) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the times are the 12th to 15th words after it.
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().skip(11).take(times).filter_map(|word| word.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  100 50 30 800 20 5 5 10 0 0\ncpu0 50 0 0 0 0 0 0 0 0 0\ncpu1 50 0 0 0 0 0 0 0 0 0\nintr 5\n";

    #[test]
    fn what_processors_did_without_our_own_share_is_what_others_use() {
        let look = processors(STAT).unwrap();
        assert_eq!(look, Look { busy: 190, total: 1020, own: 0, cores: 2 });
        assert!(processors("cpu  1 2\n").is_none() && processors("").is_none());
        let mut meter = LoadMeter::default();
        let at = |busy, total, own| Look { busy, total, own, cores: 2 };
        assert_eq!(meter.note(at(0, 0, 0)), None);
        assert_eq!(meter.note(at(0, 0, 0)), None, "no time has passed");
        // Both cores are busy, one of them with our own work.
        assert_eq!(meter.note(at(200, 200, 100)), Some(1000));
        assert_eq!(meter.note(at(400, 400, 400)), Some(0));
        // More of our own than there was is a matter of when it was looked at.
        assert_eq!(meter.note(at(410, 600, 500)), Some(0));
        for step in 1..=LOOKS as u64 {
            meter.note(at(410 + step * 200, 600 + step * 200, 500));
        }
        assert_eq!(meter.looks.len(), LOOKS);
        assert_eq!(meter.note(at(410 + 7 * 200, 600 + 7 * 200, 500)), Some(2000));
    }

    #[test]
    fn this_process_has_used_something_and_one_that_is_not_has_not() {
        let mut sum = 0u64;
        while ticks_of("self", 4) == 0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert_eq!(ticks_of("0", 2), 0);
    }
}
