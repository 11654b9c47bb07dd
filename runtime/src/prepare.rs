//! From a program to what a run of it needs: native code and, for a script, the image it starts from. Each is looked up,
//! or made in a worker, once, and kept.

use crate::backend::{PreparedBy, WasmProgram};
use crate::cache::{Claim, Code, CodeKey};
use crate::digest::Digest;
use crate::docker::ContainerError;
use crate::handed::{Handed, path_in_process};
use crate::image::{BuiltIn, ImageChoice};
use crate::job::{GuestPath, Program, Tenant};
use crate::prepare_script::PreparedScript;
use crate::protocol::{
    self, Answer, BaseSpec, CompileSpec, Destination, Made, Purpose, Refusal, RunSpec, Spec, WarmSpec, tag,
};
use crate::python::EnvironmentError;
use crate::runtime::{Runtime, base_preopens};
use crate::watch::{Stage, Watch};
use crate::workspace::{Cell, Workspace};
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a watcher hears of a compilation, and how often a claim held elsewhere is asked for again.
const TICK: Duration = Duration::from_millis(100);
/// How much of what a failed setup says is told: the last of it, in bytes.
const SAID_LEN_MAX: usize = 4 << 10;
/// What a process says last that gets no memory.
const OUT_OF_MEMORY: [&str; 2] = ["memory allocation of", "Cannot allocate memory"];

/// What compiling a program may take. A module of a few hundred bytes can be made to cost the compiler gigabytes and
/// minutes, and none of the limits of runs holds there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Memory of the process, in bytes.
    pub memory_bytes: u64,
    /// Wall time, for others than this machine's owner.
    pub time: Duration,
}

/// How much longer than others this machine's owner waits, who sees the clock and can cancel: workers yield to everything else, so
/// on a busy machine they get little.
const OWNERS_PATIENCE: u32 = 6;

impl CompileLimits {
    fn time_for(self, tenant: Tenant) -> Duration {
        if tenant == Tenant::OWNER { self.time * OWNERS_PATIENCE } else { self.time }
    }

    /// The same, and no more memory than this process may have itself.
    pub(crate) fn within_this_process(self) -> Self {
        let ours = getrlimit(Resource::Data).maximum.unwrap_or(u64::MAX);
        Self { memory_bytes: self.memory_bytes.min(ours), ..self }
    }
}

impl Default for CompileLimits {
    /// Twice what 100 MB of ordinary code take.
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, time: Duration::from_secs(5 * 60) }
    }
}

/// A program that is ready to run. As long as this lives, what was made for it stays.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) by: PreparedBy,
}

impl Prepared {
    /// Something the user should know although the program will run (the cache cannot be written, for one).
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.wasm()?.warning.as_deref()
    }

    /// Built-in images that would have served this script and are not there, for whoever makes them while there is nothing
    /// better to do.
    #[must_use]
    pub fn missing_images(&self) -> &[&'static BuiltIn] {
        self.script().map_or(&[], PreparedScript::missing)
    }

    /// What was prepared.
    #[must_use]
    pub fn program(&self) -> &Program {
        match &self.by {
            PreparedBy::Wasm(program) => &program.program,
            PreparedBy::Container(container) => container.program(),
        }
    }

    /// Its code, if workers run it.
    pub(crate) fn wasm(&self) -> Option<&WasmProgram> {
        match &self.by {
            PreparedBy::Wasm(program) => Some(program),
            PreparedBy::Container(_) => None,
        }
    }

    /// Whether it runs in a container.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self.by, PreparedBy::Container(_))
    }

    /// What belongs to it as a script, if it is one.
    pub(crate) fn script(&self) -> Option<&PreparedScript> {
        self.wasm()?.script.as_deref()
    }
}

