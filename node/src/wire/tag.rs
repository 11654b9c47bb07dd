//! The one table of message numbers. A number is given once and never again; a retired one stays listed.
//! A number we do not know survives as itself, so that a newer peer can be refused by name and not by accident.

use std::fmt;

/// The number that says what a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub u16);

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Tag {
            $($(#[$doc])* pub const $name: Tag = Tag($number);)*

            /// Every tag this version knows, with its name.
            pub const KNOWN: &'static [(Tag, &'static str)] = &[$((Tag($number), stringify!($name))),*];
        }
    };
}

tags! {
    // Any stream.
    /// The request is refused, or failed on the answering side: a [`Fault`](super::Fault). Ends the stream.
    FAULT = 1;

    // Requests: the first frame of a stream.
    /// Run a job: [`SubmitJob`](super::SubmitJob).
    SUBMIT = 16;
    /// Ask for a [`NodeInfo`](super::NodeInfo).
    INFO = 17;
    /// Exchange vouches: [`Members`](super::Members).
    MEMBERS = 18;
    /// Ask for an environment's artifact: [`FetchArtifact`](super::FetchArtifact).
    FETCH_ARTIFACT = 19;
    /// The sender is leaving: no payload, no answer.
    GOODBYE = 20;
    /// Prove a ticket: [`JoinHello`](super::JoinHello). Only on the joining protocol.
    JOIN = 21;
    /// Stop a job of the caller's: [`Cancel`](super::Cancel). A request of its own, because the job's stream may be full
    /// of stdin that nobody reads.
    CANCEL = 22;
    /// Run one turn of a session: [`RunTurn`](super::RunTurn).
    SESSION_TURN = 23;
    /// Interrupt the turn that runs: [`WhichSession`](super::WhichSession).
    SESSION_INTERRUPT = 24;
    /// List the caller's sessions; no payload.
    SESSION_LIST = 25;
    /// Send a session's files and memory: [`WhichSession`](super::WhichSession).
    SESSION_SAVE = 26;
    /// Make an independent twin: [`ForkSession`](super::ForkSession).
    SESSION_FORK = 27;
    /// End a session: [`WhichSession`](super::WhichSession).
    SESSION_STOP = 28;
    /// The receiver's key is seen on a second machine: [`Twin`](super::Twin).
    TWIN = 30;

    // Requests only the machine's owner may make (over the owner's socket, or with the node's own key).
    /// Make an invitation: [`Invite`](super::Invite).
    OWNER_INVITE = 32;
    /// Use an invitation: [`Join`](super::Join).
    OWNER_JOIN = 33;
    /// Look for a peer at an address: [`AddPeer`](super::AddPeer).
    OWNER_ADD_PEER = 34;
    /// List peers; no payload.
    OWNER_PEERS = 35;
    /// Stop the node; no payload.
    OWNER_SHUTDOWN = 36;
    /// Forget a peer: [`RemovePeer`](super::RemovePeer).
    OWNER_REMOVE_PEER = 37;
    /// Both sides' first word on the owner's socket: [`OwnerHello`](super::OwnerHello).
    OWNER_HELLO = 38;
    /// After a `SUBMIT` on the owner's socket, where its blobs lie: [`OwnerSources`](super::OwnerSources).
    OWNER_SOURCES = 39;
    /// Take jobs, and see to them whoever goes away: [`GiveJobs`](super::GiveJobs).
    OWNER_GIVE = 40;
    /// List the jobs of this home that have not ended: [`AskHome`](super::AskHome).
    OWNER_HOME = 41;
    /// Tell how a job stands and what it says: [`FollowJob`](super::FollowJob).
    OWNER_FOLLOW = 42;
    /// Tell how a map stands and what its jobs say: [`FollowMap`](super::FollowMap).
    OWNER_FOLLOW_MAP = 43;
    /// Nobody wants these jobs any more: [`CancelJobs`](super::CancelJobs).
    OWNER_CANCEL_JOBS = 44;
    /// Say why a job is not where it could be: [`AskWhy`](super::AskWhy).
    OWNER_WHY = 45;
    /// Say where a job would go: [`RehearseJob`](super::RehearseJob).
    OWNER_REHEARSE = 46;
    /// Let a waiting key in: [`WhichKey`](super::WhichKey).
    OWNER_APPROVE = 48;
    /// Do not let a waiting key in: [`WhichKey`](super::WhichKey).
    OWNER_DENY = 49;
    /// Put a peer out, here and for those who know it from here: [`WhichKey`](super::WhichKey).
    OWNER_REVOKE = 50;
    /// A peer has another key now: [`AcceptKey`](super::AcceptKey).
    OWNER_ACCEPT_KEY = 51;
    /// List what peers may use and have used; no payload.
    OWNER_QUOTAS = 56;
    /// What is lent now, and why; no payload.
    OWNER_SHARING = 58;
    /// Lend nothing for a while: [`PauseFor`](super::PauseFor).
    OWNER_PAUSE = 59;
    /// Lend again; no payload.
    OWNER_RESUME = 60;
    /// List the jobs that are here; no payload.
    OWNER_JOBS = 61;
    /// End a job that is here, whosever it is: [`EndJob`](super::EndJob).
    OWNER_END_JOB = 62;

    // The walk of a job, from the side that runs it.
    /// The job has an id: [`Accepted`](super::Accepted).
    ACCEPTED = 64;
    /// The blobs that are missing here: [`Need`](super::Need).
    NEED = 65;
    /// What is happening before the guest starts: [`Stage`](super::Stage).
    STAGE = 66;
    /// The guest has started; no payload.
    STARTED = 67;
    /// Bytes of stdout.
    STDOUT = 68;
    /// Bytes of stderr.
    STDERR = 69;
    /// A file the job made or changed: [`OutputFile`](super::OutputFile); its bytes follow as `DATA` frames.
    OUTPUT_FILE = 70;
    /// The job has ended: [`Ended`](super::Ended). The last frame.
    ENDED = 71;
    /// A turn has ended: [`TurnEnded`](super::TurnEnded). The last frame.
    TURN_ENDED = 72;
    /// The guest waits for stdin; no payload.
    STDIN_WANTED = 73;
    /// The memory of a session that is saved: [`SessionMemory`](super::SessionMemory); its bytes follow as `DATA` frames.
    SESSION_MEMORY = 74;

    /// The guest has said something of itself: a [`GuestEvent`](potluck_runtime::GuestEvent). Only where that was asked for.
    GUEST_SAYS = 75;

    // The walk of a job, from the side that submitted it.
    /// A blob: [`BlobHead`](super::BlobHead); its bytes follow as `DATA` frames.
    BLOB = 80;
    /// Every needed blob has been sent; no payload. Not waited for where none was needed.
    BLOBS_END = 81;
    /// Bytes of stdin.
    STDIN = 82;
    /// Stdin has ended; no payload.
    STDIN_END = 83;

    // Bytes of whatever was announced last.
    /// A piece of a blob, artifact or output file.
    DATA = 96;

    // Answers.
    /// [`NodeInfo`](super::NodeInfo).
    INFO_IS = 112;
    /// [`Members`](super::Members).
    MEMBERS_ARE = 113;
    /// [`ArtifactHead`](super::ArtifactHead); the bytes follow as `DATA` frames.
    ARTIFACT_IS = 114;
    /// [`Welcome`](super::Welcome).
    WELCOME = 115;
    /// [`Invitation`](super::Invitation).
    INVITATION_IS = 116;
    /// [`PeerList`](super::PeerList).
    PEERS_ARE = 117;
    /// Done; no payload.
    DONE = 118;
    /// The inviter's answer to [`JoinHello`](super::JoinHello): [`JoinChallenge`](super::JoinChallenge).
    JOIN_CHALLENGE = 119;
    /// The newcomer's proof: [`JoinProof`](super::JoinProof).
    JOIN_PROOF = 120;
    /// [`SessionInfo`](super::SessionInfo); also the last frame of a `SUBMIT` that opened a session.
    SESSION_IS = 121;
    /// [`SessionList`](super::SessionList).
    SESSIONS_ARE = 122;
    /// The ticket is good and the owner's yes is waited for: [`JoinWaits`](super::JoinWaits).
    JOIN_WAITS = 125;
    /// [`QuotaList`](super::QuotaList).
    QUOTAS_ARE = 140;
    /// [`SharingNow`](super::SharingNow).
    SHARING_IS = 144;
    /// [`JobsHere`](super::JobsHere).
    JOBS_ARE = 145;

    // Runs that are kept: requests.
    /// Run this and keep what it leaves: [`KeepRun`](super::KeepRun).
    RUN_KEEP = 160;
    /// What a run says: [`CollectRun`](super::CollectRun).
    RUN_COLLECT = 161;
    /// Nothing more is wanted of a run: [`WhichRun`](super::WhichRun).
    RUN_RELEASE = 162;
    /// Give a run back: [`WhichRun`](super::WhichRun).
    RUN_WITHDRAW = 163;
    /// List what is kept for the asker; no payload.
    RUN_LIST = 164;
    /// Send the last checkpoint of a run: [`WhichRun`](super::WhichRun).
    RUN_CHECKPOINT = 165;
    /// Ask the guest of a run to end by itself: [`WhichRun`](super::WhichRun).
    RUN_END = 166;

    // Runs that are kept: answers.
    /// The run is kept from now on; no payload.
    RUN_KEPT = 170;
    /// The run is not taken: [`RunRefused`](super::RunRefused). The last frame.
    RUN_REFUSED = 171;
    /// [`RunState`](super::RunState).
    RUN_IS = 172;
    /// [`RunList`](super::RunList).
    RUNS_ARE = 173;
    /// When what follows was said: [`Time`](super::Time).
    TIME = 174;
    /// [`CheckpointIs`](super::CheckpointIs); its bytes follow as `DATA` frames.
    CHECKPOINT_IS = 175;

    // A home's answers to its owner.
    /// [`HomeJobs`](super::HomeJobs).
    HOME_IS = 176;
    /// [`JobNow`](super::JobNow).
    JOB_IS = 177;
    /// What follows is what this run said: [`RunSays`](super::RunSays).
    RUN_SAYS = 178;
    /// [`WhyLines`](super::WhyLines).
    WHY_IS = 179;
    /// [`Rehearsed`](super::Rehearsed).
    REHEARSED_IS = 180;
}

