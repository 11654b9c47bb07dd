//! Every value that is chosen and not negotiated, with its unit and its reason. Bounds on what a stranger can make us
//! hold stand here too, with what they cost.

use potluck_runtime::Ready;
use std::time::Duration;

/// The UDP port a node asks for first; when it is taken the system gives any free one.
pub const PORT: u16 = 7420;
/// The UDP port of discovery beacons; every node of a host shares it.
pub const DISCOVERY_PORT: u16 = 7421;
/// Jobs of others that run at once, unless configured.
pub const JOBS_MAX: u32 = 4;
/// Workers of a node that wait for jobs: spares for bursts of jobs of different peers, and as many kept as one peer may
/// have in flight on a small machine. Each takes a few MB; ten seconds after the last job one spare is left.
pub const WORKERS_READY: Ready = Ready { spares_max: 2, kept_max: 8, idle: Duration::from_secs(10) };
/// Bytes of compiled code, images and blobs kept on disk, unless configured.
pub const CACHE_BYTES_MAX: u64 = 8 << 30;
/// Jobs that have ended and are still known, unless configured: some 50 MB, and up to 4 KiB more for the result of each.
pub const HISTORY_JOBS_MAX: u64 = 100_000;
/// How long after its end a job is known, unless configured.
pub const HISTORY_AGE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long after its end what a job printed and made is kept by the node it was given to, unless configured: a holiday, and
/// longer than its runner keeps it.
pub const OUTPUT_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Bytes of all such output, unless configured: results of work with data, on a disk that others need as well.
pub const OUTPUT_BYTES_MAX: u64 = 16 << 30;
/// Sessions a node keeps at once, of all who have some. One that is awake holds its memory; one that is parked a file.
pub const SESSIONS_MAX: usize = 256;
/// Sessions a node keeps of one peer.
pub const SESSIONS_PER_PEER_MAX: usize = 8;
/// Jobs and turns of one peer that wait for a place, unless the owner says otherwise. Each holds a stream and a description.
pub const QUEUE_PER_PEER_MAX: u32 = 64;
/// Jobs and turns of all peers that wait: sixteen peers' queues.
pub const QUEUE_MAX: u32 = 16 * QUEUE_PER_PEER_MAX;
/// Bytes one peer may keep here, sessions and inputs together, unless the owner says otherwise: some large sessions, or the
/// data of one who works with data, on a disk that others need as well.
pub const STORED_BYTES_PER_PEER_MAX: u64 = 16 << 30;
/// Fuel one peer may use in 24 hours, unless the owner says otherwise: what three cores burn in a day, which are the places
/// one peer has by default.
pub const FUEL_PER_DAY_MAX: u64 = 2_000_000_000_000_000;
/// The most fuel a core burns in a millisecond: what a run that was killed is charged for its time.
pub const FUEL_MS_MOST: u64 = 8_000_000;
/// How long what peers have used may stay unwritten: what a crash forgives.
pub const QUOTAS_WRITTEN_AFTER: Duration = Duration::from_secs(2);
/// Bytes of requests of one peer that are here at once, before and while they are answered. A description of a job has 16 MiB
/// at most, a usual one some hundred bytes.
pub const REQUEST_BYTES_PER_PEER_MAX: u32 = 64 << 20;
/// How long whoever sends inputs may say nothing, before its place is given to others.
pub const INPUT_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long after its last turn a session is put to disk, unless configured.
pub const SESSION_IDLE: Duration = Duration::from_secs(10 * 60);
/// How long after its last turn a session is removed.
pub const SESSION_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an invitation is good for, unless asked otherwise.
pub const INVITATION_TTL: Duration = Duration::from_secs(60 * 60);