/// A program cannot be run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is no such file.
    #[error("cannot read the program {path:?}; check its name")]
    NotFound {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{path:?} is not a WebAssembly program: {why}")]
    NotAProgram {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        why: String,
    },
    /// It wants what a job does not get.
    #[error("{path:?} cannot run: it imports {import}, which a job does not have; {hint}")]
    MissingImport {
        /// The file.
        path: PathBuf,
        /// The import, as module and name.
        import: String,
        /// What is provided, or why it is not.
        hint: String,
    },
    /// There is nothing to start.
    #[error("{path:?} cannot run: {why}")]
    NoEntryPoint {
        /// The file.
        path: PathBuf,
        /// What is missing, and what to do.
        why: String,
    },
    /// The language is not installed.
    #[error("the environment {name:?} is not on this machine; run 'potluck env add {name}' or let a peer provide it")]
    MissingEnvironment {
        /// The environment.
        name: String,
    },
    /// The language cannot be used.
    #[error("cannot use the program's environment")]
    Environment {
        /// Why.
        #[source]
        source: EnvironmentError,
    },
    /// It is not valid, or too large.
    #[error("cannot compile {path:?}: {why}")]
    Compile {
        /// The file.
        path: PathBuf,
        /// What the compiler says.
        why: String,
    },
    /// An image cannot be made.
    #[error("cannot make the image {name}: {why}")]
    Image {
        /// What it is called.
        name: String,
        /// What is wrong, with what the interpreter said.
        why: String,
    },
    /// The directory of compiled code is of no use.
    #[error("cannot use the cache of compiled code; check that its directory is yours and its disk has room")]
    Cache {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The container it asks for cannot be had.
    #[error("cannot use the container image {image}")]
    Container {
        /// The image, as it was asked for.
        image: String,
        /// Why, and what to do.
        #[source]
        source: ContainerError,
    },
    /// The compiling process failed.
    #[error("the compiling process failed on {path:?}: {why}; 'potluck doctor' tests the worker")]
    Worker {
        /// The file.
        path: PathBuf,
        /// What is known.
        why: String,
    },
}

impl PrepareError {
    /// The same failure of a program called `name`, wherever its bytes lie.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        match &mut self {
            Self::NotFound { path, .. }
            | Self::NotAProgram { path, .. }
            | Self::MissingImport { path, .. }
            | Self::NoEntryPoint { path, .. }
            | Self::Compile { path, .. }
            | Self::Worker { path, .. } => *path = name.into(),
            Self::Image { .. }
            | Self::MissingEnvironment { .. }
            | Self::Environment { .. }
            | Self::Container { .. }
            | Self::Cache { .. } => {}
        }
        self
    }
}

impl Runtime {
    /// The code of a program that workers run, and what belongs to a script.
    pub(crate) async fn prepare_code(&self, program: &Program, watch: &dyn Watch) -> Result<WasmProgram, PrepareError> {
        let (code, script, warning) = match program {
            Program::Wasm { path, name } => {
                let key = self.code_key(self.content_digest(path).await?, Purpose::Command)?;
                let job = Job { source: path.clone(), what: name.clone(), making: Making::Code(Purpose::Command), key };
                let (code, warning) = self.made(&job, watch).await?;
                (code, None, warning)
            }
            Program::Script { environment, entry, image } => {
                let (code, script, warning) = self.prepare_script(environment, entry, image, watch).await?;
                (code, Some(Arc::new(script)), warning)
            }
            Program::Container { image, .. } => {
                return Err(PrepareError::Container { image: image.clone(), source: ContainerError::Off });
            }
        };
        watch.stage(Stage::Ready);
        Ok(WasmProgram { program: program.clone(), code: Arc::new(code), script, warning })
    }

    /// Makes an environment's interpreter ready, as the first script would, so that it need not wait.
    ///
    /// # Errors
    /// A [`PrepareError`] that says what to do; [`PrepareError::MissingEnvironment`] if its artifacts are not here.
    pub async fn prepare_environment(&self, name: &str, watch: &dyn Watch) -> Result<Prepared, PrepareError> {
        let image = ImageChoice::default();
        let script = Program::Script { environment: name.to_owned(), entry: any_entry(), image };
        self.prepare(&script, watch).await
    }

