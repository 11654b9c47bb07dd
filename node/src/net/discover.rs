//! Finding and reaching peers without a daemon: what a single command needs.

use crate::identity::{Identity, NodeId};
use crate::net::beacon::{BEACON_LEN, Beacon, BeaconKind};
use crate::net::interfaces;
use crate::net::link::{Link, unmapped};
use crate::net::multicast::Speaker;
use crate::net::quic::{BindError, DialError, QuicEndpoint};
use crate::net::tls::Expected;
use crate::trust::book::Book;
use crate::trust::pins::Pins;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// When the question is repeated, for networks that lose the first.
const QUERY_TIMES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(150), Duration::from_millis(400)];

/// Asks the network who is there and waits for `wait`. Only pinned peers count; each with the addresses it answered
/// from.
pub async fn discover(
    identity: &Identity,
    book: &Book,
    discovery_port: u16,
    wait: Duration,
) -> BTreeMap<NodeId, Vec<SocketAddr>> {
    let mut found: BTreeMap<NodeId, Vec<SocketAddr>> = BTreeMap::new();
    let Ok(speaker) = Speaker::open(discovery_port) else { return found };
    let interfaces = interfaces::list();
    let query = Beacon { kind: BeaconKind::Query, id: identity.id(), boot: 0, sequence: 0, port: 0 }.sign(identity);
    let start = Instant::now();
    let asking = async {
        for time in QUERY_TIMES {
            tokio::time::sleep_until(start + time).await;
            speaker.announce(&interfaces, &query).await;
        }
        std::future::pending::<()>().await;
    };
    let hearing = async {
        loop {
            let Ok((bytes, len, from)) = speaker.receive().await else {
                // A network that has just gone away reports so here; it may come back within the wait.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let datagram = &bytes[..len.min(BEACON_LEN + 1)];
            let Some(beacon) = Beacon::parse(datagram, |id| book.peer(id).is_some()) else { continue };
            if matches!(beacon.kind, BeaconKind::Hello | BeaconKind::Greeting) && beacon.port != 0 {
                let mut address = unmapped(from);
                address.set_port(beacon.port);
                let addresses = found.entry(beacon.id).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
    };
    let _ = tokio::time::timeout(wait, async { tokio::join!(asking, hearing) }).await;
    found
}

/// Why a peer was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// There is no socket.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// No address led there.
    #[error("{0}")]
    Dial(#[from] DialError),
}

/// A link to `peer`, and the endpoint that carries it: keep the endpoint as long as the link.
///
/// # Errors
/// [`ReachError`].
pub async fn dial(
    identity: &Identity,
    book: &Book,
    peer: NodeId,
    addresses: &[SocketAddr],
) -> Result<(QuicEndpoint, Link), ReachError> {
    let pins = Arc::new(Pins::new(identity.id(), book.peers().map(|entry| entry.id)));
    let endpoint = QuicEndpoint::dial_only(identity, pins)?;
    let link = endpoint.dial(Expected::Exactly(peer), addresses).await?;
    Ok((endpoint, link))
}
