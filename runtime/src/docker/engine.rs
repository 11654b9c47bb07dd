//! The container engine of this machine: where its socket is, which API is spoken with it, and what it has. Nothing here
//! changes anything, and nothing is ever pulled.

use super::{ContainerConfig, ImageName};
use bollard::errors::Error;
use bollard::models::{ImageInspect, SystemInfo, SystemVersion};
use bollard::{ClientVersion, Docker};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// The oldest API that has all that is used: Docker 20.10.
const API_MIN: Api = Api(1, 41);
/// The same, as people read it.
const API_MIN_TEXT: &str = "1.41";
/// How long an engine may take to begin an answer; one that is busy starting containers takes seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// How long one may take to say who it is.
const GREETING_TIME_MAX: Duration = Duration::from_secs(10);
/// Where engines that need no root put their socket, below the user's own directory.
const USER_SOCKETS: [&str; 2] = ["docker.sock", "podman/podman.sock"];
/// Where the others do.
const SYSTEM_SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// What the graphics cards of this machine are called in the files of the container device interface.
const CARDS: &str = "nvidia.com/gpu";

/// An engine that answers, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// Where it was found.
    pub socket: PathBuf,
    /// What it calls itself: `Docker`, `Podman`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The newest version of the API it speaks.
    pub api_version: String,
    /// Whether it runs without root.
    pub is_rootless: bool,
    /// Whether it can give a job the graphics cards of this machine.
    pub gives_gpus: bool,
    /// Every allowed image, in the order of the list.
    pub images: Vec<AllowedImage>,
}

/// An image of the list of allowed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedImage {
    /// As the owner wrote it.
    pub reference: String,
    /// What the engine has of it; `None` if it is not there.
    pub local: Option<LocalImage>,
    /// The command that gets it from where images are published: `docker pull python:3.12`.
    pub pull_command: String,
}

/// An image the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalImage {
    /// `sha256:` and the digest of its configuration.
    pub id: String,
    /// What it takes on disk, in bytes.
    pub size: u64,
}

/// There is no container engine that can be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// None was found.
    #[error("no container engine is found: looked for {looked}; start Docker or Podman, or name its socket")]
    NotFound {
        /// The places.
        looked: String,
    },
    /// Its socket cannot be used.
    #[error("cannot reach the container engine at {socket:?}: {why}")]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// It does not speak as an engine does, or not in time.
    #[error("the container engine at {socket:?} gives no proper answer: {why}")]
    Answer {
        /// Its socket.
        socket: PathBuf,
        /// What it did.
        why: String,
    },
    /// It cannot hold a job to its limits.
    #[error(
        "the container engine at {socket:?} cannot bound {what} of a container; give it the control groups for that"
    )]
    Unbounded {
        /// Its socket.
        socket: PathBuf,
        /// What.
        what: &'static str,
    },
    /// It is too old.
    #[error("the container engine at {socket:?} speaks API {speaks}; {needs} or newer is needed, so update it")]
    TooOld {
        /// Its socket.
        socket: PathBuf,
        /// The newest version it speaks.
        speaks: String,
        /// The oldest that is of use.
        needs: &'static str,
    },
}

/// Looks for the engine and asks it who it is and which of the allowed images it has. Nothing is changed.
///
/// # Errors
/// An [`EngineError`] that says what to do.
pub async fn look_at_engine(config: &ContainerConfig) -> Result<EngineStatus, EngineError> {
    let engine = Engine::open(config).await?;
    let info = engine.info().await?;
    let mut images = Vec::with_capacity(config.images.len());
    for reference in &config.images {
        let local = match ImageName::parse(reference) {
            Ok(name) => engine.image(&name).await?.and_then(|image| local_image(&image)),
            Err(_) => None,
        };
        images.push(AllowedImage { reference: reference.clone(), local, pull_command: engine.pull_command(reference) });
    }
    Ok(EngineStatus {
        socket: engine.socket.clone(),
        name: engine.name().to_owned(),
        version: engine.version.version.clone().unwrap_or_default(),
        api_version: engine.version.api_version.clone().unwrap_or_default(),
        is_rootless: info.security_options.iter().flatten().any(|option| option.contains("rootless")),
        gives_gpus: Cards::of(&info) != Cards::None,
        images,
    })
}

