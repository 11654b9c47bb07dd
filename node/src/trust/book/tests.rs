use super::*;
use crate::identity::Identity;

fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

fn vouch_by(voucher: u8, subject: u8) -> Vouch {
    let address = format!("192.0.2.{subject}:7420").parse().unwrap();
    vouch::sign(&identity(voucher), identity(subject).id(), &format!("node-{subject}"), &[address], 1)
}

fn pinned(book: &Book) -> Vec<NodeId> {
    book.peers().map(|entry| entry.id).collect()
}

#[test]
fn a_chain_of_vouches_that_begins_with_a_pinned_peer_is_followed_in_any_order() {
    let mut book = Book::default();
    book.pin(identity(2).id(), "two", &[]).unwrap();
    let changed = book.take_vouches(identity(1).id(), &[vouch_by(4, 5), vouch_by(3, 4), vouch_by(2, 3)]);
    assert!(changed);
    let mut wanted: Vec<_> = (2..=5).map(|number| identity(number).id()).collect();
    wanted.sort_unstable();
    assert_eq!(pinned(&book), wanted);
    assert_eq!(book.peer(&identity(5).id()).unwrap().name, "node-5");
    assert!(!book.take_vouches(identity(1).id(), &[vouch_by(3, 4)]), "the same vouch again changes nothing");
}

#[test]
fn a_vouch_by_a_stranger_or_with_a_false_signature_counts_for_nothing() {
    let mut book = Book::default();
    book.pin(identity(2).id(), "two", &[]).unwrap();
    let mut forged = vouch_by(2, 3);
    forged.subject = identity(9).id();
    assert!(!book.take_vouches(identity(1).id(), &[vouch_by(7, 8), forged]));
    assert_eq!(pinned(&book), [identity(2).id()]);
}

#[test]
fn a_removed_peer_is_not_brought_back_by_a_vouch_but_by_a_ticket() {
    let mut book = Book::default();
    book.pin(identity(2).id(), "two", &[]).unwrap();
    book.take_vouches(identity(1).id(), &[vouch_by(2, 3)]);
    assert!(book.remove(&identity(3).id()));
    assert!(!book.take_vouches(identity(1).id(), &[vouch_by(2, 3)]));
    assert!(book.peer(&identity(3).id()).is_none());
    book.pin(identity(3).id(), "three", &[]).unwrap();
    assert!(book.peer(&identity(3).id()).is_some());
}

#[test]
fn the_book_on_disk_is_the_book_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = BookStore::in_dir(dir.path());
    let ((), written) = store
        .update(|book| {
            book.pin(identity(2).id(), "two", &["[2001:db8::1]:7420".parse().unwrap()]).unwrap();
            book.pin(identity(6).id(), "six", &[]).unwrap();
            book.remove(&identity(6).id());
            book.take_vouches(identity(1).id(), &[vouch_by(2, 3), vouch_by(1, 2)]);
        })
        .unwrap();
    assert_eq!(BookStore::in_dir(dir.path()).read().unwrap(), written);
    assert_eq!(written.vouches().count(), 2);
}

#[test]
fn addresses_are_kept_most_recent_first_and_bounded() {
    let mut book = Book::default();
    let id = identity(2).id();
    book.pin(id, "two", &[]).unwrap();
    for port in 1..100 {
        book.note(&id, None, &[SocketAddr::from(([192, 0, 2, 1], port))]);
    }
    let addresses = &book.peer(&id).unwrap().addresses;
    assert_eq!(addresses.len(), ADDRESSES_MAX);
    assert_eq!(addresses[0].port(), 99);
}
