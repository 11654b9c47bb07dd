//! The two times that decisions are given. They are never compared with each other, and never with another machine's.

use serde::{Deserialize, Serialize};

/// Milliseconds since this node started: what leases, waits and backoffs are measured by. It never goes back, stands still
/// while the machine sleeps, and begins anew with the node, so that none of it is ever written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Milliseconds since 1970 by this machine's clock: what is written down, and what must go on while the node is not running.
/// Its owner may set it to anything at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub u64);

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the node started.
    pub mono: Mono,
    /// Since 1970.
    pub wall: Wall,
}

impl Mono {
    /// So many milliseconds later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; none where that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Wall {
    /// Milliseconds from `earlier` to this; none where the clock was set back behind it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
