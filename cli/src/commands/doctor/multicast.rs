//! Whether multicast leaves this machine's interfaces and comes back in, one check for each interface and address
//! family. What another machine would receive cannot be known here; a packet that is looped back has passed the same
//! local rules, on the same port, that discovery has to pass.

use super::Check;
use potluck_node::config::Config;
use potluck_node::net::interfaces::{self, Interface};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

/// A group of the site-local scope that nothing else uses; only this test sends to it.
const TEST_GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 74, 99);
/// Its counterpart of the link-local scope.
const TEST_GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x706f, 0x7499);
/// How long a packet to ourselves may take.
const ECHO_WITHIN: Duration = Duration::from_millis(500);
/// What a test packet begins with.
const TEST_WORD: &[u8] = b"potluck doctor ";

/// By which interface, and in which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The interface with this address.
    V4(Ipv4Addr),
    /// The interface with this number.
    V6(u32),
}

/// A packet goes out by each interface and comes back in.
pub(super) fn multicast(config: &Config) -> Vec<Check> {
    let Some(port) = config.discovery else {
        return vec![Check::ok("multicast", "switched off by the setting `discovery`")];
    };
    let ways = ways(&interfaces::list());
    if ways.is_empty() {
        return vec![Check::warn(
            "multicast",
            "there is no interface to send it by",
            "connect this machine to a network to find others",
        )];
    }
    ways.into_iter().map(|(name, way)| judged(&name, way, port, echo(way, port))).collect()
}

fn judged(name: &str, way: Way, port: u16, echoed: io::Result<bool>) -> Check {
    let family = match way {
        Way::V4(_) => "IPv4",
        Way::V6(_) => "IPv6",
    };
    match echoed {
        Ok(true) => Check::ok("multicast", format!("{name} {family}: a packet went out and came back in")),
        Ok(false) => Check::warn(
            "multicast",
            format!("{name} {family}: a packet went out and did not come back in"),
            format!("a firewall may drop it: allow UDP {port} in and out; or use `potluck peers add HOST:PORT`"),
        ),
        Err(error) => Check::warn(
            "multicast",
            format!("{name} {family}: cannot be sent: {error}"),
            "peers there are not found by themselves; use `potluck peers add HOST:PORT`",
        ),
    }
}

/// Each interface once for each family.
fn ways(interfaces: &[Interface]) -> Vec<(String, Way)> {
    let mut seen = BTreeSet::new();
    let way_of = |interface: &Interface| match interface.ip {
        IpAddr::V4(address) => Way::V4(address),
        IpAddr::V6(_) => Way::V6(interface.index),
    };
    interfaces
        .iter()
        .filter(|interface| !interface.ip.is_loopback())
        .map(|interface| (interface.name.clone(), way_of(interface)))
        .filter(|(name, way)| seen.insert((name.clone(), matches!(way, Way::V4(_)))))
        .collect()
}

/// Whether a packet to a multicast group comes back to a member of it on this machine.
fn echo(way: Way, port: u16) -> io::Result<bool> {
    let receiver = member(way, port)?;
    let port = receiver.local_addr()?.port();
    let word = [TEST_WORD, format!("{way:?} {}", std::process::id()).as_bytes()].concat();
    send(way, port, &word)?;
    let deadline = Instant::now() + ECHO_WITHIN;
    let mut buffer = [0u8; 128];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        receiver.set_read_timeout(Some(left))?;
        match receiver.recv(&mut buffer) {
            Ok(len) if buffer[..len] == word => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A member of the group on this interface, beside a node that uses the port already.
fn member(way: Way, port: u16) -> io::Result<UdpSocket> {
    let socket = open(way)?;
    socket.set_reuse_address(true)?;
    #[cfg(not(target_os = "linux"))]
    socket.set_reuse_port(true)?;
    match way {
        Way::V4(address) => {
            socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))?;
            socket.join_multicast_v4(&TEST_GROUP_V4, &address)?;
        }
        Way::V6(index) => {
            socket.bind(&SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))))?;
            socket.join_multicast_v6(&TEST_GROUP_V6, index)?;
        }
    }
    Ok(socket.into())
}

fn send(way: Way, port: u16, word: &[u8]) -> io::Result<()> {
    let socket = open(way)?;
    let target = match way {
        Way::V4(address) => {
            socket.set_multicast_if_v4(&address)?;
            socket.set_multicast_loop_v4(true)?;
            SocketAddr::from((TEST_GROUP_V4, port))
        }
        Way::V6(index) => {
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_loop_v6(true)?;
            SocketAddr::V6(SocketAddrV6::new(TEST_GROUP_V6, port, 0, index))
        }
    };
    socket.send_to(word, &SockAddr::from(target)).map(drop)
}

fn open(way: Way) -> io::Result<Socket> {
    match way {
        Way::V4(_) => Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)),
        Way::V6(_) => {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_only_v6(true)?;
            Ok(socket)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn interface(name: &str, index: u32, ip: &str) -> Interface {
        Interface { name: name.into(), index, ip: ip.parse().unwrap() }
    }

    #[test]
    fn each_interface_is_tested_once_for_each_family_and_loopback_not_at_all() {
        let found = [
            interface("lo", 1, "127.0.0.1"),
            interface("eth0", 2, "192.0.2.1"),
            interface("eth0", 2, "192.0.2.9"),
            interface("eth0", 2, "fe80::1"),
            interface("eth0", 2, "2001:db8::1"),
            interface("wlan0", 3, "198.51.100.1"),
        ];
        let names: Vec<(String, bool)> =
            ways(&found).into_iter().map(|(name, way)| (name, matches!(way, Way::V4(_)))).collect();
        assert_eq!(names, [("eth0".into(), true), ("eth0".into(), false), ("wlan0".into(), true)]);
    }

    #[test]
    fn a_packet_that_is_lost_names_the_interface_and_the_port_to_open() {
        let check = judged("eth0", Way::V6(2), 7421, Ok(false));
        assert_eq!(check.result, Verdict::Warn);
        assert!(check.found.contains("eth0 IPv6") && check.remedy.contains("7421"));
    }
}
