//! One byte-exact frame of every tag, in `golden.txt`. A change there is a change of the wire: it needs a new protocol
//! version and a word on how old and new get along.

use super::*;
use crate::identity::NodeId;
use crate::state::home::end::{End, Failure};
use crate::state::home::spec::{BatchId, BatchSpec, OnFailure, Priority};
use crate::state::home::words::Kept;
use crate::state::needs::{Requirements, Who};
use crate::state::placement::Place;
use bytes::{BufMut, Bytes, BytesMut};
use potluck_runtime::{Digest, GuestPath, ImageChoice, LimitHit, LimitKind, Limits, Outcome, Report, TurnLimits};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::net::SocketAddr;

const GOLDEN: &str = include_str!("golden.txt");

fn id(byte: u8) -> NodeId {
    NodeId::from_bytes([byte; 32])
}

fn path(text: &str) -> GuestPath {
    GuestPath::parse(text).unwrap()
}

fn addresses() -> Vec<SocketAddr> {
    vec!["192.0.2.7:7420".parse().unwrap(), "[2001:db8::7]:7420".parse().unwrap()]
}

fn file() -> JobFile {
    JobFile { path: path("data/in.csv"), digest: Digest::from_bytes([1; 32]), size: 300, executable: true }
}

fn submit() -> SubmitJob {
    SubmitJob {
        job: JobId([2; 16]),
        program: JobProgram::Script {
            environment: "python".into(),
            entry: path("report.py"),
            image: ImageChoice::Auto(["pandas".into()].into()),
        },
        args: vec!["-v".into()],
        env: vec![("LANG".into(), "C".into())],
        files: vec![file()],
        directories: vec![path("out")],
        mounts: vec![JobMount {
            guest: "/data".into(),
            files: vec![],
            directories: vec![],
            local: Some("/srv".into()),
        }],
        limits: Limits::default(),
        stdin: true,
        outputs: false,
        requires: vec![],
    }
}

fn info() -> NodeInfo {
    NodeInfo {
        id: id(3),
        name: "attic".into(),
        version: "0.1.0".into(),
        engine: "wasmtime 48.0.8".into(),
        os: "linux".into(),
        arch: "x86_64".into(),
        cores: 8,
        memory_bytes: 1 << 33,
        memory_free_bytes: 1 << 32,
        load_milli: 1250,
        gpus: vec!["NVIDIA T400".into()],
        jobs_running: 1,
        environments: vec!["python".into()],
        addresses: addresses(),
        instance: 7,
        walls_missing: Some(vec!["landlock".into()]),
        lends: Some(lends()),
        tags: vec![],
    }
}

fn lends() -> Lends {
    Lends { places: 0, closed: Some("paused".into()), text: "lends nothing".into(), again_s: Some(60) }
}

fn sharing() -> SharingNow {
    SharingNow {
        lends: lends(),
        cores: Some(2),
        memory_bytes: Some(1 << 33),
        away_s: Some(300),
        away_by: vec!["terminals".into()],
        on_battery: true,
        others_milli: Some(1250),
        temperature: Some(48),
        peers: vec![PeerLent { peer: id(3), closed: Some("never".into()) }],
        ended: 2,
        sent_away: 1,
        saved: 3,
        warning: None,
    }
}

fn jobs_here() -> JobsHere {
    let job = JobHere {
        number: 7,
        job: JobId([2; 16]),
        peer: Some(id(3)),
        who: "attic".into(),
        what: "report.py".into(),
        state: JobState::Running,
        since_unix: 1_800_000_000,
        memory_bytes_max: 1 << 30,
        fuel_max: 10_000_000_000_000,
        wall_ms_max: 600_000,
        cpu_ms: Some(1500),
        memory_bytes: Some(60 << 20),
    };
    let waits = JobHere { peer: None, state: JobState::Waiting, cpu_ms: None, memory_bytes: None, ..job.clone() };
    JobsHere { jobs: vec![job, waits] }
}

