//! The network interfaces of this machine, as discovery and invitations need them.

use crate::defaults::INTERFACES_MAX;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// One address of an interface that is up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Its name (`eth0`).
    pub name: String,
    /// Its number in the system.
    pub index: u32,
    /// One of its addresses.
    pub ip: IpAddr,
}

/// Every address of every interface that is up, in a stable order, loopback among them.
#[must_use]
pub fn list() -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        // Loopback and tunnels often report "unknown" instead of "up".
        .filter(|interface| {
            !matches!(interface.oper_status, if_addrs::IfOperStatus::Down | if_addrs::IfOperStatus::LowerLayerDown)
        })
        .map(|interface| Interface { ip: interface.ip(), index: interface.index.unwrap_or(0), name: interface.name })
        .collect();
    interfaces.sort();
    interfaces.truncate(INTERFACES_MAX);
    interfaces
}

/// Where others may reach `port` on this machine, best first: the address of the default route, then those of other
/// interfaces, bridges last. Loopback only where there is nothing else.
#[must_use]
pub fn reachable_addresses(interfaces: &[Interface], port: u16) -> Vec<SocketAddr> {
    let preferred = preferred_source();
    let mut ranked: Vec<(u8, IpAddr)> = interfaces
        .iter()
        .filter(|interface| !is_link_local(interface.ip))
        .map(|interface| (rank(interface, preferred), interface.ip))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    if ranked.iter().any(|(rank, _)| *rank < LOOPBACK_RANK) {
        ranked.retain(|(rank, _)| *rank < LOOPBACK_RANK);
    }
    ranked.into_iter().map(|(_, ip)| SocketAddr::new(ip, port)).collect()
}

const LOOPBACK_RANK: u8 = 4;

fn rank(interface: &Interface, preferred: Option<IpAddr>) -> u8 {
    let bridge = ["docker", "br-", "veth", "virbr", "cni", "podman"];
    if interface.ip.is_loopback() {
        LOOPBACK_RANK
    } else if Some(interface.ip) == preferred {
        0
    } else if bridge.iter().any(|prefix| interface.name.starts_with(prefix)) {
        3
    } else if interface.ip.is_ipv4() {
        1
    } else {
        2
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The address this machine would send from to somewhere far away. Nothing is sent: the address is from the block kept
/// for documentation.
fn preferred_source() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, ip: &str) -> Interface {
        Interface { name: name.into(), index: 1, ip: ip.parse().unwrap() }
    }

    #[test]
    fn loopback_is_named_only_where_there_is_nothing_else() {
        let lo = interface("lo", "127.0.0.1");
        assert_eq!(reachable_addresses(std::slice::from_ref(&lo), 1), ["127.0.0.1:1".parse().unwrap()]);
        let all = [
            lo,
            interface("docker0", "172.17.0.1"),
            interface("eth0", "fe80::1"),
            interface("eth0", "2001:db8::1"),
            interface("eth0", "192.0.2.1"),
        ];
        let wanted = ["192.0.2.1:1", "[2001:db8::1]:1", "172.17.0.1:1"].map(|text| text.parse().unwrap());
        assert_eq!(reachable_addresses(&all, 1), wanted);
    }
}
