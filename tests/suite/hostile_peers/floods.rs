//! More of everything than anyone needs.

use super::scene::{attacked, attacked_in, job};
use potluck_node::wire::{Cancel, FaultCode, JobId, Tag, WhichSession, encode};
use potluck_tests::{Stranger, frame, holds_within};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

#[test]
fn ten_thousand_streams_are_a_thousand_at_a_time() {
    attacked(async |eve| {
        let line = eve.line().await;
        let mut open = Vec::new();
        // None of them ends while it says nothing for less than the node waits.
        while open.len() < 10_000 {
            let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), line.stream()).await else { break };
            let mut stream = stream.unwrap();
            stream.bytes(&[17]).await.unwrap();
            open.push(stream);
        }
        assert!((100..=1100).contains(&open.len()), "{} streams were open at once", open.len());
        assert_eq!(open[0].fault().await.code, FaultCode::TOO_SLOW);
    });
}

#[test]
fn requests_as_fast_as_they_can_be_sent_are_all_answered() {
    attacked(async |eve| {
        let line = Arc::new(eve.line().await);
        let mut asking = JoinSet::new();
        for _ in 0..8 {
            let line = Arc::clone(&line);
            asking.spawn(async move {
                for _ in 0..500 {
                    assert_eq!(line.ask(Tag::INFO, b"").await.0, Tag::INFO_IS);
                }
            });
        }
        asking.join_all().await;
    });
}

#[test]
fn jobs_without_end_fill_the_queue_of_whoever_brings_them() {
    attacked(async |eve| {
        let line = eve.line().await;
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for number in 0..2_000 {
            let mut stream = line.stream().await.unwrap();
            stream.tell(Tag::SUBMIT, &job(number, b"a program that never comes")).await.unwrap();
            stream.until(Tag::ACCEPTED).await;
            let (tag, payload) = stream.hear().await.unwrap();
            if tag != Tag::FAULT {
                waiting.push(stream);
                continue;
            }
            let fault: potluck_node::wire::Fault = potluck_node::wire::decode(&payload).unwrap();
            assert_eq!(fault.code, FaultCode::OVER_QUOTA);
            assert!(fault.text.contains("quota of waiting jobs: 64 of 64"), "{fault}");
            refused += 1;
        }
        // Three run, or would if their program came, and sixty-four wait.
        assert_eq!((waiting.len(), refused), (67, 1_933));
    });
}

#[test]
fn descriptions_as_long_as_they_may_be_do_not_fill_the_memory() {
    attacked(async |eve| {
        let line = Arc::new(eve.line().await);
        let mut sending = JoinSet::new();
        for _ in 0..60 {
            let line = Arc::clone(&line);
            sending.spawn(async move {
                let mut stream = line.stream().await.unwrap();
                // All but the last byte, which never comes.
                let all = frame(Tag::SUBMIT, 16 << 20, &vec![0xa0; (16 << 20) - 1]);
                let _ = stream.bytes(&all).await;
                let fault = stream.fault().await;
                assert!([FaultCode::OVER_QUOTA, FaultCode::TOO_SLOW].contains(&fault.code), "{fault}");
                assert!(fault.text.contains("quota of requests") || fault.text.contains("within 5 s"), "{fault}");
            });
        }
        sending.join_all().await;
    });
}

#[test]
fn refusals_by_the_thousand_fill_no_log() {
    attacked(async |eve| {
        let line = eve.line().await;
        let cancel = encode(&Cancel { job: JobId([7; 16]) });
        let session = encode(&WhichSession { session: JobId([7; 16]) });
        for _ in 0..1_000 {
            assert_eq!(line.refused(Tag::CANCEL, &cancel).await.code, FaultCode::NOT_FOUND);
            assert_eq!(line.refused(Tag::SESSION_STOP, &session).await.code, FaultCode::NOT_FOUND);
            assert_eq!(line.refused(Tag::SUBMIT, b"\xff").await.code, FaultCode::BAD_MESSAGE);
        }
    });
}

#[test]
fn strangers_by_the_hundred_and_garbage_keep_no_member_out() {
    attacked_in(|scene| {
        let port = scene.port;
        let knocking: Vec<_> = (0..100)
            .map(|_| std::thread::spawn(move || Stranger::new().knock(port, "potluck/1", b"").is_err()))
            .collect();
        for _ in 0..10 {
            Stranger::send_garbage(port);
        }
        assert!(knocking.into_iter().all(|knock| knock.join().expect("a stranger does not panic")));
        assert!(holds_within(Duration::from_secs(20), || scene.ann.potluck(["status"]).finish().code() == 0));
    });
}