fn members() -> Members {
    let vouch = Vouch {
        subject: id(4),
        name: "cellar".into(),
        addresses: addresses(),
        voucher: id(5),
        issued_unix: 1_800_000_000,
        signature: [6; 64],
    };
    let revocation = Revocation {
        subject: id(4),
        name: "cellar".into(),
        revoker: id(6),
        issued_unix: 1_800_000_001,
        signature: [6; 64],
    };
    Members { vouches: vec![vouch], revocations: vec![revocation] }
}

fn peer_list() -> PeerList {
    let peer = PeerState {
        id: id(3),
        name: "attic".into(),
        address: Some(addresses()[0]),
        online: true,
        last_seen_ms: Some(40),
        info: Some(info()),
        remarks: vec![remark()],
    };
    let away = PeerState { address: None, online: false, last_seen_ms: None, info: None, ..peer.clone() };
    let pending = PendingPeer {
        id: id(8),
        name: "den".into(),
        addresses: addresses(),
        since_unix: 1_800_000_000,
        vouched_by: Some(id(3)),
        replaces: None,
    };
    let revoked =
        RevokedPeer { id: id(9), name: "cellar".into(), revoker: id(3), issued_unix: 1_800_000_001, trusted: false };
    PeerList {
        me: info(),
        peers: vec![peer, away],
        pending: vec![pending],
        revoked: vec![revoked],
        remarks: vec![remark()],
    }
}

fn remark() -> Remark {
    Remark { kind: "copied_identity".into(), text: "two".into() }
}

fn ended() -> Ended {
    let hit = LimitHit { kind: LimitKind::WallTime, used: 2000, allowed: 1000 };
    let report = Report { outcome: Outcome::Limit(hit), fuel_used: 5, wall_ms: 2000, memory_peak_bytes: 65536 };
    Ended { report, left_behind: vec!["link: a symbolic link".into()], receipt: Some(super::receipt::tests::receipt()) }
}

fn session() -> SessionInfo {
    SessionInfo {
        session: JobId([2; 16]),
        name: Some("work".into()),
        environment: "python".into(),
        image: "data".into(),
        state: SessionState::Parked,
        turns: 3,
        created_unix: 1_800_000_000,
        used_unix: 1_800_000_060,
        memory_bytes: 60 << 20,
        owner: None,
        limits: Limits::default(),
    }
}

fn quotas() -> QuotaList {
    let share = Share { used: 1, allowed: 300 };
    let quota = PeerQuota { peer: id(3), jobs: share, queue: share, stored_bytes: share, fuel: share };
    QuotaList { peers: vec![quota.clone()], everyone: Some(quota) }
}

/// A message's payload, after checking that it comes back the same.
fn message<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T) -> Bytes {
    let bytes = encode(message);
    assert_eq!(&decode::<T>(&bytes).unwrap(), message);
    assert!(decode::<T>(&bytes[..bytes.len() - 1]).is_err(), "cut short: {message:?}");
    assert!(decode::<T>(&[&bytes[..], &[0]].concat()).is_err(), "followed by more: {message:?}");
    bytes
}

