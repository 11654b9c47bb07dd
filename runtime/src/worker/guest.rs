//! Runs one guest: gives it what the request names and nothing else, calls it, and says how it ended. When that is said,
//! nothing of the run is left in this process.

use super::disk::DiskGauge;
use super::fuel::FUEL_PER_TURN;
use super::interpreter;
use super::loaded::{Loaded, Program};
use super::memory::MemoryGauge;
use super::meter::Meter;
use super::preview1::ModuleGuest;
use super::preview2::ComponentGuest;
use super::stdio::{Inbox, Outbox};
use super::talk::{self, Talk};
use crate::engine::GUEST_STACK_BYTES;
use crate::limits::{LimitHit, LimitKind};
use crate::outcome::{Outcome, Report};
use crate::protocol::{Access, Answer, Boot, LoadSpec, Purpose, RunSpec, WarmSpec, tag};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime::{InstancePre, Store, Trap, WasmBacktrace};
use wasmtime_wasi::cli::StdinStream;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

/// The most frames of a trap's backtrace that are told.
const BACKTRACE_FRAMES_MAX: usize = 12;
/// The longest text of a trap.
const TRAP_LEN_MAX: usize = 4096;
/// The most streams, waits, descriptors and other things of ours that a component holds at once; each takes some hundred
/// bytes.
const HANDLES_MAX: usize = 16_384;
/// The most bytes that one call of a component hands over; they are copied before the call can be stopped.
const CALL_LEN_MAX: usize = 32 << 20;

/// Runs the guest to its end.
pub(super) async fn run(spec: &RunSpec, loaded: &mut Loaded, inbox: Inbox, outbox: &Outbox) -> Answer {
    let meter = meter(spec);
    let ended = match loaded.program(&code(spec)) {
        Ok(Program::Module(module)) => run_module(spec, &module, meter, inbox, outbox).await,
        Ok(Program::Interpreter(interpreter)) => interpreter::run(spec, &interpreter, meter, inbox, outbox).await,
        Ok(Program::Component(component)) => run_component(spec, &component, meter, inbox, outbox).await,
        Err(answer) => Err(answer),
    };
    match ended {
        Ok((report, clean)) => Answer::Report { report, clean },
        Err(answer) => answer,
    }
}

/// Makes an image with a run.
pub(super) async fn warm(spec: &WarmSpec, inbox: Inbox, outbox: &Outbox) -> Answer {
    interpreter::warm(spec, meter(&spec.run), inbox, outbox).await.unwrap_or_else(|answer| answer)
}

fn code(spec: &RunSpec) -> LoadSpec {
    let purpose = match spec.boot {
        Boot::Command => Purpose::Command,
        Boot::Script(_) => Purpose::Interpreter,
    };
    LoadSpec { code: spec.code.clone(), kind: spec.kind, purpose }
}

pub(super) fn meter(spec: &RunSpec) -> Arc<Meter> {
    let writable = spec.preopens.iter().filter(|preopen| preopen.access == Access::ReadWrite);
    let directories = writable.map(|preopen| preopen.host.clone()).collect();
    let disk = DiskGauge::new(directories, &spec.limits, spec.given);
    Arc::new(Meter::new(&spec.limits, disk))
}

pub(super) fn wasi(
    spec: &RunSpec,
    meter: &Arc<Meter>,
    inbox: impl StdinStream + 'static,
    outbox: &Outbox,
) -> Result<WasiCtxBuilder, Answer> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&spec.argv)
        .envs(&spec.env)
        .stdin(inbox)
        .stdout(outbox.stream(tag::STDOUT, meter.clone()))
        .stderr(outbox.stream(tag::STDERR, meter.clone()))
        // A guest that sleeps must not put the thread to sleep that moves its bytes and watches its wall time.
        .allow_blocking_current_thread(false);
    for preopen in &spec.preopens {
        let perms = match preopen.access {
            Access::ReadOnly => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        };
        builder
            .preopened_dir(&preopen.host, &preopen.guest, perms)
            .map_err(|error| Answer::Failed(format!("cannot open {}: {error:#}", preopen.host.display())))?;
    }
    Ok(builder)
}

/// Prepares the limits every store has.
fn meter_store<T>(store: &mut Store<T>, spec: &RunSpec) -> wasmtime::Result<()> {
    store.set_fuel(spec.limits.fuel)?;
    store.fuel_async_yield_interval(Some(FUEL_PER_TURN))
}

async fn run_module(
    spec: &RunSpec,
    module: &InstancePre<ModuleGuest>,
    meter: Arc<Meter>,
    inbox: Inbox,
    outbox: &Outbox,
) -> Result<(Report, bool), Answer> {
    let guest = ModuleGuest {
        wasi: wasi(spec, &meter, inbox, outbox)?.build_p1(),
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
        talk: Talk::of(spec, outbox),
        fuel: 0,
        replaced: [false; 3],
        interrupts: None,
    };
    let events = guest.talk.events();
    let mut store = Store::new(module.module().engine(), guest);
    store.limiter(|guest| &mut guest.memory);
    meter_store(&mut store, spec).map_err(failed)?;
    outbox.ready().map_err(failed)?;
    let started = Instant::now();
    let work = async {
        store.data().memory.admit(&module.module().resources_required())?;
        let instance = module.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await.map(|()| 0)
    };
    let result = tokio::time::timeout(spec.limits.wall(), talk::during(events.clone(), work)).await.ok();
    let elapsed = started.elapsed();
    events.iter().for_each(|events| events.finish());
    let fuel_used = fuel_used(&store, spec)?;
    let memory_peak_bytes = store.data().memory.peak();
    Ok(report(spec, &meter, Ended { result, elapsed, fuel_used, memory_peak_bytes }))
}

