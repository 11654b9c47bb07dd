//! A vouch: one member's signed word that another key belongs to the group. Whoever trusts the voucher pins the subject,
//! so a newcomer invited by one member is known to all.

use crate::config::tame_name;
use crate::defaults::VOUCH_ADDRESSES_MAX;
use crate::identity::{Identity, NodeId};
use crate::wire::Vouch;
use std::net::SocketAddr;

const LABEL: &[u8] = b"potluck vouch 1\0";

/// Signs that `subject` belongs to the group. Addresses over [`VOUCH_ADDRESSES_MAX`] are left out.
#[must_use]
pub fn sign(identity: &Identity, subject: NodeId, name: &str, addresses: &[SocketAddr], issued_unix: u64) -> Vouch {
    let mut vouch = Vouch {
        subject,
        name: tame_name(name),
        addresses: addresses.iter().copied().take(VOUCH_ADDRESSES_MAX).collect(),
        voucher: identity.id(),
        issued_unix,
        signature: [0; 64],
    };
    vouch.signature = identity.sign(&signed_bytes(&vouch));
    vouch
}

/// Whether the vouch is whole: within its bounds, about someone else, and signed by its voucher.
#[must_use]
pub fn is_genuine(vouch: &Vouch) -> bool {
    vouch.addresses.len() <= VOUCH_ADDRESSES_MAX
        && vouch.name == tame_name(&vouch.name)
        && vouch.subject != vouch.voucher
        && vouch.voucher.verifies(&signed_bytes(vouch), &vouch.signature)
}

/// What the signature covers: a label, then every field with its length.
fn signed_bytes(vouch: &Vouch) -> Vec<u8> {
    let mut bytes = LABEL.to_vec();
    bytes.extend_from_slice(vouch.subject.as_bytes());
    bytes.extend_from_slice(vouch.voucher.as_bytes());
    bytes.extend_from_slice(&vouch.issued_unix.to_le_bytes());
    bytes.extend_from_slice(&(vouch.name.len() as u64).to_le_bytes());
    bytes.extend_from_slice(vouch.name.as_bytes());
    for address in &vouch.addresses {
        let text = address.to_string();
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vouch() -> Vouch {
        let subject = Identity::from_seed(&[2; 32]).id();
        sign(&Identity::from_seed(&[1; 32]), subject, "attic", &["192.0.2.7:7420".parse().unwrap()], 1_800_000_000)
    }

    #[test]
    fn a_vouch_is_genuine_and_signs_these_bytes() {
        assert!(is_genuine(&vouch()));
        let hash = blake3::hash(&signed_bytes(&vouch())).to_hex();
        assert_eq!(hash.as_str(), "0531e4190ff536744b837e8960a48aac81a47369b9a0291540f3868c6ba40dbf");
    }

    #[test]
    fn a_vouch_with_any_field_changed_is_not_genuine() {
        let changes: [fn(&mut Vouch); 6] = [
            |v| v.subject = NodeId::from_bytes([3; 32]),
            |v| v.voucher = Identity::from_seed(&[4; 32]).id(),
            |v| v.name = "cellar".into(),
            |v| v.addresses[0].set_port(1),
            |v| v.issued_unix += 1,
            |v| v.signature[0] ^= 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = vouch();
            change(&mut changed);
            assert!(!is_genuine(&changed), "change {number}");
        }
    }

    #[test]
    fn nobody_vouches_for_themselves() {
        let identity = Identity::from_seed(&[1; 32]);
        assert!(!is_genuine(&sign(&identity, identity.id(), "me", &[], 0)));
    }
}
