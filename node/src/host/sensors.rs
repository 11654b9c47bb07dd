//! What is seen of the machine and its owner, as far as the rules ask for it: a machine whose owner has no such rules is not
//! looked at. All of it is read below one root, which is `/` but in tests.

mod heat;
mod load;
pub(super) mod local_time;
mod logind;
mod power;
mod terminals;

use crate::clock::Clock;
use crate::state::sharing::rules::Rules;
use crate::state::sharing::{Facts, Owner};
use load::LoadMeter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the machine is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks at the machine.
#[derive(Debug)]
pub(crate) struct Sensors {
    root: PathBuf,
    start: Instant,
    clock: Clock,
    load: LoadMeter,
    /// What was seen last, for which rules, and when.
    last: Option<(Instant, Wanted, Sight)>,
}

/// What the rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    owner: bool,
    load: bool,
    temperature: bool,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// What the decision goes by.
    pub(crate) facts: Facts,
    /// By which means it is seen what the owner does.
    pub(crate) means: Vec<&'static str>,
}

impl Sensors {
    /// Those below `root`.
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            start: Instant::now(),
            clock: Clock::system(),
            load: LoadMeter::default(),
            last: None,
        }
    }

    /// What is seen now, or was a moment ago; the time is always now's. `workers` are the processes whose work is not that of
    /// others. Whatever a rule does not ask for is not looked at, and unknown.
    pub(crate) async fn look(&mut self, rules: &Rules, workers: &[u32]) -> Sight {
        let wanted = Wanted {
            owner: rules.mind_the_owner(),
            load: rules.load_max_milli.is_some(),
            temperature: rules.temperature_max.is_some(),
        };
        if let Some((at, seen_for, sight)) = &self.last
            && at.elapsed() < LOOK_EVERY
            && *seen_for == wanted
        {
            let mut sight = sight.clone();
            self.set_clocks(&mut sight.facts);
            return sight;
        }
        let mut sight = self.look_around(wanted, workers).await;
        self.set_clocks(&mut sight.facts);
        self.last = Some((Instant::now(), wanted, sight.clone()));
        sight
    }

    async fn look_around(&mut self, wanted: Wanted, workers: &[u32]) -> Sight {
        let mut means = Vec::new();
        let mut away = Vec::new();
        if wanted.owner {
            let unix_s = self.clock.unix_now();
            let logind = logind::away_for(&self.root, unix_s).await;
            for (name, seconds) in [("logind", logind), ("terminals", terminals::away_for(&self.root, unix_s))] {
                means.extend(seconds.map(|_| name));
                away.extend(seconds);
            }
        }
        if !wanted.load {
            self.load = LoadMeter::default();
        }
        let facts = Facts {
            now_s: 0,
            unix_s: 0,
            local: None,
            owner: away.into_iter().min().map_or(Owner::Unknown, Owner::AwayFor),
            on_battery: power::on_battery(&self.root),
            others_milli: wanted.load.then(|| self.load.others_milli(&self.root, workers)).flatten(),
            temperature: wanted.temperature.then(|| heat::hottest(&self.root)).flatten(),
        };
        Sight { facts, means }
    }

    fn set_clocks(&self, facts: &mut Facts) {
        facts.now_s = self.start.elapsed().as_secs();
        facts.unix_s = self.clock.unix_now();
        facts.local = local_time::at(facts.unix_s);
    }
}

/// What lies in a directory, if it is there.
pub(super) fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A small file of the system, without the end of its line.
pub(super) fn word(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Whether a name is this and a number.
pub(super) fn is_numbered(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_prefix(prefix).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
pub(crate) mod fake {
    use std::path::{Path, PathBuf};

    /// A root in which tests write what sensors read.
    pub(crate) struct FakeRoot(tempfile::TempDir);

    impl FakeRoot {
        pub(crate) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub(crate) fn path(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakeRoot;
    use super::*;
    use crate::state::sharing::rules::When;

    #[tokio::test]
    async fn what_no_rule_asks_for_is_not_looked_at_and_a_machine_without_means_is_unknown() {
        let root = FakeRoot::new();
        root.write("dev/tty1", "");
        root.write("sys/class/thermal/thermal_zone0/temp", "91000\n");
        let mut sensors = Sensors::below(root.path());
        let sight = sensors.look(&Rules::default(), &[]).await;
        assert_eq!((sight.facts.owner, sight.facts.temperature, sight.means.len()), (Owner::Unknown, None, 0));
        // Another rule is heeded at once.
        let rules = Rules { when: When::Idle, temperature_max: Some(80), ..Rules::default() };
        let sight = sensors.look(&rules, &[]).await;
        assert!(matches!(sight.facts.owner, Owner::AwayFor(0..60)), "{sight:?}");
        assert_eq!((sight.facts.temperature, sight.means.as_slice()), (Some(91), &["terminals"][..]));
        assert!(sight.facts.local.is_some() && sight.facts.unix_s > 1_700_000_000);
        let nothing = FakeRoot::new();
        assert_eq!(Sensors::below(nothing.path()).look(&rules, &[]).await.facts.owner, Owner::Unknown);
    }
}
