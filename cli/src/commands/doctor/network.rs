//! Tests of the network: interfaces, multicast out and in, the UDP port.

use super::Check;
use potluck_node::client::Client;
use potluck_node::config::{Config, PortChoice};
use potluck_node::node::running;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// A group of the site-local scope that nothing else uses; only this test sends to it.
const TEST_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 74, 99);
/// How long a packet to ourselves may take.
const ECHO_WITHIN: Duration = Duration::from_millis(500);
/// What a test packet begins with.
const TEST_WORD: &[u8] = b"potluck doctor ";

/// There is an interface by which others can be reached.
pub(super) fn interfaces() -> Check {
    let found = potluck_node::net::interfaces::list();
    let names: Vec<String> = found.iter().map(|interface| format!("{} {}", interface.name, interface.ip)).collect();
    if found.iter().any(|interface| !interface.ip.is_loopback()) {
        return Check::ok("interfaces", names.join(", "));
    }
    Check::warn("interfaces", "only the loopback is up", "connect this machine to a network to reach others")
}

/// A multicast packet leaves and comes back in.
pub(super) fn multicast(config: &Config) -> Check {
    if config.discovery.is_none() {
        return Check::ok("multicast", "switched off by the setting `discovery`");
    }
    match echo() {
        Ok(true) => Check::ok("multicast", "a packet went out and came back in"),
        Ok(false) => Check::warn(
            "multicast",
            "a packet went out and did not come back in",
            "a firewall may drop it; allow UDP 7421, or use `potluck peers add HOST:PORT`",
        ),
        Err(error) => Check::warn(
            "multicast",
            format!("cannot be sent: {error}"),
            "peers are not found by themselves; use `potluck peers add HOST:PORT`",
        ),
    }
}

/// The UDP port is ours, or free.
pub(super) fn port(client: &Client) -> Check {
    if let Some(node) = running(client.paths()) {
        return Check::ok("udp port", format!("{} is held by the running node (process {})", node.port, node.pid));
    }
    let (port, others_do) = match client.config().port {
        PortChoice::Preferred(port) => (port, true),
        PortChoice::Exactly(port) => (port, false),
    };
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) if port == 0 => Check::ok("udp port", "any free one is taken"),
        Ok(_) => Check::ok("udp port", format!("{port} is free")),
        Err(error) if others_do => {
            Check::warn("udp port", format!("{port}: {error}"), "another port will be taken; firewalls may not know it")
        }
        Err(error) => Check::fail(
            "udp port",
            format!("{port}: {error}"),
            "end what holds it, or choose another with `potluck config set port NUMBER`",
        ),
    }
}

/// Whether a packet to a multicast group comes back to a member of it on this machine.
fn echo() -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let interface = potluck_node::net::interfaces::list().into_iter().find_map(|interface| match interface.ip {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    });
    socket.join_multicast_v4(&TEST_GROUP, &interface.unwrap_or(Ipv4Addr::LOCALHOST))?;
    socket.set_multicast_loop_v4(true)?;
    let word = [TEST_WORD, std::process::id().to_string().as_bytes()].concat();
    socket.send_to(&word, SocketAddrV4::new(TEST_GROUP, socket.local_addr()?.port()))?;
    let deadline = Instant::now() + ECHO_WITHIN;
    let mut buffer = [0u8; 64];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok(len) if buffer[..len] == word => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}
