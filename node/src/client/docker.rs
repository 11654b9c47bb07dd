//! What this machine offers of containers, as its owner sees it: the settings, and the engine, which is asked by this process.

use super::Client;
use super::network::ClientError;
use crate::config::{Config, Docker};
use crate::service::containers::{container_config, docker_offer, owner};
use crate::wire::{DockerOffer, NodeInfo};
use potluck_runtime::{EngineStatus, look_at_engine};

/// What is offered, and how the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSeen {
    /// What the owner says.
    pub settings: Docker,
    /// What the engine says, or the sentence why none does.
    pub engine: Result<EngineStatus, String>,
}

impl DockerSeen {
    /// What peers would be told; nothing where nothing is offered.
    #[must_use]
    pub fn offer(&self) -> Option<DockerOffer> {
        self.settings.offer.then(|| docker_offer(&self.settings, self.engine.as_ref().ok()))
    }
}

impl Client {
    /// What is offered of containers by now, and how the engine is, offered or not.
    ///
    /// # Errors
    /// [`ClientError`] when the settings cannot be read.
    pub async fn docker(&self) -> Result<DockerSeen, ClientError> {
        let config =
            Config::load(self.paths()).map_err(|error| ClientError::local("cannot use the settings", error))?;
        let engine = look_at_engine(&container_config(&config.docker, &owner(&self.paths().data_dir))).await;
        Ok(DockerSeen { settings: config.docker, engine: engine.map_err(|error| crate::service::chain(&error)) })
    }

    /// What this process would say of its machine, with what it offers of containers.
    pub(super) async fn info_with_docker(&self) -> Result<NodeInfo, ClientError> {
        let info = self.info_alone()?;
        if !self.config().docker.offer {
            return Ok(info);
        }
        Ok(NodeInfo { docker: self.docker().await?.offer(), ..info })
    }
}
