//! What the engine has of one run: a volume, a holder and the job's container. However this is dropped, they are removed.

use super::archive::{self, Bounds};
use super::engine::{Engine, why};
use super::holder::{HOLDER_NAME, holder_executable};
use super::spec::{self, JOB_USER, Names, Room, WORK_PLACE};
use super::{PreparedContainer, engine::Cards};
use crate::job::RunRequest;
use crate::limits::LimitKind;
use crate::protocol::Given;
use crate::runtime::StartError;
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerState};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, DownloadFromContainerOptions, KillContainerOptions,
    RemoveContainerOptions, RemoveVolumeOptions, StartContainerOptions, UploadToContainerOptions, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What a full directory says.
const FULL: &str = "no space left on device";
/// The name under which it is tried whether a directory is full.
const PROBE: &str = ".potluck-probe";
/// How long a run may take: wall time is bounded elsewhere, and an engine's answer that comes with the end must not be.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What the engine has of one run.
pub(crate) struct Container {
    engine: Engine,
    names: Names,
    is_removed: bool,
}

impl Container {
    /// Makes the working directory and puts the inputs there, which lie in a directory of ours.
    pub(crate) async fn make(
        engine: Engine,
        owner: &str,
        prepared: &PreparedContainer,
        room: Room,
        inputs: Option<PathBuf>,
    ) -> Result<Self, StartError> {
        let this = Self { engine, names: Names::new(owner), is_removed: false };
        match this.fill(prepared, room, inputs).await {
            Ok(()) => Ok(this),
            Err(error) => {
                this.remove().await;
                Err(error)
            }
        }
    }

    async fn fill(&self, prepared: &PreparedContainer, room: Room, inputs: Option<PathBuf>) -> Result<(), StartError> {
        let made = self.docker().create_volume(spec::volume(&self.names, room)).await;
        made.map_err(|error| failed("make the working directory", &error))?;
        self.create(&self.names.holder, spec::holder(&self.names, prepared)).await?;
        let program = holder_executable(&prepared.architecture).ok_or_else(|| {
            StartError::Container(format!("there is no holder for the processor {:?}", prepared.architecture))
        })?;
        let program = archive::single(HOLDER_NAME, &program, 0o555, 0).map_err(|error| unable(&error))?;
        self.put("/", once(program)).await.map_err(|error| failed("fill the holder", &error))?;
        let started = self.docker().start_container(&self.names.holder, None::<StartContainerOptions>).await;
        started.map_err(|error| failed("start the holder", &error))?;
        if let Some(inputs) = inputs {
            let put = self.put(WORK_PLACE, archive::pack(inputs, JOB_USER)).await;
            put.map_err(|error| failed("put the inputs into the working directory", &error))?;
        }
        Ok(())
    }

    /// Makes the job's container and takes hold of its streams; it does not run yet.
    pub(crate) async fn place(
        &self,
        prepared: &PreparedContainer,
        request: &RunRequest,
        given: Given,
        cards: Cards,
    ) -> Result<AttachContainerResults, StartError> {
        let room = Room::new(request, given);
        self.create(&self.names.job, spec::job(&self.names, prepared, request, room, cards)).await?;
        let streams =
            AttachContainerOptions { stream: true, stdin: true, stdout: true, stderr: true, ..Default::default() };
        let attached = self.docker().attach_container(&self.names.job, Some(streams)).await;
        attached.map_err(|error| failed("take hold of its streams", &error))
    }

    /// Starts the job.
    pub(crate) async fn start(&self, word: &str) -> Result<(), StartError> {
        let started = self.docker().start_container(&self.names.job, None::<StartContainerOptions>).await;
        started.map_err(|error| match &error {
            Error::DockerResponseServerError { message, .. } => not_started(message, word),
            error => failed("start it", error),
        })
    }

