//! One byte-exact frame of every tag, in `golden.txt`. A change there is a change of the wire: it needs a new protocol
//! version and a word on how old and new get along.

use super::samples::{ended, frame_bytes, message, peer_list, sample, submit};
use super::*;
use potluck_runtime::{Amount, Digest, GuestEvent, GuestPath, GuestProgress, ImageChoice, JsonText};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fmt::Write;

const GOLDEN: &str = include_str!("golden.txt");

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
fn a_job_with_packages_keeps_its_bytes_and_one_without_has_no_word_of_them() {
    let package = JobPackage { name: "x-1-py3-none-any.whl".into(), digest: Digest::from_bytes([1; 32]), size: 9 };
    let job = SubmitJob { packages: vec![package], requires: vec![PACKAGES_FEATURE.into()], ..submit() };
    let (with, without) = (message(&job), message(&submit()));
    let golden = "a8726571756972657391a87061636b61676573a87061636b616765739183a46e616d65b4782d312d7079332d6e6f6e652d616e792e77686ca6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a6509";
    assert!(data_encoding::HEXLOWER.encode(&with).ends_with(golden), "{}", data_encoding::HEXLOWER.encode(&with));
    assert!(!without.windows(8).any(|window| window == b"packages"));
    assert_eq!(decode::<SubmitJob>(&with).unwrap(), job);
    let many = vec![job.packages[0].clone(); crate::wire::bounds::PACKAGES_MAX + 1];
    assert!(decode::<SubmitJob>(&encode(&SubmitJob { packages: many, ..job })).is_err());
}

