//! A daemon's log, at a measured pace: what a peer can make happen as often as it likes must not fill the disk, nor crowd out
//! what there is to say of others. Some dozens of lines about one peer may come at once, some hundred about all of them, and as
//! many about no peer; after that so many in each second. Of those that are left out the number is told.
//!
//! A line is about the peer that it names, or else about the one on whose behalf it was written: the `peer` of its span.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The field, of a line or of a span, that says which peer it is about.
const PEER: &str = "peer";
/// Lines about no peer, and lines about all peers together: at most some ten megabytes of each in an hour.
const OF_ALL: Allowed = Allowed { burst: 400.0, per_second: 10.0 };
/// Lines about one peer.
const OF_ONE: Allowed = Allowed { burst: 50.0, per_second: 1.0 };
/// Peers whose lines are counted at once; each takes some hundred bytes. Of more, the one that was quiet for the longest is
/// forgotten.
const PEERS_MAX: usize = 256;
/// Characters that name a peer.
const NAME_LEN_MAX: usize = 64;

/// How many lines there may be.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    /// At once.
    burst: f64,
    /// In the long run.
    per_second: f64,
}

/// Lets lines through, or not.
#[derive(Debug)]
pub(super) struct Measured<W> {
    /// Where the number of those that are left out is told.
    writer: W,
    paces: Mutex<Paces>,
}

/// Whose a span is.
struct Whose(String);

#[derive(Debug)]
struct Paces {
    /// Of lines about no peer.
    own: Pace,
    peers: Pace,
    each: HashMap<String, Pace>,
}

#[derive(Debug)]
struct Pace {
    allowed: Allowed,
    lines_left: f64,
    looked: Instant,
    left_out: u64,
}

/// What becomes of one line, and how many before it there were none of.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Goes { left_out: u64 },
    LeftOut,
}

impl<W> Measured<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, paces: Mutex::new(Paces::new(Instant::now())) }
    }
}

impl<S, W> Layer<S> for Measured<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut peer = PeerField::default();
        attributes.record(&mut peer);
        if let (Some(name), Some(span)) = (peer.0, context.span(id)) {
            span.extensions_mut().replace(Whose(name));
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        let mut peer = PeerField::default();
        event.record(&mut peer);
        let of_span = || {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<Whose>().map(|whose| whose.0.clone()))
        };
        let peer = peer.0.or_else(of_span);
        let verdict = self.paces.lock().unwrap_or_else(PoisonError::into_inner).judge(peer.as_deref(), Instant::now());
        if let Verdict::Goes { left_out: lines @ 1.. } = verdict {
            let about = peer.map(|peer| format!(" about {peer}")).unwrap_or_default();
            // Nobody is left to be told when the log is closed.
            let _gone = writeln!(
                self.writer.make_writer(),
                "{lines} lines{about} are left out here, because so many came at once"
            );
        }
        verdict != Verdict::LeftOut
    }
}

impl Paces {
    fn new(now: Instant) -> Self {
        Self { own: Pace::new(OF_ALL, now), peers: Pace::new(OF_ALL, now), each: HashMap::new() }
    }

    /// What becomes of a line about this peer.
    fn judge(&mut self, peer: Option<&str>, now: Instant) -> Verdict {
        let Some(peer) = peer else { return self.own.judge(now, true) };
        if !self.each.contains_key(peer) {
            self.make_room();
            self.each.insert(peer.to_owned(), Pace::new(OF_ONE, now));
        }
        let Self { peers, each, .. } = self;
        let Some(pace) = each.get_mut(peer) else { return Verdict::LeftOut };
        // What is too much for the peer itself takes no room of others.
        let has_room = !pace.has_line(now) || peers.takes_line(now);
        pace.judge(now, has_room)
    }

    fn make_room(&mut self) {
        if self.each.len() >= PEERS_MAX
            && let Some(quiet) = self.each.iter().min_by_key(|(_, pace)| pace.looked).map(|(name, _)| name.clone())
        {
            self.each.remove(&quiet);
        }
    }
}

impl Pace {
    fn new(allowed: Allowed, now: Instant) -> Self {
        Self { allowed, lines_left: allowed.burst, looked: now, left_out: 0 }
    }

    fn has_line(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked).as_secs_f64();
        self.lines_left = (self.lines_left + passed * self.allowed.per_second).min(self.allowed.burst);
        self.looked = now;
        self.lines_left >= 1.0
    }

    fn takes_line(&mut self, now: Instant) -> bool {
        let has = self.has_line(now);
        if has {
            self.lines_left -= 1.0;
        }
        has
    }

    fn judge(&mut self, now: Instant, has_room: bool) -> Verdict {
        if has_room && self.takes_line(now) {
            return Verdict::Goes { left_out: std::mem::take(&mut self.left_out) };
        }
        self.left_out += 1;
        Verdict::LeftOut
    }
}

/// Reads the field that names a peer.
#[derive(Default)]
struct PeerField(Option<String>);

impl Visit for PeerField {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == PEER {
            self.0 = Some(value.chars().take(NAME_LEN_MAX).collect());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == PEER {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests;
