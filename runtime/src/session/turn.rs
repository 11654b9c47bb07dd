//! One turn of a session. Nothing is collected here; a slow reader slows the guest.

use super::patience::Patience;
use super::{At, Session, SessionError};
use crate::limits::{LimitHit, LimitKind, TurnLimits};
use crate::outcome::Outcome;
use crate::protocol::{Answer, Spec, TurnSpec, Turned, decode, tag};
use crate::run::{BACKSTOP, OutputStream, RunStdin, open_stdin};
use bytes::Bytes;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A turn that runs. If it is dropped before its end it is undone.
pub struct Turn<'a> {
    session: &'a mut Session,
    /// What `input()` reads; dropping it is the end of input.
    pub stdin: Option<RunStdin>,
    /// How much went into `stdin`, as long as it is open.
    sent: Weak<AtomicU64>,
    over: watch::Sender<bool>,
    number: u64,
    started: Instant,
    wall: Duration,
    /// When the worker is killed, once the turn was interrupted.
    patience: Option<Patience>,
    /// How it ended, once it has.
    report: Option<TurnReport>,
    /// Whether that was told.
    told: bool,
}

/// What happens in a turn, in order.
#[derive(Debug)]
pub enum TurnEvent {
    /// The guest printed something.
    Output {
        /// Where.
        stream: OutputStream,
        /// What; never empty.
        bytes: Bytes,
    },
    /// The guest waits for input, has read all that was written to [`Turn::stdin`], and may get more. That is said once:
    /// it holds until more is written, stdin is closed, or the turn is over, also if the guest comes to wait otherwise
    /// meanwhile. Who only looks whether there is input waits as well, for however short a time.
    InputWanted,
    /// The turn is over; nothing follows.
    Ended(TurnReport),
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnReport {
    /// [`Outcome::Exited`] with 0, or with 1 after an exception that was not caught, when the guest came back by itself;
    /// [`Outcome::Cancelled`] when it did not heed an interrupt.
    pub outcome: Outcome,
    /// Whether it asked for the session's end.
    pub quit: bool,
    /// Whether the session is what it was before the turn. Files that it held open are closed then, and what the turn
    /// wrote into files stays.
    pub undone: bool,
    /// As in [`Report`](crate::Report).
    pub fuel_used: u64,
    /// As in [`Report`](crate::Report).
    pub wall_ms: u64,
    /// The most memory the session held since it has this worker, in bytes.
    pub memory_peak_bytes: u64,
}

/// What the worker says next, or why it says no more.
enum Word {
    Frame(u8, Bytes),
    End(Outcome),
}

impl Session {
    /// Has the guest run this text. That can be done at any time: a session that rests is woken.
    ///
    /// # Errors
    /// A [`SessionError`]; the turn has not begun then.
    pub async fn turn(&mut self, source: &str, limits: TurnLimits) -> Result<Turn<'_>, SessionError> {
        let wall = Duration::from_millis(limits.wall_ms);
        let number = self.turns + 1;
        let spec = Spec::Turn(TurnSpec { number, source: source.to_owned(), limits });
        self.ready().await?;
        // A turn may be interrupted before its order has come.
        let interrupts = self.interrupts.clone();
        interrupts.begin(number);
        let over = watch::Sender::new(false);
        let stdin = match self.tell(&spec).await {
            Ok(line) => open_stdin(line, &over),
            Err(error) => {
                interrupts.end();
                return Err(error);
            }
        };
        self.turns = number;
        let started = Instant::now();
        let sent = stdin.sent();
        Ok(Turn {
            session: self,
            stdin: Some(stdin),
            sent,
            over,
            number,
            started,
            wall,
            patience: None,
            report: None,
            told: false,
        })
    }
}

