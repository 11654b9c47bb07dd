//! Containers: the second backend. An engine (Docker or Podman) that already runs on this machine runs the program in a
//! container of an image the owner has allowed; nothing is ever pulled. Off unless the owner turns it on.
//!
//! The wall is the engine's: no network, a read-only root, no capabilities, no new privileges, no root, limits of processes,
//! memory, core and disk. It is a weaker one than that of WebAssembly: the job calls the kernel itself.

mod archive;
mod conduct;
mod container;
mod engine;
mod gauge;
mod holder;
mod image_name;
mod process;
mod spec;
mod sweep;

pub(crate) use conduct::{ContainerCanceller, ContainerEvents};
pub use engine::{AllowedImage, EngineError, EngineStatus, LocalImage, look_at_engine};
pub use image_name::{ImageName, ImageNameError};
pub(crate) use spec::WORK_PLACE;
pub(crate) use sweep::{ContainerSweeper, sweep_containers_after_parent, sweep_leftovers};

use crate::backend::Backend;
use crate::job::{Program, RunRequest};
use crate::prepare::PrepareError;
use crate::run::Run;
use crate::runtime::{Runtime, StartError, layout};
use crate::watch::{Stage, Watch};
use bollard::models::ImageInspect;
use container::Container;
use engine::{Cards, Engine};
use holder::holder_executable;
use spec::{Room, machine_architecture};
use std::path::PathBuf;

/// The most allowed images a refusal names.
const ALLOWED_SHOWN_MAX: usize = 8;

/// What the owner of this machine lends of its container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerConfig {
    /// The engine's unix socket. `None` looks where engines have it: `DOCKER_HOST` if that is `unix://`,
    /// `/var/run/docker.sock`, `$XDG_RUNTIME_DIR/docker.sock`, and Podman's.
    pub engine: Option<PathBuf>,
    /// The images jobs may use, as the owner wrote them: references, digests or ids.
    pub images: Vec<String>,
    /// Which node the containers belong to, as a label on each: one owner sweeps its own alone.
    pub owner: String,
}

/// What a runtime offers of containers right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerOffer {
    pub(crate) config: ContainerConfig,
}

impl ContainerOffer {
    /// With what it was turned on.
    #[must_use]
    pub fn config(&self) -> &ContainerConfig {
        &self.config
    }

    /// Whether jobs may use the image: whether it is in the list of allowed ones, by its full name. `python:3.12` and
    /// `docker.io/library/python:3.12` are the same; an id or a digest is allowed only as such.
    #[must_use]
    pub fn allows(&self, image: &ImageName) -> bool {
        self.config.images.iter().filter_map(|allowed| ImageName::parse(allowed).ok()).any(|allowed| allowed == *image)
    }

    /// How the engine is right now.
    ///
    /// # Errors
    /// An [`EngineError`] that says what to do.
    pub async fn status(&self) -> Result<EngineStatus, EngineError> {
        look_at_engine(&self.config).await
    }
}

/// A program cannot be run in a container of this machine.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The owner lends none.
    #[error("this machine runs no containers for jobs; its owner has not turned them on")]
    Off,
    /// The text names no image.
    #[error(transparent)]
    Name(#[from] ImageNameError),
    /// The owner does not allow it.
    #[error("its owner does not allow the image {image}; allowed: {allowed}")]
    NotAllowed {
        /// The image, by its full name.
        image: String,
        /// Those that are, for people to read.
        allowed: String,
    },
    /// It is allowed and not there.
    #[error("the image {image} is not on this machine; its owner gets it with '{command}'")]
    Missing {
        /// The image.
        image: String,
        /// What gets it.
        command: String,
    },
    /// It is not made for this machine's processor or system.
    #[error("the image {image} is made for {made_for}, this machine is {machine}; get the one for it with '{command}'")]
    Foreign {
        /// The image.
        image: String,
        /// Its system and processor.
        made_for: String,
        /// Those of this machine.
        machine: String,
        /// What gets the right one.
        command: String,
    },
    /// No engine, or one that is of no use.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The backend of containers.
pub(crate) struct Containers<'a>(pub(crate) &'a Runtime);

/// An image that may be used, and what runs of it. A name that comes to mean another image does not change this one.
#[derive(Clone, Debug)]
pub(crate) struct PreparedContainer {
    program: Program,
    image_id: String,
    architecture: String,
    /// Whether it says how to find out that it is well, again and again while it runs.
    has_check: bool,
    /// The places for which an engine would make directories of the host.
    volumes: Vec<String>,
}

impl PreparedContainer {
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    fn image(&self) -> &str {
        image_of(&self.program)
    }

    fn command(&self) -> &[String] {
        match &self.program {
            Program::Container { command, .. } => command,
            Program::Wasm { .. } | Program::Script { .. } => &[],
        }
    }
}

