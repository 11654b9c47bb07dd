//! The invitations a node has made. Each lets one stranger in, once, until it expires by this node's clock. Spent and
//! expired ones are remembered for a while, so that using one again is refused by name.

use crate::defaults::{INVITATION_MEMORY, INVITATIONS_MAX, JOIN_ATTEMPTS_MAX, TICKET_ADDRESSES_MAX};
use crate::identity::NodeId;
use crate::store::record::{Record, RecordError};
use crate::trust::ticket::{Ticket, TicketId, TicketSecret};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;

/// The file's name in the data directory. It holds secrets of open invitations and is readable by its owner alone.
pub const INVITATIONS_FILE: &str = "invitations.toml";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: String,
    /// Emptied when spent.
    secret: String,
    expires_unix: u64,
    /// Whether its holder is let in without a further yes.
    #[serde(default)]
    approved: bool,
    /// Withdrawn by the owner before it was used.
    #[serde(default)]
    withdrawn: bool,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_by: Option<NodeId>,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct InvitationsFile {
    #[serde(default)]
    invitations: Vec<Entry>,
}

/// What a ticket gives whoever holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A place among those who wait for the owner's yes.
    Asks,
    /// Entrance.
    Enters,
}

/// What a proof of a ticket's secret was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The first.
    First(Grant),
    /// One more by the same newcomer, whose answer may have been lost, or who looks whether yes was said.
    Again,
}

/// Why a ticket does not let anyone in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketRefusal {
    /// No such ticket was made here, or it was forgotten.
    #[error("the ticket is not known here; ask for a new one with `potluck invite`")]
    Unknown,
    /// It was used.
    #[error("the ticket has already been used; each lets one machine in, ask for a new one with `potluck invite`")]
    Used,
    /// It has expired.
    #[error("the ticket has expired; ask for a new one with `potluck invite`")]
    Expired,
    /// Its secret was not proved.
    #[error("the ticket is not genuine: its secret is not the one that was given out")]
    Forged,
    /// The owner has put somebody out since, who may hold it.
    #[error("the ticket was withdrawn when a peer was revoked; ask for a new one with `potluck invite`")]
    Withdrawn,
    /// Too many false proofs were tried.
    #[error("the ticket was closed after too many false attempts; ask for a new one with `potluck invite`")]
    Closed,
}

/// Why no invitation was made.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// Too many are known.
    #[error("there are already {INVITATIONS_MAX} invitations; wait until some have expired")]
    TooMany,
    /// The system gives no random bytes.
    #[error("cannot make an invitation because the system gives no random bytes")]
    NoRandomness,
    /// It could not be kept.
    #[error("cannot keep the invitation")]
    Record(#[from] RecordError),
}

/// The invitations on disk.
pub struct Invitations {
    record: Record<InvitationsFile>,
}

impl Invitations {
    /// The invitations in this data directory.
    #[must_use]
    pub fn in_dir(data_dir: &Path) -> Self {
        Self { record: Record::at(&data_dir.join(INVITATIONS_FILE)) }
    }

