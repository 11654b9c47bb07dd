//! A session: an interpreter that stays, and runs one turn after another. Between two turns its whole state is its memory
//! and the globals, which are kept in a file of the parent's. A turn that does not come back by itself has left them in the
//! middle of something: the session then ends here, and goes on elsewhere from what was kept.

use super::fuel;
use super::guest::{self, failed, meter};
use super::interpreter::{self, Interpreter, Script};
use super::interrupts::Interrupts;
use super::meter::Meter;
use super::state_file::StateFile;
use super::stdio::{Inbox, Outbox, TurnInput};
use crate::digest::Digest;
use crate::image::{ImageFile, ImageTail, SavedSession, write_image};
use crate::limits::{LimitHit, LimitKind, TurnLimits};
use crate::outcome::{Outcome, Report};
use crate::protocol::{Answer, LayerSpec, OpenSpec, SaveSpec, TurnSpec, Turned};
use crate::script::SignalPlaces;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// In what the interpreter's `turn` answers: the session is to end.
const QUIT: i32 = 1 << 8;

/// The session that is open.
pub(super) struct Session {
    script: Script,
    meter: Arc<Meter>,
    input: TurnInput,
    interrupts: Arc<Interrupts>,
    signals: SignalPlaces,
    state: StateFile,
    saved: SavedSession,
}

impl Session {
    /// Starts the interpreter over its images and runs what comes first.
    pub(super) async fn open(
        spec: OpenSpec,
        interpreter: &Interpreter,
        inbox: Inbox,
        outbox: &Outbox,
    ) -> Result<Self, Answer> {
        let images = spec.run.image.iter().chain(&spec.layers);
        let layers = images.map(interpreter::image_file).collect::<Result<Vec<ImageFile>, _>>()?;
        let tails: Vec<ImageTail> = layers.iter().map(|layer| layer.tail.clone()).collect();
        let meter = meter(&spec.run);
        let interrupts = Interrupts::listen(spec.interrupts.file().map_err(failed)?, spec.turns).map_err(failed)?;
        let input = TurnInput::new(inbox.clone(), outbox);
        let wasi = guest::wasi(&spec.run, &meter, input.clone(), outbox)?.build_p1();
        let mut guest = interpreter::with_wasi(&spec.run, &meter, wasi);
        guest.interrupts = Some(interrupts.clone());
        let script = interpreter.instantiate(layers, guest).await.map_err(failed)?;
        let state = StateFile::open(spec.state.file().map_err(failed)?, &tails).map_err(failed)?;
        let OpenSpec { signals, saved, .. } = spec;
        let mut session = Self { script, meter, input, interrupts, signals, state, saved };
        let limits = TurnLimits::from(&spec.run.limits);
        for source in spec.boot {
            let turn = TurnSpec { number: 0, source, limits: limits.clone() };
            let turned = session.turn(&turn, inbox.clone()).await?;
            if turned.report.outcome != Outcome::Exited(0) {
                return Err(failed(format!("the interpreter cannot begin a session: {}", turned.report.outcome)));
            }
        }
        Ok(session)
    }

    /// Runs one turn.
    pub(super) async fn turn(&mut self, spec: &TurnSpec, inbox: Inbox) -> Result<Turned, Answer> {
        self.input.switch(inbox);
        self.meter.begin_turn(spec.limits.output_bytes);
        let Script { store, instance } = &mut self.script;
        store.data_mut().fuel = spec.limits.fuel;
        fuel::fill(store, *instance).map_err(failed)?;
        let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| failed("there is no memory"))?;
        let under_way = self.interrupts.begin(spec.number, memory, &mut *store, self.signals);
        let started = Instant::now();
        let wall = Duration::from_millis(spec.limits.wall_ms);
        let result = tokio::time::timeout(wall, self.script.turn(&spec.source)).await.ok();
        drop(under_way);
        let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Script { store, instance } = &mut self.script;
        let fuel_used = fuel::settle(store, *instance, result.as_ref(), &self.meter).map_err(failed)?;
        let memory_peak_bytes = store.data().memory.peak();
        let (mut returned, mut quit) = (false, false);
        let outcome = match (self.meter.hit(), result) {
            (Some(hit), _) => Outcome::Limit(hit),
            (None, None) => {
                Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used: wall_ms, allowed: spec.limits.wall_ms })
            }
            (None, Some(Ok(status))) => {
                (returned, quit) = (true, status & QUIT != 0);
                Outcome::Exited(status & !QUIT)
            }
            (None, Some(Err(error))) => guest::outcome(&error, spec.limits.fuel),
        };
        let memory_bytes = memory.data_size(&*store) as u64;
        let report = Report { outcome, fuel_used, wall_ms, memory_peak_bytes };
        Ok(Turned { report, returned, quit, memory_bytes })
    }

    /// Keeps the state the last turn has left.
    pub(super) fn keep(&mut self) -> Result<Answer, Answer> {
        let tail = self.script.tail().map_err(failed)?;
        let memory_bytes = tail.memory_bytes;
        let memory = self.script.memory_mut().map_err(failed)?;
        self.state.keep(memory, tail).map_err(|error| failed(format!("cannot keep the session's state: {error}")))?;
        Ok(self.kept(memory_bytes))
    }

    /// Goes on in a new layer; the one so far is not written to any more.
    pub(super) fn layer(&mut self, spec: &LayerSpec) -> Result<Answer, Answer> {
        self.state.next(spec.state.file().map_err(failed)?, spec.merged);
        self.keep()
    }

    /// Writes the whole state to a file.
    pub(super) fn save(&mut self, spec: &SaveSpec) -> Result<Answer, Answer> {
        let mut tail = self.script.tail().map_err(failed)?;
        let memory_bytes = tail.memory_bytes;
        let memory = self.script.memory().map_err(failed)?;
        tail.session = Some(SavedSession { memory: Digest::of(memory), ..self.saved.clone() });
        let write = || {
            let file = spec.output.file()?;
            write_image(&file, &tail, [(0, memory)])?;
            file.sync_all()
        };
        write().map_err(|error| failed(format!("cannot write the session's state: {error}")))?;
        Ok(self.kept(memory_bytes))
    }

    fn kept(&self, memory_bytes: u64) -> Answer {
        Answer::Kept { files_open: self.meter.files_open(), memory_bytes }
    }
}
