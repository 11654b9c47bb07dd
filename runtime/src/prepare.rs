//! From a program to native code: look it up, or inspect and compile it in a worker, once, and keep it.

use crate::cache::{Claim, Code, CodeKey, path_in_process};
use crate::digest::Digest;
use crate::job::{GuestPath, Program};
use crate::protocol::{self, Answer, CompileSpec, Compiled, Purpose, Refusal, Spec, tag};
use crate::python::EnvironmentError;
use crate::runtime::Runtime;
use crate::script::ScriptPlan;
use crate::watch::{Stage, Watch};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a watcher hears of a compilation, and how often a claim held elsewhere is asked for again.
const TICK: Duration = Duration::from_millis(100);

/// A program that is ready to run. As long as this lives, its code stays in the cache.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) program: Program,
    pub(crate) code: Arc<Code>,
    pub(crate) plan: Option<Arc<ScriptPlan>>,
    pub(crate) warning: Option<String>,
}

impl Prepared {
    /// Something the user should know although the program will run (the cache cannot be written, for one).
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
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
    /// The directory of compiled code is of no use.
    #[error("cannot use the cache of compiled code; check that its directory is yours and its disk has room")]
    Cache {
        /// Why.
        #[source]
        source: io::Error,
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

impl Runtime {
    /// Makes a program ready: finds out what it is, checks that a job has all it imports, and compiles it unless that was
    /// done before. Dropping the future ends a compilation and leaves nothing behind.
    ///
    /// # Errors
    /// A [`PrepareError`] that says what to do.
    pub async fn prepare(&self, program: &Program, watch: &dyn Watch) -> Result<Prepared, PrepareError> {
        let (source, digest, purpose, plan, what) = match program {
            Program::Wasm { path, name } => {
                let digest = self.content_digest(path).await?;
                (path.clone(), digest, Purpose::Command, None, name.clone())
            }
            Program::Script { environment, entry } => {
                let plan = self.environments().plan(environment, entry).map_err(|source| match source {
                    EnvironmentError::Missing { name } => PrepareError::MissingEnvironment { name: name.to_owned() },
                    source => PrepareError::Environment { source },
                })?;
                (
                    plan.module.clone(),
                    plan.module_digest,
                    Purpose::Interpreter,
                    Some(Arc::new(plan)),
                    environment.clone(),
                )
            }
        };
        let job = Job { source, what, purpose, key: self.code_key(digest, purpose)? };
        let (code, warning) = self.code(&job, watch).await?;
        watch.stage(Stage::Ready);
        Ok(Prepared { program: program.clone(), code: Arc::new(code), plan, warning })
    }

    /// Makes an environment's interpreter ready, as the first script would, so that it need not wait.
    ///
    /// # Errors
    /// A [`PrepareError`] that says what to do; [`PrepareError::MissingEnvironment`] if its artifacts are not here.
    pub async fn prepare_environment(&self, name: &str, watch: &dyn Watch) -> Result<Prepared, PrepareError> {
        let script = Program::Script { environment: name.to_owned(), entry: any_entry() };
        self.prepare(&script, watch).await
    }

    /// Whether the environment is on this machine and its interpreter's code is kept here, so that a script starts at
    /// once. The code is looked for, not read.
    #[must_use]
    pub fn environment_compiled(&self, name: &str) -> bool {
        let Ok(plan) = self.environments().plan(name, &any_entry()) else { return false };
        self.code_key(plan.module_digest, Purpose::Interpreter).is_ok_and(|key| self.cache().holds(key))
    }

    /// The code, from the cache or made now, by us or by another process that is at it already.
    async fn code(&self, job: &Job, watch: &dyn Watch) -> Result<(Code, Option<String>), PrepareError> {
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
            return self.compile(job, claim.as_ref(), started, watch).await;
        }
    }

    async fn compile(
        &self,
        job: &Job,
        claim: Result<&Claim, &String>,
        started: Instant,
        watch: &dyn Watch,
    ) -> Result<(Code, Option<String>), PrepareError> {
        let memory = memory_file();
        let spec = Spec::Compile(CompileSpec {
            source: std::path::absolute(&job.source).unwrap_or_else(|_| job.source.clone()),
            purpose: job.purpose,
            // No file has the empty name, so that without a claim the fallback serves.
            output: claim.map(|claim| claim.output.clone()).unwrap_or_default(),
            fallback: memory.as_ref().map(|(_, path)| path.clone()),
        });
        let work = self.ask_compiler(job, &spec);
        tokio::pin!(work);
        let mut ticks = tokio::time::interval(TICK);
        let compiled = loop {
            tokio::select! {
                compiled = &mut work => break compiled?,
                _ = ticks.tick() => job.tell(watch, started),
            }
        };
        tracing::debug!(what = %job.what, ms = started.elapsed().as_millis(), bytes = compiled.len, "compiled");
        let (code, why) = match (claim, &compiled.displaced, memory) {
            (Ok(claim), None, _) => match self.cache().admit(claim, job.key, &compiled) {
                Ok(code) => return Ok((code, None)),
                Err(error) => (self.cache().borrow_unplaced(claim, job.key, &compiled), error.to_string()),
            },
            (claim, displaced, Some((file, path))) => {
                let why = claim.err().or(displaced.as_ref()).cloned().unwrap_or_default();
                (Ok(Code::displaced(path, compiled.kind, job.key, file)), why)
            }
            (claim, displaced, None) => {
                let why = claim.err().or(displaced.as_ref()).cloned().unwrap_or_default();
                (Err(io::Error::other(why.clone())), why)
            }
        };
        let code = code.map_err(|source| PrepareError::Cache { source })?;
        let warning = format!(
            "compiled code of {} cannot be kept ({why}), so it will be compiled again next time; make room on the disk of the cache",
            job.what
        );
        tracing::warn!("{warning}");
        Ok((code, Some(warning)))
    }

    async fn ask_compiler(&self, job: &Job, spec: &Spec) -> Result<Compiled, PrepareError> {
        let fail = |why: String| PrepareError::Worker { path: job.source.clone(), why };
        let mut line = self.pool().start().map_err(|error| fail(error.to_string()))?;
        line.order(spec).await.map_err(|error| fail(error.to_string()))?;
        let answer = loop {
            match line.frames.next().await.map_err(|error| fail(error.to_string()))? {
                Some((tag::ANSWER, payload)) => {
                    break protocol::decode(&payload).map_err(|error| fail(error.to_string()))?;
                }
                Some(_) => {}
                None => return Err(fail(line.worker.exited().await.explain())),
            }
        };
        // The worker takes the closing of this pipe for our death, and would remove what it made.
        line.worker.exited().await;
        drop(line);
        match answer {
            Answer::Compiled(compiled) => Ok(compiled),
            Answer::Refused(refusal) => Err(job.refusal(refusal)),
            Answer::Failed(why) | Answer::CodeUnusable(why) => Err(fail(why)),
            Answer::Report { .. } | Answer::Loaded => Err(fail("the worker gave an answer that is none".to_owned())),
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

    fn code_key(&self, digest: Digest, purpose: Purpose) -> Result<CodeKey, PrepareError> {
        let fingerprint = self.fingerprint(purpose)?;
        let mut name = [0u8; 40];
        name[..32].copy_from_slice(digest.as_bytes());
        name[32..].copy_from_slice(&fingerprint.to_le_bytes());
        Ok(CodeKey(Digest::of(&name)))
    }
}

/// One program to be compiled.
struct Job {
    source: PathBuf,
    what: String,
    purpose: Purpose,
    key: CodeKey,
}

impl Job {
    fn tell(&self, watch: &dyn Watch, started: Instant) {
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        watch.stage(Stage::Compiling { what: self.what.clone(), elapsed_ms });
    }

    fn refusal(&self, refusal: Refusal) -> PrepareError {
        let path = self.source.clone();
        match refusal {
            Refusal::Unreadable(why) => PrepareError::NotFound { path, source: io::Error::other(why) },
            Refusal::NotAProgram(why) => PrepareError::NotAProgram { path, why },
            Refusal::MissingImport { import, hint } => PrepareError::MissingImport { path, import, hint },
            Refusal::NoEntryPoint(why) => PrepareError::NoEntryPoint { path, why },
            Refusal::Compile(why) => PrepareError::Compile { path, why },
            Refusal::Store(why) => PrepareError::Cache { source: io::Error::other(why) },
        }
    }
}

/// The name of some script; which one does not matter to what is compiled for it.
fn any_entry() -> GuestPath {
    GuestPath::parse("main.py").expect("a plain file name is a guest path")
}

/// A file in memory and the path by which a worker reaches it while we hold it, for code that finds no room on disk.
fn memory_file() -> Option<(File, PathBuf)> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    match rustix::fs::memfd_create("potluck-code", flags) {
        Ok(descriptor) => {
            let file = File::from(descriptor);
            let path = path_in_process(&file);
            Some((file, path))
        }
        Err(error) => {
            tracing::debug!(%error, "no memory file for compiled code");
            None
        }
    }
}