async fn run_component(
    spec: &RunSpec,
    component: &CommandPre<ComponentGuest>,
    meter: Arc<Meter>,
    inbox: Inbox,
    outbox: &Outbox,
) -> Result<(Report, bool), Answer> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES_MAX);
    let guest = ComponentGuest {
        wasi: wasi(spec, &meter, inbox, outbox)?.build(),
        table,
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
        talk: Talk::of(spec, outbox).numbered_by_guest(),
    };
    let events = guest.talk.events();
    let mut store = Store::new(component.engine(), guest);
    store.set_hostcall_fuel(CALL_LEN_MAX);
    store.limiter(|guest| &mut guest.memory);
    meter_store(&mut store, spec).map_err(failed)?;
    outbox.ready().map_err(failed)?;
    let started = Instant::now();
    let work = async {
        if let Some(required) = component.instance_pre().component().resources_required() {
            store.data().memory.admit(&required)?;
        }
        let command = component.instantiate_async(&mut store).await?;
        let result = command.wasi_cli_run().call_run(&mut store).await?;
        Ok(i32::from(result.is_err()))
    };
    let result = tokio::time::timeout(spec.limits.wall(), talk::during(events.clone(), work)).await.ok();
    let elapsed = started.elapsed();
    events.iter().for_each(|events| events.finish());
    let fuel_used = fuel_used(&store, spec)?;
    let memory_peak_bytes = store.data().memory.peak();
    Ok(report(spec, &meter, Ended { result, elapsed, fuel_used, memory_peak_bytes }))
}

fn fuel_used<T>(store: &Store<T>, spec: &RunSpec) -> Result<u64, Answer> {
    store.get_fuel().map(|left| spec.limits.fuel.saturating_sub(left)).map_err(failed)
}

/// How a guest came to its end, and what it used.
pub(super) struct Ended {
    /// Its exit code or why it stopped; nothing if its wall time was over.
    pub(super) result: Option<wasmtime::Result<i32>>,
    pub(super) elapsed: Duration,
    pub(super) fuel_used: u64,
    pub(super) memory_peak_bytes: u64,
}

/// What is told of the run, and whether it left this process as it found it.
pub(super) fn report(spec: &RunSpec, meter: &Meter, ended: Ended) -> (Report, bool) {
    let wall_ms = u64::try_from(ended.elapsed.as_millis()).unwrap_or(u64::MAX);
    let outcome = match (meter.hit(), ended.result) {
        (Some(hit), _) => Outcome::Limit(hit),
        (None, None) => {
            Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used: wall_ms, allowed: spec.limits.wall_ms })
        }
        (None, Some(Ok(code))) => Outcome::Exited(code),
        (None, Some(Err(error))) => outcome(&error, spec.limits.fuel),
    };
    let clean = matches!(outcome, Outcome::Exited(_)) && !meter.has_streams();
    (Report { outcome, fuel_used: ended.fuel_used, wall_ms, memory_peak_bytes: ended.memory_peak_bytes }, clean)
}

pub(super) fn outcome(error: &wasmtime::Error, allowed: u64) -> Outcome {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Outcome::Exited(exit.0);
    }
    let all = |kind, allowed| Outcome::Limit(LimitHit { kind, used: allowed, allowed });
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return all(LimitKind::Fuel, allowed),
        Some(Trap::StackOverflow) => return all(LimitKind::Stack, GUEST_STACK_BYTES as u64),
        _ => {}
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        let allowed = HANDLES_MAX as u64;
        return Outcome::Limit(LimitHit { kind: LimitKind::Handles, used: allowed + 1, allowed });
    }
    Outcome::Trapped(explain(error))
}

/// The reason of a trap and where in the guest it happened.
fn explain(error: &wasmtime::Error) -> String {
    let mut text = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None => error.root_cause().to_string(),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        for frame in backtrace.frames().iter().take(BACKTRACE_FRAMES_MAX) {
            let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangle);
            text.push_str("\n  at ");
            text.push_str(&name);
        }
        let more = backtrace.frames().len().saturating_sub(BACKTRACE_FRAMES_MAX);
        if more > 0 {
            text.push_str(&format!("\n  and {more} more"));
        }
    }
    if let Some((end, _)) = text.char_indices().nth(TRAP_LEN_MAX) {
        text.truncate(end);
    }
    text
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

pub(super) fn unusable(error: wasmtime::Error) -> Answer {
    Answer::CodeUnusable(format!("{error:#}"))
}

pub(super) fn failed(error: impl std::fmt::Display) -> Answer {
    Answer::Failed(format!("{error:#}"))
}
