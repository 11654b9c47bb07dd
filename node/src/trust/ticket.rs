//! A ticket: one text that lets one stranger join. It holds where the inviter is, which key it has, and a secret both
//! sides prove to know without sending it. A checksum tells a mistyped or cut ticket from a forged one.
//!
//! Bytes: version, id (8), inviter key (32), secret (32), expiry (u64), count, addresses, checksum (4). Little-endian;
//! written as `potluck1` and base32 in either case.

use crate::defaults::TICKET_ADDRESSES_MAX;
use crate::identity::NodeId;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

const PREFIX: &str = "potluck1";
const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 4;
const CHECKSUM_CONTEXT: &str = "potluck 2026 ticket checksum";
/// Characters a ticket may have; a full one has below 350.
const TEXT_LEN_MAX: usize = 1024;

/// Which ticket; not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub [u8; 8]);

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketId({self})")
    }
}

/// What both sides of a joining know; never sent, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret(pub(crate) [u8; 32]);

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(..)")
    }
}

/// An invitation as the newcomer holds it. Its text form is `Display`; keep it out of logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which invitation.
    pub id: TicketId,
    /// Who invites.
    pub inviter: NodeId,
    /// What is to be proved.
    pub secret: TicketSecret,
    /// When it expires, in seconds since 1970 by the inviter's clock.
    pub expires_unix: u64,
    /// Where the inviter may be found, best first; at most [`TICKET_ADDRESSES_MAX`].
    pub addresses: Vec<SocketAddr>,
}

/// Why a text is no ticket. Each variant is a sentence for whoever pasted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketParseError {
    /// It does not begin like one.
    #[error("this is no Potluck ticket: a ticket begins with \"potluck1\"; paste what `potluck invite` printed")]
    NotATicket,
    /// It was cut or mistyped.
    #[error("the ticket is cut short or mistyped: copy the whole line that `potluck invite` printed")]
    Damaged,
    /// It is whole but from a later version.
    #[error("the ticket was made by a later version of Potluck (ticket version {0}): update this machine first")]
    Version(u8),
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = data_encoding::BASE32_NOPAD.encode(&self.to_bytes());
        write!(f, "{PREFIX}{}", text.to_ascii_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = TicketParseError;

    fn from_str(text: &str) -> Result<Self, TicketParseError> {
        let text: String = text.trim().chars().take(TEXT_LEN_MAX + 1).collect::<String>().to_ascii_lowercase();
        let body = text.strip_prefix(PREFIX).ok_or(TicketParseError::NotATicket)?;
        if text.len() > TEXT_LEN_MAX {
            return Err(TicketParseError::Damaged);
        }
        let bytes = data_encoding::BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| TicketParseError::Damaged)?;
        Self::from_bytes(&bytes)
    }
}

impl Ticket {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(self.inviter.as_bytes());
        bytes.extend_from_slice(&self.secret.0);
        bytes.extend_from_slice(&self.expires_unix.to_le_bytes());
        let addresses = &self.addresses[..self.addresses.len().min(TICKET_ADDRESSES_MAX)];
        // At most TICKET_ADDRESSES_MAX, which is far below 256.
        bytes.push(u8::try_from(addresses.len()).unwrap_or(0));
        for address in addresses {
            match address.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(4);
                    bytes.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(6);
                    bytes.extend_from_slice(&ip.octets());
                }
            }
            bytes.extend_from_slice(&address.port().to_le_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, TicketParseError> {
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(TicketParseError::Damaged)?;
        if checksum(body) != *sum {
            return Err(TicketParseError::Damaged);
        }
        let mut rest = body;
        let [version] = take(&mut rest)?;
        if version != VERSION {
            return Err(TicketParseError::Version(version));
        }
        let id = TicketId(take(&mut rest)?);
        let inviter = NodeId::from_bytes(take(&mut rest)?);
        let secret = TicketSecret(take(&mut rest)?);
        let expires_unix = u64::from_le_bytes(take(&mut rest)?);
        let [count] = take(&mut rest)?;
        if usize::from(count) > TICKET_ADDRESSES_MAX {
            return Err(TicketParseError::Damaged);
        }
        let mut addresses = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let ip = match take(&mut rest)? {
                [4] => IpAddr::from(take::<4>(&mut rest)?),
                [6] => IpAddr::from(take::<16>(&mut rest)?),
                _ => return Err(TicketParseError::Damaged),
            };
            addresses.push(SocketAddr::new(ip, u16::from_le_bytes(take(&mut rest)?)));
        }
        if !rest.is_empty() {
            return Err(TicketParseError::Damaged);
        }
        Ok(Self { id, inviter, secret, expires_unix, addresses })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TicketParseError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(TicketParseError::Damaged)?;
    *rest = tail;
    Ok(*head)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut sum = [0; CHECKSUM_LEN];
    blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT).update(bytes).finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            id: TicketId([1, 2, 3, 4, 5, 6, 7, 8]),
            inviter: NodeId::from_bytes([9; 32]),
            secret: TicketSecret([10; 32]),
            expires_unix: 1_800_000_000,
            addresses: vec!["192.0.2.7:7420".parse().unwrap(), "[2001:db8::7]:7420".parse().unwrap()],
        }
    }

    #[test]
    fn the_bytes_of_a_ticket_are_these() {
        let golden = concat!(
            "01",                                                               // version
            "0102030405060708",                                                 // id
            "0909090909090909090909090909090909090909090909090909090909090909", // inviter
            "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", // secret
            "00d2496b00000000",                                                 // expires
            "02",                                                               // addresses
            "04c0000207fc1c",                                                   // 192.0.2.7:7420
            "0620010db8000000000000000000000007fc1c",                           // [2001:db8::7]:7420
        );
        let bytes = ticket().to_bytes();
        let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM_LEN);
        assert_eq!(data_encoding::HEXLOWER.encode(body), golden);
        assert_eq!(data_encoding::HEXLOWER.encode(sum), "07b92f24");
    }

    #[test]
    fn a_ticket_survives_text_in_either_case_and_spaces_around_it() {
        let text = ticket().to_string();
        assert_eq!(text.parse(), Ok(ticket()));
        assert_eq!(format!("  {}\n", text.to_uppercase()).parse(), Ok(ticket()));
    }

    #[test]
    fn a_cut_or_mistyped_ticket_is_told_from_no_ticket() {
        let text = ticket().to_string();
        for len in PREFIX.len()..text.len() {
            assert_eq!(text[..len].parse::<Ticket>(), Err(TicketParseError::Damaged), "cut at {len}");
        }
        for at in PREFIX.len()..text.len() {
            let other = if &text[at..=at] == "a" { "b" } else { "a" };
            let typo = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(typo.parse::<Ticket>(), Err(TicketParseError::Damaged), "typo at {at}");
        }
        assert_eq!("hello".parse::<Ticket>(), Err(TicketParseError::NotATicket));
        assert_eq!(format!("{text}{}", "a".repeat(5000)).parse::<Ticket>(), Err(TicketParseError::Damaged));
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = ticket().to_bytes();
        bytes.truncate(bytes.len() - CHECKSUM_LEN);
        bytes[0] = 2;
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let text = format!("{PREFIX}{}", data_encoding::BASE32_NOPAD.encode(&bytes));
        assert_eq!(text.parse::<Ticket>(), Err(TicketParseError::Version(2)));
    }
}
