//! What a script needs besides its interpreter's code: an image to start from. The plain one, an interpreter that has not
//! run yet, is always there; a warm one is used where it cannot be told from it.

use crate::cache::{Code, CodeKey};
use crate::digest::Digest;
use crate::image::{BUILT_IN, BuiltIn, ImageChoice, ImageRecipe};
use crate::job::{GuestPath, InputFile, Program, RunRequest};
use crate::limits::Limits;
use crate::outcome::Outcome;
use crate::prepare::{Job, Making, PrepareError, Warming, any_entry};
use crate::protocol::{Boot, CodeKind, Purpose, RunSpec};
use crate::python::{EnvironmentError, takes_a_modules_place};
use crate::run::RunEvent;
use crate::runtime::Runtime;
use crate::script::{ScriptBoot, ScriptPlan};
use crate::watch::{SilentWatch, Stage, Watch};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Environment variables that libraries read when they are imported: a job that sets one is not started from an image in
/// which they have been imported already.
const READ_AT_IMPORT: &[&str] =
    &["MPL", "MATPLOTLIB", "NPY", "NUMPY", "OMP_", "PANDAS", "PYTHON", "SCIPY", "SKLEARN", "TZ"];
/// What making an image may use; scikit-learn's takes 250 MB and 3 s.
const MAKING_LIMITS: Limits = Limits { memory_bytes: 2 << 30, ..Limits::DEFAULT };

impl crate::Prepared {
    /// The memory image a run starts from, by the name it is kept under; none of a program that is no script.
    #[must_use]
    pub fn image_name(&self, request: &RunRequest) -> Option<Digest> {
        self.script().map(|script| script.image(request).key.0)
    }
}

/// A script's part of [`Prepared`](crate::Prepared).
#[derive(Debug)]
pub(crate) struct PreparedScript {
    pub(crate) plan: ScriptPlan,
    base: Arc<Code>,
    image: Option<Arc<Code>>,
    /// Built-in images that would have served and are not there.
    missing: Vec<&'static BuiltIn>,
}

impl PreparedScript {
    /// The image this run starts from.
    pub(crate) fn image(&self, request: &RunRequest) -> &Code {
        self.warm(request).unwrap_or(&self.base)
    }

    /// How the script is entered, in this environment.
    pub(crate) fn boot(&self, request: &RunRequest, env: &[(String, String)]) -> ScriptBoot {
        match self.warm(request) {
            Some(_) => self.plan.resume(&request.args, env),
            None => self.plan.boot.clone(),
        }
    }

    /// What a session starts from, and what makes it one.
    pub(crate) fn opening(&self, request: &RunRequest, env: &[(String, String)]) -> (Arc<Code>, Vec<String>) {
        let opening = self.plan.opening(env);
        match self.warm(request) {
            Some(image) => (image.clone(), vec![opening]),
            None => {
                let ScriptBoot::Turn { source } = self.plan.making(&[], "") else {
                    return (self.base.clone(), Vec::new());
                };
                (self.base.clone(), vec![source, opening])
            }
        }
    }

    /// The warm image, unless this run could tell: it keeps the directories it was made with, what its libraries read from
    /// the environment, and its modules where a file of the job would come first.
    fn warm(&self, request: &RunRequest) -> Option<&Arc<Code>> {
        let read = |key: &str| READ_AT_IMPORT.iter().any(|start| key.starts_with(start));
        let tells = !request.mounts.is_empty()
            || request.env.iter().any(|(key, _)| read(key))
            || takes_a_modules_place(request.inputs.iter().map(|input| &input.guest));
        self.image.as_ref().filter(|_| !tells)
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Code> {
        std::iter::once(&*self.base).chain(self.image.as_deref())
    }

    pub(crate) fn missing(&self) -> &[&'static BuiltIn] {
        &self.missing
    }
}

impl Runtime {
    pub(crate) async fn prepare_script(
        &self,
        environment: &str,
        entry: &GuestPath,
        choice: &ImageChoice,
        watch: &dyn Watch,
    ) -> Result<(Code, PreparedScript, Option<String>), PrepareError> {
        let interpreter = Interpreter::new(self, environment, entry)?;
        let (code_job, base_job) = (interpreter.code(), interpreter.base());
        let (code, base) = tokio::try_join!(self.made(&code_job, watch), self.made(&base_job, &SilentWatch))?;
        let ((code, warning), (base, _)) = (code, base);
        let mut script =
            PreparedScript { plan: interpreter.plan.clone(), base: Arc::new(base), image: None, missing: Vec::new() };
        match choice {
            ImageChoice::None => {}
            ImageChoice::Auto(imports) => {
                let best = BuiltIn::covering(imports);
                for image in [best, &BUILT_IN[0]] {
                    if script.image.is_some() {
                        break;
                    }
                    script.image = self.cache().find(interpreter.image_key(&image.recipe())).map(Arc::new);
                    if script.image.is_none() && !script.missing.contains(&image) {
                        script.missing.push(image);
                    }
                }
            }
            ImageChoice::Recipe(recipe) => {
                let name = image_name(recipe);
                let image = self.image(&interpreter, recipe, &name, &code, &script.base, watch).await?;
                script.image = Some(Arc::new(image));
            }
        }
        Ok((code, script, warning))
    }

    /// Makes an image, unless it is there. Dropping the future ends the work and leaves nothing behind.
    ///
    /// # Errors
    /// A [`PrepareError`] that says what to do.
    pub async fn make_image(
        &self,
        environment: &str,
        recipe: &ImageRecipe,
        watch: &dyn Watch,
    ) -> Result<(), PrepareError> {
        let choice = ImageChoice::Recipe(recipe.clone());
        self.prepare_script(environment, &any_entry(), &choice, watch).await?;
        watch.stage(Stage::Ready);
        Ok(())
    }

