//! A beacon: the datagram by which nodes of one network notice each other. Signed, numbered, and empty of secrets: a key
//! and a port. It proves nothing that matters (a link proves the key again); the signature only keeps strangers from
//! making us dial.
//!
//! Bytes: magic (4), kind, node id (32), boot (u64), sequence (u64), port (u16), signature (64); little-endian.

use crate::identity::{Identity, NodeId};

/// Every beacon has this length; anything else is not looked at.
pub const BEACON_LEN: usize = SIGNED_LEN + 64;
const SIGNED_LEN: usize = 4 + 1 + 32 + 8 + 8 + 2;
const MAGIC: [u8; 4] = *b"PLB1";
const LABEL: &[u8] = b"potluck beacon 1\0";

/// What a beacon says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeaconKind {
    /// I listen here.
    Hello,
    /// I listen here and have just come: answer me.
    Greeting,
    /// I do not listen, but answer me.
    Query,
    /// I am leaving.
    Goodbye,
}

impl BeaconKind {
    const fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Greeting => 2,
            Self::Query => 3,
            Self::Goodbye => 4,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Hello),
            2 => Some(Self::Greeting),
            3 => Some(Self::Query),
            4 => Some(Self::Goodbye),
            _ => None,
        }
    }
}

/// A beacon, before it is signed or after it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// What it says.
    pub kind: BeaconKind,
    /// Who says it.
    pub id: NodeId,
    /// Grows with every start of that node.
    pub boot: u64,
    /// Grows with every beacon of one boot.
    pub sequence: u64,
    /// Where that node listens for QUIC; 0 for one that does not.
    pub port: u16,
}

impl Beacon {
    /// The datagram.
    #[must_use]
    pub fn sign(&self, identity: &Identity) -> [u8; BEACON_LEN] {
        let mut bytes = [0; BEACON_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.kind.number();
        bytes[5..37].copy_from_slice(self.id.as_bytes());
        bytes[37..45].copy_from_slice(&self.boot.to_le_bytes());
        bytes[45..53].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[53..55].copy_from_slice(&self.port.to_le_bytes());
        let signature = identity.sign(&signed(&bytes[..SIGNED_LEN]));
        bytes[SIGNED_LEN..].copy_from_slice(&signature);
        bytes
    }

    /// The beacon in a datagram, if `wanted` says that its key is worth the work of checking the signature, and the
    /// signature holds.
    #[must_use]
    pub fn parse(datagram: &[u8], wanted: impl FnOnce(&NodeId) -> bool) -> Option<Self> {
        let bytes: &[u8; BEACON_LEN] = datagram.try_into().ok()?;
        let (body, signature) = bytes.split_last_chunk::<64>()?;
        let mut rest = body;
        if take::<4>(&mut rest)? != MAGIC {
            return None;
        }
        let [kind] = take(&mut rest)?;
        let beacon = Self {
            kind: BeaconKind::from_number(kind)?,
            id: NodeId::from_bytes(take(&mut rest)?),
            boot: u64::from_le_bytes(take(&mut rest)?),
            sequence: u64::from_le_bytes(take(&mut rest)?),
            port: u16::from_le_bytes(take(&mut rest)?),
        };
        (wanted(&beacon.id) && beacon.id.verifies(&signed(body), signature)).then_some(beacon)
    }
}

fn signed(body: &[u8]) -> Vec<u8> {
    [LABEL, body].concat()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon() -> (Identity, Beacon) {
        let identity = Identity::from_seed(&[1; 32]);
        let id = identity.id();
        (identity, Beacon { kind: BeaconKind::Greeting, id, boot: 0x0102_0304, sequence: 5, port: 7420 })
    }

    #[test]
    fn the_bytes_of_a_beacon_are_these() {
        let (identity, beacon) = beacon();
        let bytes = beacon.sign(&identity);
        let golden = concat!(
            "504c4231",                                                         // PLB1
            "02",                                                               // greeting
            "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c", // id
            "0403020100000000",                                                 // boot
            "0500000000000000",                                                 // sequence
            "fc1c",                                                             // port 7420
        );
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes[..SIGNED_LEN]), golden);
        assert_eq!(
            blake3::hash(&bytes).to_hex().as_str(),
            "df431342f618cc1fef2c322d201ac9033a9128f914ee73251e89eb211b769570"
        );
    }

    #[test]
    fn a_beacon_survives_the_way_and_nothing_else_does() {
        let (identity, beacon) = beacon();
        let bytes = beacon.sign(&identity);
        assert_eq!(Beacon::parse(&bytes, |_| true), Some(beacon));
        for at in 0..BEACON_LEN {
            let mut changed = bytes;
            changed[at] ^= 0x40;
            assert_eq!(Beacon::parse(&changed, |_| true), None, "byte {at}");
        }
        for len in (0..BEACON_LEN).chain([BEACON_LEN + 1, 9000]) {
            let mut other = bytes.to_vec();
            other.resize(len, 0);
            assert_eq!(Beacon::parse(&other, |_| true), None, "length {len}");
        }
    }

    #[test]
    fn a_key_that_is_not_wanted_costs_a_lookup_only() {
        let (identity, beacon) = beacon();
        let mut asked = None;
        let parsed = Beacon::parse(&beacon.sign(&identity), |id| {
            asked = Some(*id);
            false
        });
        assert_eq!((parsed, asked), (None, Some(identity.id())));
    }
}
