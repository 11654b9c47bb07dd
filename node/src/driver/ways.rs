//! How the home of this node's jobs reaches machines: peers over the link that stands, this one in this process.

use super::core::{Core, Message};
use crate::dispatch::{Caller, Role};
use crate::home::Ways;
use crate::state::placement::Place;
use crate::wire::FrameStream;
use std::sync::Weak;
use tokio::sync::oneshot;

/// Ways through the driver; none once the node is gone.
pub(crate) struct DriverWays {
    core: Weak<Core>,
}

impl DriverWays {
    pub(crate) fn new(core: Weak<Core>) -> Self {
        Self { core }
    }
}

#[async_trait::async_trait]
impl Ways for DriverWays {
    async fn open(&self, place: Place) -> Result<FrameStream, String> {
        let core = self.core.upgrade().ok_or("the node is leaving")?;
        let Place::Peer(peer) = place else {
            let (near, mut far) = FrameStream::pair();
            let caller = Caller { id: core.identity.id(), role: Role::Owner, name: "the owner".to_owned(), link: None };
            tokio::spawn(async move {
                if let Ok(first) = far.reader.expect_any().await {
                    core.service.serve(caller, first, far).await;
                }
            });
            return Ok(near);
        };
        let (reply, link) = oneshot::channel();
        let leaving = |_| "the node is leaving".to_owned();
        core.inbox.send(Message::Link(peer, reply)).await.map_err(|_| "the node is leaving")?;
        let link = link.await.map_err(leaving)?.ok_or("there is no connection to it")?;
        link.open_stream().await.map_err(|closed| closed.to_string())
    }
}