/// A connection to an engine that speaks an API we know.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) socket: PathBuf,
    version: SystemVersion,
}

impl Engine {
    /// Finds the engine, which must have an API that we know.
    pub(crate) async fn open(config: &ContainerConfig) -> Result<Self, EngineError> {
        Self::at(&find_socket(config)?).await
    }

    /// The engine at this socket, which must have an API that we know.
    pub(crate) async fn at(socket: &Path) -> Result<Self, EngineError> {
        UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
        let fail = |why: String| EngineError::Answer { socket: socket.to_owned(), why };
        let too_old =
            |speaks: Api| EngineError::TooOld { socket: socket.to_owned(), speaks: speaks.text(), needs: API_MIN_TEXT };
        let docker = connect(socket)?;
        let greeted = tokio::time::timeout(GREETING_TIME_MAX, docker.version()).await;
        let greeted = greeted.unwrap_or(Err(Error::RequestTimeoutError));
        let version = greeted.map_err(|error| fail(explain(&error, GREETING_TIME_MAX)))?;
        match version.api_version.as_deref().and_then(Api::parse) {
            Some(api) if api < API_MIN => Err(too_old(api)),
            Some(_) => Ok(Self { docker, socket: socket.to_owned(), version }),
            None => Err(fail("it does not say which API it speaks, so it may be no container engine".to_owned())),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        let mut components = self.version.components.iter().flatten();
        if components.any(|component| component.name.contains("Podman")) { "Podman" } else { "Docker" }
    }

    /// The command that gets an image.
    pub(crate) fn pull_command(&self, reference: &str) -> String {
        format!("{} pull {reference}", self.name().to_lowercase())
    }

    /// What it says of itself.
    pub(crate) async fn info(&self) -> Result<SystemInfo, EngineError> {
        self.docker.info().await.map_err(|error| self.failed(&error))
    }

    /// Refuses an engine that cannot hold a job to its limits.
    pub(crate) async fn check_bounds(&self) -> Result<(), EngineError> {
        let info = self.info().await?;
        let bounds =
            [(info.memory_limit, "the memory"), (info.pids_limit, "the processes"), (info.cpu_cfs_quota, "the cores")];
        let missing = bounds.into_iter().find(|(has, _)| *has == Some(false));
        missing.map_or(Ok(()), |(_, what)| Err(EngineError::Unbounded { socket: self.socket.clone(), what }))
    }

    /// The image of this name, if it is there.
    pub(crate) async fn image(&self, name: &ImageName) -> Result<Option<ImageInspect>, EngineError> {
        match self.docker.inspect_image(name.as_str()).await {
            Ok(image) => Ok(Some(image)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// An answer that is none.
    pub(crate) fn failed(&self, error: &Error) -> EngineError {
        EngineError::Answer { socket: self.socket.clone(), why: explain(error, ANSWER_TIME_MAX) }
    }
}

/// How an engine gives graphics cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cards {
    /// By a runtime of their maker.
    Runtime,
    /// By files that describe each, in the container device interface.
    Described,
    /// Not at all.
    None,
}

impl Cards {
    pub(crate) fn of(info: &SystemInfo) -> Self {
        if info.runtimes.iter().flatten().any(|(name, _)| name == "nvidia") {
            return Self::Runtime;
        }
        let discovered = info.discovered_devices.iter().flatten();
        let is_discovered = discovered.filter_map(|device| device.id.as_deref()).any(|id| id.starts_with(CARDS));
        let is_described = |dir: &String| {
            let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
            files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("nvidia"))
        };
        if is_discovered || info.cdi_spec_dirs.iter().flatten().any(is_described) {
            Self::Described
        } else {
            Self::None
        }
    }
}

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Api(usize, usize);

impl Api {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }

    fn text(self) -> String {
        format!("{}.{}", self.0, self.1)
    }
}

/// Requests name no version of the API, so that an engine answers them by the newest that it has, however old those are that it
/// has dropped.
fn connect(socket: &Path) -> Result<Docker, EngineError> {
    let fail = |why: String| EngineError::Unreachable { socket: socket.to_owned(), why };
    let path = socket.to_str().ok_or_else(|| fail("its path is not UTF-8".to_owned()))?;
    let version = ClientVersion { major_version: API_MIN.0, minor_version: API_MIN.1 };
    Docker::connect_with_unix(path, ANSWER_TIME_MAX.as_secs(), &version).map_err(|error| fail(error.to_string()))
}

/// The socket that is named, or the first that is there.
fn find_socket(config: &ContainerConfig) -> Result<PathBuf, EngineError> {
    let places = match &config.engine {
        Some(socket) => vec![socket.clone()],
        None => usual_sockets(),
    };
    let found = places.iter().find(|place| place.exists());
    found.cloned().ok_or_else(|| {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        EngineError::NotFound { looked: looked.join(", ") }
    })
}

fn usual_sockets() -> Vec<PathBuf> {
    let named = std::env::var("DOCKER_HOST").ok().and_then(|host| host.strip_prefix("unix://").map(PathBuf::from));
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = own.iter().flat_map(|dir| USER_SOCKETS.map(|socket| dir.join(socket)));
    named
        .into_iter()
        .chain(SYSTEM_SOCKETS.map(PathBuf::from).into_iter().take(1))
        .chain(own)
        .chain(SYSTEM_SOCKETS.map(PathBuf::from).into_iter().skip(1))
        .collect()
}

fn unreachable(socket: &Path, error: &io::Error) -> EngineError {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "this user may not use it; its group may, and whoever is in that group is as good as root here".to_owned()
        }
        io::ErrorKind::ConnectionRefused => "nobody answers there; start the engine".to_owned(),
        _ => error.to_string(),
    };
    EngineError::Unreachable { socket: socket.to_owned(), why }
}

