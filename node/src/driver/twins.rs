//! Telling apart machines that hold one copied identity: by asking, over connections that prove the key, which instance is
//! there now. Nothing here follows from what a beacon or an address says.

use super::core::Core;
use crate::identity::NodeId;
use crate::net::link::{CloseCode, Link};
use crate::net::tls::Expected;
use crate::state::peers::Event;
use crate::wire::{Frame, Tag, Twin};
use std::net::SocketAddr;
use std::sync::Arc;

/// Two instances that both answer now, under one key, are two machines: a daemon that was restarted does not answer on
/// its old link, and the links of single commands never stand.
pub(super) async fn compare(core: Arc<Core>, peer: NodeId, links: [Link; 2], surplus: Vec<Link>) {
    let [stood, new] = &links;
    if let (Ok(one), Ok(other)) = tokio::join!(stood.info(), new.info())
        && one.instance != 0
        && other.instance != 0
        && one.instance != other.instance
    {
        let addresses: Vec<SocketAddr> = links.iter().map(Link::remote_address).collect();
        tracing::warn!(peer = peer.short(), ?addresses, "two machines hold the key of one peer");
        let twin = Twin { addresses: addresses.clone() };
        let tell = |link: &Link| {
            let (link, frame) = (link.clone(), Frame::message(Tag::TWIN, &twin));
            async move { link.tell(frame).await }
        };
        let _ = tokio::join!(tell(stood), tell(new));
        core.report(Event::Twins { id: peer, addresses }).await;
    }
    surplus.iter().for_each(|link| link.close(CloseCode::DUPLICATE));
}

/// Whoever sends beacons with our key must prove it, and be another instance: a beacon alone may be an old one of ours.
pub(super) async fn probe_twin(core: Arc<Core>, address: SocketAddr) {
    let me = core.identity.id();
    let Ok(link) = core.endpoint.dial(Expected::Exactly(me), &[address]).await else { return };
    if let Ok(info) = link.info().await
        && info.instance != 0
        && info.instance != core.instance
    {
        tracing::warn!(%address, "another machine holds this machine's identity; type `potluck identity new` on one");
        core.report(Event::Twins { id: me, addresses: vec![address] }).await;
    }
    link.close(CloseCode::DONE);
}
