//! The decision in words: for the owner, for whoever is refused, and for those whose jobs are ended.

use super::hours::LocalTime;
use super::{Closed, Decision, Situation};

impl Decision {
    /// What is lent and why, for people: `lends 4 places, 2 of 4 cores, until 22:00, because …`.
    #[must_use]
    pub fn sentence(&self, cores: u32) -> String {
        if let Some(closed) = self.closed {
            return format!("lends nothing{}, because {}", self.until(self.ask_again_s(closed)), self.reason(closed));
        }
        let places =
            if self.places == 1 { "1 job at once".to_owned() } else { format!("{} jobs at once", self.places) };
        let lent = self.cores.map_or(cores, |lent| lent.min(cores));
        let until = self.until(self.rules.hours.changes_in_if_any(self.facts.local).map(|minutes| minutes * 60));
        format!("lends {lent} of {cores} cores to {places}{until}, because {}", self.why_open())
    }

    fn why_open(&self) -> String {
        match self.situation {
            Some(Situation::Active) => "its owner is active".to_owned(),
            Some(Situation::Battery) => "it runs on battery".to_owned(),
            None if !self.rules.hours.is_any() => format!("its hours are {}", self.rules.hours),
            None if self.rules.when == super::When::Idle => "its owner is away".to_owned(),
            None => "its owner lends it".to_owned(),
        }
    }

    /// The reason as half a sentence.
    #[must_use]
    pub fn reason(&self, closed: Closed) -> String {
        let rules = &self.rules;
        match closed {
            Closed::Hours => format!("its hours are {}", rules.hours),
            Closed::Heat => format!(
                "it has {} °C and its owner allows {}",
                self.facts.temperature.unwrap_or_default(),
                rules.temperature_max.unwrap_or_default()
            ),
            Closed::Load => format!(
                "others use {} of its cores and its owner allows {}",
                milli(self.facts.others_milli.unwrap_or_default()),
                milli(rules.load_max_milli.unwrap_or_default())
            ),
            other => other.to_string(),
        }
    }

    /// The refusal of a peer's request, on the node of this name.
    #[must_use]
    pub fn refusal(&self, node: &str, closed: Closed) -> String {
        let (reason, cure) = (self.reason(closed), cure(closed));
        match self.ask_again_s(closed) {
            _ if closed == Closed::Never => format!("{node} lends nothing: it does not run jobs of others; {cure}"),
            Some(seconds) => {
                format!("{node} lends nothing now, because {reason}; ask again in {}, or {cure}", span(seconds))
            }
            None => format!("{node} lends nothing now, because {reason}; {cure}"),
        }
    }

    fn until(&self, seconds: Option<u64>) -> String {
        let (Some(seconds), Some(local)) = (seconds, self.facts.local) else { return String::new() };
        let minutes = seconds.div_ceil(60);
        let then: LocalTime = local.after(minutes);
        let then = if minutes < 24 * 60 { then.to_string() } else { then.with_day() };
        format!(" until {then}")
    }
}

impl super::Hours {
    fn changes_in_if_any(&self, local: Option<LocalTime>) -> Option<u64> {
        self.changes_in(local?)
    }
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "its owner does not lend it",
            Self::Paused => "its owner has paused it",
            Self::Hours => "it lends in other hours",
            Self::Battery => "it runs on battery",
            Self::Heat => "it is too hot",
            Self::Load => "others use it",
            Self::Owner => "its owner is active",
            Self::OwnerUnseen => "it cannot see whether its owner is active, which counts as active",
            Self::Unsaid => "of a reason that this version does not know",
        })
    }
}

/// What would change it.
const fn cure(closed: Closed) -> &'static str {
    match closed {
        Closed::Never => "its owner can change that with `potluck share --when always`",
        Closed::Paused => "its owner can go on lending with `potluck resume`",
        Closed::Hours => "its owner can change that with `potluck share --hours any`",
        Closed::Battery => "its owner can change that with `potluck share --while battery --jobs N`",
        Closed::Heat => "its owner can change that with `potluck share --temperature any`",
        Closed::Load => "its owner can change that with `potluck share --load any`",
        Closed::Owner | Closed::OwnerUnseen => "its owner can change that with `potluck share --when always`",
        Closed::Unsaid => "its owner knows more by `potluck share`",
    }
}

/// Thousandths as people read them.
fn milli(thousandths: u32) -> String {
    format!("{}.{}", thousandths / 1000, thousandths % 1000 / 100)
}

/// Seconds as people read them; two units are as exact as anyone reads.
#[must_use]
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (seconds, hours) {
        (0..60, _) => format!("{seconds} s"),
        (_, 0) => format!("{} min", seconds.div_ceil(60)),
        (_, 1..48) if minutes % 60 == 0 => format!("{hours} h"),
        (_, 1..48) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} days", hours / 24),
    }
}