fn sample(tag: Tag) -> Bytes {
    let digest = Digest::from_bytes([1; 32]);
    match tag {
        Tag::FAULT => message(&Fault::new(FaultCode::BUSY, "full")),
        Tag::SUBMIT => message(&submit()),
        Tag::MEMBERS | Tag::MEMBERS_ARE => message(&members()),
        Tag::CANCEL => message(&Cancel { job: JobId([2; 16]) }),
        Tag::FETCH_ARTIFACT => message(&FetchArtifact { sha256: [7; 32] }),
        Tag::JOIN => message(&JoinHello { ticket: [8; 8], name: "den".into(), nonce: [9; 32], addresses: addresses() }),
        Tag::OWNER_INVITE => message(&Invite { ttl_s: 3600, approved: true }),
        Tag::OWNER_APPROVE | Tag::OWNER_DENY | Tag::OWNER_REVOKE => message(&WhichKey { key: id(3) }),
        Tag::OWNER_ACCEPT_KEY => message(&AcceptKey { old: id(3), new: id(4) }),
        Tag::TWIN => message(&Twin { addresses: addresses() }),
        Tag::JOIN_WAITS => message(&JoinWaits { name: "attic".into() }),
        Tag::OWNER_JOIN => message(&Join { ticket: "potluck1abc".into() }),
        Tag::OWNER_ADD_PEER => message(&AddPeer { address: "attic:7420".into() }),
        Tag::OWNER_REMOVE_PEER => message(&RemovePeer { peer: id(3) }),
        Tag::OWNER_HELLO => message(&OwnerHello { version: "0.1.0".into() }),
        Tag::OWNER_SOURCES => message(&OwnerSources { sources: vec![OwnerSource { digest, path: b"/a".to_vec() }] }),
        Tag::ACCEPTED => message(&Accepted { job: JobId([2; 16]), node: id(3), name: "attic".into() }),
        Tag::NEED => message(&Need { digests: vec![digest] }),
        Tag::STAGE => message(&Stage::Fetching { what: "python".into(), done: 1, total: Some(2) }),
        Tag::OUTPUT_FILE => message(&OutputFile { path: path("out/plot.png"), digest, size: 9, executable: false }),
        Tag::ENDED => message(&ended()),
        Tag::BLOB => message(&BlobHead { digest, size: 300 }),
        Tag::INFO_IS => message(&info()),
        Tag::ARTIFACT_IS => message(&ArtifactHead { size: 104 << 20 }),
        Tag::WELCOME => message(&Welcome { name: "attic".into(), members: members() }),
        Tag::INVITATION_IS => message(&Invitation { ticket: "potluck1abc".into(), expires_unix: 1_800_000_000 }),
        Tag::PEERS_ARE => message(&peer_list()),
        Tag::JOIN_CHALLENGE => message(&JoinChallenge { nonce: [9; 32], proof: [10; 32] }),
        Tag::JOIN_PROOF => message(&JoinProof { proof: [10; 32] }),
        Tag::STDOUT | Tag::STDERR | Tag::STDIN | Tag::DATA => Bytes::from_static(b"raw bytes"),
        tag if tag.is_about_sessions() => session_sample(tag),
        tag if tag.is_about_home() || tag.0 >= Tag::HOME_IS.0 => home_sample(tag),
        tag if tag.0 >= Tag::RUN_KEEP.0 => kept_sample(tag),
        Tag::SESSION_IS => message(&session()),
        Tag::SESSIONS_ARE => message(&SessionList { sessions: vec![session()] }),
        Tag::SESSION_MEMORY => message(&SessionMemory {
            size: 60 << 20,
            directories: vec![path("out")],
            left_behind: vec!["link: a symbolic link".into()],
        }),
        Tag::TURN_ENDED => message(&TurnEnded {
            outcome: Outcome::Exited(1),
            quit: false,
            undone: true,
            fuel_used: 5,
            wall_ms: 7,
            memory_peak_bytes: 65536,
        }),
        Tag::QUOTAS_ARE => message(&quotas()),
        Tag::SHARING_IS => message(&sharing()),
        Tag::JOBS_ARE => message(&jobs_here()),
        Tag::OWNER_PAUSE => message(&PauseFor { seconds: Some(3600) }),
        Tag::OWNER_END_JOB => message(&EndJob { number: 7 }),
        Tag::INFO
        | Tag::GOODBYE
        | Tag::OWNER_PEERS
        | Tag::OWNER_QUOTAS
        | Tag::OWNER_SHARING
        | Tag::OWNER_RESUME
        | Tag::OWNER_JOBS
        | Tag::OWNER_SHUTDOWN
        | Tag::STARTED
        | Tag::STDIN_WANTED
        | Tag::BLOBS_END
        | Tag::STDIN_END
        | Tag::DONE => Bytes::new(),
        other => panic!("{other} has no sample"),
    }
}