    /// Makes a ticket that lets one stranger in until `expires_unix`.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn make(
        &self,
        inviter: NodeId,
        addresses: &[SocketAddr],
        now_unix: u64,
        expires_unix: u64,
        grant: Grant,
    ) -> Result<Ticket, InviteError> {
        let mut random = [0u8; 40];
        getrandom::fill(&mut random).map_err(|_| InviteError::NoRandomness)?;
        let (mut id, mut secret) = ([0u8; 8], [0u8; 32]);
        id.copy_from_slice(&random[..8]);
        secret.copy_from_slice(&random[8..]);
        let (room, _) = self.record.update(|file| {
            forget(file, now_unix);
            let room = file.invitations.len() < INVITATIONS_MAX;
            if room {
                let (id, secret) = (hex(&id), hex(&secret));
                let approved = grant == Grant::Enters;
                file.invitations.push(Entry {
                    id,
                    secret,
                    expires_unix,
                    approved,
                    withdrawn: false,
                    failures: 0,
                    used_by: None,
                });
            }
            room
        })?;
        if !room {
            return Err(InviteError::TooMany);
        }
        let addresses = addresses.iter().copied().take(TICKET_ADDRESSES_MAX).collect();
        Ok(Ticket { id: TicketId(id), inviter, secret: TicketSecret(secret), expires_unix, addresses })
    }

    /// Withdraws every ticket that was not used: whoever is put out may hold one.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn withdraw_open(&self) -> Result<(), RecordError> {
        let withdraw = |file: &mut InvitationsFile| {
            file.invitations
                .iter_mut()
                .filter(|entry| entry.used_by.is_none())
                .for_each(|entry| entry.withdrawn = true);
        };
        self.record.update(withdraw).map(|_| ())
    }

    /// Forgets every invitation, so that no ticket is good any more.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn forget_all(&self) -> Result<(), RecordError> {
        self.record.update(|file| file.invitations.clear()).map(|_| ())
    }

    /// Whether there is a ticket to be used, or to be refused by name.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn any(&self, now_unix: u64) -> Result<bool, RecordError> {
        let mut file = self.record.read()?;
        forget(&mut file, now_unix);
        Ok(!file.invitations.is_empty())
    }

    /// The secret that whoever holds ticket `id` must prove. A newcomer that already used it may prove it again, because
    /// the answer to its first proof may have been lost.
    ///
    /// # Errors
    /// [`RecordError`], or inside it why the ticket lets nobody in.
    pub fn secret(
        &self,
        id: TicketId,
        newcomer: NodeId,
        now_unix: u64,
    ) -> Result<Result<TicketSecret, TicketRefusal>, RecordError> {
        let file = self.record.read()?;
        Ok(file.secret(id, newcomer, now_unix))
    }

    /// Marks the ticket as used by `newcomer`. Of two that prove it at once only the first is let on.
    ///
    /// # Errors
    /// [`RecordError`], or inside it why the ticket lets nobody in.
    pub fn spend(
        &self,
        id: TicketId,
        newcomer: NodeId,
        now_unix: u64,
    ) -> Result<Result<Use, TicketRefusal>, RecordError> {
        let (result, _) = self.record.update(|file| {
            file.secret(id, newcomer, now_unix)?;
            let entry = file.entry_mut(id).ok_or(TicketRefusal::Unknown)?;
            let grant = if entry.approved { Grant::Enters } else { Grant::Asks };
            Ok(match entry.used_by.replace(newcomer) {
                None => Use::First(grant),
                Some(_) => Use::Again,
            })
        })?;
        Ok(result)
    }

    /// Notes a false proof; after [`JOIN_ATTEMPTS_MAX`] of them the ticket is closed.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn note_failure(&self, id: TicketId) -> Result<(), RecordError> {
        self.record.update(|file| {
            if let Some(entry) = file.entry_mut(id) {
                entry.failures = entry.failures.saturating_add(1);
            }
        })?;
        Ok(())
    }
}

impl InvitationsFile {
    fn entry_mut(&mut self, id: TicketId) -> Option<&mut Entry> {
        let id = id.to_string();
        self.invitations.iter_mut().find(|entry| entry.id == id)
    }

    fn secret(&self, id: TicketId, newcomer: NodeId, now_unix: u64) -> Result<TicketSecret, TicketRefusal> {
        let id = id.to_string();
        let entry = self.invitations.iter().find(|entry| entry.id == id).ok_or(TicketRefusal::Unknown)?;
        if entry.used_by.is_some_and(|used_by| used_by != newcomer) {
            return Err(TicketRefusal::Used);
        }
        if entry.withdrawn {
            return Err(TicketRefusal::Withdrawn);
        }
        if now_unix >= entry.expires_unix {
            return Err(TicketRefusal::Expired);
        }
        if entry.failures >= JOIN_ATTEMPTS_MAX {
            return Err(TicketRefusal::Closed);
        }
        let secret = data_encoding::HEXLOWER.decode(entry.secret.as_bytes()).ok();
        let secret = secret.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        secret.map(TicketSecret).ok_or(TicketRefusal::Unknown)
    }
}

