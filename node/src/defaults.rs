//! Every value that is chosen and not negotiated, with its unit and its reason. Bounds on what a stranger can make us
//! hold stand here too, with what they cost.

use std::time::Duration;

/// The UDP port a node asks for first; when it is taken the system gives any free one.
pub const PORT: u16 = 7420;
/// The UDP port of discovery beacons; every node of a host shares it.
pub const DISCOVERY_PORT: u16 = 7421;
/// Jobs of others that run at once, unless configured.
pub const JOBS_MAX: u32 = 4;
/// Bytes of compiled code, images and blobs kept on disk, unless configured.
pub const CACHE_BYTES_MAX: u64 = 8 << 30;
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
