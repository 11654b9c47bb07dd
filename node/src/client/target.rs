//! Which machine a user means: by name, by id, or by the beginning of an id that only one peer has.

use crate::identity::NodeId;
use std::convert::Infallible;
use std::str::FromStr;

/// Characters of an id that name a peer at least; fewer would name one by accident.
const PREFIX_LEN_MIN: usize = 4;

/// Where a job is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any machine that fits, this one included.
    Any,
    /// This machine.
    Local,
    /// This peer.
    Peer(String),
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "any" => Self::Any,
            "local" => Self::Local,
            name => Self::Peer(name.to_owned()),
        })
    }
}

/// A name that means no peer, or several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhichPeer {
    /// Nobody is called so.
    #[error("no peer is called {wanted:?}; {}", listed(known))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Who is known, each with name and short id.
        known: Vec<String>,
    },
    /// Several are.
    #[error("{wanted:?} could be {}; use more of the id", matching.join(" or "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Whom it could mean.
        matching: Vec<String>,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "this machine knows no peers yet (`potluck join TICKET` joins a group)".to_owned()
    } else {
        format!("known are {}", known.join(", "))
    }
}

/// The peer a user means.
pub(super) fn find<'a>(
    wanted: &str,
    peers: impl Iterator<Item = (NodeId, &'a str)> + Clone,
) -> Result<NodeId, WhichPeer> {
    let describe = |(id, name): (NodeId, &str)| format!("{name} ({})", id.short());
    let lower = wanted.to_ascii_lowercase();
    let named: Vec<_> = peers.clone().filter(|(_, name)| name.eq_ignore_ascii_case(wanted)).collect();
    let matching = if named.is_empty() && lower.len() >= PREFIX_LEN_MIN {
        peers.clone().filter(|(id, _)| id.to_string().starts_with(&lower)).collect()
    } else {
        named
    };
    match matching.as_slice() {
        [(id, _)] => Ok(*id),
        [] => Err(WhichPeer::Unknown { wanted: wanted.to_owned(), known: peers.map(describe).collect() }),
        _ => Err(WhichPeer::Ambiguous {
            wanted: wanted.to_owned(),
            matching: matching.into_iter().map(describe).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_by_name_id_or_prefix_and_otherwise_the_known_are_listed() {
        let (attic, barn, twin) =
            (NodeId::from_bytes([1; 32]), NodeId::from_bytes([9; 32]), NodeId::from_bytes([200; 32]));
        let peers = [(attic, "attic"), (barn, "barn"), (twin, "barn")];
        let find = |wanted: &str| find(wanted, peers.iter().copied());
        assert_eq!(find("Attic"), Ok(attic));
        assert_eq!(find(&barn.to_string()), Ok(barn));
        assert_eq!(find(&twin.to_string()[..6].to_ascii_uppercase()), Ok(twin));
        let text = find("cellar").unwrap_err().to_string();
        assert!(text.contains("cellar") && text.contains("attic"), "{text}");
        let text = find("barn").unwrap_err().to_string();
        assert!(text.contains(&barn.short()) && text.contains(&twin.short()), "{text}");
    }
}