/// Requests that are about sessions.
fn session_sample(tag: Tag) -> Bytes {
    match tag {
        Tag::SESSION_TURN => message(&RunTurn {
            session: JobId([2; 16]),
            source: "1+1".into(),
            limits: Some(TurnLimits { fuel: 5, wall_ms: 1000, output_bytes: 100 }),
        }),
        Tag::SESSION_INTERRUPT | Tag::SESSION_SAVE | Tag::SESSION_STOP => {
            message(&WhichSession { session: JobId([2; 16]) })
        }
        Tag::SESSION_FORK => {
            message(&ForkSession { session: JobId([2; 16]), twin: JobId([3; 16]), name: Some("b".into()) })
        }
        Tag::SESSION_LIST => Bytes::new(),
        other => panic!("{other} has no sample"),
    }
}

/// Words about runs that are kept.
fn kept_sample(tag: Tag) -> Bytes {
    let run = WhichRun { job: JobId([2; 16]), attempt: 1 };
    let state = RunState { run, kept: Some(Kept::Running) };
    match tag {
        Tag::RUN_KEEP => message(&KeepRun { attempt: 1, submit: submit() }),
        Tag::RUN_COLLECT => message(&CollectRun { run, from: 300 }),
        Tag::RUN_RELEASE | Tag::RUN_WITHDRAW => message(&run),
        Tag::RUN_REFUSED => {
            message(&RunRefused { how: RefusedHow::NotNow { retry_after_ms: 500 }, why: "full".into() })
        }
        Tag::RUN_IS => message(&state),
        Tag::RUNS_ARE => message(&RunList { runs: vec![state] }),
        Tag::TIME => message(&Time { unix_ms: 1_800_000_000_000 }),
        Tag::RUN_LIST | Tag::RUN_KEPT => Bytes::new(),
        other => panic!("{other} has no sample"),
    }
}

/// What is asked and said of the jobs of a home.
fn home_sample(tag: Tag) -> Bytes {
    let (job, batch) = (JobId([2; 16]), BatchId(JobId([3; 16])));
    let now =
        JobNow { job, task: Some(4), at: JobAt::Waits(Some("gone".into())), place: Some("attic".into()), attempt: 1 };
    match tag {
        Tag::OWNER_GIVE => message(&GiveJobs {
            batch: Some(BatchSpec { id: batch, jobs_max: Some(8), on_failure: OnFailure::KeepGoing }),
            jobs: vec![GivenJob {
                submit: submit(),
                submitter: "ann".into(),
                priority: Priority(1),
                requirements: Requirements {
                    needs: "cpu=2,mem=4G,os=linux,arch=aarch64,gpu,tag=fast".parse().unwrap(),
                    on: vec![Place::Here],
                    prefer: vec![Who::Machine(Place::Peer(id(3)))],
                    avoid: vec![Who::Tag("slow".parse().unwrap())],
                },
                retries: 2,
                queue_timeout_ms: Some(5000),
                task: Some(4),
            }],
            sources: vec![OwnerSource { digest: Digest::from_bytes([1; 32]), path: b"/a".to_vec() }],
        }),
        Tag::OWNER_HOME => Bytes::new(),
        Tag::OWNER_FOLLOW => message(&FollowJob { job, output: true, now: false }),
        Tag::OWNER_FOLLOW_MAP => message(&FollowMap { batch, output: true }),
        Tag::OWNER_CANCEL_JOBS => message(&CancelJobs { jobs: vec![job], batch: Some(batch) }),
        Tag::OWNER_WHY => message(&AskWhy { job }),
        Tag::HOME_IS => message(&HomeJobs { jobs: vec![now], count: 1 }),
        Tag::JOB_IS => message(&JobNow { at: JobAt::Ended(End::Failed(Failure::Outcome(Outcome::Exited(3)))), ..now }),
        Tag::RUN_SAYS => message(&RunSays { job, attempt: 1 }),
        Tag::WHY_IS => {
            let line = WhyLine { name: "attic".into(), reason: "full".into(), change: Some("wait".into()) };
            message(&WhyLines { lines: vec![line] })
        }
        other => panic!("{other} has no sample"),
    }
}