    /// What an image takes on disk, in bytes; nothing if it is not there.
    #[must_use]
    pub fn image_bytes(&self, environment: &str, recipe: &ImageRecipe) -> Option<u64> {
        let interpreter = Interpreter::new(self, environment, &any_entry()).ok()?;
        self.cache().bytes(interpreter.image_key(recipe))
    }

    /// Removes an image. A run that has started from it goes on.
    pub fn remove_image(&self, environment: &str, recipe: &ImageRecipe) {
        if let Ok(interpreter) = Interpreter::new(self, environment, &any_entry()) {
            self.cache().discard(interpreter.image_key(recipe));
        }
    }

    /// How long an empty script takes from an image, worker process included.
    ///
    /// # Errors
    /// Why it could not be run, as text.
    pub async fn time_image(&self, environment: &str, recipe: &ImageRecipe) -> Result<Duration, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let source = tempfile::NamedTempFile::new().map_err(|error| text(&error))?;
        let entry = any_entry();
        let image = ImageChoice::Recipe(recipe.clone());
        let program = Program::Script { environment: environment.to_owned(), entry: entry.clone(), image };
        let prepared = self.prepare(&program, &SilentWatch).await.map_err(|error| text(&error))?;
        let input = InputFile { guest: entry, source: source.path().to_owned(), executable: false };
        let request = RunRequest { inputs: vec![input], ..RunRequest::new(program) };
        let started = Instant::now();
        let mut run = self.start(&prepared, request).await.map_err(|error| text(&error))?;
        loop {
            if let RunEvent::Ended { report, .. } = run.events.next().await {
                return match report.outcome {
                    Outcome::Exited(0) => Ok(started.elapsed()),
                    outcome => Err(outcome.to_string()),
                };
            }
        }
    }

    async fn image(
        &self,
        interpreter: &Interpreter,
        recipe: &ImageRecipe,
        name: &str,
        code: &Code,
        base: &Arc<Code>,
        watch: &dyn Watch,
    ) -> Result<Code, PrepareError> {
        recipe.check().map_err(|error| PrepareError::Image { name: name.to_owned(), why: error.to_string() })?;
        let key = interpreter.image_key(recipe);
        if let Some(image) = self.cache().find(key) {
            return Ok(image);
        }
        let scratch = self.scratch_directory(MAKING_LIMITS.disk_bytes);
        let scratch = scratch.map_err(|error| PrepareError::Image { name: name.to_owned(), why: error.to_string() })?;
        let plan = &interpreter.plan;
        let unusable = |source| PrepareError::Cache { source };
        let run = RunSpec {
            code: code.handed().map_err(unusable)?,
            kind: CodeKind::Module,
            image: Some(base.handed().map_err(unusable)?),
            boot: Boot::Script(plan.making(&recipe.imports, recipe.setup.as_deref().unwrap_or_default())),
            argv: plan.argv.iter().take(1).cloned().collect(),
            env: crate::runtime::base_env().into_iter().chain(plan.env.iter().cloned()).collect(),
            preopens: plan.preopens.iter().map(|(host, guest)| crate::runtime::read_only(host, guest)).collect(),
            given: scratch.given(),
            limits: MAKING_LIMITS,
        };
        let making = Making::Warm(Box::new(Warming { run, scratch }));
        let job = Job { source: plan.module.clone(), what: name.to_owned(), making, key };
        let (image, warning) = self.made(&job, watch).await?;
        if let Some(warning) = warning {
            tracing::debug!(%warning, "image is not kept");
        }
        Ok(image)
    }
}

/// What people call the image of a recipe.
fn image_name(recipe: &ImageRecipe) -> String {
    let built_in = BUILT_IN.iter().find(|image| image.recipe() == *recipe);
    built_in.map_or_else(|| format!("with {}", recipe.imports.join(", ")), |image| image.name.to_owned())
}

/// An environment's interpreter, and the names of what is made of it.
struct Interpreter {
    environment: String,
    plan: ScriptPlan,
    code_key: CodeKey,
}

impl Interpreter {
    fn new(runtime: &Runtime, environment: &str, entry: &GuestPath) -> Result<Self, PrepareError> {
        let plan = runtime.environments().plan(environment, entry).map_err(|source| match source {
            EnvironmentError::Missing { name } => PrepareError::MissingEnvironment { name: name.to_owned() },
            source => PrepareError::Environment { source },
        })?;
        let code_key = runtime.code_key(plan.module_digest, Purpose::Interpreter)?;
        Ok(Self { environment: environment.to_owned(), plan, code_key })
    }

    fn code(&self) -> Job {
        self.job(Making::Code(Purpose::Interpreter), self.code_key)
    }

    fn base(&self) -> Job {
        self.job(Making::Base, self.named("base"))
    }

    fn job(&self, making: Making, key: CodeKey) -> Job {
        Job { source: self.plan.module.clone(), what: self.environment.clone(), making, key }
    }

    /// The name of the image of a recipe, which depends on all that makes it what it is.
    fn image_key(&self, recipe: &ImageRecipe) -> CodeKey {
        let made_with = self.named(&self.plan.boot_file);
        CodeKey(recipe.key(&made_with.0))
    }

    fn named(&self, what: &str) -> CodeKey {
        let mut name = self.code_key.0.as_bytes().to_vec();
        name.extend_from_slice(what.as_bytes());
        CodeKey(Digest::of(&name))
    }
}