    /// Whether the environment is on this machine and its interpreter's code is kept here, so that a script starts at
    /// once. The code is looked for, not read.
    #[must_use]
    pub fn environment_compiled(&self, name: &str) -> bool {
        let Ok(plan) = self.environments().plan(name, &any_entry()) else { return false };
        let key = self.code_key(plan.module_digest, Purpose::Interpreter);
        key.is_ok_and(|key| self.cache().bytes(key).is_some())
    }

    /// Whether the code of a program with this content is kept here. It is looked for, not read.
    #[must_use]
    pub fn program_compiled(&self, content: Digest) -> bool {
        self.code_key(content, Purpose::Command).is_ok_and(|key| self.cache().bytes(key).is_some())
    }

    /// What is asked for, from the cache or made now, by us or by another process that is at it already.
    pub(crate) async fn made(&self, job: &Job, watch: &dyn Watch) -> Result<(Code, Option<String>), PrepareError> {
        let started = Instant::now();
        loop {
            if let Some(code) = self.cache().find(job.key) {
                return Ok((code, None));
            }
            job.tell(watch, started);
            let claim = match self.cache().try_claim(job.key) {
                Ok(Some(claim)) => Ok(claim),
                Ok(None) => {
                    tokio::time::sleep(TICK).await;
                    continue;
                }
                // Without a directory to keep code in, each process compiles for itself.
                Err(error) => Err(error.to_string()),
            };
            // Between the look and the claim another process may have finished.
            if let Some(code) = self.cache().find(job.key) {
                return Ok((code, None));
            }
            return self.make(job, claim.as_ref(), started, watch).await;
        }
    }

    async fn make(
        &self,
        job: &Job,
        claim: Result<&Claim, &String>,
        started: Instant,
        watch: &dyn Watch,
    ) -> Result<(Code, Option<String>), PrepareError> {
        let memory = memory_file();
        let output = claim.map_err(Clone::clone).and_then(|claim| claim.create().map_err(|error| error.to_string()));
        let no_place = output.as_ref().err().cloned();
        let fallback = memory.as_ref().and_then(|memory| memory.try_clone().ok()).map(Handed::new);
        let work = self.ask_maker(job, Destination { output: output.ok(), fallback }, watch.tenant());
        tokio::pin!(work);
        let mut ticks = tokio::time::interval(TICK);
        let time = self.compile().time_for(watch.tenant());
        let time_is_over = tokio::time::sleep(if job.is_bounded() { time } else { Duration::MAX });
        tokio::pin!(time_is_over);
        let made = loop {
            tokio::select! {
                made = &mut work => break made?,
                _ = ticks.tick() => job.tell(watch, started),
                () = &mut time_is_over => return Err(job.takes_too_long(time)),
            }
        };
        tracing::debug!(what = %job.what, ms = started.elapsed().as_millis(), bytes = made.len, "made");
        let (code, why) = match (claim, &made.displaced, memory) {
            (Ok(claim), None, _) => match self.cache().admit(claim, job.key, &made) {
                Ok(code) => return Ok((code, None)),
                Err(error) => (self.cache().borrow_unplaced(claim, job.key, &made), error.to_string()),
            },
            (_, displaced, Some(file)) => {
                let why = no_place.or_else(|| displaced.clone()).unwrap_or_default();
                (Ok(Code::displaced(path_in_process(&file), made.kind, job.key, file)), why)
            }
            (_, displaced, None) => {
                let why = no_place.or_else(|| displaced.clone()).unwrap_or_default();
                (Err(io::Error::other(why.clone())), why)
            }
        };
        let code = code.map_err(|source| PrepareError::Cache { source })?;
        let warning = format!(
            "{} of {} cannot be kept ({why}), so it will be made again next time; make room on the disk of the cache",
            job.making.result(),
            job.what
        );
        tracing::warn!("{warning}");
        Ok((code, Some(warning)))
    }