#[test]
fn graphics_processors_keep_their_bytes_and_a_node_without_details_says_nothing_of_them() {
    let gpu = Gpu {
        name: "A".into(),
        vendor: "nvidia".into(),
        memory_bytes: Some(1 << 33),
        memory_free_bytes: Some(1 << 32),
        driver: Some("550".into()),
        cuda: Some("12.4".into()),
        busy_percent: Some(7),
    };
    let info = NodeInfo { gpu_details: vec![gpu.clone(), Gpu::named("B")], ..peer_list().me };
    let (with, without) = (message(&info), message(&peer_list().me));
    let golden = "ab6770755f64657461696c739287a46e616d65a141a676656e646f72a66e7669646961ac6d656d6f72795f6279746573cf0000000200000000b16d656d6f72795f667265655f6279746573cf0000000100000000a6647269766572a3353530a463756461a431322e34ac627573795f70657263656e740781a46e616d65a142";
    assert!(data_encoding::HEXLOWER.encode(&with).ends_with(golden), "{}", data_encoding::HEXLOWER.encode(&with));
    assert!(!without.windows(11).any(|window| window == b"gpu_details"));
    assert_eq!(decode::<NodeInfo>(&with).unwrap(), info);
    assert_eq!(
        (info.graphics().len(), decode::<NodeInfo>(&without).unwrap().graphics()),
        (2, vec![Gpu::named("NVIDIA T400")])
    );
    // A later version may say more of one, and none may fill a list.
    assert_eq!(decode::<Gpu>(&encode(&BTreeMap::from([("name", "A"), ("sockets", "two")]))).unwrap(), Gpu::named("A"));
    let many = vec![gpu; crate::defaults::GPUS_MAX + 1];
    assert!(decode::<NodeInfo>(&encode(&NodeInfo { gpu_details: many, ..info })).is_err());
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
    let amount = Amount::new;
    let progress = GuestProgress { done: amount(0.5).unwrap(), total: amount(10.0), message: "reading".into() };
    let said = [
        (
            GuestEvent::Progress(progress.clone()),
            "81a870726f677265737383a4646f6e65cb3fe0000000000000a5746f74616c0aa76d657373616765a772656164696e67",
        ),
        (
            GuestEvent::Progress(GuestProgress { total: None, message: String::new(), ..progress }),
            "81a870726f677265737381a4646f6e65cb3fe0000000000000",
        ),
        (GuestEvent::Result(JsonText::parse("[1]".into()).unwrap()), "81a6726573756c74a35b315d"),
    ];
    for (event, golden) in said {
        assert_eq!(data_encoding::HEXLOWER.encode(&message(&event)), golden, "{event:?}");
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
    let interpreted = JobProgram::Script {
        environment: "lua".into(),
        entry: GuestPath::parse("x.lua").unwrap(),
        image: ImageChoice::None,
        interpreter: Some(JobInterpreter {
            digest: Digest::from_bytes([1; 32]),
            size: 300,
            argv: vec!["lua".into(), "x.lua".into()],
        }),
    };
    assert_eq!(
        data_encoding::HEXLOWER.encode(&message(&interpreted)),
        "81a673637269707484ab656e7669726f6e6d656e74a36c7561a5656e747279a5782e6c7561a5696d616765a46e6f6e65ab696e74657270726574657283a6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a65cd012ca46172677692a36c7561a5782e6c7561"
    );
    let wasm = JobProgram::Wasm { digest: Digest::from_bytes([1; 32]), size: 300, name: "p.wasm".into() };
    assert_eq!(
        data_encoding::HEXLOWER.encode(&message(&wasm)),
        "81a47761736d83a6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a65cd012ca46e616d65a6702e7761736d"
    );
}

#[test]
fn a_script_that_brings_its_interpreter_keeps_its_bytes() {
    let script = JobProgram::Script {
        environment: "lua".into(),
        entry: GuestPath::parse("x.lua").unwrap(),
        image: ImageChoice::None,
        interpreter: Some(JobInterpreter {
            digest: Digest::from_bytes([1; 32]),
            size: 300,
            argv: vec!["lua".into(), "x.lua".into()],
        }),
    };
    assert_eq!(
        data_encoding::HEXLOWER.encode(&message(&script)),
        "81a673637269707484ab656e7669726f6e6d656e74a36c7561a5656e747279a5782e6c7561a5696d616765a46e6f6e65ab696e74657270726574657283a6646967657374c4200101010101010101010101010101010101010101010101010101010101010101a473697a65cd012ca46172677692a36c7561a5782e6c7561"
    );
    assert_eq!(INTERPRETER_FEATURE, "interpreter", "an older node refuses what it does not know by this name");
}

#[test]
fn a_container_keeps_its_bytes_and_is_a_script_to_who_does_not_know_it() {
    let entry = GuestPath::parse("x.sh").ok();
    let container =
        JobContainer { image: "busybox".parse().unwrap(), command: vec!["sh".into(), "x.sh".into()], entry, gpus: 0 };
    let program = JobProgram::Container(container.clone());
    let bytes = message(&program);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&bytes),
        "81a673637269707484ab656e7669726f6e6d656e74a6646f636b6572a5656e747279a4782e7368a5696d616765a46e6f6e65a9636f6e7461696e657283a5696d616765a762757379626f78a7636f6d6d616e6492a27368a4782e7368a5656e747279a4782e7368"
    );
    assert_eq!(CONTAINER_FEATURE, "container", "an older node refuses what it does not know by this name");
    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Before {
        Script { environment: String, entry: GuestPath },
    }
    let Before::Script { environment, entry } = decode(&bytes).unwrap();
    assert_eq!((environment.as_str(), entry.as_str()), ("docker", "x.sh"));
    let own = JobProgram::Container(JobContainer { entry: None, ..container.clone() });
    assert_eq!(decode::<JobProgram>(&message(&own)).unwrap(), own);
    let with_gpus = JobProgram::Container(JobContainer { gpus: 2, ..container.clone() });
    assert_eq!(decode::<JobProgram>(&message(&with_gpus)).unwrap(), with_gpus);
    let long = JobContainer { command: vec![String::new(); bounds::WORDS_MAX + 1], ..container };
    assert!(decode::<JobProgram>(&encode(&JobProgram::Container(long))).is_err());
}

#[test]
fn an_offer_of_containers_is_bounded_and_may_be_missing() {
    let image = OfferedImage { image: "busybox".parse().unwrap(), present: true };
    let offer = |count| DockerOffer { engine: None, images: vec![image.clone(); count], gives_gpus: false };
    let most = offer(crate::state::containers::IMAGES_MAX);
    assert_eq!(decode::<DockerOffer>(&message(&most)).unwrap(), most);
    assert!(decode::<DockerOffer>(&encode(&offer(most.images.len() + 1))).is_err());
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