impl Backend for Containers<'_> {
    type Prepared = PreparedContainer;

    /// Finds the image, which must be allowed and there, by the engine, which must answer.
    async fn prepare(&self, program: &Program, watch: &dyn Watch) -> Result<PreparedContainer, PrepareError> {
        let image = image_of(program);
        let prepared = self.find(program, image).await;
        let prepared = prepared.map_err(|source| PrepareError::Container { image: image.to_owned(), source })?;
        watch.stage(Stage::Ready);
        Ok(prepared)
    }

    async fn start(&self, prepared: &PreparedContainer, request: RunRequest) -> Result<Run, StartError> {
        check(prepared, &request)?;
        // The owner may have changed their mind since the program was prepared.
        let config = self.allowed(prepared.image()).map_err(|error| StartError::Container(error.to_string()))?.0.config;
        let engine = Engine::open(&config).await.map_err(|error| StartError::Container(error.to_string()))?;
        let cards = cards(&engine, request.gpus).await?;
        self.0.sweep_containers_later(&engine.socket, &config.owner);
        let (workspace, request) = self.0.lay_out(request).await?;
        let given = workspace.given();
        let inputs = (given.entries > 0).then(|| workspace.root_path());
        let room = Room::new(&request, given);
        let container = Container::make(engine, &config.owner, prepared, room, inputs).await?;
        let started = async {
            // They are there now, and what comes back is laid beside nothing else.
            let emptied = tokio::task::spawn_blocking(move || workspace.empty().map(|()| workspace)).await;
            let workspace = emptied.map_err(layout)?.map_err(layout)?;
            let streams = container.place(prepared, &request, given, cards).await?;
            let word = prepared.command().iter().chain(&request.args).next();
            container.start(word.map_or("", String::as_str)).await?;
            Ok((workspace, streams))
        };
        match started.await {
            Ok((workspace, streams)) => Ok(conduct::conduct(container, streams, workspace, request.limits)),
            Err(error) => {
                container.remove().await;
                Err(error)
            }
        }
    }
}

impl Containers<'_> {
    /// What is offered, if the image may be used.
    fn allowed(&self, image: &str) -> Result<(ContainerOffer, ImageName), ContainerError> {
        let offer = self.0.containers().ok_or(ContainerError::Off)?;
        let name = ImageName::parse(image)?;
        if !offer.allows(&name) {
            let allowed = shown(&offer.config.images);
            return Err(ContainerError::NotAllowed { image: name.short().to_owned(), allowed });
        }
        Ok((offer, name))
    }

    async fn find(&self, program: &Program, image: &str) -> Result<PreparedContainer, ContainerError> {
        let (offer, name) = self.allowed(image)?;
        let engine = Engine::open(&offer.config).await?;
        let command = engine.pull_command(name.short());
        let missing = || ContainerError::Missing { image: name.short().to_owned(), command: command.clone() };
        let found = engine.image(&name).await?.ok_or_else(missing)?;
        let (image_id, architecture) = (found.id.clone().ok_or_else(missing)?, architecture(&found));
        let machine = machine_architecture();
        let is_linux = found.os.as_deref().is_none_or(|system| system.is_empty() || system == "linux");
        if architecture != machine || !is_linux || holder_executable(&architecture).is_none() {
            let made_for = format!("{}/{architecture}", found.os.as_deref().unwrap_or("linux"));
            let (image, machine) = (name.short().to_owned(), format!("linux/{machine}"));
            return Err(ContainerError::Foreign { image, made_for, machine, command });
        }
        engine.check_bounds().await?;
        let config = found.config.unwrap_or_default();
        let (has_check, volumes) = (config.healthcheck.is_some(), config.volumes.unwrap_or_default());
        Ok(PreparedContainer { program: program.clone(), image_id, architecture, has_check, volumes })
    }
}

/// The image a program names.
fn image_of(program: &Program) -> &str {
    match program {
        Program::Container { image, .. } => image,
        Program::Wasm { name, .. } => name,
        Program::Script { environment, .. } => environment,
    }
}

/// The allowed images, for people to read.
fn shown(images: &[String]) -> String {
    let first: Vec<&str> = images.iter().take(ALLOWED_SHOWN_MAX).map(String::as_str).collect();
    match (first.len(), images.len() - first.len()) {
        (0, _) => "none".to_owned(),
        (_, 0) => first.join(", "),
        (_, more) => format!("{} and {more} more", first.join(", ")),
    }
}

/// For which processor an image is made; one that does not say is taken to be for this one.
fn architecture(image: &ImageInspect) -> String {
    let told = image.architecture.as_deref().filter(|architecture| !architecture.is_empty());
    told.map_or_else(|| machine_architecture().to_owned(), str::to_owned)
}

/// Refuses what a container cannot do.
fn check(prepared: &PreparedContainer, request: &RunRequest) -> Result<(), StartError> {
    let refuse = |why: &str| Err(StartError::Request(why.to_owned()));
    if prepared.command().is_empty() && request.args.is_empty() {
        return refuse("it names an image and no command; say what is to run in it");
    }
    if prepared.command().iter().any(|word| word.contains('\0')) {
        return refuse("a word of the command holds a zero byte");
    }
    if request.restore.is_some() {
        return refuse("a container cannot go on from a checkpoint");
    }
    Ok(())
}

/// How the engine gives graphics cards, if any are asked for.
async fn cards(engine: &Engine, gpus: u32) -> Result<Cards, StartError> {
    if gpus == 0 {
        return Ok(Cards::None);
    }
    let info = engine.info().await.map_err(|error| StartError::Container(error.to_string()))?;
    match Cards::of(&info) {
        Cards::None => Err(StartError::Request(
            "it asks for graphics cards, and this machine's container engine gives none; its owner installs the NVIDIA \
             container toolkit"
                .to_owned(),
        )),
        cards => Ok(cards),
    }
}
