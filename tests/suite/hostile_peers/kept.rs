//! Runs that are asked to be kept: without end, for others, and never let go of.

use super::scene::{attacked, attacked_in, job};
use data_encoding::HEXLOWER;
use potluck_node::state::home::spec::Input;
use potluck_node::state::home::words::Kept;
use potluck_node::wire::{
    BlobHead, CheckpointIs, CollectRun, FaultCode, JobId, KeepRun, RefusedHow, RunList, RunRefused, Tag, WhichRun,
    decode, encode,
};
use potluck_tests::{Home, Line, Node, Rogue, Stream, busy_processes_of, guest, join, until};
use tokio::runtime::Runtime;

/// A program that prints a line of a few bytes for each number up to this, and the number.
const LINES: &str = "50000";

/// It prints for longer than any test takes.
fn endless(keep: &mut KeepRun) {
    keep.submit.args = vec!["1000000000".to_owned()];
}

/// A run of it is asked for, and its program given where it is wanted.
async fn keep(line: &Line, number: u64, change: impl FnOnce(&mut KeepRun)) -> Stream {
    let weave = std::fs::read(guest("weave")).unwrap();
    let mut keep = KeepRun { attempt: 1, submit: job(number, &weave), restore: None };
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
fn no_checkpoint_is_had_of_a_run_that_is_not_ones_own_and_none_is_given_that_is_too_long() {
    attacked(async |eve| {
        let line = eve.line().await;
        let (tag, answer) = line.ask(Tag::RUN_CHECKPOINT, &encode(&run(7))).await;
        assert_eq!(tag, Tag::CHECKPOINT_IS);
        assert_eq!(decode::<CheckpointIs>(&answer).unwrap(), CheckpointIs { checkpoint: None });
        let restore = Input { digest: potluck_runtime::Digest::of(b""), size: u64::MAX };
        let refused = kept(&mut keep(&line, 8, |keep| keep.restore = Some(restore)).await).await.unwrap_err();
        assert!(refused.why.contains("a checkpoint has"), "{refused:?}");
    });
}

#[test]
fn what_runs_have_left_counts_until_they_are_let_go_of() {
    attacked_in(|scene| {
        scene.ann.potluck(["quota", "eve", "--stored", "1M"]).finish().expect(0);
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let mut stream = keep(&line, 1, |_| {}).await;
            kept(&mut stream).await.unwrap();
            stream.until(Tag::ENDED).await;
            // There is no room for another like it until that is let go of; neither is lost.
            let mut stream = keep(&line, 2, |_| {}).await;
            kept(&mut stream).await.unwrap();
            while stream.hear().await.is_ok() {}
            assert_eq!(listed(&line).await, [(1, Some(Kept::Ended)), (2, Some(Kept::Evicted))]);
            scene.ann.potluck(["quota", "eve", "--stored", "100K"]).finish().expect(0);
            let refused = kept(&mut keep(&line, 3, |_| {}).await).await.unwrap_err();
            assert!(refused.why.contains("quota of stored bytes"), "{refused:?}");
            assert!(matches!(refused.how, RefusedHow::NotNow { .. }), "{refused:?}");
            let quota = scene.ann.potluck(["quota", "eve", "--json"]).finish().expect(0).json();
            assert!(quota.to_string().contains("stored_bytes"), "{quota}");
            for number in 1..=2 {
                assert_eq!(line.ask(Tag::RUN_RELEASE, &encode(&run(number))).await.0, Tag::DONE);
            }
            scene.ann.potluck(["quota", "eve", "--stored", "1M"]).finish().expect(0);
            let mut stream = keep(&line, 4, |_| {}).await;
            kept(&mut stream).await.unwrap();
            stream.until(Tag::ENDED).await;
        });
    });
}

/// What is kept of all runs.
async fn listed(line: &Line) -> Vec<(u64, Option<Kept>)> {
    let (tag, list) = line.ask(Tag::RUN_LIST, b"").await;
    assert_eq!(tag, Tag::RUNS_ARE);
    let number = |id: JobId| u64::from_le_bytes(id.0[..8].try_into().expect("eight bytes"));
    decode::<RunList>(&list).unwrap().runs.iter().map(|state| (number(state.run.job), state.kept)).collect()
}

