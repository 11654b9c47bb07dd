//! Runs one guest: loads its code, gives it what the request names and nothing else, calls it, and says how it ended.

use super::disk::DiskGauge;
use super::fuel::{FUEL_PER_TURN, FuelTank};
use super::interpreter;
use super::load;
use super::memory::MemoryGauge;
use super::meter::Meter;
use super::orphan::ParentGone;
use super::preview1::{self, ModuleGuest};
use super::preview2::{self, ComponentGuest};
use super::stdio::{Inbox, Outbox};
use crate::engine;
use crate::limits::{LimitHit, LimitKind};
use crate::outcome::{Outcome, Report};
use crate::protocol::{Access, Answer, Boot, CodeKind, Purpose, RunSpec, WarmSpec, tag};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, Trap, WasmBacktrace};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

/// The most frames of a trap's backtrace that are told.
const BACKTRACE_FRAMES_MAX: usize = 12;
/// The longest text of a trap.
const TRAP_LEN_MAX: usize = 4096;

/// Runs the guest to its end.
pub(super) async fn run(spec: &RunSpec, parent_gone: ParentGone, inbox: Inbox, outbox: &Outbox) -> Answer {
    let meter = match meter(spec, parent_gone) {
        Ok(meter) => meter,
        Err(answer) => return answer,
    };
    let ended = match (&spec.boot, spec.kind) {
        (Boot::Script(_), _) => interpreter::run(spec, meter, inbox, outbox).await,
        (Boot::Command, CodeKind::Component) => run_component(spec, meter, inbox, outbox).await,
        (Boot::Command, _) => run_module(spec, meter, inbox, outbox).await,
    };
    match ended {
        Ok(report) => Answer::Report(report),
        Err(answer) => answer,
    }
}

/// Makes an image with a run.
pub(super) async fn warm(spec: &WarmSpec, parent_gone: ParentGone, inbox: Inbox, outbox: &Outbox) -> Answer {
    match meter(&spec.run, parent_gone) {
        Ok(meter) => interpreter::warm(spec, meter, inbox, outbox).await.unwrap_or_else(|answer| answer),
        Err(answer) => answer,
    }
}

fn meter(spec: &RunSpec, parent_gone: ParentGone) -> Result<Arc<Meter>, Answer> {
    let writable = spec.preopens.iter().filter(|preopen| preopen.access == Access::ReadWrite);
    let directories = writable.map(|preopen| preopen.host.clone()).collect();
    let disk = DiskGauge::new(directories, spec.limits.disk_bytes)
        .map_err(|error| Answer::Failed(format!("cannot measure the working directory: {error}")))?;
    Ok(Arc::new(Meter::new(&spec.limits, disk, parent_gone)))
}

pub(super) fn wasi(
    spec: &RunSpec,
    meter: &Arc<Meter>,
    inbox: Inbox,
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

async fn run_module(spec: &RunSpec, meter: Arc<Meter>, inbox: Inbox, outbox: &Outbox) -> Result<Report, Answer> {
    let engine = command_engine()?;
    let module = load::module(&engine, &spec.code).map_err(unusable)?;
    let linker = preview1::linker(&engine).map_err(failed)?;
    let guest = ModuleGuest {
        wasi: wasi(spec, &meter, inbox, outbox)?.build_p1(),
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
        fuel: FuelTank::new(0),
        replaced: [false; 3],
    };
    let mut store = Store::new(&engine, guest);
    store.limiter(|guest| &mut guest.memory);
    meter_store(&mut store, spec).map_err(failed)?;
    outbox.ready().map_err(failed)?;
    let started = Instant::now();
    let work = async {
        let instance = linker.instantiate_async(&mut store, &module).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await.map(|()| 0)
    };
    let result = tokio::time::timeout(spec.limits.wall(), work).await.ok();
    let elapsed = started.elapsed();
    let fuel_used = fuel_used(&store, spec)?;
    let memory_peak_bytes = store.data().memory.peak();
    Ok(report(spec, &meter, Ended { result, elapsed, fuel_used, memory_peak_bytes }))
}

async fn run_component(spec: &RunSpec, meter: Arc<Meter>, inbox: Inbox, outbox: &Outbox) -> Result<Report, Answer> {
    let engine = command_engine()?;
    let component = load::component(&engine, &spec.code).map_err(unusable)?;
    let linker = preview2::linker(&engine).map_err(failed)?;
    let guest = ComponentGuest {
        wasi: wasi(spec, &meter, inbox, outbox)?.build(),
        table: ResourceTable::new(),
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
    };
    let mut store = Store::new(&engine, guest);
    store.limiter(|guest| &mut guest.memory);
    meter_store(&mut store, spec).map_err(failed)?;
    outbox.ready().map_err(failed)?;
    let started = Instant::now();
    let work = async {
        let command = Command::instantiate_async(&mut store, &component, &linker).await?;
        let result = command.wasi_cli_run().call_run(&mut store).await?;
        Ok(i32::from(result.is_err()))
    };
    let result = tokio::time::timeout(spec.limits.wall(), work).await.ok();
    let elapsed = started.elapsed();
    let fuel_used = fuel_used(&store, spec)?;
    let memory_peak_bytes = store.data().memory.peak();
    Ok(report(spec, &meter, Ended { result, elapsed, fuel_used, memory_peak_bytes }))
}

fn command_engine() -> Result<Engine, Answer> {
    engine::engine(Purpose::Command, None)
        .map_err(|error| Answer::Failed(format!("cannot set up the engine: {error:#}")))
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

/// What is told of a guest's end.
pub(super) fn report(spec: &RunSpec, meter: &Meter, ended: Ended) -> Report {
    let wall_ms = u64::try_from(ended.elapsed.as_millis()).unwrap_or(u64::MAX);
    let outcome = match (meter.hit(), ended.result) {
        (Some(hit), _) => Outcome::Limit(hit),
        (None, None) => {
            Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used: wall_ms, allowed: spec.limits.wall_ms })
        }
        (None, Some(Ok(code))) => Outcome::Exited(code),
        (None, Some(Err(error))) => outcome(&error, spec),
    };
    Report { outcome, fuel_used: ended.fuel_used, wall_ms, memory_peak_bytes: ended.memory_peak_bytes }
}

fn outcome(error: &wasmtime::Error, spec: &RunSpec) -> Outcome {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Outcome::Exited(exit.0);
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel) {
        let allowed = spec.limits.fuel;
        return Outcome::Limit(LimitHit { kind: LimitKind::Fuel, used: allowed, allowed });
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
