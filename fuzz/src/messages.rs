//! Messages of every tag.

use potluck_node::wire::*;
use std::fmt::Debug;

/// The first two bytes are a tag, the others its payload. What is understood is said again in other words perhaps, but means
/// the same.
pub fn message(bytes: &[u8]) {
    let Some((tag, payload)) = bytes.split_first_chunk() else { return };
    let tag = Tag(u16::from_le_bytes(*tag));
    if payload.len() > payload_len_max(tag) {
        return;
    }
    match tag {
        Tag::FAULT => again::<Fault>(payload),
        Tag::SUBMIT => again::<SubmitJob>(payload),
        Tag::MEMBERS | Tag::MEMBERS_ARE => again::<Members>(payload),
        Tag::CANCEL => again::<Cancel>(payload),
        Tag::FETCH_ARTIFACT => again::<FetchArtifact>(payload),
        Tag::JOIN => again::<JoinHello>(payload),
        Tag::OWNER_INVITE => again::<Invite>(payload),
        Tag::OWNER_JOIN => again::<Join>(payload),
        Tag::OWNER_ADD_PEER => again::<AddPeer>(payload),
        Tag::OWNER_REMOVE_PEER => again::<RemovePeer>(payload),
        Tag::OWNER_HELLO => again::<OwnerHello>(payload),
        Tag::OWNER_SOURCES => again::<OwnerSources>(payload),
        Tag::ACCEPTED => again::<Accepted>(payload),
        Tag::NEED => again::<Need>(payload),
        Tag::STAGE => again::<Stage>(payload),
        Tag::OUTPUT_FILE => again::<OutputFile>(payload),
        Tag::ENDED => {
            again::<Ended>(payload);
            if let Ok(Ended { receipt: Some(receipt), .. }) = decode(payload) {
                again::<ReceiptBody>(&receipt.body);
                // Nobody's signature is guessed, but one is among the samples.
                let _ = receipt.verify();
            }
        }
        Tag::TURN_ENDED => again::<TurnEnded>(payload),
        Tag::SESSION_MEMORY => again::<SessionMemory>(payload),
        Tag::BLOB => again::<BlobHead>(payload),
        Tag::INFO_IS => again::<NodeInfo>(payload),
        Tag::ARTIFACT_IS => again::<ArtifactHead>(payload),
        Tag::WELCOME => again::<Welcome>(payload),
        Tag::INVITATION_IS => again::<Invitation>(payload),
        Tag::PEERS_ARE => again::<PeerList>(payload),
        Tag::JOIN_CHALLENGE => again::<JoinChallenge>(payload),
        Tag::JOIN_PROOF => again::<JoinProof>(payload),
        Tag::SESSION_TURN => again::<RunTurn>(payload),
        Tag::SESSION_INTERRUPT | Tag::SESSION_SAVE | Tag::SESSION_STOP => again::<WhichSession>(payload),
        Tag::SESSION_FORK => again::<ForkSession>(payload),
        Tag::SESSION_IS => again::<SessionInfo>(payload),
        Tag::SESSIONS_ARE => again::<SessionList>(payload),
        Tag::RUN_KEEP => again::<KeepRun>(payload),
        Tag::RUN_COLLECT => again::<CollectRun>(payload),
        Tag::RUN_RELEASE | Tag::RUN_WITHDRAW | Tag::RUN_END => again::<WhichRun>(payload),
        Tag::RUN_REFUSED => again::<RunRefused>(payload),
        Tag::RUN_IS => again::<RunState>(payload),
        Tag::RUNS_ARE => again::<RunList>(payload),
        Tag::TIME => again::<Time>(payload),
        Tag::OWNER_GIVE => again::<GiveJobs>(payload),
        Tag::OWNER_FOLLOW => again::<FollowJob>(payload),
        Tag::OWNER_FOLLOW_MAP => again::<FollowMap>(payload),
        Tag::OWNER_CANCEL_JOBS => again::<CancelJobs>(payload),
        Tag::OWNER_WHY => again::<AskWhy>(payload),
        Tag::OWNER_HOME => again::<AskHome>(payload),
        Tag::OWNER_REHEARSE => again::<RehearseJob>(payload),
        Tag::HOME_IS => again::<HomeJobs>(payload),
        Tag::JOB_IS => again::<JobNow>(payload),
        Tag::RUN_SAYS => again::<RunSays>(payload),
        Tag::WHY_IS => again::<WhyLines>(payload),
        Tag::REHEARSED_IS => again::<Rehearsed>(payload),
        // Raw bytes, or none.
        _ => {}
    }
}

/// A job of a peer, decoded and decided on.
pub fn submit(bytes: &[u8]) {
    let Ok(job) = decode::<SubmitJob>(bytes) else { return };
    if let Err(fault) = potluck_node::fuzzing::admit_job(&job) {
        assert!(!fault.text.is_empty());
    }
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(payload: &[u8]) {
    let Ok(message) = decode::<T>(payload) else { return };
    let bytes = encode(&message);
    assert_eq!(decode::<T>(&bytes).expect("what was understood can be said"), message);
}
