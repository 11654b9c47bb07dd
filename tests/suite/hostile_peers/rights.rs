//! What belongs to others: their jobs, their bytes, their sessions, and the node itself.

use super::scene::{attacked, attacked_in, attacked_with_python, job};
use crate::sessions::open;
use potluck_node::wire::{
    Cancel, FaultCode, FetchArtifact, ForkSession, Invite, JobId, JobMount, Need, RemovePeer, RunTurn, SessionList,
    SubmitJob, Tag, WhichSession, decode, encode,
};
use potluck_tests::{Rogue, guest, online_peers};
use tokio::runtime::Runtime;

#[test]
fn what_only_the_owner_may_ask_is_refused_to_every_peer() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let bob = potluck_node::identity::Identity::load_or_create(&scene.bob.config().join("data")).unwrap().id();
            let asked = [
                (Tag::OWNER_SHUTDOWN, Vec::new()),
                (Tag::OWNER_PEERS, Vec::new()),
                (Tag::OWNER_QUOTAS, Vec::new()),
                (Tag::OWNER_INVITE, encode(&Invite { ttl_s: 60, approved: false }).to_vec()),
                (Tag::OWNER_REMOVE_PEER, encode(&RemovePeer { peer: bob }).to_vec()),
                (Tag(63), Vec::new()),
            ];
            for (tag, payload) in asked {
                let fault = line.refused(tag, &payload).await;
                assert!(fault.code == FaultCode::NOT_ALLOWED && fault.text.contains("owner"), "{tag}: {fault}");
            }
        });
        assert!(online_peers(scene.ann).len() <= 2);
    });
}

#[test]
fn a_job_is_ended_by_whoever_brought_it_and_nobody_else() {
    attacked_in(|scene| {
        Runtime::new().unwrap().block_on(async {
            let bob = Rogue::of(scene.bob, scene.port).line().await;
            let mut his = bob.stream().await.unwrap();
            his.tell(Tag::SUBMIT, &job(1, b"soup")).await.unwrap();
            his.until(Tag::NEED).await;
            let cancel = encode(&Cancel { job: job(1, b"").job });
            let line = scene.rogue().line().await;
            assert_eq!(line.refused(Tag::CANCEL, &cancel).await.code, FaultCode::NOT_FOUND);
            // Nor can the id be taken from him, or told from one that is not there.
            let mut hers = line.stream().await.unwrap();
            hers.tell(Tag::SUBMIT, &job(1, b"soup")).await.unwrap();
            hers.until(Tag::NEED).await;
            assert_eq!(bob.ask(Tag::CANCEL, &cancel).await.0, Tag::DONE);
            his.until(Tag::ENDED).await;
            assert_eq!(line.ask(Tag::CANCEL, &cancel).await.0, Tag::DONE);
        });
    });
}

#[test]
fn bytes_that_another_brought_are_asked_for_again() {
    attacked(async |eve| {
        // Bob's program is here. Who may use it without having it would know that, and what is in it.
        let program = std::fs::read(guest("weave")).unwrap();
        let line = eve.line().await;
        let mut stream = line.stream().await.unwrap();
        stream.tell(Tag::SUBMIT, &job(1, &program)).await.unwrap();
        let need: Need = decode(&stream.until(Tag::NEED).await).unwrap();
        assert_eq!(need.digests.len(), 1);
    });
}

#[test]
fn sessions_of_others_are_not_there() {
    attacked_with_python(|scene| {
        let id = open(scene.bob, &["--on", "ann", "--name", "secret"]);
        let at_ann = |verb: &[&str]| scene.bob.potluck([&["session"], verb, &["--on", "ann"]].concat()).finish();
        at_ann(&["run", &id, "x = 5"]).expect(0);
        let bytes = u128::from_str_radix(&id, 16).expect("an id is a number").to_be_bytes();
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            // Neither one that is there nor one that is not, and there is no telling them apart.
            for session in [JobId(bytes), JobId([7; 16])] {
                let which = encode(&WhichSession { session });
                let turn = encode(&RunTurn { session, source: "x".into(), limits: None });
                let fork = encode(&ForkSession { session, twin: JobId([8; 16]), name: None });
                let asked = [
                    (Tag::SESSION_TURN, &turn),
                    (Tag::SESSION_INTERRUPT, &which),
                    (Tag::SESSION_SAVE, &which),
                    (Tag::SESSION_FORK, &fork),
                    (Tag::SESSION_STOP, &which),
                ];
                for (tag, payload) in asked {
                    let fault = line.refused(tag, payload).await;
                    assert_eq!(fault.code, FaultCode::NOT_FOUND, "{tag}");
                    assert_eq!(fault.text.replace(&session.to_string(), "it"), NO_SESSION, "{tag}");
                }
            }
            let (tag, payload) = line.ask(Tag::SESSION_LIST, b"").await;
            assert_eq!((tag, decode(&payload).unwrap()), (Tag::SESSIONS_ARE, SessionList::default()));
        });
        assert_eq!(at_ann(&["run", &id, "x"]).expect(0).out(), "5\n");
        at_ann(&["stop", &id]).expect(0);
    });
}

/// What is said of a session that is somebody else's, as of one that is none.
const NO_SESSION: &str = "no session it of yours is here; `potluck session ls` shows them";

#[test]
fn folders_and_files_of_the_machine_are_the_owners() {
    attacked(async |eve| {
        let line = eve.line().await;
        for folder in ["/", "/etc", "/root/.ssh"] {
            let mount =
                JobMount { guest: "/data".into(), files: vec![], directories: vec![], local: Some(folder.into()) };
            let fault = line.refused(Tag::SUBMIT, &encode(&SubmitJob { mounts: vec![mount], ..job(1, b"x") })).await;
            assert!(fault.code == FaultCode::NOT_ALLOWED && fault.text.contains("owner"), "{fault}");
        }
        let artifact = encode(&FetchArtifact { sha256: [5; 32] });
        assert_eq!(line.refused(Tag::FETCH_ARTIFACT, &artifact).await.code, FaultCode::NOT_FOUND);
    });
}