    async fn ask_maker(&self, job: &Job, destination: Destination, tenant: Tenant) -> Result<Made, PrepareError> {
        let fail = |why: String| PrepareError::Worker { path: job.source.clone(), why };
        let mut line = self.pool().start().map_err(|error| fail(error.to_string()))?;
        self.pool().serve(tenant, &line);
        let spec = job.spec(destination, &line.cell, self.compile())?;
        line.order(&spec).await.map_err(|error| fail(error.to_string()))?;
        let mut said = Vec::new();
        let answer = loop {
            match line.frames.next().await.map_err(|error| fail(error.to_string()))? {
                Some((tag::ANSWER, payload)) => {
                    break protocol::decode(&payload).map_err(|error| fail(error.to_string()))?;
                }
                // What an interpreter says of a setup that fails is the best explanation.
                Some((tag::STDERR, bytes)) => {
                    said.extend_from_slice(&bytes);
                    said.drain(..said.len().saturating_sub(SAID_LEN_MAX));
                }
                Some(_) => {}
                None => return Err(job.died(&line.worker.exited().await.explain(), self.compile())),
            }
        };
        line.worker.exited().await;
        match answer {
            Answer::Made(made) => Ok(made),
            Answer::Refused(refusal) => Err(job.refusal(refusal, &said, self.compile())),
            Answer::Failed(why) | Answer::CodeUnusable(why) => Err(fail(why)),
            Answer::Report { .. }
            | Answer::Loaded
            | Answer::Turned(_)
            | Answer::Kept { .. }
            | Answer::Proved(_)
            | Answer::Inspected(_) => Err(fail("the worker gave an answer that is none".to_owned())),
        }
    }

    async fn content_digest(&self, path: &Path) -> Result<Digest, PrepareError> {
        let fail = |source| PrepareError::NotFound { path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(PrepareError::NotAProgram {
                path: path.to_owned(),
                why: "it is not a regular file".to_owned(),
            });
        }
        if let Some(digest) = self.known_digests().find(&metadata) {
            return Ok(digest);
        }
        let digest = tokio::task::spawn_blocking(move || Digest::of_reader(file)).await;
        let (digest, _) = digest.map_err(io::Error::other).flatten().map_err(fail)?;
        self.known_digests().note(&metadata, digest);
        Ok(digest)
    }

    pub(crate) fn code_key(&self, digest: Digest, purpose: Purpose) -> Result<CodeKey, PrepareError> {
        let fingerprint = self.fingerprint(purpose)?;
        let mut name = [0u8; 40];
        name[..32].copy_from_slice(digest.as_bytes());
        name[32..].copy_from_slice(&fingerprint.to_le_bytes());
        Ok(CodeKey(Digest::of(&name)))
    }
}

/// One thing to be made and kept.
pub(crate) struct Job {
    /// The program it is made of.
    pub(crate) source: PathBuf,
    /// What people call it.
    pub(crate) what: String,
    pub(crate) making: Making,
    pub(crate) key: CodeKey,
}

/// What is made of a program.
pub(crate) enum Making {
    /// Native code.
    Code(Purpose),
    /// The image of an interpreter that has not run.
    Base,
    /// The image of an interpreter after a run.
    Warm(Box<Warming>),
}

/// A run that makes an image.
pub(crate) struct Warming {
    /// What the interpreter is given, but for its own directories.
    pub(crate) run: RunSpec,
    /// Those.
    pub(crate) scratch: Workspace,
}

impl Warming {
    fn run_in(&self, cell: &Arc<Cell>) -> io::Result<RunSpec> {
        self.scratch.move_into(cell)?;
        let mut run = self.run.clone();
        run.preopens.splice(..0, base_preopens(&self.scratch));
        Ok(run)
    }
}

impl Making {
    fn result(&self) -> &'static str {
        match self {
            Self::Code(_) => "compiled code",
            Self::Base | Self::Warm(_) => "the memory image",
        }
    }
}

