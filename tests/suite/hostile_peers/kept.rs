//! Runs that are asked to be kept: without end, for others, and never let go of.

use super::scene::{attacked, attacked_in, job};
use data_encoding::HEXLOWER;
use potluck_node::wire::{
    BlobHead, CollectRun, FaultCode, JobId, KeepRun, RefusedHow, RunList, RunRefused, Tag, WhichRun, decode, encode,
};
use potluck_tests::{Line, Node, Stream, guest, until};
use tokio::runtime::Runtime;

/// A program that prints a line of a few bytes for each number up to this, and the number.
const LINES: &str = "50000";

/// A run of it is asked for, and its program given where it is wanted.
async fn keep(line: &Line, number: u64, change: impl FnOnce(&mut KeepRun)) -> Stream {
    let weave = std::fs::read(guest("weave")).unwrap();
    let mut keep = KeepRun { attempt: 1, submit: job(number, &weave) };
    keep.submit.args = vec![LINES.to_owned()];
    change(&mut keep);
    let mut stream = line.stream().await.unwrap();
    stream.tell(Tag::RUN_KEEP, &keep).await.unwrap();
    stream
}

/// Whether the run is kept, or why not.
async fn kept(stream: &mut Stream) -> Result<(), RunRefused> {
    loop {
        match stream.hear().await.unwrap() {
            (Tag::NEED, _) => {
                let weave = std::fs::read(guest("weave")).unwrap();
                let head = BlobHead { digest: potluck_runtime::Digest::of(&weave), size: weave.len() as u64 };
                stream.tell(Tag::BLOB, &head).await.unwrap();
                stream.say(Tag::DATA, &weave).await.unwrap();
                stream.say(Tag::BLOBS_END, b"").await.unwrap();
            }
            (Tag::RUN_KEPT | Tag::RUN_IS, _) => return Ok(()),
            (Tag::RUN_REFUSED, payload) => return Err(decode(&payload).unwrap()),
            (tag, _) => panic!("{tag} is no answer"),
        }
    }
}

fn run(number: u64) -> WhichRun {
    WhichRun { job: job(number, b"").job, attempt: 1 }
}

#[test]
fn what_runs_have_left_counts_until_they_are_let_go_of() {
    attacked_in(|scene| {
        scene.ann.potluck(["quota", "eve", "--stored", "1M"]).finish().expect(0);
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            for number in 1..=2 {
                let mut stream = keep(&line, number, |_| {}).await;
                kept(&mut stream).await.unwrap();
                stream.until(Tag::ENDED).await;
            }
            let refused = kept(&mut keep(&line, 3, |_| {}).await).await.unwrap_err();
            assert!(refused.why.contains("quota of stored bytes"), "{refused:?}");
            assert!(matches!(refused.how, RefusedHow::NotNow { .. }), "{refused:?}");
            let quota = scene.ann.potluck(["quota", "eve", "--json"]).finish().expect(0).json();
            assert!(quota.to_string().contains("stored_bytes"), "{quota}");
            for number in 1..=2 {
                assert_eq!(line.ask(Tag::RUN_RELEASE, &encode(&run(number))).await.0, Tag::DONE);
            }
            kept(&mut keep(&line, 3, |_| {}).await).await.unwrap();
        });
    });
}

#[test]
fn runs_of_others_are_not_there() {
    attacked_in(|scene| {
        let _node = Node::start(scene.bob);
        scene.bob.run(["-d", "--on", "ann"]).arg(guest("hog")).arg("sleep").finish().expect(0);
        let theirs = || scene.bob.potluck(["jobs", "--json"]).finish().expect(0).json()[0].clone();
        until("Bob's job runs", || (theirs()["state"] == "running").then_some(()));
        let id = HEXLOWER.decode(theirs()["id"].as_str().expect("an id").as_bytes()).expect("hexadecimal digits");
        let job = JobId(id.try_into().expect("16 bytes"));
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let run = WhichRun { job, attempt: 1 };
            let (tag, list) = line.ask(Tag::RUN_LIST, b"").await;
            assert!(tag == Tag::RUNS_ARE && decode::<RunList>(&list).unwrap().runs.is_empty());
            let fault = line.refused(Tag::RUN_COLLECT, &encode(&CollectRun { run, from: 0 })).await;
            assert_eq!(fault.code, FaultCode::NOT_FOUND);
            assert_eq!(line.ask(Tag::RUN_RELEASE, &encode(&run)).await.0, Tag::DONE);
            line.ask(Tag::RUN_WITHDRAW, &encode(&run)).await;
        });
        assert_eq!(theirs()["state"], "running", "{:#}", theirs());
        scene.bob.potluck(["cancel", "--all"]).finish().expect(0);
    });
}

#[test]
fn what_a_run_said_is_told_from_any_byte_or_refused() {
    attacked(async |eve| {
        let line = eve.line().await;
        let mut stream = keep(&line, 1, |_| {}).await;
        kept(&mut stream).await.unwrap();
        stream.until(Tag::ENDED).await;
        for from in [1, 7, u64::MAX] {
            for _ in 0..200 {
                let mut stream = line.stream().await.unwrap();
                stream.tell(Tag::RUN_COLLECT, &CollectRun { run: run(1), from }).await.unwrap();
                // A refusal, nothing, or frames of somebody's own making: never the end of the node.
                while stream.hear().await.is_ok() {}
            }
        }
        assert_eq!(line.ask(Tag::RUN_RELEASE, &encode(&run(1))).await.0, Tag::DONE);
        let fault = line.refused(Tag::RUN_COLLECT, &encode(&CollectRun { run: run(1), from: 0 })).await;
        assert_eq!(fault.code, FaultCode::NOT_FOUND);
        // What was let go of does not begin again.
        let refused = kept(&mut keep(&line, 1, |_| {}).await).await.unwrap_err();
        assert!(matches!(refused.how, RefusedHow::Withdrawn), "{refused:?}");
    });
}

#[test]
fn no_more_runs_wait_than_may_and_none_that_cannot_be_kept() {
    attacked(async |eve| {
        let line = eve.line().await;
        let mut streams = Vec::new();
        let refused = loop {
            assert!(streams.len() < 1_000, "a thousand runs wait");
            let mut stream = keep(&line, streams.len() as u64, |keep| {
                keep.submit.args = vec!["1000000000".to_owned()];
            })
            .await;
            match kept(&mut stream).await {
                Ok(()) => streams.push(stream),
                Err(refused) => break refused,
            }
        };
        assert!(refused.why.contains("quota of waiting jobs"), "{refused:?}");
        for number in 0..streams.len() as u64 {
            assert_eq!(line.ask(Tag::RUN_RELEASE, &encode(&run(number))).await.0, Tag::DONE);
        }
        let refused = kept(&mut keep(&line, 5_000, |keep| keep.submit.stdin = true).await).await.unwrap_err();
        assert!(refused.how == RefusedHow::Nowhere && refused.why.contains("standard input"), "{refused:?}");
    });
}