/// Bytes of one `DATA`, `STDIN`, `STDOUT` or `STDERR` frame. A reader holds at most one frame and what the transport
/// had ready behind it.
pub const CHUNK_LEN_MAX: usize = 256 * 1024;
/// Characters of a node's label.
pub const NAME_LEN_MAX: usize = 63;
/// Peers a node pins. A book entry is below 1 KiB, so the book stays below 1 MiB.
pub const PEERS_MAX: usize = 1024;
/// Addresses remembered, announced or vouched for per peer.
pub const ADDRESSES_MAX: usize = 16;
/// Addresses in a ticket: each adds up to 19 bytes, so a ticket stays below 300 bytes and its code scannable.
pub const TICKET_ADDRESSES_MAX: usize = 6;
/// Addresses in a vouch; hints only.
pub const VOUCH_ADDRESSES_MAX: usize = 6;
/// Vouches a node holds: a few for each peer, about 400 bytes each.
pub const VOUCHES_MAX: usize = 4 * PEERS_MAX;
/// Vouches a node holds of one voucher, so that one member cannot take the room of all.
pub const VOUCHES_OF_ONE_MAX: usize = PEERS_MAX;
/// Revocations a node holds, about 200 bytes each.
pub const REVOCATIONS_MAX: usize = 1024;
/// Revocations a node holds of one revoker.
pub const REVOCATIONS_OF_ONE_MAX: usize = 256;
/// Keys that wait for the owner's yes at once: more than anybody would look through. Each takes below 1 KiB.
pub const PENDING_MAX: usize = 64;
/// How long a key waits for the owner's yes before it is forgotten.
pub const PENDING_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Invitations known at once, open or spent.
pub const INVITATIONS_MAX: usize = 64;
/// The longest an invitation may be good for.
pub const INVITATION_TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long after its expiry a ticket is still refused by name instead of as unknown.
pub const INVITATION_MEMORY: Duration = Duration::from_secs(60 * 60);
/// Failed proofs after which a ticket is closed. Its secret has 256 bits; this ends noise, not guessing.
pub const JOIN_ATTEMPTS_MAX: u32 = 5;
/// How long a joining connection may take from handshake to welcome.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a link says that it lives.
pub const LINK_KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Silence after which a link is dead. The count begins anew with the first packet sent into the silence, so a dead peer
/// is noticed after at most this and one keep-alive: nine seconds, one less than promised.
pub const LINK_IDLE_TIMEOUT: Duration = Duration::from_secs(7);
/// Requests of the owner that are served at once; more wait. Each costs what one stream of a link does.
pub const OWNER_REQUESTS_MAX: usize = 1024;
/// Unread bytes one stream may hold here: what backpressure costs per job.
pub const STREAM_WINDOW: u32 = 8 << 20;
/// Unread bytes all streams of a link may hold here; with all links that one peer may have, 2 GiB.
pub const LINK_WINDOW: u32 = 16 << 20;
/// Streams a peer may have open on one link.
pub const STREAMS_MAX: u32 = 1024;
/// Links a node keeps at once, of all peers.
pub const LINKS_MAX: usize = 2048;
/// Links of one peer at once: its node's, and one for each command that runs or waits here.
pub const LINKS_PER_PEER_MAX: usize = 128;
/// Handshakes under way at once. From half of this on newcomers must first prove their address, so that forged ones
/// leave the other half to genuine ones.
pub const HANDSHAKES_MAX: usize = 64;
/// Joinings under way at once; more are turned away and may try again.
pub const JOININGS_MAX: usize = 16;
/// Handshakes waiting to be looked at; beyond this they are refused.
pub const INCOMING_MAX: usize = 256;
/// Bytes buffered for handshakes that wait.
pub const INCOMING_BYTES_MAX: u64 = 4 << 20;
/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two addresses of one peer that are tried at the same time.
pub const DIAL_STAGGER: Duration = Duration::from_millis(100);
/// How long a request between nodes may take to be answered (not a job).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The IPv4 group of beacons: organisation-local scope, so routers keep it inside a site (RFC 2365).
pub const BEACON_GROUP_V4: std::net::Ipv4Addr = std::net::Ipv4Addr::new(239, 255, 74, 20);
/// The IPv6 group of beacons: link-local scope.
pub const BEACON_GROUP_V6: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x706f, 0x746c);
/// When beacons follow each other at the start and after the network changed.
pub const BEACON_BURST: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(600)];
/// The shortest pause between beacons afterwards; up to as much again is added by chance, so that nodes do not beat in
/// step.
pub const BEACON_INTERVAL: Duration = Duration::from_millis(2500);
/// How often the interfaces are looked at again.
pub const INTERFACE_SCAN_INTERVAL: Duration = Duration::from_secs(3);
/// Interfaces that beacons use; a machine with hundreds of container bridges sends on the first of them.
pub const INTERFACES_MAX: usize = 64;
/// The shortest pause between two answers to one peer's queries: an answer is as long as its query.
pub const BEACON_ANSWER_PAUSE: Duration = Duration::from_millis(50);
/// How often a peer is asked for its load.
pub const INFO_INTERVAL: Duration = Duration::from_secs(2);
/// How long it is told that two machines hold one key after that was last proved. While both live it is proved again with
/// each connection, the longest pause between which is [`DIAL_BACKOFF_MAX`].
pub const TWIN_MEMORY: Duration = Duration::from_secs(120);
/// The shortest pause between two looks at who sends beacons with this node's own key from one address.
pub const TWIN_PROBE_PAUSE: Duration = Duration::from_secs(10);
/// Addresses that are looked into within that pause: replayed beacons cost at most so many handshakes.
pub const TWIN_PROBES_MAX: usize = ADDRESSES_MAX;
/// How often the node looks at its clock.
pub const TICK: Duration = Duration::from_millis(200);
/// The first pause after a failed dial; doubled for each failure that follows.
pub const DIAL_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest pause between dials: how late a peer is found when its beacons do not reach us.
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long the node with the greater id lets the other dial first when both have just seen each other.
pub const DIAL_COURTESY: Duration = Duration::from_millis(250);
/// Dials under way at once.
pub const DIALS_MAX: usize = 64;
/// How long running streams may go on after the node was asked to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long putting the sessions to disk may take when the node stops: gigabytes of them, on a machine that has other things
/// to do. What is not there by then is lost.
pub const PUT_AWAY_TIMEOUT: Duration = Duration::from_secs(60);
/// Events waiting for the driver; senders wait when it is full.
pub const EVENTS_MAX: usize = 1024;
/// Cores a node has, or jobs it runs at once, as far as it is believed.
pub const CORES_MAX: u32 = 4096;
/// Graphics processors a node names, or may name.
pub const GPUS_MAX: usize = 16;
/// Characters of what a graphics processor, or its driver, is called here; NVIDIA's library says at most 95.
pub const GPU_TEXT_LEN_MAX: usize = 96;
/// How long a command waits for what the drivers of graphics processors say: NVIDIA's takes a second where it has been asleep.
pub const GPU_LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Parts of the second wall that a peer may say it has not; there are two.
pub const WALLS_MAX: usize = 8;
