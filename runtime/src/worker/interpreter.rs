//! Runs scripts: an interpreter whose code is loaded and whose memory is mapped from an image. Also makes images, by running
//! the interpreter over another image and keeping what its memory has become.

use super::fuel;
use super::guest::{self, Ended, failed, unusable};
use super::image_memory::{Beginning, ImageMemories};
use super::load;
use super::make;
use super::memory::MemoryGauge;
use super::meter::Meter;
use super::preview1::{self, ModuleGuest};
use super::stdio::{Inbox, Outbox};
use super::talk::{self, Talk};
use crate::engine;
use crate::handed::Handed;
use crate::image::{GlobalValue, ImageFile, ImageTail, write_image};
use crate::outcome::{Outcome, Report};
use crate::protocol::{Answer, Boot, Purpose, Refusal, RunSpec, WarmSpec};
use crate::rewrite::GLOBAL_PREFIX;
use crate::script::ScriptBoot;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::{Engine, Extern, Instance, InstancePre, Module, Store, Val};
use wasmtime_wasi::p1::WasiP1Ctx;

/// The size of a page of WebAssembly memory, in bytes.
const WASM_PAGE: u64 = 64 << 10;
/// The interpreter's only memory.
const MEMORY: &str = "memory";

/// An interpreter's code, ready to be instantiated over any image.
pub(super) struct Interpreter {
    engine: Engine,
    memories: Arc<ImageMemories>,
    code: InstancePre<ModuleGuest>,
    /// The memory its module asks for, in bytes.
    memory_bytes: u64,
}

impl Interpreter {
    /// Loads code that was compiled for scripts.
    pub(super) fn load(code: File) -> Result<Self, Answer> {
        let memories = Arc::new(ImageMemories::default());
        let engine = engine::engine(Purpose::Interpreter, Some(memories.clone()))
            .map_err(|error| Answer::Failed(format!("cannot set up the engine: {error:#}")))?;
        let module = load::module(&engine, code).map_err(unusable)?;
        let memory_bytes = memory_bytes(&module).ok_or_else(|| failed("the interpreter exports no memory"))?;
        let linker = preview1::interpreter_linker(&engine).map_err(failed)?;
        let code = linker.instantiate_pre(&module).map_err(unusable)?;
        Ok(Self { engine, memories, code, memory_bytes })
    }

    /// A guest at the state of these images, each over the one before, which has been given nothing yet.
    pub(super) async fn instantiate(&self, layers: Vec<ImageFile>, guest: ModuleGuest) -> wasmtime::Result<Script> {
        let Some(top) = layers.last().map(|image| image.tail.clone()) else {
            wasmtime::bail!("an interpreter needs an image to start from");
        };
        self.start(top, Beginning::Layers(layers), guest).await
    }

    /// A guest at the state of this image, as often as scripts start from it; its memory serves one after the other.
    async fn instantiate_again(&self, image: ImageFile, guest: ModuleGuest) -> wasmtime::Result<Script> {
        self.start(image.tail.clone(), Beginning::Again(image), guest).await
    }

    /// Makes the memory of a script that is over ready for the next one.
    pub(super) fn tidy(&self) {
        self.memories.tidy();
    }

    async fn start(&self, top: ImageTail, beginning: Beginning, mut guest: ModuleGuest) -> wasmtime::Result<Script> {
        guest.memory.hold(top.memory_bytes.saturating_sub(self.memory_bytes))?;
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        let globals = top.globals;
        self.memories.start_from(usize::try_from(self.memory_bytes)?, beginning);
        let instance = self.code.instantiate_async(&mut store).await?;
        for (name, value) in globals {
            let Some(global) = instance.get_global(&mut store, &name) else {
                wasmtime::bail!("the image holds the global {name}, which the interpreter does not have");
            };
            global.set(&mut store, value.into())?;
        }
        fuel::fill(&mut store, instance)?;
        Ok(Script { store, instance })
    }
}

fn memory_bytes(module: &Module) -> Option<u64> {
    let memory = module.get_export(MEMORY)?;
    memory.memory().map(|memory| memory.minimum() * WASM_PAGE)
}

