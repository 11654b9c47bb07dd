use super::*;
use crate::defaults::REVOCATIONS_OF_ONE_MAX;
use crate::identity::Identity;

fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

fn vouch_by(voucher: u8, subject: u8) -> Vouch {
    let address = format!("192.0.2.{subject}:7420").parse().unwrap();
    vouch::sign(&identity(voucher), identity(subject).id(), &format!("node-{subject}"), &[address], 1)
}

fn vouches(vouches: &[Vouch]) -> Members {
    Members { vouches: vouches.to_vec(), revocations: vec![] }
}

fn revocations(revocations: &[Revocation]) -> Members {
    Members { vouches: vec![], revocations: revocations.to_vec() }
}

fn pinned(book: &Book) -> Vec<NodeId> {
    book.peers().map(|entry| entry.id).collect()
}

#[test]
fn a_chain_of_vouches_that_begins_with_a_pinned_peer_is_followed_in_any_order() {
    let mut book = Book::default();
    book.pin(identity(2).id(), "two", &[]).unwrap();
    let changed =
        book.take(identity(1).id(), &vouches(&[vouch_by(4, 5), vouch_by(3, 4), vouch_by(2, 3)]), Newcomers::Trust);
    assert!(changed);
    let mut wanted: Vec<_> = (2..=5).map(|number| identity(number).id()).collect();
    wanted.sort_unstable();
    assert_eq!(pinned(&book), wanted);
    assert_eq!(book.peer(&identity(5).id()).unwrap().name, "node-5");
    assert!(
        !book.take(identity(1).id(), &vouches(&[vouch_by(3, 4)]), Newcomers::Trust),
        "the same vouch again changes nothing"
    );
}

#[test]
fn a_vouch_by_a_stranger_or_with_a_false_signature_counts_for_nothing() {
    let mut book = Book::default();
    book.pin(identity(2).id(), "two", &[]).unwrap();
    let mut forged = vouch_by(2, 3);
    forged.subject = identity(9).id();
    assert!(!book.take(identity(1).id(), &vouches(&[vouch_by(7, 8), forged]), Newcomers::Trust));
    assert_eq!(pinned(&book), [identity(2).id()]);
}

#[test]
fn a_removed_peer_is_not_brought_back_by_a_vouch_but_by_a_ticket() {
    let mut book = Book::default();
    book.pin(identity(2).id(), "two", &[]).unwrap();
    book.take(identity(1).id(), &vouches(&[vouch_by(2, 3)]), Newcomers::Trust);
    assert!(book.remove(&identity(3).id()));
    assert!(!book.take(identity(1).id(), &vouches(&[vouch_by(2, 3)]), Newcomers::Trust));
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
            book.take(identity(1).id(), &vouches(&[vouch_by(2, 3), vouch_by(1, 2)]), Newcomers::Trust);
            book.take(identity(1).id(), &revocations(&[revoked_by(2, 8, 4)]), Newcomers::Trust);
            let (id, name, addresses) = (identity(7).id(), "seven".to_owned(), vec![]);
            book.ask_in(PendingEntry { id, name, addresses, since_unix: 5, vouched_by: None }).unwrap();
        })
        .unwrap();
    assert_eq!(BookStore::in_dir(dir.path()).read().unwrap(), written);
    let words = written.words();
    assert_eq!((words.vouches.len(), words.revocations.len(), written.pending().count()), (2, 1, 1));
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

fn revoked_by(revoker: u8, subject: u8, number: u64) -> Revocation {
    revocation::sign(&identity(revoker), identity(subject).id(), &format!("node-{subject}"), number)
}

/// The book of node 1, who let `by_hand` in and has heard these vouches.
fn book_of(by_hand: &[u8], heard: &[(u8, u8)]) -> Book {
    let mut book = Book::default();
    for number in by_hand {
        book.pin(identity(*number).id(), &format!("node-{number}"), &[]).unwrap();
    }
    let heard: Vec<Vouch> = heard.iter().map(|(voucher, subject)| vouch_by(*voucher, *subject)).collect();
    book.take(identity(1).id(), &vouches(&heard), Newcomers::Trust);
    book
}

#[track_caller]
fn trusts(book: &Book, numbers: &[u8]) {
    let mut wanted: Vec<NodeId> = numbers.iter().map(|number| identity(*number).id()).collect();
    wanted.sort_unstable();
    assert_eq!(pinned(book), wanted);
}

fn hear(book: &mut Book, words: &[Revocation]) -> bool {
    book.take(identity(1).id(), &revocations(words), Newcomers::Trust)
}

