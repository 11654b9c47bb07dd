//! Whom a chain of vouches carries. Trust begins with this machine's owner: with the own vouches and with whoever was let in by
//! hand; from there it goes along the vouches of those who are trusted. It is counted anew when a vouch is taken back, so
//! that two keys that vouch for each other carry nobody, themselves included, and so that no member can put out more than
//! what hangs on its own word.

use crate::identity::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Everyone whom a chain reaches that begins with `me` or with someone let in `by_hand`, and goes on only through those
/// who are `trusted`. `vouches` are pairs of voucher and subject.
#[must_use]
pub fn supported(
    me: NodeId,
    by_hand: impl Iterator<Item = NodeId>,
    vouches: impl Iterator<Item = (NodeId, NodeId)>,
    trusted: impl Fn(&NodeId) -> bool,
) -> BTreeSet<NodeId> {
    let mut subjects: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for (voucher, subject) in vouches {
        subjects.entry(voucher).or_default().push(subject);
    }
    let mut reached: BTreeSet<NodeId> = BTreeSet::new();
    let mut next: Vec<NodeId> = by_hand.chain(subjects.get(&me).into_iter().flatten().copied()).collect();
    while let Some(id) = next.pop() {
        if id != me && reached.insert(id) && trusted(&id) {
            next.extend(subjects.get(&id).into_iter().flatten().copied());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn reached(by_hand: &[u8], vouches: &[(u8, u8)]) -> Vec<u8> {
        let vouches = vouches.iter().map(|(voucher, subject)| (id(*voucher), id(*subject)));
        let all = supported(id(1), by_hand.iter().map(|number| id(*number)), vouches, |node| *node != id(99));
        all.iter().map(|node| node.as_bytes()[0]).collect()
    }

    #[test]
    fn a_chain_from_the_owner_carries_and_a_circle_without_one_does_not() {
        assert_eq!(reached(&[2], &[(2, 3), (3, 4)]), [2, 3, 4]);
        assert_eq!(reached(&[], &[(1, 2), (2, 3)]), [2, 3]);
        assert_eq!(reached(&[2], &[(3, 4), (4, 3)]), [2]);
    }

    #[test]
    fn who_is_not_trusted_is_reached_and_carries_nobody() {
        assert_eq!(reached(&[2], &[(2, 99), (99, 5)]), [2, 99]);
    }
}