/// Runs a script to its end.
pub(super) async fn run(
    spec: &RunSpec,
    interpreter: &Interpreter,
    meter: Arc<Meter>,
    inbox: Inbox,
    outbox: &Outbox,
) -> Result<(Report, bool), Answer> {
    let image = open_image(spec)?;
    let guest = guest(spec, &meter, inbox, outbox)?;
    outbox.ready().map_err(failed)?;
    let (ended, _) = follow(interpreter, spec, image, guest).await?;
    Ok(guest::report(spec, &meter, ended))
}

/// Makes an image of what the interpreter's memory is after a run.
pub(super) async fn warm(spec: &WarmSpec, meter: Arc<Meter>, inbox: Inbox, outbox: &Outbox) -> Result<Answer, Answer> {
    let code = spec.run.code.file().map_err(|error| unusable(error.into()))?;
    let interpreter = Interpreter::load(code)?;
    let image = open_image(&spec.run)?;
    let guest = guest(&spec.run, &meter, inbox, outbox)?;
    let (ended, script) = follow(&interpreter, &spec.run, image, guest).await?;
    let (report, _) = guest::report(&spec.run, &meter, ended);
    let refuse = |why: String| Ok(Answer::Refused(Refusal::Image(why)));
    let mut script = match (report.outcome, script) {
        (Outcome::Exited(0), Some(script)) => script,
        (Outcome::Exited(code), _) => return refuse(format!("its imports or its setup failed with exit code {code}")),
        (outcome, _) => return refuse(outcome.to_string()),
    };
    let open = meter.files_open();
    if open > 0 {
        return refuse(format!(
            "its imports or its setup leave {open} files open, in which no run could read on; close them"
        ));
    }
    let tail = script.tail().map_err(failed)?;
    let bytes = script.memory().map_err(failed)?;
    let made = make::image(&spec.destination, |file| write_image(file, &tail, [(0, bytes)]));
    Ok(made.map_or_else(Answer::Refused, Answer::Made))
}

/// Instantiates and enters the interpreter under the run's wall time.
async fn follow(
    interpreter: &Interpreter,
    spec: &RunSpec,
    image: ImageFile,
    guest: ModuleGuest,
) -> Result<(Ended, Option<Script>), Answer> {
    let started = Instant::now();
    let events = guest.talk.events();
    let mut script = None;
    let work = async {
        let script = script.insert(interpreter.instantiate_again(image, guest).await?);
        script.enter(&spec.boot).await
    };
    let result = tokio::time::timeout(spec.limits.wall(), talk::during(events.clone(), work)).await.ok();
    let elapsed = started.elapsed();
    events.iter().for_each(|events| events.finish());
    let (fuel_used, memory_peak_bytes) = match &mut script {
        Some(script) => {
            let meter = script.store.data().meter.clone();
            let used = fuel::settle(&mut script.store, script.instance, result.as_ref(), &meter).map_err(failed)?;
            (used, script.store.data().memory.peak())
        }
        None => (0, 0),
    };
    Ok((Ended { result, elapsed, fuel_used, memory_peak_bytes }, script))
}

fn open_image(spec: &RunSpec) -> Result<ImageFile, Answer> {
    image_file(spec.image.as_ref().ok_or_else(|| failed("a script needs an image to start from"))?)
}

pub(super) fn image_file(image: &Handed) -> Result<ImageFile, Answer> {
    let opened = image.file().and_then(ImageFile::read);
    opened.map_err(|error| Answer::CodeUnusable(format!("the image it starts from: {error}")))
}

fn guest(spec: &RunSpec, meter: &Arc<Meter>, inbox: Inbox, outbox: &Outbox) -> Result<ModuleGuest, Answer> {
    let wasi = guest::wasi(spec, meter, inbox, outbox)?.build_p1();
    Ok(ModuleGuest { talk: Talk::of(spec, outbox), ..with_wasi(spec, meter, wasi) })
}

pub(super) fn with_wasi(spec: &RunSpec, meter: &Arc<Meter>, wasi: WasiP1Ctx) -> ModuleGuest {
    ModuleGuest {
        wasi,
        memory: MemoryGauge::new(spec.limits.memory_bytes, meter.clone()),
        meter: meter.clone(),
        talk: Talk::none(),
        fuel: spec.limits.fuel,
        replaced: [false; 3],
        interrupts: None,
    }
}