#[test]
fn a_run_says_no_more_than_its_home_may_have_kept() {
    attacked_in(|scene| {
        scene.ann.potluck(["quota", "eve", "--stored", "256K"]).finish().expect(0);
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let mut stream = keep(&line, 1, |_| {}).await;
            kept(&mut stream).await.unwrap();
            let mut last = None;
            while let Ok((tag, _)) = stream.hear().await {
                last = Some(tag);
            }
            assert_ne!(last, Some(Tag::ENDED), "it has said more than 256 KiB");
            assert_eq!(listed(&line).await, [(1, Some(Kept::Lost))]);
            // It takes no room any more.
            kept(&mut keep(&line, 2, |keep| keep.submit.args = vec!["1".to_owned()]).await).await.unwrap();
        });
        let recordings = std::fs::read_dir(scene.ann.root().join("home/data/kept")).expect("recordings lie there");
        assert_eq!(recordings.count(), 0);
    });
}

#[test]
fn what_is_asked_back_is_over_for_whoever_hears_it() {
    attacked_in(|scene| {
        scene.ann.potluck(["quota", "eve", "--jobs", "1"]).finish().expect(0);
        Runtime::new().unwrap().block_on(async {
            let line = scene.rogue().line().await;
            let mut running = keep(&line, 1, endless).await;
            kept(&mut running).await.unwrap();
            running.until(Tag::STDOUT).await;
            // More often than streams may be open at once.
            for number in 2..1_100 {
                let mut waiting = keep(&line, number, endless).await;
                kept(&mut waiting).await.unwrap();
                assert_eq!(line.ask(Tag::RUN_WITHDRAW, &encode(&run(number))).await.0, Tag::RUN_REFUSED);
                while waiting.hear().await.is_ok() {}
            }
            assert_eq!(listed(&line).await, [(1, Some(Kept::Running))]);
            assert_eq!(line.ask(Tag::RUN_RELEASE, &encode(&run(1))).await.0, Tag::DONE);
        });
    });
}

#[test]
fn what_runs_or_waits_for_a_peer_ends_when_it_is_put_out_also_while_the_node_is_down() {
    let (ann, eve) = (Home::new().named("ann"), Home::new().named("eve"));
    let runtime = Runtime::new().unwrap();
    let guests = || {
        let busy = busy_processes_of(ann.root());
        busy.into_iter().filter(|process| process.command.contains(" --worker ")).count()
    };
    let one_runs_and_one_waits = |node: &Node<'_>, first: u64| {
        join(node, &eve);
        ann.potluck(["quota", "eve", "--jobs", "1"]).finish().expect(0);
        runtime.block_on(async {
            let line = Rogue::of(&eve, node.port()).line().await;
            for number in first..first + 2 {
                kept(&mut keep(&line, number, endless).await).await.unwrap();
            }
        });
        until("one runs", || (guests() == 1).then_some(()));
    };
    let none_is_left = |node: &Node<'_>| {
        until("none runs", || (guests() == 0).then_some(()));
        join(node, &eve);
        runtime.block_on(async {
            assert_eq!(listed(&Rogue::of(&eve, node.port()).line().await).await, []);
        });
        assert_eq!(guests(), 0);
    };
    let node = Node::start(&ann);
    one_runs_and_one_waits(&node, 1);
    ann.potluck(["peers", "rm", "eve"]).finish().expect(0);
    none_is_left(&node);
    ann.potluck(["peers", "rm", "eve"]).finish().expect(0);
    one_runs_and_one_waits(&node, 3);
    node.die();
    ann.potluck(["peers", "rm", "eve"]).finish().expect(0);
    let node = Node::start(&ann);
    none_is_left(&node);
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
            let mut stream = keep(&line, streams.len() as u64, endless).await;
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