impl Turn<'_> {
    /// The process in which it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.session.line.as_ref().map(|line| line.worker.process())
    }

    /// The next event; after [`TurnEvent::Ended`] it never returns. Dropping the future loses nothing.
    pub async fn next(&mut self) -> TurnEvent {
        while self.report.is_none() {
            let report = match self.word().await {
                Word::Frame(tag::STDOUT, bytes) if !bytes.is_empty() => {
                    return TurnEvent::Output { stream: OutputStream::Stdout, bytes };
                }
                Word::Frame(tag::STDERR, bytes) if !bytes.is_empty() => {
                    return TurnEvent::Output { stream: OutputStream::Stderr, bytes };
                }
                Word::Frame(tag::ANSWER, payload) => match decode(&payload) {
                    Ok(Answer::Turned(turned)) => self.turned(turned),
                    Ok(Answer::Failed(why)) => self.undone(Outcome::Lost(why)),
                    Ok(_) | Err(_) => self.undone(Outcome::Lost("the worker gave an answer that is none".to_owned())),
                },
                Word::Frame(tag::INPUT_WANTED, received) if self.has_read_all(&received) => {
                    return TurnEvent::InputWanted;
                }
                Word::Frame(..) => continue,
                Word::End(outcome) => self.undone(outcome),
            };
            self.report = Some(report);
            self.end();
        }
        self.last().await
    }

    /// The end, told once. Whoever drops the future may ask again.
    async fn last(&mut self) -> TurnEvent {
        match &self.report {
            Some(report) if !self.told => {
                if report.undone {
                    self.session.rest().await;
                } else {
                    self.session.at = At::Keeping;
                }
                self.told = true;
                TurnEvent::Ended(report.clone())
            }
            _ => std::future::pending().await,
        }
    }

    async fn word(&mut self) -> Word {
        let Some(line) = &mut self.session.line else {
            return Word::End(Outcome::Lost("the worker is gone".to_owned()));
        };
        let deadline = self.started + self.wall + BACKSTOP;
        loop {
            let until = self.patience.as_ref().map_or(deadline, |patience| patience.until);
            tokio::select! {
                // What has arrived counts, however late it is asked for.
                biased;
                frame = line.frames.next() => return match frame {
                    Ok(Some((tag, payload))) => Word::Frame(tag, payload),
                    Ok(None) | Err(_) => Word::End(Outcome::Lost(line.worker.exited().await.explain())),
                },
                () = self.session.interrupts.asked(self.number), if self.patience.is_none() => {
                    self.patience = Some(Patience::with(&line.worker));
                }
                () = tokio::time::sleep_until(until), if self.patience.is_some() => {
                    if self.patience.as_mut().is_some_and(|patience| patience.is_over(&line.worker)) {
                        return Word::End(Outcome::Cancelled);
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let allowed = u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX);
                    let hit = LimitHit { kind: LimitKind::WallTime, used: self.elapsed_ms(), allowed };
                    return Word::End(Outcome::Limit(hit));
                }
            }
        }
    }

    /// Whether nothing is on its way to a guest that has received so much.
    fn has_read_all(&self, received: &[u8]) -> bool {
        let sent = self.sent.upgrade().map(|sent| sent.load(Ordering::Relaxed).to_le_bytes());
        sent.is_some_and(|sent| sent == received)
    }

    fn turned(&mut self, turned: Turned) -> TurnReport {
        let Turned { report, returned, quit, memory_bytes } = turned;
        if returned {
            self.session.memory_bytes = memory_bytes;
        }
        TurnReport {
            outcome: report.outcome,
            quit,
            undone: !returned,
            fuel_used: report.fuel_used,
            wall_ms: report.wall_ms,
            memory_peak_bytes: report.memory_peak_bytes,
        }
    }

    fn undone(&self, outcome: Outcome) -> TurnReport {
        let wall_ms = self.elapsed_ms();
        TurnReport { outcome, quit: false, undone: true, fuel_used: 0, wall_ms, memory_peak_bytes: 0 }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Nobody interrupts the turn any more or reads its stdin.
    fn end(&mut self) {
        self.session.interrupts.end();
        self.stdin = None;
        self.over.send_replace(true);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.report.is_none() {
            self.end();
            if let Some(line) = &self.session.line {
                line.worker.kill();
            }
        }
    }
}