/// An interpreter that is running, or has run.
pub(super) struct Script {
    pub(super) store: Store<ModuleGuest>,
    pub(super) instance: Instance,
}

impl Script {
    /// Calls the export that runs the script; the value is the exit code.
    async fn enter(&mut self, boot: &Boot) -> wasmtime::Result<i32> {
        match boot {
            Boot::Command => wasmtime::bail!("a command is no script"),
            Boot::Script(ScriptBoot::Run) => {
                let run = self.instance.get_typed_func::<(), i32>(&mut self.store, "run")?;
                run.call_async(&mut self.store, ()).await
            }
            Boot::Script(ScriptBoot::Turn { source }) => self.turn(source).await,
        }
    }

    /// Has the interpreter run this text; the value is what its export says.
    pub(super) async fn turn(&mut self, source: &str) -> wasmtime::Result<i32> {
        let (store, instance) = (&mut self.store, self.instance);
        let len = i32::try_from(source.len())?;
        let allocate = instance.get_typed_func::<i32, i32>(&mut *store, "host_alloc")?;
        let at = allocate.call_async(&mut *store, len).await?;
        let Some(memory) = instance.get_memory(&mut *store, MEMORY) else {
            wasmtime::bail!("the interpreter exports no memory");
        };
        memory.write(&mut *store, usize::try_from(at.cast_unsigned())?, source.as_bytes())?;
        let turn = instance.get_typed_func::<(i32, i32), i32>(&mut *store, "turn")?;
        turn.call_async(&mut *store, (at, len)).await
    }

    /// What the guest's state is besides its memory.
    pub(super) fn tail(&mut self) -> wasmtime::Result<ImageTail> {
        let names: Vec<String> = self
            .instance
            .exports(&mut self.store)
            .filter(|export| export.name().starts_with(GLOBAL_PREFIX))
            .map(|export| export.name().to_owned())
            .collect();
        let mut globals = Vec::with_capacity(names.len());
        for name in names {
            let Some(Extern::Global(global)) = self.instance.get_export(&mut self.store, &name) else {
                wasmtime::bail!("the export {name} is no global");
            };
            globals.push((name, GlobalValue::try_from(global.get(&mut self.store))?));
        }
        Ok(ImageTail::whole(self.memory()?.len() as u64, globals))
    }

    pub(super) fn memory_mut(&mut self) -> wasmtime::Result<&mut [u8]> {
        match self.instance.get_memory(&mut self.store, MEMORY) {
            Some(memory) => Ok(memory.data_mut(&mut self.store)),
            None => wasmtime::bail!("the interpreter exports no memory"),
        }
    }

    pub(super) fn memory(&mut self) -> wasmtime::Result<&[u8]> {
        match self.instance.get_memory(&mut self.store, MEMORY) {
            Some(memory) => Ok(memory.data(&self.store)),
            None => wasmtime::bail!("the interpreter exports no memory"),
        }
    }
}

impl From<GlobalValue> for Val {
    fn from(value: GlobalValue) -> Self {
        match value {
            GlobalValue::I32(value) => Self::I32(value),
            GlobalValue::I64(value) => Self::I64(value),
            GlobalValue::F32(bits) => Self::F32(bits),
            GlobalValue::F64(bits) => Self::F64(bits),
        }
    }
}

impl TryFrom<Val> for GlobalValue {
    type Error = wasmtime::Error;

    fn try_from(value: Val) -> Result<Self, Self::Error> {
        match value {
            Val::I32(value) => Ok(Self::I32(value)),
            Val::I64(value) => Ok(Self::I64(value)),
            Val::F32(bits) => Ok(Self::F32(bits)),
            Val::F64(bits) => Ok(Self::F64(bits)),
            Val::V128(_) | Val::FuncRef(_) | Val::ExternRef(_) | Val::AnyRef(_) | Val::ExnRef(_) | Val::ContRef(_) => {
                wasmtime::bail!("a global that holds no number cannot be kept in an image")
            }
        }
    }
}
