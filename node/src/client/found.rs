//! Which sessions there are, and which one a user means: by name, by id, or by the beginning of an id.

use super::door::{Carrier, Door};
use super::network::{ClientError, KnownPeers, Reached, ask, decoded};
use super::session_failure::SessionFailure;
use super::sessions::SessionHandle;
use super::target::Target;
use super::{Client, Connection, HERE_LABEL, daemon};
use crate::identity::NodeId;
use crate::wire::{Frame, SessionInfo, SessionList, Tag};
use futures_util::future::join_all;
use std::time::Duration;

/// Characters of an id that name a session at least.
const PREFIX_LEN_MIN: usize = 4;
/// How long a peer may take to say which sessions it has.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// Sessions that were found.
#[derive(Clone, Debug, Default)]
pub struct SessionsFound {
    /// Those on this machine first.
    pub sessions: Vec<SessionFound>,
    /// Names of peers that did not answer.
    pub unreachable: Vec<String>,
}

/// One session that was found.
#[derive(Clone, Debug)]
pub struct SessionFound {
    /// The label of the node that has it.
    pub node: String,
    /// Who that is; none when it is this machine.
    pub peer: Option<NodeId>,
    /// What the node says of it.
    pub info: SessionInfo,
}

impl Client {
    /// The sessions of this user: on this machine's node and at every peer in reach, which are asked at once.
    ///
    /// # Errors
    /// [`ClientError`] when this machine's node or book cannot be asked.
    pub async fn sessions(&self) -> Result<SessionsFound, ClientError> {
        let mut found = SessionsFound { sessions: self.sessions_here().await?, unreachable: Vec::new() };
        if !self.has_group() {
            return Ok(found);
        }
        let (list, known) = (self.peers().await?, KnownPeers::load(self).await?);
        let known = &known;
        let asked = list.peers.iter().map(|peer| async move {
            let name = super::label(&peer.name, peer.id);
            let looked = async { sessions_at(known.reach(self, peer.id).await?).await };
            let sessions = match peer.online {
                true => tokio::time::timeout(LIST_TIMEOUT, looked).await.ok().and_then(Result::ok),
                false => None,
            };
            sessions.map(|(sessions, _)| sessions).ok_or(name)
        });
        for answer in join_all(asked).await {
            match answer {
                Ok(sessions) => found.sessions.extend(sessions),
                Err(name) => found.unreachable.push(name),
            }
        }
        Ok(found)
    }

    async fn sessions_here(&self) -> Result<Vec<SessionFound>, ClientError> {
        if !self.daemon_runs() {
            return Ok(Vec::new());
        }
        let frame = daemon::ask_daemon(self, Frame::empty(Tag::SESSION_LIST), Tag::SESSIONS_ARE).await?;
        let found = |info| SessionFound { node: HERE_LABEL.to_owned(), peer: None, info };
        Ok(decoded::<SessionList>(&frame)?.sessions.into_iter().map(found).collect())
    }

    /// The session of this id, of an id that begins so, or of this name: at this peer (`local` is this machine), or else
    /// on this machine or at any peer.
    ///
    /// # Errors
    /// [`SessionFailure::Unknown`], [`SessionFailure::Ambiguous`], or why a node cannot be asked.
    pub async fn session(&self, on: Option<&str>, which: &str) -> Result<SessionHandle, SessionFailure> {
        match on.map(|on| on.parse::<Target>().unwrap_or(Target::Any)) {
            Some(Target::Local) => self.local_session(&find(&self.sessions_here().await?, which, &[])?),
            Some(Target::Peer(peer)) => self.session_at(&peer, which).await,
            None | Some(Target::Any) => {
                let here = self.sessions_here().await?;
                if let Ok(found) = find(&here, which, &[]) {
                    return self.local_session(&found);
                }
                let all = self.sessions().await?;
                let found = find(&all.sessions, which, &all.unreachable)?;
                match found.peer {
                    None => self.local_session(&found),
                    // By its id: two peers may have one label.
                    Some(peer) => self.session_at(&peer.to_string(), which).await,
                }
            }
        }
    }

    fn local_session(&self, found: &SessionFound) -> Result<SessionHandle, SessionFailure> {
        let way = (Door::Daemon(self.paths().clone()), None, HERE_LABEL.to_owned());
        Ok(SessionHandle::new(self.clone(), found.info.clone(), way))
    }

