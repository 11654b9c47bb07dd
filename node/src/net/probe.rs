//! Trying out multicast on this machine, interface by interface, as `doctor` does: a datagram of chance goes out to the
//! beacons' group and should be heard again. Nodes ignore it, because it is no beacon.

use crate::net::beacon::BEACON_LEN;
use crate::net::interfaces::{self, Interface};
use crate::net::multicast::{Listener, Speaker};
use std::io;
use std::time::Duration;

/// Bytes of a probe; no beacon has this length.
const PROBE_LEN: usize = 32;

/// What became of one interface's probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which address of which interface.
    pub interface: Interface,
    /// Whether the probe went out.
    pub sent: bool,
    /// Whether it was heard on this machine. What a switch or an access point does with it only another machine can
    /// tell.
    pub heard: bool,
}

/// Sends a probe on every interface and waits for each at most `wait`.
///
/// # Errors
/// What the system says when the discovery port cannot be listened on, or nothing can be sent at all.
pub async fn probe_multicast(discovery_port: u16, wait: Duration) -> io::Result<Vec<Probe>> {
    let speaker = Speaker::open(discovery_port)?;
    let mut listener = Listener::open(discovery_port)?;
    let interfaces = interfaces::list();
    listener.join(&interfaces);
    let mut probes = Vec::with_capacity(interfaces.len());
    for interface in interfaces {
        let mut token = [0u8; PROBE_LEN];
        getrandom::fill(&mut token).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let sent = speaker.announce(std::slice::from_ref(&interface), &token).await > 0;
        let hearing = async {
            while let Ok((bytes, len, _)) = listener.receive().await {
                if bytes[..len.min(BEACON_LEN)] == token {
                    return true;
                }
            }
            false
        };
        let heard = sent && tokio::time::timeout(wait, hearing).await.unwrap_or(false);
        probes.push(Probe { interface, sent, heard });
    }
    Ok(probes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    #[tokio::test]
    async fn a_probe_on_loopback_is_sent_and_heard() {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let probes = probe_multicast(port, Duration::from_millis(500)).await.unwrap();
        let loopback = |probe: &&Probe| probe.interface.ip == IpAddr::V4(Ipv4Addr::LOCALHOST);
        let probe = probes.iter().find(loopback).unwrap();
        assert!(probe.sent && probe.heard, "{probes:?}");
    }
}