#[test]
fn a_revocation_takes_back_the_revokers_own_vouch_and_those_who_hung_on_it_fall() {
    // 2 let 3 in, 3 let 4 in.
    let mut book = book_of(&[2], &[(2, 3), (3, 4)]);
    assert!(hear(&mut book, &[revoked_by(2, 3, 2)]));
    trusts(&book, &[2]);
    assert!(!hear(&mut book, &[revoked_by(2, 3, 2)]), "the same word again changes nothing");
    let again = vouches(&[vouch_by(2, 3), vouch_by(3, 4)]);
    assert!(!book.take(identity(1).id(), &again, Newcomers::Trust), "an old vouch does not come back");
    trusts(&book, &[2]);
}

#[test]
fn keys_that_vouch_for_each_other_do_not_hold_each_other_up() {
    let mut book = book_of(&[2], &[(2, 3), (3, 4), (4, 3), (4, 5), (5, 3)]);
    trusts(&book, &[2, 3, 4, 5]);
    hear(&mut book, &[revoked_by(2, 3, 2)]);
    trusts(&book, &[2]);
}

#[test]
fn a_member_that_revokes_everybody_puts_out_nobody_but_whom_it_let_in() {
    let mut book = book_of(&[2], &[(2, 3), (2, 4), (2, 5), (3, 6)]);
    let all: Vec<Revocation> = [1, 2, 4, 5, 6].into_iter().map(|subject| revoked_by(3, subject, 9)).collect();
    hear(&mut book, &all);
    trusts(&book, &[2, 3, 4, 5]);
    assert_eq!(book.revocations().count(), 5, "the words are kept, so that they can be shown");
}

#[test]
fn who_is_vouched_for_by_another_too_or_was_let_in_by_hand_stays() {
    let mut book = book_of(&[2, 3], &[(2, 4), (3, 4), (2, 3)]);
    hear(&mut book, &[revoked_by(2, 4, 2), revoked_by(2, 3, 2)]);
    trusts(&book, &[2, 3, 4]);
}

#[test]
fn words_of_strangers_and_forged_ones_count_for_nothing() {
    let mut book = book_of(&[2], &[(2, 3)]);
    let mut forged = revoked_by(2, 3, 2);
    forged.issued_unix += 1;
    assert!(!hear(&mut book, &[revoked_by(9, 3, 2), forged]));
    trusts(&book, &[2, 3]);
}

#[test]
fn of_one_signers_words_the_greater_number_counts_in_whatever_order_they_are_heard() {
    let newer = vouch::sign(&identity(2), identity(3).id(), "node-3", &[], 3);
    let mut book = book_of(&[2], &[(2, 3)]);
    book.take(identity(1).id(), &vouches(std::slice::from_ref(&newer)), Newcomers::Trust);
    assert!(!hear(&mut book, &[revoked_by(2, 3, 2)]), "it was overtaken by the newer vouch");
    trusts(&book, &[2, 3]);
    let mut book = book_of(&[2], &[(2, 3)]);
    hear(&mut book, &[revoked_by(2, 3, 2)]);
    book.take(identity(1).id(), &vouches(&[newer]), Newcomers::Trust);
    trusts(&book, &[2, 3]);
    assert_eq!(book.revocations().count(), 0);
}

#[test]
fn the_own_words_are_numbered_upwards_although_the_clock_goes_back() {
    let (me, subject) = (identity(1), identity(3).id());
    let mut book = Book::default();
    book.admit(&me, subject, "three", &[], 1000).unwrap();
    book.revoke(&me, subject, 10).unwrap();
    assert_eq!(book.revocations().next().unwrap().issued_unix, 1001);
    book.admit(&me, subject, "three", &[], 10).unwrap();
    assert_eq!((book.words().vouches[0].issued_unix, book.revocations().count()), (1002, 0));
}

#[test]
fn a_revoked_peer_is_out_stays_out_and_comes_back_by_the_owners_yes() {
    let me = identity(1);
    let mut book = book_of(&[2], &[(2, 3)]);
    assert_eq!(book.revoke(&me, identity(3).id(), 5).as_deref(), Some("node-3"));
    book.take(me.id(), &vouches(&[vouch_by(2, 3)]), Newcomers::Trust);
    trusts(&book, &[2]);
    assert!(book.revoke(&me, identity(3).id(), 6).is_none(), "it is not known any more");
    book.approve(&me, identity(3).id(), 7).unwrap();
    trusts(&book, &[2, 3]);
    assert_eq!(book.words().vouches.len(), 1, "what this machine took back it says anew");
    assert!(!hear(&mut book, &[revoked_by(1, 3, 5)]), "the own old word comes back from somebody and is overtaken");
    trusts(&book, &[2, 3]);
}