/// The frame as a writer sends it.
fn frame_bytes(tag: Tag) -> Vec<u8> {
    let payload = sample(tag);
    let mut bytes = BytesMut::new();
    bytes.put_u16_le(tag.0);
    bytes.put_u32_le(u32::try_from(payload.len()).unwrap());
    bytes.put_slice(&payload);
    bytes.to_vec()
}

#[test]
fn every_tag_has_its_golden_frame() {
    let golden: BTreeMap<&str, &str> =
        GOLDEN.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect();
    let mut changed = String::new();
    for (tag, name) in Tag::KNOWN {
        let bytes = data_encoding::HEXLOWER.encode(&frame_bytes(*tag));
        if golden.get(name) != Some(&bytes.as_str()) {
            writeln!(changed, "{name} {bytes}").unwrap();
        }
    }
    assert!(changed.is_empty(), "these frames are others than in golden.txt:\n{changed}");
    assert_eq!(golden.len(), Tag::KNOWN.len(), "a frame for every tag and no other");
}

#[test]
fn a_job_without_the_limits_of_today_has_their_defaults() {
    let before = "10008f0100008ba36a6f62c41002020202020202020202020202020202a770726f6772616d81a673637269707483ab656e7669726f6e6d656e74a6707974686f6ea5656e747279a97265706f72742e7079a5696d61676581a46175746f91a670616e646173a46172677391a22d76a3656e769192a44c414e47a143a566696c65739184a470617468ab646174612f696e2e637376a6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a65cd012caa65786563757461626c65c3ab6469726563746f7269657391a36f7574a66d6f756e74739184a56775657374a52f64617461a566696c657390ab6469726563746f7269657390a56c6f63616ca42f737276a66c696d69747386a46675656ccf000009184e72a000ac6d656d6f72795f6279746573ce40000000a777616c6c5f6d73ce000927c0ac6f75747075745f6279746573ce04000000aa6469736b5f6279746573ce40000000aa6f70656e5f66696c6573cd0400a5737464696ec3a76f757470757473c2a8726571756972657390";
    let frame = data_encoding::HEXLOWER.decode(before.as_bytes()).unwrap();
    assert_eq!(decode::<SubmitJob>(&frame[6..]).unwrap(), submit());
}

#[test]
fn the_kinds_of_a_message_that_has_several_keep_their_bytes() {
    let stages = [
        (Stage::Waiting { jobs_ahead: 3 }, "81a777616974696e6781aa6a6f62735f616865616403"),
        (
            Stage::Fetching { what: "x".into(), done: 1, total: None },
            "81a86665746368696e6783a477686174a178a4646f6e6501a5746f74616cc0",
        ),
        (
            Stage::Compiling { what: "x".into(), elapsed_ms: 5 },
            "81a9636f6d70696c696e6782a477686174a178aa656c61707365645f6d7305",
        ),
        (
            Stage::Warming { what: "x".into(), elapsed_ms: 5 },
            "81a77761726d696e6782a477686174a178aa656c61707365645f6d7305",
        ),
        (Stage::Ready, "a57265616479"),
    ];
    for (stage, golden) in stages {
        assert_eq!(data_encoding::HEXLOWER.encode(&message(&stage)), golden, "{stage:?}");
    }
    let session = JobProgram::Session {
        environment: "python".into(),
        image: ImageChoice::None,
        saved: Some(SavedMemory {
            digest: Digest::from_bytes([1; 32]),
            size: 300,
            moved: true,
            image: "data".into(),
            turns: 7,
        }),
        name: None,
    };
    assert_eq!(
        data_encoding::HEXLOWER.encode(&message(&session)),
        "81a773657373696f6e84ab656e7669726f6e6d656e74a6707974686f6ea5696d616765a46e6f6e65a5736176656485a6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a65cd012ca56d6f766564c3a5696d616765a464617461a57475726e7307a46e616d65c0"
    );
    let wasm = JobProgram::Wasm { digest: Digest::from_bytes([1; 32]), size: 300, name: "p.wasm".into() };
    assert_eq!(
        data_encoding::HEXLOWER.encode(&message(&wasm)),
        "81a47761736d83a6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a65cd012ca46e616d65a6702e7761736d"
    );
}

