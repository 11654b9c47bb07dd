//! Runs one guest: loads its code, gives it what the request names and nothing else, calls it, and says how it ended.

use super::disk::DiskGauge;
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
use crate::protocol::{Access, Answer, Boot, CodeKind, Purpose, RunSpec, tag};
use crate::script::ScriptBoot;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Instance, Store, Trap, WasmBacktrace};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

/// After this much fuel a guest lets the worker move its bytes; about a millisecond.
const FUEL_PER_TURN: u64 = 10_000_000;
/// The most frames of a trap's backtrace that are told.
const BACKTRACE_FRAMES_MAX: usize = 12;
/// The longest text of a trap.
const TRAP_LEN_MAX: usize = 4096;

/// Runs the guest to its end.
pub(super) async fn run(spec: &RunSpec, parent_gone: ParentGone, inbox: Inbox, outbox: &Outbox) -> Answer {
    let purpose = match spec.boot {
        Boot::Command => Purpose::Command,
        Boot::Script(_) => Purpose::Interpreter,
    };
    let prepared = engine::engine(purpose)
        .map_err(|error| Answer::Failed(format!("cannot set up the engine: {error:#}")))
        .and_then(|engine| Ok((meter(spec, parent_gone)?, engine)));
    let (meter, engine) = match prepared {
        Ok(prepared) => prepared,
        Err(answer) => return answer,
    };
    let ended = match spec.kind {
        CodeKind::Module => run_module(spec, &engine, meter, inbox, outbox).await,
        CodeKind::Component => run_component(spec, &engine, meter, inbox, outbox).await,
    };
    match ended {
        Ok(report) => Answer::Report(report),
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

fn wasi(spec: &RunSpec, meter: &Arc<Meter>, inbox: Inbox, outbox: &Outbox) -> Result<WasiCtxBuilder, Answer> {
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
    engine: &Engine,
    meter: Arc<Meter>,
    inbox: Inbox,
    outbox: &Outbox,
) -> Result<Report, Answer> {
    let module = load::module(engine, &spec.code).map_err(unusable)?;
    let mut linker = preview1::linker(engine).map_err(failed)?;
    if matches!(spec.boot, Boot::Script(_)) {
        preview1::add_absent_host(&mut linker).map_err(failed)?;
    }
    let guest = ModuleGuest {
        wasi: wasi(spec, &meter, inbox, outbox)?.build_p1(),
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
        replaced: [false; 3],
    };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.memory);
    meter_store(&mut store, spec).map_err(failed)?;
    outbox.ready().map_err(failed)?;
    let started = Instant::now();
    let work = async {
        let instance = linker.instantiate_async(&mut store, &module).await?;
        enter(&mut store, instance, &spec.boot).await
    };
    let result = tokio::time::timeout(spec.limits.wall(), work).await.ok();
    let elapsed = started.elapsed();
    let fuel_left = store.get_fuel().map_err(failed)?;
    let memory_peak_bytes = store.data().memory.peak();
    Ok(report(spec, &meter, result, elapsed, Used { fuel_left, memory_peak_bytes }))
}

/// Calls the module's entry point; the value is the exit code.
async fn enter(store: &mut Store<ModuleGuest>, instance: Instance, boot: &Boot) -> wasmtime::Result<i32> {
    match boot {
        Boot::Command => {
            let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
            start.call_async(&mut *store, ()).await?;
            Ok(0)
        }
        Boot::Script(ScriptBoot::Run) => {
            let run = instance.get_typed_func::<(), i32>(&mut *store, "run")?;
            run.call_async(&mut *store, ()).await
        }
        Boot::Script(ScriptBoot::Turn { source }) => {
            let len = i32::try_from(source.len())?;
            let allocate = instance.get_typed_func::<i32, i32>(&mut *store, "host_alloc")?;
            let at = allocate.call_async(&mut *store, len).await?;
            let Some(memory) = instance.get_memory(&mut *store, "memory") else {
                wasmtime::bail!("the interpreter exports no memory");
            };
            memory.write(&mut *store, usize::try_from(at.cast_unsigned())?, source.as_bytes())?;
            let turn = instance.get_typed_func::<(i32, i32), i32>(&mut *store, "turn")?;
            turn.call_async(&mut *store, (at, len)).await
        }
    }
}

async fn run_component(
    spec: &RunSpec,
    engine: &Engine,
    meter: Arc<Meter>,
    inbox: Inbox,
    outbox: &Outbox,
) -> Result<Report, Answer> {
    let component = load::component(engine, &spec.code).map_err(unusable)?;
    let linker = preview2::linker(engine).map_err(failed)?;
    let guest = ComponentGuest {
        wasi: wasi(spec, &meter, inbox, outbox)?.build(),
        table: ResourceTable::new(),
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
    };
    let mut store = Store::new(engine, guest);
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
    let fuel_left = store.get_fuel().map_err(failed)?;
    let memory_peak_bytes = store.data().memory.peak();
    Ok(report(spec, &meter, result, elapsed, Used { fuel_left, memory_peak_bytes }))
}

/// What the store says at the end.
struct Used {
    fuel_left: u64,
    memory_peak_bytes: u64,
}

fn report(
    spec: &RunSpec,
    meter: &Meter,
    result: Option<wasmtime::Result<i32>>,
    elapsed: Duration,
    used: Used,
) -> Report {
    let wall_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let outcome = match (meter.hit(), result) {
        (Some(hit), _) => Outcome::Limit(hit),
        (None, None) => {
            Outcome::Limit(LimitHit { kind: LimitKind::WallTime, used: wall_ms, allowed: spec.limits.wall_ms })
        }
        (None, Some(Ok(code))) => Outcome::Exited(code),
        (None, Some(Err(error))) => outcome(&error, spec),
    };
    let fuel_used = spec.limits.fuel.saturating_sub(used.fuel_left);
    Report { outcome, fuel_used, wall_ms, memory_peak_bytes: used.memory_peak_bytes }
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

fn unusable(error: wasmtime::Error) -> Answer {
    Answer::CodeUnusable(format!("{error:#}"))
}

fn failed(error: impl std::fmt::Display) -> Answer {
    Answer::Failed(format!("{error:#}"))
}
