//! Who is there and what the owner should know, put together: what the state knows of links, what the book knows of keys,
//! and what is known of engines.

use crate::driver::Core;
use crate::identity::NodeId;
use crate::state::known_bad::{self, Added};
use crate::state::remarks;
use crate::trust::book::Book;
use crate::wire::{Fault, NodeInfo, PeerList, PeerState, PendingPeer, RevokedPeer};
use std::sync::Arc;

/// The answer to the owner's question who is there.
pub(crate) async fn peer_list(core: &Arc<Core>) -> Result<PeerList, Fault> {
    let overview = core.overview().await?;
    let list = PeerList {
        me: core.info(),
        peers: overview.peers,
        pending: Vec::new(),
        revoked: Vec::new(),
        remarks: overview.remarks,
    };
    Ok(with_book(list, &overview.book, &core.config.bad_engines))
}

/// The list with what the book and the list of engines add to it.
pub(crate) fn with_book(mut list: PeerList, book: &Book, bad_engines: &Added) -> PeerList {
    let me = list.me.id;
    let absent: Vec<(NodeId, String)> =
        list.peers.iter().filter(|peer| !peer.online).map(|peer| (peer.id, peer.name.clone())).collect();
    for peer in &mut list.peers {
        add_remarks(peer, book, me, bad_engines);
        let same_name = absent.iter().find(|(id, name)| *id != peer.id && name.eq_ignore_ascii_case(&peer.name));
        if let Some((old, _)) = same_name.filter(|_| peer.online) {
            peer.remarks.push(remarks::namesake(&peer.name, *old));
        }
    }
    if let Err(bad) = known_bad::check(&list.me.engine, bad_engines) {
        list.remarks.push(remarks::bad_engine(&format!("this machine lends nothing: {bad}; update Potluck")));
    }
    list.remarks.extend(list.me.walls_missing.iter().flatten().map(|wall| remarks::own_wall_missing(wall)));
    for word in book.revocations().filter(|word| word.subject == me) {
        list.remarks.push(remarks::revoked_self(&name_of(book, &word.revoker)));
    }
    list.pending = pending(book);
    list.revoked = revoked(book, me);
    list
}

fn add_remarks(peer: &mut PeerState, book: &Book, me: NodeId, bad_engines: &Added) {
    for word in book.revocations().filter(|word| word.subject == peer.id && word.revoker != me) {
        peer.remarks.push(remarks::revoked_elsewhere(&peer.name, &name_of(book, &word.revoker)));
    }
    let engine = |info: &NodeInfo| known_bad::check(&info.engine, bad_engines).err();
    if let Some(bad) = peer.info.as_ref().and_then(engine) {
        peer.remarks.push(remarks::bad_engine(&format!("no job is sent to {}: {bad}", peer.name)));
    }
    let missing = peer.info.iter().flat_map(|info| info.walls_missing.iter().flatten());
    peer.remarks.extend(missing.map(|wall| remarks::wall_missing(wall)));
}

fn pending(book: &Book) -> Vec<PendingPeer> {
    let line = |entry: &crate::trust::book::PendingEntry| PendingPeer {
        id: entry.id,
        name: entry.name.clone(),
        addresses: entry.addresses.clone(),
        since_unix: entry.since_unix,
        vouched_by: entry.vouched_by,
        replaces: book.namesake(&entry.id, &entry.name, &entry.addresses),
    };
    book.pending().map(line).collect()
}

fn revoked(book: &Book, me: NodeId) -> Vec<RevokedPeer> {
    let line = |word: &crate::wire::Revocation| RevokedPeer {
        id: word.subject,
        name: word.name.clone(),
        revoker: word.revoker,
        issued_unix: word.issued_unix,
        trusted: book.peer(&word.subject).is_some(),
    };
    book.revocations().filter(|word| word.subject != me).map(line).collect()
}

fn name_of(book: &Book, id: &NodeId) -> String {
    book.peer(id).map_or_else(|| id.short(), |entry| entry.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn state(number: u8, name: &str, online: bool) -> PeerState {
        PeerState {
            id: NodeId::from_bytes([number; 32]),
            name: name.into(),
            address: None,
            online,
            last_seen_ms: None,
            info: None,
            remarks: vec![],
        }
    }

    fn info(id: NodeId, engine: &str) -> NodeInfo {
        NodeInfo {
            id,
            name: "me".into(),
            version: String::new(),
            engine: engine.into(),
            os: String::new(),
            arch: String::new(),
            cores: 1,
            memory_bytes: 0,
            memory_free_bytes: 0,
            load_milli: 0,
            gpus: vec![],
            jobs_running: 0,
            environments: vec![],
            addresses: vec![],
            instance: 1,
            walls_missing: None,
            lends: None,
            tags: vec![],
            docker: None,
            gpu_details: vec![],
        }
    }

    fn shown(peers: Vec<PeerState>, book: &Book, engine: &str) -> PeerList {
        let me = info(Identity::from_seed(&[1; 32]).id(), engine);
        let list = PeerList { me, peers, pending: vec![], revoked: vec![], remarks: vec![] };
        with_book(list, book, &Added::default())
    }

    #[test]
    fn a_peer_with_the_name_of_one_that_is_not_there_is_flagged_and_one_beside_it_is_not() {
        let kinds = |peers| {
            let list = shown(peers, &Book::default(), "");
            list.peers.iter().map(|peer| peer.remarks.iter().any(|r| r.kind == "key_changed")).collect::<Vec<_>>()
        };
        assert_eq!(kinds(vec![state(2, "attic", false), state(3, "Attic", true)]), [false, true]);
        assert_eq!(kinds(vec![state(2, "attic", true), state(3, "attic", true)]), [false, false]);
        assert_eq!(kinds(vec![state(2, "attic", false), state(3, "attic", false)]), [false, false]);
    }

    #[test]
    fn a_word_about_this_node_and_a_bad_engine_are_told_to_its_owner() {
        let (me, other) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let mut book = Book::default();
        book.pin(other.id(), "bob", &[]).unwrap();
        let word = crate::trust::revocation::sign(&other, me.id(), "me", 5);
        let words = crate::wire::Members { vouches: vec![], revocations: vec![word] };
        book.take(me.id(), &words, crate::trust::book::Newcomers::Trust);
        let list = shown(vec![], &book, "wasmtime 48.0.3");
        let kinds: Vec<&str> = list.remarks.iter().map(|remark| remark.kind.as_str()).collect();
        assert_eq!(kinds, ["bad_engine", "revoked"]);
        assert!(list.remarks[0].text.contains("GHSA-") && list.remarks[1].text.contains("bob"));
        assert!(list.revoked.is_empty());
    }
}
