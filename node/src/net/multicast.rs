//! The sockets of discovery. A [`Speaker`] sends on every interface from a port of its own, where answers come back; a
//! [`Listener`] hears what is sent to the groups on the port all nodes share. Several nodes of one host each hear
//! everything. An interface that refuses is skipped: others may do.

use crate::defaults::{BEACON_GROUP_V4, BEACON_GROUP_V6};
use crate::net::beacon::BEACON_LEN;
use crate::net::interfaces::Interface;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use tokio::net::UdpSocket;

/// A datagram and where it came from. One byte more than a beacon is kept, so that a longer one is seen to be longer.
pub type Datagram = ([u8; BEACON_LEN + 1], usize, SocketAddr);

/// Hears the groups.
pub struct Listener {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    joined: BTreeSet<Interface>,
}

impl Listener {
    /// A listener on `port` that has joined nothing yet.
    ///
    /// # Errors
    /// What the system says when neither family can be listened to.
    pub fn open(port: u16) -> io::Result<Self> {
        let v4 = shared_socket(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into());
        let v6 = shared_socket(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()).ok();
        if v6.is_none() {
            return Ok(Self { v4: Some(v4?), v6, joined: BTreeSet::new() });
        }
        Ok(Self { v4: v4.ok(), v6, joined: BTreeSet::new() })
    }

    /// Joins the groups on interfaces that are new; the system itself leaves on those that are gone. How many are
    /// listened on.
    pub fn join(&mut self, interfaces: &[Interface]) -> usize {
        let present: BTreeSet<Interface> = interfaces.iter().cloned().collect();
        self.joined.retain(|interface| present.contains(interface));
        for interface in present {
            if self.joined.contains(&interface) {
                continue;
            }
            match self.join_one(&interface) {
                // Another address of the same interface has joined before.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    tracing::debug!(interface = interface.name, ip = %interface.ip, %error, "cannot hear beacons");
                    continue;
                }
                Ok(()) => {}
            }
            self.joined.insert(interface);
        }
        self.joined.len()
    }

    /// The next datagram.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receive(&self) -> io::Result<Datagram> {
        receive_either(self.v4.as_ref(), self.v6.as_ref()).await
    }

    fn join_one(&self, interface: &Interface) -> io::Result<()> {
        match (interface.ip, &self.v4, &self.v6) {
            (IpAddr::V4(ip), Some(socket), _) => {
                SockRef::from(socket).join_multicast_v4_n(&BEACON_GROUP_V4, &InterfaceIndexOrAddress::Address(ip))
            }
            (IpAddr::V6(ip), _, Some(socket)) if !ip.is_loopback() => {
                SockRef::from(socket).join_multicast_v6(&BEACON_GROUP_V6, interface.index)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Sends to the groups and to single addresses, and hears answers.
pub struct Speaker {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    port: u16,
}

impl Speaker {
    /// A speaker to the groups on `port`.
    ///
    /// # Errors
    /// What the system says when neither family can be spoken.
    pub fn open(port: u16) -> io::Result<Self> {
        let v4 = own_socket(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, 0).into());
        let v6 = own_socket(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, 0).into()).ok();
        if v6.is_none() {
            return Ok(Self { v4: Some(v4?), v6, port });
        }
        Ok(Self { v4: v4.ok(), v6, port })
    }

    /// Sends to the groups on every interface. On how many that succeeded.
    pub async fn announce(&self, interfaces: &[Interface], datagram: &[u8]) -> usize {
        let mut sent = 0;
        for interface in interfaces {
            let result = match (interface.ip, &self.v4, &self.v6) {
                (IpAddr::V4(ip), Some(socket), _) => match SockRef::from(socket).set_multicast_if_v4(&ip) {
                    Ok(()) => socket.send_to(datagram, (BEACON_GROUP_V4, self.port)).await,
                    Err(error) => Err(error),
                },
                (IpAddr::V6(ip), _, Some(socket)) if !ip.is_loopback() => {
                    match SockRef::from(socket).set_multicast_if_v6(interface.index) {
                        Ok(()) => socket.send_to(datagram, (BEACON_GROUP_V6, self.port)).await,
                        Err(error) => Err(error),
                    }
                }
                _ => continue,
            };
            match result {
                Ok(_) => sent += 1,
                Err(error) => {
                    tracing::trace!(interface = interface.name, ip = %interface.ip, %error, "cannot send a beacon");
                }
            }
        }
        sent
    }

    /// Sends to one address; a failure is the network's to forget.
    pub async fn tell(&self, address: SocketAddr, datagram: &[u8]) {
        let socket = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        if let Some(socket) = socket {
            let _ = socket.send_to(datagram, address).await;
        }
    }

    /// The next answer.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receive(&self) -> io::Result<Datagram> {
        receive_either(self.v4.as_ref(), self.v6.as_ref()).await
    }
}

async fn receive_either(v4: Option<&UdpSocket>, v6: Option<&UdpSocket>) -> io::Result<Datagram> {
    tokio::select! {
        result = receive_one(v4), if v4.is_some() => result,
        result = receive_one(v6), if v6.is_some() => result,
        else => Err(io::ErrorKind::NotConnected.into()),
    }
}

async fn receive_one(socket: Option<&UdpSocket>) -> io::Result<Datagram> {
    let Some(socket) = socket else { return std::future::pending().await };
    let mut bytes = [0; BEACON_LEN + 1];
    let (len, from) = socket.recv_from(&mut bytes).await?;
    Ok((bytes, len, from))
}

fn shared_socket(domain: Domain, address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    finish_socket(socket, domain, address)
}

fn own_socket(domain: Domain, address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if domain == Domain::IPV4 {
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(1)?;
    } else {
        socket.set_multicast_loop_v6(true)?;
        socket.set_multicast_hops_v6(1)?;
    }
    finish_socket(socket, domain, address)
}

fn finish_socket(socket: Socket, domain: Domain, address: SocketAddr) -> io::Result<UdpSocket> {
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(StdUdpSocket::from(socket))
}
