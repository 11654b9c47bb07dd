//! How long a frame may be, by what it is: compared with the length it claims before memory is taken for it.

use super::tag::Tag;
use crate::defaults::CHUNK_LEN_MAX;
use potluck_runtime::GUEST_EVENT_LEN_MAX;

/// Bytes of a frame without payload that are tolerated, so that a later version may put something there.
pub const CONTROL_LEN_MAX: usize = 64;
/// Bytes of a small message: a few fields, some addresses, a sentence.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;
/// Bytes of a message whose tag we do not know; it is skipped or refused by its number.
pub const UNKNOWN_LEN_MAX: usize = 64 * 1024;
/// Bytes of a job's description. One file takes about 100 bytes and its path, so tens of thousands of files fit.
pub const SUBMIT_LEN_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a turn of a session: a program that somebody types or pastes.
pub const TURN_LEN_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a list of missing blobs: 34 bytes each, as many as a description can name.
pub const NEED_LEN_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a list of members or peers: about 1 KiB each, [`crate::defaults::PEERS_MAX`] of them, with room.
pub const LIST_LEN_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a job's end: a report, and the names of what stayed behind.
pub const ENDED_LEN_MAX: usize = 1024 * 1024;
/// Files, or directories, of a job or of one of its folders: each is an inode where it runs.
pub const FILES_MAX: usize = 65_536;
/// Blobs of a job: a program and its files, those of its folders among them.
pub const BLOBS_MAX: usize = FILES_MAX + 1 + PACKAGES_MAX;
/// Arguments, or environment variables.
pub const WORDS_MAX: usize = 8192;
/// Read-only folders of a job; each is a preopened directory.
pub const MOUNTS_MAX: usize = 16;
/// Packages of a job, with all they need.
pub const PACKAGES_MAX: usize = potluck_runtime::wheels::WHEELS_MAX;
/// Features a job may name.
pub const REQUIRES_MAX: usize = 64;

/// The most bytes a frame of this tag may carry.
#[must_use]
pub const fn payload_len_max(tag: Tag) -> usize {
    match tag {
        Tag::SUBMIT | Tag::RUN_KEEP | Tag::OWNER_SOURCES | Tag::OWNER_GIVE | Tag::OWNER_REHEARSE => SUBMIT_LEN_MAX,
        Tag::SESSION_TURN => TURN_LEN_MAX,
        Tag::NEED => NEED_LEN_MAX,
        tag if is_list(tag) => LIST_LEN_MAX,
        Tag::ENDED => ENDED_LEN_MAX,
        Tag::GUEST_SAYS => GUEST_EVENT_LEN_MAX,
        Tag::DATA | Tag::STDIN | Tag::STDOUT | Tag::STDERR => CHUNK_LEN_MAX,
        tag if is_bare(tag) => CONTROL_LEN_MAX,
        Tag::FAULT
        | Tag::INFO
        | Tag::FETCH_ARTIFACT
        | Tag::CANCEL
        | Tag::JOIN
        | Tag::OWNER_INVITE
        | Tag::OWNER_JOIN
        | Tag::OWNER_ADD_PEER
        | Tag::OWNER_REMOVE_PEER
        | Tag::OWNER_APPROVE
        | Tag::OWNER_DENY
        | Tag::OWNER_REVOKE
        | Tag::OWNER_ACCEPT_KEY
        | Tag::TWIN
        | Tag::JOIN_WAITS
        | Tag::OWNER_HELLO
        | Tag::OWNER_PAUSE
        | Tag::OWNER_HOME
        | Tag::OWNER_END_JOB
        | Tag::ACCEPTED
        | Tag::SESSION_INTERRUPT
        | Tag::SESSION_SAVE
        | Tag::SESSION_FORK
        | Tag::SESSION_STOP
        | Tag::SESSION_IS
        | Tag::TURN_ENDED
        | Tag::STAGE
        | Tag::OUTPUT_FILE
        | Tag::BLOB
        | Tag::RUN_COLLECT
        | Tag::RUN_RELEASE
        | Tag::RUN_WITHDRAW
        | Tag::RUN_CHECKPOINT
        | Tag::RUN_END
        | Tag::CHECKPOINT_IS
        | Tag::RUN_REFUSED
        | Tag::RUN_IS
        | Tag::TIME
        | Tag::OWNER_FOLLOW
        | Tag::OWNER_FOLLOW_MAP
        | Tag::OWNER_WHY
        | Tag::JOB_IS
        | Tag::RUN_SAYS
        | Tag::INFO_IS
        | Tag::ARTIFACT_IS
        | Tag::INVITATION_IS
        | Tag::JOIN_CHALLENGE
        | Tag::JOIN_PROOF => MESSAGE_LEN_MAX,
        _ => UNKNOWN_LEN_MAX,
    }
}

/// Whether it lists what a group, a machine or a queue has.
const fn is_list(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::MEMBERS
            | Tag::MEMBERS_ARE
            | Tag::WELCOME
            | Tag::PEERS_ARE
            | Tag::SESSIONS_ARE
            | Tag::SESSION_MEMORY
            | Tag::SHARING_IS
            | Tag::JOBS_ARE
            | Tag::QUOTAS_ARE
            | Tag::OWNER_CANCEL_JOBS
            | Tag::HOME_IS
            | Tag::WHY_IS
            | Tag::REHEARSED_IS
            | Tag::RUNS_ARE
    )
}

/// Whether it says all by being sent.
const fn is_bare(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::GOODBYE
            | Tag::OWNER_PEERS
            | Tag::OWNER_QUOTAS
            | Tag::OWNER_SHARING
            | Tag::OWNER_RESUME
            | Tag::OWNER_JOBS
            | Tag::OWNER_SHUTDOWN
            | Tag::STARTED
            | Tag::SESSION_LIST
            | Tag::RUN_LIST
            | Tag::RUN_KEPT
            | Tag::STDIN_WANTED
            | Tag::BLOBS_END
            | Tag::STDIN_END
            | Tag::DONE
    )
}