impl Job {
    fn tell(&self, watch: &dyn Watch, started: Instant) {
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.making {
            Making::Code(_) => watch.stage(Stage::Compiling { what: self.what.clone(), elapsed_ms }),
            // Takes a second, beside a compilation that takes many.
            Making::Base => {}
            Making::Warm(_) => watch.stage(Stage::Warming { what: self.what.clone(), elapsed_ms }),
        }
    }

    /// What a worker with this directory is told.
    fn spec(&self, destination: Destination, cell: &Arc<Cell>, limits: CompileLimits) -> Result<Spec, PrepareError> {
        let source = || {
            let opened = File::open(&self.source).map(Handed::new);
            opened.map_err(|source| PrepareError::NotFound { path: self.source.clone(), source })
        };
        Ok(match &self.making {
            Making::Code(purpose) => {
                let memory_bytes = self.is_bounded().then_some(limits.memory_bytes);
                Spec::Compile(CompileSpec { source: source()?, purpose: *purpose, memory_bytes, destination })
            }
            Making::Base => Spec::Base(BaseSpec { source: source()?, destination }),
            Making::Warm(warming) => {
                let fail = |error: io::Error| PrepareError::Image { name: self.what.clone(), why: error.to_string() };
                let run = warming.run_in(cell).map_err(fail)?;
                Spec::Warm(Box::new(WarmSpec { run, destination }))
            }
        })
    }

    /// Whether it may come from anybody. An interpreter is known by its digest, and an image is made by a run with limits.
    fn is_bounded(&self) -> bool {
        matches!(self.making, Making::Code(Purpose::Command))
    }

    fn takes_too_long(&self, time: Duration) -> PrepareError {
        let why = format!(
            "compiling it takes more than {time:?}, which is the most allowed; try again when the machine is less busy"
        );
        PrepareError::Compile { path: self.source.clone(), why }
    }

    /// The worker ended without an answer.
    fn died(&self, why: &str, limits: CompileLimits) -> PrepareError {
        let path = self.source.clone();
        if self.is_bounded() && OUT_OF_MEMORY.iter().any(|said| why.contains(said)) {
            let most = limits.memory_bytes >> 20;
            let why = format!("compiling it takes more than {most} MiB of memory, which is the most allowed");
            return PrepareError::Compile { path, why };
        }
        PrepareError::Worker { path, why: why.to_owned() }
    }

    fn refusal(&self, refusal: Refusal, said: &[u8], limits: CompileLimits) -> PrepareError {
        let path = self.source.clone();
        match refusal {
            Refusal::Compile(why) if OUT_OF_MEMORY.iter().any(|said| why.contains(said)) => self.died(&why, limits),
            Refusal::Unreadable(why) => PrepareError::NotFound { path, source: io::Error::other(why) },
            Refusal::NotAProgram(why) => PrepareError::NotAProgram { path, why },
            Refusal::MissingImport { import, hint } => PrepareError::MissingImport { path, import, hint },
            Refusal::NoEntryPoint(why) => PrepareError::NoEntryPoint { path, why },
            Refusal::Compile(why) => PrepareError::Compile { path, why },
            Refusal::Image(why) => PrepareError::Image {
                name: self.what.clone(),
                why: format!("{why}\n{}", String::from_utf8_lossy(said)).trim_end().to_owned(),
            },
            Refusal::Store(why) => PrepareError::Cache { source: io::Error::other(why) },
        }
    }
}

/// The name of some script; which one does not matter to what is compiled for it.
pub(crate) fn any_entry() -> GuestPath {
    GuestPath::parse("main.py").expect("a plain file name is a guest path")
}

/// A file in memory, for what finds no room on disk or needs none.
pub(crate) fn memory_file() -> Option<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    match rustix::fs::memfd_create("potluck-code", flags) {
        Ok(descriptor) => Some(File::from(descriptor)),
        Err(error) => {
            tracing::debug!(%error, "no memory file for compiled code");
            None
        }
    }
}