fn forget(file: &mut InvitationsFile, now_unix: u64) {
    file.invitations.retain(|entry| now_unix < entry.expires_unix.saturating_add(INVITATION_MEMORY.as_secs()));
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: NodeId = NodeId::from_bytes([1; 32]);
    const BOB: NodeId = NodeId::from_bytes([2; 32]);

    fn invitations() -> (tempfile::TempDir, Invitations, Ticket) {
        let dir = tempfile::tempdir().unwrap();
        let invitations = Invitations::in_dir(dir.path());
        let ticket = invitations.make(NodeId::from_bytes([9; 32]), &[], 1000, 2000, Grant::Asks).unwrap();
        (dir, invitations, ticket)
    }

    #[test]
    fn a_ticket_is_used_once_and_survives_a_restart() {
        let (dir, invitations, ticket) = invitations();
        assert_eq!(invitations.secret(ticket.id, ANN, 1500).unwrap().unwrap(), ticket.secret);
        let restarted = Invitations::in_dir(dir.path());
        assert_eq!(restarted.spend(ticket.id, ANN, 1500).unwrap(), Ok(Use::First(Grant::Asks)));
        assert_eq!(restarted.spend(ticket.id, ANN, 1500).unwrap(), Ok(Use::Again));
        assert_eq!(restarted.spend(ticket.id, BOB, 1500).unwrap(), Err(TicketRefusal::Used));
        assert_eq!(restarted.secret(ticket.id, BOB, 1500).unwrap(), Err(TicketRefusal::Used));
        assert!(restarted.secret(ticket.id, ANN, 1500).unwrap().is_ok(), "an answer that was lost can be had again");
    }

    #[test]
    fn a_ticket_says_itself_whether_its_holder_is_let_in_without_a_yes() {
        let (_dir, invitations, _) = invitations();
        for grant in [Grant::Asks, Grant::Enters] {
            let ticket = invitations.make(BOB, &[], 1000, 2000, grant).unwrap();
            assert_eq!(invitations.spend(ticket.id, ANN, 1500).unwrap(), Ok(Use::First(grant)));
        }
    }

    #[test]
    fn an_expired_ticket_is_refused_by_name_and_then_forgotten() {
        let (_dir, invitations, ticket) = invitations();
        assert_eq!(invitations.secret(ticket.id, ANN, 2000).unwrap(), Err(TicketRefusal::Expired));
        assert!(invitations.any(2000).unwrap());
        assert!(!invitations.any(2000 + INVITATION_MEMORY.as_secs()).unwrap());
        let unknown = TicketId([0; 8]);
        assert_eq!(invitations.secret(unknown, ANN, 1500).unwrap(), Err(TicketRefusal::Unknown));
    }

    #[test]
    fn unused_tickets_can_be_withdrawn_and_later_ones_are_good() {
        let (_dir, invitations, ticket) = invitations();
        let used = invitations.make(BOB, &[], 1000, 2000, Grant::Asks).unwrap();
        invitations.spend(used.id, ANN, 1500).unwrap().unwrap();
        invitations.withdraw_open().unwrap();
        assert_eq!(invitations.secret(ticket.id, ANN, 1500).unwrap(), Err(TicketRefusal::Withdrawn));
        assert!(invitations.secret(used.id, ANN, 1500).unwrap().is_ok());
        let later = invitations.make(BOB, &[], 1000, 2000, Grant::Asks).unwrap();
        assert!(invitations.secret(later.id, ANN, 1500).unwrap().is_ok());
    }

    #[test]
    fn false_proofs_close_a_ticket() {
        let (_dir, invitations, ticket) = invitations();
        for _ in 0..JOIN_ATTEMPTS_MAX {
            assert!(invitations.secret(ticket.id, ANN, 1500).unwrap().is_ok());
            invitations.note_failure(ticket.id).unwrap();
        }
        assert_eq!(invitations.secret(ticket.id, ANN, 1500).unwrap(), Err(TicketRefusal::Closed));
    }

    #[test]
    fn there_is_a_bound_on_invitations() {
        let (_dir, invitations, _) = invitations();
        for _ in 1..INVITATIONS_MAX {
            invitations.make(ANN, &[], 1000, 2000, Grant::Asks).unwrap();
        }
        assert!(matches!(invitations.make(ANN, &[], 1000, 2000, Grant::Asks), Err(InviteError::TooMany)));
        assert!(invitations.make(ANN, &[], 1_000_000, 2_000_000, Grant::Asks).is_ok());
    }
}