    async fn session_at(&self, peer: &str, which: &str) -> Result<SessionHandle, SessionFailure> {
        let known = KnownPeers::load(self).await?;
        let id = known.find(peer)?;
        if Some(id) == known.me() {
            return self.local_session(&find(&self.sessions_here().await?, which, &[])?);
        }
        let (sessions, reached) = sessions_at(known.reach(self, id).await?).await?;
        let found = find(&sessions, which, &[])?;
        let Reached { link, name, carrier } = reached;
        let connection = Connection::new(self.clone(), link, carrier);
        let way = (Door::There(connection.link().clone()), Some(Carrier::There(connection)), name);
        Ok(SessionHandle::new(self.clone(), found.info, way))
    }
}

/// The sessions of the caller at this peer.
async fn sessions_at(reached: Reached) -> Result<(Vec<SessionFound>, Reached), ClientError> {
    let frame = ask(&reached.link, Frame::empty(Tag::SESSION_LIST), Tag::SESSIONS_ARE, LIST_TIMEOUT).await?;
    let found = |info| SessionFound { node: reached.name.clone(), peer: Some(reached.link.peer()), info };
    let sessions = decoded::<SessionList>(&frame)?.sessions.into_iter().map(found).collect();
    Ok((sessions, reached))
}

/// The session a user means.
fn find(sessions: &[SessionFound], wanted: &str, unreachable: &[String]) -> Result<SessionFound, SessionFailure> {
    let describe = |found: &&SessionFound| {
        let id = found.info.session.to_string();
        let id = &id[..PREFIX_LEN_MIN * 2];
        found.info.name.as_ref().map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
    };
    // Others' sessions are the owner's to see and to stop, not to use: they are meant where no own one is.
    let own = || sessions.iter().filter(|found| found.info.owner.is_none());
    let named: Vec<_> = own().filter(|found| found.info.name.as_deref() == Some(wanted)).collect();
    let lower = wanted.to_ascii_lowercase();
    let matching: Vec<_> = if named.is_empty() && lower.len() >= PREFIX_LEN_MIN {
        own().filter(|found| found.info.session.to_string().starts_with(&lower)).collect()
    } else {
        named
    };
    let others = || sessions.iter().filter(|found| found.info.owner.is_some());
    let matching: Vec<_> = if matching.is_empty() && lower.len() >= PREFIX_LEN_MIN {
        others().filter(|found| found.info.session.to_string().starts_with(&lower)).collect()
    } else {
        matching
    };
    match matching.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(SessionFailure::Unknown {
            wanted: wanted.to_owned(),
            known: own().map(|found| describe(&found)).collect(),
            unreachable: unreachable.to_vec(),
        }),
        several => Err(SessionFailure::Ambiguous {
            wanted: wanted.to_owned(),
            matching: several.iter().map(describe).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{JobId, SessionState};
    use potluck_runtime::Limits;

    fn found(byte: u8, name: Option<&str>, owner: Option<&str>) -> SessionFound {
        let info = SessionInfo {
            session: JobId([byte; 16]),
            name: name.map(str::to_owned),
            environment: "python".into(),
            image: "data".into(),
            state: SessionState::Awake,
            turns: 0,
            created_unix: 0,
            used_unix: 0,
            memory_bytes: 0,
            owner: owner.map(str::to_owned),
            limits: Limits::default(),
        };
        SessionFound { node: "attic".into(), peer: Some(NodeId::from_bytes([1; 32])), info }
    }

    #[test]
    fn a_session_is_found_by_name_or_id_and_otherwise_those_there_are_are_listed() {
        let all = [
            found(0xaa, Some("work"), None),
            found(0xab, None, None),
            found(0xab, Some("twin"), None),
            found(0xcc, Some("work"), Some("ann")),
        ];
        let find = |wanted| find(&all, wanted, &["cellar".to_owned()]);
        assert_eq!(find("work").unwrap().info.session, JobId([0xaa; 16]));
        assert_eq!(find("AAAA").unwrap().info.session, JobId([0xaa; 16]));
        assert_eq!(find("cccc").unwrap().info.owner.as_deref(), Some("ann"));
        let text = find("aaa").unwrap_err().to_string();
        assert!(text.contains("work (aaaaaaaa)") && text.contains("cellar") && !text.contains("cccc"), "{text}");
        assert!(find("abab").unwrap_err().to_string().contains("twin"));
    }
}
