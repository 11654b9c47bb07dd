//! Those who want in without a ticket, or with one that is not theirs to use.

use super::scene::attacked_in;
use potluck_node::trust::ticket::Ticket;
use potluck_node::wire::{Fault, FaultCode, JoinHello, JoinProof, Tag, decode, encode};
use potluck_tests::{Home, Line, Rogue, frame, until};
use tokio::runtime::Runtime;

const JOINING: &str = "potluck-join/1";

fn hello(ticket: [u8; 8]) -> JoinHello {
    JoinHello { ticket, name: "mallory".into(), nonce: [1; 32], addresses: vec![] }
}

async fn joining(port: u16) -> Result<Line, String> {
    Rogue::stranger(&rcgen::PKCS_ED25519, port).connect(JOINING).await
}

#[test]
fn nobody_joins_where_nobody_is_invited() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            // Tickets of members are used up; the door shuts when the last is forgotten, and none is open now.
            let line = joining(scene.port).await.unwrap();
            let fault = line.refused(Tag::JOIN, &encode(&hello([7; 8]))).await;
            assert_eq!(fault.code, FaultCode::TICKET_REFUSED);
        });
    });
}

#[test]
fn a_frame_that_is_no_joining_is_refused_by_its_head() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            for tag in [Tag::SUBMIT, Tag::MEMBERS, Tag::DATA] {
                let line = joining(scene.port).await.unwrap();
                let mut stream = line.stream().await.unwrap();
                stream.bytes(&frame(tag, 200_000, b"the rest never comes")).await.unwrap();
                let fault = stream.fault().await;
                assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("JOIN was due"), "{fault}");
            }
        });
    });
}

#[test]
fn proofs_that_are_guessed_close_the_ticket() {
    attacked_in(|scene| {
        let text = scene.ann.potluck(["invite"]).finish().expect(0).out();
        let ticket: Ticket = text.split_whitespace().next().unwrap().parse().unwrap();
        Runtime::new().unwrap().block_on(async {
            for round in 0..7u8 {
                let line = joining(scene.port).await.unwrap();
                let mut stream = line.stream().await.unwrap();
                stream.tell(Tag::JOIN, &hello(ticket.id.0)).await.unwrap();
                let (tag, payload) = stream.hear().await.unwrap();
                let fault = if tag == Tag::JOIN_CHALLENGE {
                    stream.tell(Tag::JOIN_PROOF, &JoinProof { proof: [round; 32] }).await.unwrap();
                    stream.fault().await
                } else {
                    decode::<Fault>(&payload).unwrap()
                };
                assert_eq!(fault.code, FaultCode::TICKET_FORGED, "{fault}");
            }
        });
        // Five guesses, and it is good for nobody any more.
        let carl = Home::new().named("carl");
        carl.potluck(["join", text.trim()]).finish().expect(125);
    });
}

#[test]
fn what_the_inviter_proves_is_no_proof_of_the_newcomers() {
    attacked_in(|scene| {
        let text = scene.ann.potluck(["invite"]).finish().expect(0).out();
        let ticket: Ticket = text.split_whitespace().next().unwrap().parse().unwrap();
        Runtime::new().unwrap().block_on(async {
            let line = joining(scene.port).await.unwrap();
            let mut stream = line.stream().await.unwrap();
            stream.tell(Tag::JOIN, &hello(ticket.id.0)).await.unwrap();
            let challenge: potluck_node::wire::JoinChallenge =
                decode(&stream.until(Tag::JOIN_CHALLENGE).await).unwrap();
            stream.tell(Tag::JOIN_PROOF, &JoinProof { proof: challenge.proof }).await.unwrap();
            assert_eq!(stream.fault().await.code, FaultCode::TICKET_FORGED);
        });
    });
}

#[test]
fn newcomers_that_say_nothing_do_not_keep_the_door() {
    attacked_in(|scene| {
        let text = scene.ann.potluck(["invite"]).finish().expect(0).out();
        let carl = Home::new().named("carl");
        Runtime::new().unwrap().block_on(async {
            let mut silent = Vec::new();
            for _ in 0..60 {
                silent.extend(joining(scene.port).await.ok());
            }
            assert!(!silent.is_empty());
            // They are let go after a while, and then there is room.
            until("Carl joins", || (carl.potluck(["join", text.trim()]).finish().code() == 0).then_some(()));
        });
    });
}
