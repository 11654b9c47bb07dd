//! A message of every tag, each with all its fields.

use super::*;
use crate::identity::NodeId;
use crate::state::home::end::{End, Failure};
use crate::state::home::spec::{BatchId, BatchSpec, Input, Kind, OnFailure, Priority};
use crate::state::home::words::Kept;
use crate::state::needs::{Requirements, Who};
use crate::state::placement::Place;
use bytes::{BufMut, Bytes, BytesMut};
use potluck_runtime::{
    Digest, GuestEvent, GuestLog, GuestPath, ImageChoice, JsonText, LimitHit, LimitKind, Limits, LogLevel, Outcome,
    Report, TurnLimits,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::net::SocketAddr;

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

/// A job that asks for nothing but a module of this name, whose bytes are the name.
pub(crate) fn plain(name: &str) -> SubmitJob {
    SubmitJob {
        job: JobId([1; 16]),
        program: JobProgram::Wasm { digest: Digest::of(name.as_bytes()), size: name.len() as u64, name: name.into() },
        args: vec![],
        env: vec![],
        files: vec![],
        directories: vec![],
        mounts: vec![],
        stdin: false,
        ..submit()
    }
}

pub(super) fn submit() -> SubmitJob {
    SubmitJob {
        job: JobId([2; 16]),
        program: JobProgram::Script {
            environment: "python".into(),
            entry: path("report.py"),
            image: ImageChoice::Auto(["pandas".into()].into()),
            interpreter: None,
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
        events: false,
        requires: vec![],
        packages: vec![],
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
        docker: Some(DockerOffer {
            engine: Some("Docker 26.1.5".into()),
            images: vec![OfferedImage { image: "busybox:1.36".parse().unwrap(), present: true }],
            gives_gpus: true,
        }),
        gpu_details: vec![],
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
        own: 4,
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
        progress: None,
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

pub(super) fn peer_list() -> PeerList {
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

pub(super) fn ended() -> Ended {
    let hit = LimitHit { kind: LimitKind::WallTime, used: 2000, allowed: 1000 };
    let report = Report { outcome: Outcome::Limit(hit), fuel_used: 5, wall_ms: 2000, memory_peak_bytes: 65536 };
    Ended {
        report,
        left_behind: vec!["link: a symbolic link".into()],
        result: None,
        receipt: Some(super::receipt::tests::receipt()),
    }
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
pub(super) fn message<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T) -> Bytes {
    let bytes = encode(message);
    assert_eq!(&decode::<T>(&bytes).unwrap(), message);
    assert!(decode::<T>(&bytes[..bytes.len() - 1]).is_err(), "cut short: {message:?}");
    assert!(decode::<T>(&[&bytes[..], &[0]].concat()).is_err(), "followed by more: {message:?}");
    bytes
}

pub(super) fn sample(tag: Tag) -> Bytes {
    let digest = Digest::from_bytes([1; 32]);
    match tag {
        Tag::FAULT => message(&Fault::new(FaultCode::BUSY, "full")),
        Tag::SUBMIT => message(&submit()),
        Tag::MEMBERS | Tag::MEMBERS_ARE => message(&members()),
        Tag::CANCEL => message(&Cancel { job: JobId([2; 16]) }),
        Tag::FETCH_ARTIFACT => message(&FetchArtifact { sha256: [7; 32] }),
        Tag::JOIN => message(&JoinHello { ticket: [8; 8], name: "den".into(), nonce: [9; 32], addresses: addresses() }),
        Tag::TWIN => message(&Twin { addresses: addresses() }),
        Tag::JOIN_WAITS => message(&JoinWaits { name: "attic".into() }),
        Tag::ACCEPTED => message(&Accepted { job: JobId([2; 16]), node: id(3), name: "attic".into() }),
        Tag::NEED => message(&Need { digests: vec![digest] }),
        Tag::STAGE => message(&Stage::Fetching { what: "python".into(), done: 1, total: Some(2) }),
        Tag::GUEST_SAYS => message(&GuestEvent::Log(GuestLog {
            level: LogLevel::Warn,
            message: "no header".into(),
            fields: Some(JsonText::parse("{\"file\":\"a.csv\"}".into()).unwrap()),
        })),
        Tag::OUTPUT_FILE => message(&OutputFile { path: path("out/plot.png"), digest, size: 9, executable: false }),
        Tag::ENDED => message(&ended()),
        Tag::BLOB => message(&BlobHead { digest, size: 300 }),
        Tag::INFO_IS => message(&info()),
        Tag::ARTIFACT_IS => message(&ArtifactHead { size: 104 << 20 }),
        Tag::WELCOME => message(&Welcome { name: "attic".into(), members: members() }),
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
        other => owner_sample(other),
    }
}

/// What the owner asks of its node, and what it is told.
fn owner_sample(tag: Tag) -> Bytes {
    match tag {
        Tag::OWNER_INVITE => message(&Invite { ttl_s: 3600, approved: true }),
        Tag::OWNER_APPROVE | Tag::OWNER_DENY | Tag::OWNER_REVOKE => message(&WhichKey { key: id(3) }),
        Tag::OWNER_ACCEPT_KEY => message(&AcceptKey { old: id(3), new: id(4) }),
        Tag::OWNER_JOIN => message(&Join { ticket: "potluck1abc".into() }),
        Tag::OWNER_ADD_PEER => message(&AddPeer { address: "attic:7420".into() }),
        Tag::OWNER_REMOVE_PEER => message(&RemovePeer { peer: id(3) }),
        Tag::OWNER_HELLO => message(&OwnerHello { version: "0.1.0".into() }),
        Tag::OWNER_SOURCES => message(&OwnerSources {
            sources: vec![OwnerSource { digest: Digest::from_bytes([1; 32]), path: b"/a".to_vec() }],
        }),
        Tag::INVITATION_IS => message(&Invitation { ticket: "potluck1abc".into(), expires_unix: 1_800_000_000 }),
        Tag::PEERS_ARE => message(&peer_list()),
        Tag::QUOTAS_ARE => message(&quotas()),
        Tag::SHARING_IS => message(&sharing()),
        Tag::JOBS_ARE => message(&jobs_here()),
        Tag::OWNER_PAUSE => message(&PauseFor { seconds: Some(3600) }),
        Tag::OWNER_END_JOB => message(&EndJob { number: 7 }),
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
        Tag::RUN_KEEP => message(&KeepRun { attempt: 1, submit: submit(), restore: None }),
        Tag::RUN_COLLECT => message(&CollectRun { run, from: 300 }),
        Tag::RUN_RELEASE | Tag::RUN_WITHDRAW | Tag::RUN_CHECKPOINT | Tag::RUN_END => message(&run),
        Tag::CHECKPOINT_IS => {
            message(&CheckpointIs { checkpoint: Some(Input { digest: Digest::from_bytes([1; 32]), size: 300 }) })
        }
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
    let now = JobNow {
        job,
        map: Some(batch),
        task: Some(4),
        at: JobAt::Waits(Some("gone".into())),
        place: Some("attic".into()),
        attempt: 1,
        progress: None,
        checkpoint: None,
    };
    match tag {
        Tag::OWNER_GIVE => message(&GiveJobs {
            batch: Some(BatchSpec { id: batch, jobs_max: Some(8), on_failure: OnFailure::KeepGoing }),
            jobs: vec![GivenJob {
                submit: submit(),
                submitter: "ann".into(),
                priority: Priority(1),
                requirements: Requirements {
                    needs: "cpu=2,mem=4G,os=linux,arch=aarch64,gpu,tag=fast".parse().unwrap(),
                    container: None,
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
        Tag::OWNER_HOME => message(&AskHome { jobs_max: 64 }),
        Tag::OWNER_FOLLOW => message(&FollowJob { job, output: true, now: false }),
        Tag::OWNER_FOLLOW_MAP => message(&FollowMap { batch, output: true }),
        Tag::OWNER_CANCEL_JOBS => message(&CancelJobs { jobs: vec![job], batch: Some(batch), now: false }),
        Tag::OWNER_WHY => message(&AskWhy { job }),
        Tag::OWNER_REHEARSE => message(&RehearseJob {
            requirements: Requirements { on: vec![Place::Here], ..Requirements::default() },
            kind: Kind::of(Some("python"), &[], 1 << 30),
            inputs: vec![Input { digest: Digest::from_bytes([1; 32]), size: 300 }],
        }),
        Tag::HOME_IS => message(&HomeJobs { jobs: vec![now], count: 1, waiting: 1 }),
        Tag::JOB_IS => message(&JobNow { at: JobAt::Ended(End::Failed(Failure::Outcome(Outcome::Exited(3)))), ..now }),
        Tag::RUN_SAYS => message(&RunSays { job, attempt: 1 }),
        Tag::WHY_IS => {
            let line = WhyLine { name: "attic".into(), reason: "full".into(), change: Some("wait".into()) };
            message(&WhyLines { lines: vec![line] })
        }
        Tag::REHEARSED_IS => {
            let line = WhyLine { name: "attic".into(), reason: "full".into(), change: Some("wait".into()) };
            message(&Rehearsed { place: Some("desk".into()), lines: vec![line] })
        }
        other => panic!("{other} has no sample"),
    }
}

/// The frame as a writer sends it.
pub(super) fn frame_bytes(tag: Tag) -> Vec<u8> {
    let payload = sample(tag);
    let mut bytes = BytesMut::new();
    bytes.put_u16_le(tag.0);
    bytes.put_u32_le(u32::try_from(payload.len()).unwrap());
    bytes.put_slice(&payload);
    bytes.to_vec()
}