impl Tag {
    /// Whether it is a request about a session that is there.
    #[must_use]
    pub const fn is_about_sessions(self) -> bool {
        self.0 >= Self::SESSION_TURN.0 && self.0 <= Self::SESSION_STOP.0
    }

    /// Whether it is a request about runs that are kept.
    #[must_use]
    pub const fn is_about_kept_runs(self) -> bool {
        self.0 >= Self::RUN_KEEP.0 && self.0 <= Self::RUN_END.0
    }

    /// Whether it is a request about the jobs of this home.
    #[must_use]
    pub const fn is_about_home(self) -> bool {
        self.0 >= Self::OWNER_GIVE.0 && self.0 <= Self::OWNER_REHEARSE.0
    }

    /// Whether it is a request about what is lent and to whom.
    #[must_use]
    pub const fn is_about_lending(self) -> bool {
        matches!(
            self,
            Self::OWNER_QUOTAS
                | Self::OWNER_SHARING
                | Self::OWNER_PAUSE
                | Self::OWNER_RESUME
                | Self::OWNER_JOBS
                | Self::OWNER_END_JOB
        )
    }

    /// Whether only the machine's owner may send it: the numbers from 32 to 63 are kept for that.
    #[must_use]
    pub const fn is_for_owner(self) -> bool {
        self.0 >= 32 && self.0 < 64
    }

    /// The name of a known tag.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::KNOWN.iter().find(|(tag, _)| *tag == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "unknown({})", self.0),
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}
