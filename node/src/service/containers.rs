//! What this machine offers of containers: the owner's settings, given to the runtime as soon as they change, and what the
//! engine said lately. Whoever asks for a container is refused by the settings alone; whether the engine has the image is said by
//! the runtime, which asks it then.

use super::Inner;
use crate::config::Docker;
use crate::state::containers::{Image, Offer, lacks};
use crate::wire::{DockerOffer, Fault, FaultCode, OfferedImage};
use potluck_runtime::{ContainerConfig, Digest, EngineStatus, ImageName, Runtime};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the engine is asked how it is: a few requests over a socket of this machine.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to say so.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Digits that tell the containers of one data directory from those of another.
const OWNER_LEN: usize = 16;

/// What is offered, and what is known of the engine.
pub(super) struct Containers {
    runtime: Runtime,
    /// Whose the containers are: all that run over one data directory have one name.
    owner: String,
    state: Mutex<State>,
    looks: AtomicBool,
}

#[derive(Default)]
struct State {
    docker: Docker,
    /// What the engine said when it was asked last, under these settings.
    seen: Option<Seen>,
}

struct Seen {
    at: Instant,
    /// None where it did not answer.
    status: Option<EngineStatus>,
}

impl Containers {
    pub(super) fn new(runtime: Runtime, data_dir: &Path) -> Self {
        let owner = owner(data_dir);
        Self { runtime, owner, state: Mutex::default(), looks: AtomicBool::new(false) }
    }

    /// Offers what the owner says now. Must be called within a Tokio runtime.
    pub(super) fn settle(&self, docker: &Docker) {
        let mut state = self.state();
        if state.docker == *docker {
            return;
        }
        *state = State { docker: docker.clone(), seen: None };
        tracing::info!(offered = docker.offer, images = docker.images.len(), "what is offered of containers changes");
        self.runtime.offer_containers(docker.offer.then(|| container_config(docker, &self.owner)));
    }

    /// Asks the engine how it is, unless that was done a moment ago, or is being done.
    pub(super) fn look_if_due(inner: &Arc<Inner>) {
        let here = &inner.containers;
        let is_due = here.state().seen.as_ref().is_none_or(|seen| seen.at.elapsed() >= LOOK_EVERY);
        let Some(offer) = here.runtime.containers().filter(|_| is_due) else { return };
        if here.looks.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(inner);
        tokio::spawn(async move {
            let status = tokio::time::timeout(LOOK_TIMEOUT, offer.status()).await;
            let status = status.ok().and_then(|status| {
                status.inspect_err(|error| tracing::debug!(error = %super::chain(error), "no engine answers")).ok()
            });
            let here = &inner.containers;
            let mut state = here.state();
            // What was asked under other settings says nothing of these.
            if container_config(&state.docker, &here.owner) == *offer.config() {
                state.seen = Some(Seen { at: Instant::now(), status });
            }
            here.looks.store(false, Ordering::Release);
        });
    }

    /// What peers are told; nothing where nothing is offered.
    pub(super) fn offer(&self) -> Option<DockerOffer> {
        let state = self.state();
        let status = state.seen.as_ref().and_then(|seen| seen.status.as_ref());
        state.docker.offer.then(|| docker_offer(&state.docker, status))
    }

    /// Why no container of this image runs here, by the owner's settings.
    pub(super) fn refusal(&self, image: &Image, name: &str) -> Option<Fault> {
        let state = self.state();
        let images = state.docker.images.iter().map(|image| (image.clone(), true)).collect();
        let offer = state.docker.offer.then_some(Offer { answers: true, images, gives_gpus: true });
        let lacks = lacks(offer.as_ref(), image)?;
        Some(Fault::new(FaultCode::NOT_ALLOWED, format!("{name} {lacks}; {}", lacks.change())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose containers those of this data directory are.
pub(crate) fn owner(data_dir: &Path) -> String {
    let mut owner = Digest::of(data_dir.as_os_str().as_encoded_bytes()).to_string();
    owner.truncate(OWNER_LEN);
    owner
}

/// What the owner's settings mean to the runtime.
pub(crate) fn container_config(docker: &Docker, owner: &str) -> ContainerConfig {
    let images = docker.images.iter().map(Image::to_string).collect();
    ContainerConfig { engine: docker.engine.clone(), images, owner: owner.to_owned() }
}

/// What is told of an offer, by what the engine said of it.
pub(crate) fn docker_offer(docker: &Docker, status: Option<&EngineStatus>) -> DockerOffer {
    let is_there = |image: &Image| {
        let found = status
            .into_iter()
            .flat_map(|status| &status.images)
            .find(|allowed| ImageName::parse(&allowed.reference).is_ok_and(|reference| reference == *image.name()));
        found.is_some_and(|allowed| allowed.local.is_some())
    };
    let images = docker.images.iter();
    DockerOffer {
        engine: status.map(|status| format!("{} {}", status.name, status.version)),
        images: images.map(|image| OfferedImage { image: image.clone(), present: is_there(image) }).collect(),
        gives_gpus: status.is_some_and(|status| status.gives_gpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_runtime::{AllowedImage, LocalImage};

    fn docker(images: &[&str]) -> Docker {
        Docker { offer: true, images: images.iter().map(|image| image.parse().unwrap()).collect(), engine: None }
    }

    #[test]
    fn an_image_is_told_as_there_by_its_full_name_and_none_is_while_no_engine_answers() {
        let image = |reference: &str, is_there: bool| AllowedImage {
            reference: reference.into(),
            local: is_there.then(|| LocalImage { id: "sha256:1".into(), size: 1 }),
            pull_command: String::new(),
        };
        let status = EngineStatus {
            socket: "/run/x.sock".into(),
            name: "Docker".into(),
            version: "26.1".into(),
            api_version: "1.45".into(),
            is_rootless: false,
            gives_gpus: false,
            images: vec![image("busybox:latest", true), image("python:3.12", false)],
        };
        let settings = docker(&["busybox", "python:3.12"]);
        let offer = docker_offer(&settings, Some(&status));
        let there: Vec<bool> = offer.images.iter().map(|image| image.present).collect();
        assert_eq!((offer.engine.as_deref(), there), (Some("Docker 26.1"), vec![true, false]));
        let silent = docker_offer(&settings, None);
        assert!(silent.engine.is_none() && silent.images.iter().all(|image| !image.present));
    }

    #[test]
    fn each_data_directory_has_containers_of_its_own() {
        assert_ne!(owner(Path::new("/a")), owner(Path::new("/b")));
        assert_eq!(owner(Path::new("/a")).len(), OWNER_LEN);
    }
}
