//! A revocation: one member's signed word that a key does not belong to the group any more. It takes back the revoker's
//! own vouch, and nobody else's; what follows from that is decided in [`super::standing`].

use crate::config::tame_name;
use crate::identity::{Identity, NodeId};
use crate::wire::Revocation;

const LABEL: &[u8] = b"potluck revocation 1\0";

/// Signs that `subject` does not belong to the group any more.
#[must_use]
pub fn sign(identity: &Identity, subject: NodeId, name: &str, issued_unix: u64) -> Revocation {
    let mut revocation =
        Revocation { subject, name: tame_name(name), revoker: identity.id(), issued_unix, signature: [0; 64] };
    revocation.signature = identity.sign(&signed_bytes(&revocation));
    revocation
}

/// Whether the revocation is whole: about someone else, and signed by its revoker.
#[must_use]
pub fn is_genuine(revocation: &Revocation) -> bool {
    revocation.name == tame_name(&revocation.name)
        && revocation.subject != revocation.revoker
        && revocation.revoker.verifies(&signed_bytes(revocation), &revocation.signature)
}

/// What the signature covers: a label, then every field; the only one without a fixed length stands last.
fn signed_bytes(revocation: &Revocation) -> Vec<u8> {
    let mut bytes = LABEL.to_vec();
    bytes.extend_from_slice(revocation.subject.as_bytes());
    bytes.extend_from_slice(revocation.revoker.as_bytes());
    bytes.extend_from_slice(&revocation.issued_unix.to_le_bytes());
    bytes.extend_from_slice(revocation.name.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation() -> Revocation {
        sign(&Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]).id(), "attic", 1_800_000_000)
    }

    #[test]
    fn a_revocation_is_genuine_and_signs_these_bytes() {
        assert!(is_genuine(&revocation()));
        let hash = blake3::hash(&signed_bytes(&revocation())).to_hex();
        assert_eq!(hash.as_str(), "f5662b6c522af062f591329abf79592adff40741ac806a9cf2b0b847c19b6e34");
    }

    #[test]
    fn a_revocation_with_any_field_changed_is_not_genuine() {
        let changes: [fn(&mut Revocation); 5] = [
            |r| r.subject = NodeId::from_bytes([3; 32]),
            |r| r.revoker = Identity::from_seed(&[4; 32]).id(),
            |r| r.name = "cellar".into(),
            |r| r.issued_unix += 1,
            |r| r.signature[0] ^= 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = revocation();
            change(&mut changed);
            assert!(!is_genuine(&changed), "change {number}");
        }
    }

    #[test]
    fn nobody_revokes_themselves_and_no_vouch_is_a_revocation() {
        let identity = Identity::from_seed(&[1; 32]);
        assert!(!is_genuine(&sign(&identity, identity.id(), "me", 0)));
        let subject = Identity::from_seed(&[2; 32]).id();
        let vouch = crate::trust::vouch::sign(&identity, subject, "attic", &[], 1_800_000_000);
        assert!(!is_genuine(&Revocation { signature: vouch.signature, ..revocation() }));
    }
}