#[tokio::test]
async fn every_golden_frame_is_read_as_its_tag_and_written_as_its_bytes() {
    for (tag, _) in Tag::KNOWN {
        let bytes = frame_bytes(*tag);
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut writer = FrameWriter::new(near);
        writer.send(Frame { tag: *tag, payload: sample(*tag) }).await.unwrap();
        drop(writer);
        let mut written = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut far, &mut written).await.unwrap();
        assert_eq!(written, bytes, "{tag}");
        let frame = FrameReader::new(std::io::Cursor::new(bytes)).next().await.unwrap().unwrap();
        assert_eq!(frame, Frame { tag: *tag, payload: sample(*tag) });
    }
}

#[test]
fn a_field_of_a_later_version_is_skipped_and_bytes_at_random_are_refused_without_harm() {
    #[derive(Serialize)]
    struct LaterInvite {
        ttl_s: u64,
        note: &'static str,
    }
    let later = encode(&LaterInvite { ttl_s: 60, note: "later" });
    assert_eq!(decode::<Invite>(&later).unwrap(), Invite { ttl_s: 60, approved: false });

    let mut noise = [0u8; 200];
    for round in 0..5000u32 {
        let mut xof = blake3::Hasher::new().update(&round.to_le_bytes()).finalize_xof();
        xof.fill(&mut noise);
        assert!(decode::<SubmitJob>(&noise).is_err() && decode::<Members>(&noise).is_err());
        // A genuine message with one byte changed is refused or another message, never a panic.
        let mut bytes = encode(&peer_list()).to_vec();
        let at = usize::from(noise[0]) * 256 % bytes.len() + usize::from(noise[1]) % 200;
        let at = at % bytes.len();
        bytes[at] = noise[2];
        let _ = decode::<PeerList>(&bytes);
    }
    // Lengths that promise gigabytes cost nothing.
    for lie in [&b"\x81\xa7vouches\xdd\xff\xff\xff\xff"[..], &b"\xdf\xff\xff\xff\xff"[..], &b"\xc6\xff\xff\xff\xff"[..]]
    {
        assert!(decode::<Members>(lie).is_err());
    }
}

/// Bytes as they were written before fields were added to these messages: they are still understood, and the new fields
/// are those of somebody who says nothing.
#[test]
fn messages_without_their_later_fields_are_still_understood() {
    fn of<T: DeserializeOwned>(hex: &str) -> T {
        decode(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
    }
    let earlier = include_str!("golden_earlier.txt");
    let payload = |name: &str| {
        let line = earlier.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        &line.unwrap()[12..]
    };
    let info: NodeInfo = of(payload("INFO_IS"));
    assert!(info.instance == 0 && info.lends.is_none());
    assert!(of::<Members>(payload("MEMBERS")).revocations.is_empty());
    assert!(of::<Welcome>(payload("WELCOME")).members.revocations.is_empty());
    assert_eq!(of::<Ended>(payload("ENDED")), Ended { receipt: None, ..ended() });
    assert!(!of::<Invite>(payload("OWNER_INVITE")).approved);
    let list: PeerList = of(payload("PEERS_ARE"));
    assert!(list.pending.is_empty() && list.revoked.is_empty() && list.remarks.is_empty());
    assert!(list.peers.iter().all(|peer| peer.remarks.is_empty()));
}