/// What went wrong, with its causes.
pub(crate) fn explain(error: &Error, time_max: Duration) -> String {
    match error {
        Error::RequestTimeoutError => format!("it said nothing for {} s", time_max.as_secs()),
        Error::DockerResponseServerError { message, .. } => message.clone(),
        _ => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(next) = cause {
                let _infallible = write!(text, ": {next}");
                cause = next.source();
            }
            text
        }
    }
}

/// What went wrong with what is no request of its own.
pub(crate) fn why(error: &Error) -> String {
    explain(error, ANSWER_TIME_MAX)
}

fn local_image(image: &ImageInspect) -> Option<LocalImage> {
    let size = image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    Some(LocalImage { id: image.id.clone()?, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_api_have_an_order() {
        assert!(Api::parse("1.9") < Api::parse("1.41"));
        assert_eq!(Api::parse("1.44"), Some(Api(1, 44)));
        assert_eq!(Api::parse(API_MIN_TEXT), Some(API_MIN));
        assert_eq!(Api::parse("version"), None);
    }

    #[test]
    fn cards_are_given_by_a_runtime_or_by_description() {
        let mut info = SystemInfo::default();
        assert_eq!(Cards::of(&info), Cards::None);
        let described = tempfile::tempdir().unwrap();
        info.cdi_spec_dirs = Some(vec![described.path().display().to_string()]);
        assert_eq!(Cards::of(&info), Cards::None);
        std::fs::write(described.path().join("nvidia.yaml"), "").unwrap();
        assert_eq!(Cards::of(&info), Cards::Described);
        info.runtimes = Some([("nvidia".to_owned(), bollard::models::Runtime::default())].into());
        assert_eq!(Cards::of(&info), Cards::Runtime);
    }
}