    /// Waits until the job has ended.
    pub(crate) async fn ended(&self) -> Result<(), Error> {
        let docker = self.docker().clone().with_timeout(FOR_EVER);
        let ends = WaitContainerOptions { condition: "not-running".to_owned() };
        match docker.wait_container(&self.names.job, Some(ends)).next().await {
            Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// How the job is.
    pub(crate) async fn state(&self) -> Result<ContainerState, Error> {
        let inspected = self.docker().inspect_container(&self.names.job, None).await?;
        Ok(inspected.state.unwrap_or_default())
    }

    /// Sends the job a signal; nothing to one that has ended. An engine answers to one that kills only when all that the job
    /// has printed is read, so its answer is not waited for.
    pub(crate) fn signal(&self, name: &'static str) {
        let (docker, job) = (self.docker().clone(), self.names.job.clone());
        // Ends with the engine's answer, or with the time it has for one.
        tokio::spawn(async move {
            let signal = KillContainerOptions { signal: name.to_owned() };
            if let Err(error) = docker.kill_container(&job, Some(signal)).await {
                tracing::debug!(%error, name, "a signal to a container goes nowhere");
            }
        });
    }

    /// The job's container, for whoever measures it.
    pub(crate) fn measured(&self) -> (bollard::Docker, String) {
        (self.docker().clone(), self.names.job.clone())
    }

    /// Lays what is in the working directory into an empty directory of ours; what is left behind is named.
    pub(crate) async fn fetch(&self, directory: PathBuf, bounds: Bounds) -> io::Result<Vec<String>> {
        let asked = DownloadFromContainerOptions { path: WORK_PLACE.to_owned() };
        let archive = self.docker().download_from_container(&self.names.holder, Some(asked));
        archive::unpack(archive, directory, bounds).await
    }

    /// Which limit of the working directory is used up. Leaves files there, so nobody may want them any more.
    pub(crate) async fn is_full(&self) -> Option<LimitKind> {
        for (kind, content) in [(LimitKind::Files, &[][..]), (LimitKind::Disk, &[0; 1])] {
            let file = archive::single(&format!("{PROBE}-{kind:?}"), content, 0o600, JOB_USER).ok()?;
            match self.put(WORK_PLACE, once(file)).await {
                Err(Error::DockerResponseServerError { message, .. }) if message.contains(FULL) => return Some(kind),
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(%error, "cannot tell whether a working directory is full");
                    return None;
                }
            }
        }
        None
    }

    /// Removes all of it, and returns when it is gone.
    pub(crate) async fn remove(mut self) {
        self.is_removed = true;
        remove(&self.engine, &self.names).await;
    }

    async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<(), StartError> {
        let named = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
        let created = self.docker().create_container(Some(named), body).await;
        created.map(drop).map_err(|error| failed("make it", &error))
    }

    async fn put(&self, place: &str, tar: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Result<(), Error> {
        let asked = UploadToContainerOptions { path: place.to_owned(), ..Default::default() };
        self.docker().upload_to_container(&self.names.holder, Some(asked), bollard::body_try_stream(tar)).await
    }

    fn docker(&self) -> &bollard::Docker {
        &self.engine.docker
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        // Without a Tokio runtime this process is about to end, and whoever sweeps after it does this.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (engine, names) = (self.engine.clone(), self.names.clone());
            runtime.spawn(async move { remove(&engine, &names).await });
        }
    }
}

async fn remove(engine: &Engine, names: &Names) {
    tokio::join!(remove_container(engine, &names.job), remove_container(engine, &names.holder));
    remove_volume(engine, &names.volume).await;
}

/// Removes a container, whatever it does; one that is not there is not missed.
pub(crate) async fn remove_container(engine: &Engine, name: &str) {
    let how = RemoveContainerOptions { force: true, v: true, link: false };
    told(engine.docker.remove_container(name, Some(how)).await, name);
}

/// Removes a volume that no container uses any more.
pub(crate) async fn remove_volume(engine: &Engine, name: &str) {
    told(engine.docker.remove_volume(name, Some(RemoveVolumeOptions { force: true })).await, name);
}

fn told(removed: Result<(), Error>, name: &str) {
    match removed {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
        // Somebody else removes it right now.
        Err(Error::DockerResponseServerError { message, .. }) if message.contains("already in progress") => {}
        Err(error) => tracing::warn!(%error, name, "what a container left stays until the next start"),
    }
}

fn once(archive: Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::once(std::future::ready(Ok(archive)))
}

fn failed(what: &str, error: &Error) -> StartError {
    StartError::Container(format!("the engine does not {what}: {}", why(error)))
}

fn unable(error: &io::Error) -> StartError {
    StartError::Container(error.to_string())
}

/// Why the job's own program did not start, from what the engine says of it.
fn not_started(message: &str, word: &str) -> StartError {
    let says = |text: &str| message.contains(text);
    if says("executable file not found") || says("no such file or directory") {
        return StartError::Request(format!(
            "neither the image nor the job's files have the program {word:?}; name one that is there"
        ));
    }
    if says("permission denied") {
        return StartError::Request(format!(
            "{word:?} may not be executed; make the file executable (chmod +x), or name the program that reads it first"
        ));
    }
    if says("exec format error") {
        return StartError::Request(format!("{word:?} is not a program for this machine's processor"));
    }
    StartError::Container(message.trim().to_owned())
}