#[test]
fn a_yes_to_somebody_whom_a_member_put_out_is_this_machines_alone() {
    let mut book = book_of(&[2], &[(2, 3)]);
    hear(&mut book, &[revoked_by(2, 3, 2)]);
    book.approve(&identity(1), identity(3).id(), 7).unwrap();
    trusts(&book, &[2, 3]);
    assert!(book.words().vouches.is_empty());
    assert!(!hear(&mut book, &[revoked_by(2, 3, 2)]));
}

#[test]
fn where_the_owner_is_asked_a_vouched_for_key_waits_and_can_do_nothing_meanwhile() {
    let (me, ask) = (identity(1), Newcomers::Ask { now_unix: 100 });
    let mut book = book_of(&[2], &[]);
    let words = vouches(&[vouch_by(2, 3), vouch_by(3, 4)]);
    assert!(book.take(me.id(), &words, ask));
    trusts(&book, &[2]);
    let waiting: Vec<_> = book.pending().map(|entry| (entry.id, entry.vouched_by)).collect();
    assert_eq!(waiting, [(identity(3).id(), Some(identity(2).id()))], "whom it vouches for is not even asked about");
    assert!(!book.take(me.id(), &words, Newcomers::Ask { now_unix: 200 }), "it waits since then and not since now");
    book.approve(&me, identity(3).id(), 300).unwrap();
    trusts(&book, &[2, 3]);
    book.take(me.id(), &words, ask);
    assert!(book.deny(&identity(4).id()));
    assert!(!book.take(me.id(), &words, ask), "no is remembered");
}

#[test]
fn who_waits_is_bounded_and_forgotten_and_holders_of_tickets_come_first() {
    let entry = |number: u8, vouched_by: Option<u8>| PendingEntry {
        id: NodeId::from_bytes([number; 32]),
        name: "n".into(),
        addresses: vec![],
        since_unix: 100 + u64::from(number),
        vouched_by: vouched_by.map(|by| identity(by).id()),
    };
    let mut book = Book::default();
    for number in 0..u8::try_from(PENDING_MAX).unwrap() {
        book.ask_in(entry(number, Some(2))).unwrap();
    }
    assert_eq!(book.ask_in(entry(200, Some(2))), Err(BookFull::Pending));
    book.ask_in(entry(201, None)).unwrap();
    assert_eq!(book.pending().count(), PENDING_MAX);
    assert!(!book.is_pending(&NodeId::from_bytes([0; 32])), "the oldest of the others gave way");
    assert!(!book.forget_pending(50), "a clock that was set back forgets nobody");
    assert!(book.forget_pending(100 + PENDING_KEPT.as_secs() + 100));
    assert!(book.pending().all(|entry| entry.since_unix > 200));
}

#[test]
fn a_machine_that_was_set_up_anew_replaces_its_old_key_only_when_the_new_one_has_shown_itself() {
    let (me, old, new) = (identity(1), identity(3).id(), identity(4).id());
    let mut book = Book::default();
    book.admit(&me, old, "attic", &["192.0.2.7:7420".parse().unwrap()], 1).unwrap();
    assert_eq!(book.accept_key(&me, old, new, 2), Err(ApproveError::NotPending));
    trusts(&book, &[3]);
    assert_eq!(book.namesake(&new, "Attic", &[]), Some(old));
    assert_eq!(book.namesake(&new, "other", &["192.0.2.7:7420".parse().unwrap()]), Some(old));
    assert_eq!(book.namesake(&old, "attic", &[]), None);
    let addresses = vec!["192.0.2.8:7420".parse().unwrap()];
    book.ask_in(PendingEntry { id: new, name: "attic".into(), addresses, since_unix: 2, vouched_by: None }).unwrap();
    book.accept_key(&me, old, new, 3).unwrap();
    trusts(&book, &[4]);
    let words = book.words();
    assert_eq!((words.vouches.len(), words.vouches[0].subject), (1, new));
    assert_eq!((words.revocations.len(), words.revocations[0].subject), (1, old));
}

#[test]
fn one_member_cannot_take_the_room_for_everyones_words() {
    let mut book = book_of(&[2, 3], &[]);
    for number in 0..=u64::try_from(REVOCATIONS_OF_ONE_MAX).unwrap() {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let subject = Identity::from_seed(&seed).id();
        hear(&mut book, &[revocation::sign(&identity(2), subject, "n", 1)]);
    }
    assert_eq!(book.revocations().count(), REVOCATIONS_OF_ONE_MAX);
    hear(&mut book, &[revoked_by(3, 9, 1)]);
    assert_eq!(book.revocations().count(), REVOCATIONS_OF_ONE_MAX + 1);
}
