//! Tests of the network: interfaces, the UDP port, the node's answer. Multicast has a file of its own.

use super::Check;
use crate::render;
use potluck_node::client::Client;
use potluck_node::config::PortChoice;
use potluck_node::node::{RunningNode, running};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long the node of this machine may take to answer over its port.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// There is an interface by which others can be reached.
pub(super) fn interfaces() -> Check {
    let found = potluck_node::net::interfaces::list();
    let names: Vec<String> = found
        .iter()
        .filter(|interface| !interface.ip.is_loopback())
        .map(|interface| format!("{} {}", interface.name, interface.ip))
        .collect();
    if names.is_empty() {
        return Check::warn(
            "interfaces",
            "only the loopback is up",
            "connect this machine to a network to reach others",
        );
    }
    Check::ok("interfaces", names.join(", "))
}

/// The UDP port is free, or the node that holds it answers.
pub(super) async fn port(client: &Client) -> Check {
    match running(client.paths()) {
        Some(node) => answer(client, &node).await,
        None => free(client.config().port),
    }
}

async fn answer(client: &Client, node: &RunningNode) -> Check {
    let who = format!("{} is held by the running node (process {})", node.port, node.pid);
    let remedy = "a firewall may block the loopback; else restart the node: `potluck down`, then `potluck up -d`";
    match tokio::time::timeout(ANSWER_WITHIN, client.info()).await {
        Ok(Ok(_)) => Check::ok("udp port", format!("{who}, which answers")),
        Ok(Err(error)) => {
            let error = render::sentence(&error.into());
            Check::fail("udp port", format!("{who}, which does not answer: {error}"), remedy)
        }
        Err(_) => {
            let seconds = ANSWER_WITHIN.as_secs();
            Check::fail("udp port", format!("{who}, which does not answer within {seconds} s"), remedy)
        }
    }
}

fn free(choice: PortChoice) -> Check {
    let (port, others_do) = match choice {
        PortChoice::Preferred(port) => (port, true),
        PortChoice::Exactly(port) => (port, false),
    };
    let v4 = bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let v6 = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    match (v4, v6) {
        (Ok(()), Ok(())) if port == 0 => Check::ok("udp port", "any free one is taken"),
        (Ok(()), Ok(())) => Check::ok("udp port", format!("{port} is free (IPv4 and IPv6)")),
        (Ok(()), Err(error)) if error.kind() != io::ErrorKind::AddrInUse => {
            Check::ok("udp port", format!("{port} is free (IPv4 only; IPv6: {error})"))
        }
        (Err(error), _) | (_, Err(error)) if others_do => Check::warn(
            "udp port",
            format!("{port}: {error}"),
            "the node takes another port; firewalls and `peers add` must know which (`potluck status` says it)",
        ),
        (Err(error), _) | (_, Err(error)) => Check::fail(
            "udp port",
            format!("{port}: {error}"),
            "end what holds it, or choose another with `potluck config set port NUMBER`",
        ),
    }
}

/// Whether this address can be taken now.
fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_port_that_is_taken_is_a_warning_or_a_failure() {
        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(free(PortChoice::Preferred(port)).result, Verdict::Warn);
        assert_eq!(free(PortChoice::Exactly(port)).result, Verdict::Fail);
        assert_eq!(free(PortChoice::Exactly(0)).result, Verdict::Ok);
    }
}
