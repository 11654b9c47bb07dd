//! What belongs to others: their jobs, their bytes, their sessions, and the node itself.

use super::scene::{attacked, attacked_in, job};
use potluck_node::wire::{
    Cancel, FaultCode, FetchArtifact, ForkSession, Invite, JobId, JobMount, Need, RemovePeer, RunTurn, SubmitJob, Tag,
    WhichSession, decode, encode,
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
    attacked(async |eve| {
        let line = eve.line().await;
        let session = JobId([7; 16]);
        let which = encode(&WhichSession { session });
        let turn = encode(&RunTurn { session, source: "1".into(), limits: None });
        let fork = encode(&ForkSession { session, twin: JobId([8; 16]), name: None });
        let asked = [
            (Tag::SESSION_TURN, &turn),
            (Tag::SESSION_INTERRUPT, &which),
            (Tag::SESSION_SAVE, &which),
            (Tag::SESSION_FORK, &fork),
            (Tag::SESSION_STOP, &which),
        ];
        for (tag, payload) in asked {
            assert_eq!(line.refused(tag, payload).await.code, FaultCode::NOT_FOUND, "{tag}");
        }
    });
}

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
