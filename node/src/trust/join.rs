//! The joining: a stranger and an inviter prove to each other, over an authenticated connection, that both know the
//! ticket's secret. The proofs cover both keys, both nonces, the side, and the connection itself (its TLS exporter), so
//! nothing can be replayed, mirrored or passed on. Who proves wrongly learns nothing but that.

use crate::identity::NodeId;
use crate::trust::invitations::TicketRefusal;
use crate::trust::ticket::{Ticket, TicketSecret};
use crate::wire::{
    Fault, FaultCode, FrameError, FrameStream, JoinChallenge, JoinHello, JoinProof, JoinWaits, Tag, Welcome,
};
use std::net::SocketAddr;
use subtle::ConstantTimeEq;

/// The label of the TLS exporter that binds proofs to their connection.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-potluck-join-1";

/// What both proofs cover besides the secret.
#[derive(Clone, Copy, Debug)]
pub struct Transcript {
    /// The inviter's key, as proved in the handshake.
    pub inviter: NodeId,
    /// The newcomer's key, as proved in the handshake.
    pub newcomer: NodeId,
    /// The newcomer's nonce.
    pub newcomer_nonce: [u8; 32],
    /// The inviter's nonce.
    pub inviter_nonce: [u8; 32],
    /// What only this connection has.
    pub exporter: [u8; 32],
}

#[derive(Clone, Copy)]
enum Side {
    Inviter,
    Newcomer,
}

impl Transcript {
    fn proof(&self, side: Side, secret: &TicketSecret) -> [u8; 32] {
        let label: &[u8; 24] = match side {
            Side::Inviter => b"potluck join 1: inviter ",
            Side::Newcomer => b"potluck join 1: newcomer",
        };
        // Every part has a fixed length, so no two transcripts have the same bytes.
        let mut hasher = blake3::Hasher::new_keyed(&secret.0);
        hasher.update(label).update(self.inviter.as_bytes()).update(self.newcomer.as_bytes());
        hasher.update(&self.newcomer_nonce).update(&self.inviter_nonce).update(&self.exporter);
        *hasher.finalize().as_bytes()
    }

    /// What the inviter sends.
    #[must_use]
    pub fn inviter_proof(&self, secret: &TicketSecret) -> [u8; 32] {
        self.proof(Side::Inviter, secret)
    }

    /// Whether the newcomer knows the secret. Takes the same time for every answer.
    #[must_use]
    pub fn newcomer_proves(&self, secret: &TicketSecret, proof: &[u8; 32]) -> bool {
        self.proof(Side::Newcomer, secret).ct_eq(proof).into()
    }

    fn inviter_proves(&self, secret: &TicketSecret, proof: &[u8; 32]) -> bool {
        self.proof(Side::Inviter, secret).ct_eq(proof).into()
    }

    fn newcomer_proof(&self, secret: &TicketSecret) -> [u8; 32] {
        self.proof(Side::Newcomer, secret)
    }
}

/// Why a newcomer did not get in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The inviter refused, with its sentence.
    #[error("{0}")]
    Refused(Fault),
    /// The answering node has the inviter's key but not the ticket's secret.
    #[error("the ticket is not genuine: the machine that made it does not know its secret; ask for a new one")]
    Forged,
    /// The conversation broke.
    #[error("the inviting machine stopped answering while joining")]
    Frame(#[source] FrameError),
    /// The system gives no random bytes.
    #[error("cannot join because the system gives no random bytes")]
    NoRandomness,
}

impl From<FrameError> for JoinError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Fault(fault) => Self::Refused(fault),
            other => Self::Frame(other),
        }
    }
}

impl From<TicketRefusal> for Fault {
    fn from(refusal: TicketRefusal) -> Self {
        let code = match refusal {
            TicketRefusal::Unknown | TicketRefusal::Withdrawn => FaultCode::TICKET_REFUSED,
            TicketRefusal::Used => FaultCode::TICKET_USED,
            TicketRefusal::Expired => FaultCode::TICKET_EXPIRED,
            TicketRefusal::Forged | TicketRefusal::Closed => FaultCode::TICKET_FORGED,
        };
        Self::new(code, refusal.to_string())
    }
}

/// Bytes that nobody can foretell.
pub(crate) fn nonce() -> Option<[u8; 32]> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).ok().map(|()| nonce)
}

/// What the inviter says once the ticket is proved.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The newcomer is a member.
    Welcome(Welcome),
    /// The inviter's owner has yet to say yes.
    Waits(JoinWaits),
}

/// What a newcomer says of itself.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its key.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

/// The newcomer's side: proves the ticket and checks the inviter's proof first, so that the secret's holder is the
/// only one that ever sees a proof of it.
///
/// # Errors
/// [`JoinError`].
pub async fn use_ticket(
    stream: &mut FrameStream,
    ticket: &Ticket,
    newcomer: &Newcomer,
    exporter: [u8; 32],
) -> Result<Answer, JoinError> {
    let newcomer_nonce = nonce().ok_or(JoinError::NoRandomness)?;
    let hello = JoinHello {
        ticket: ticket.id.0,
        name: newcomer.name.clone(),
        nonce: newcomer_nonce,
        addresses: newcomer.addresses.clone(),
    };
    stream.writer.send_message(Tag::JOIN, &hello).await?;
    let challenge: JoinChallenge = stream.reader.expect_message(Tag::JOIN_CHALLENGE).await?;
    let transcript = Transcript {
        inviter: ticket.inviter,
        newcomer: newcomer.id,
        newcomer_nonce,
        inviter_nonce: challenge.nonce,
        exporter,
    };
    if !transcript.inviter_proves(&ticket.secret, &challenge.proof) {
        return Err(JoinError::Forged);
    }
    let proof = JoinProof { proof: transcript.newcomer_proof(&ticket.secret) };
    stream.writer.send_message(Tag::JOIN_PROOF, &proof).await?;
    let answer = stream.reader.expect_any().await?;
    let decoded = match answer.tag {
        Tag::JOIN_WAITS => answer.decode().map(Answer::Waits),
        Tag::WELCOME => answer.decode().map(Answer::Welcome),
        other => return Err(JoinError::Frame(FrameError::Unexpected { wanted: Tag::WELCOME, got: other })),
    };
    decoded.map_err(|source| JoinError::Frame(FrameError::Decode { tag: answer.tag, source }))
}

/// The inviter's side, as far as it needs no memory: sends the challenge and returns whether the newcomer proved the
/// secret.
///
/// # Errors
/// [`FrameError`] when the newcomer went away or spoke nonsense.
pub async fn challenge(
    stream: &mut FrameStream,
    hello: &JoinHello,
    secret: &TicketSecret,
    inviter: NodeId,
    newcomer: NodeId,
    exporter: [u8; 32],
) -> Result<bool, FrameError> {
    let Some(inviter_nonce) = nonce() else {
        return Err(FrameError::Io(std::io::Error::other("the system gives no random bytes")));
    };
    let transcript = Transcript { inviter, newcomer, newcomer_nonce: hello.nonce, inviter_nonce, exporter };
    let answer = JoinChallenge { nonce: inviter_nonce, proof: transcript.inviter_proof(secret) };
    stream.writer.send_message(Tag::JOIN_CHALLENGE, &answer).await?;
    let proof: JoinProof = stream.reader.expect_message(Tag::JOIN_PROOF).await?;
    Ok(transcript.newcomer_proves(secret, &proof.proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        Transcript {
            inviter: NodeId::from_bytes([1; 32]),
            newcomer: NodeId::from_bytes([2; 32]),
            newcomer_nonce: [3; 32],
            inviter_nonce: [4; 32],
            exporter: [5; 32],
        }
    }

    #[test]
    fn a_proof_holds_for_its_side_secret_and_transcript_alone() {
        let secret = TicketSecret([6; 32]);
        let proof = transcript().newcomer_proof(&secret);
        assert!(transcript().newcomer_proves(&secret, &proof));
        assert!(!transcript().inviter_proves(&secret, &proof), "a proof cannot be mirrored");
        assert!(!transcript().newcomer_proves(&TicketSecret([7; 32]), &proof));
        let changes: [fn(&mut Transcript); 5] = [
            |t| t.inviter = NodeId::from_bytes([9; 32]),
            |t| t.newcomer = NodeId::from_bytes([9; 32]),
            |t| t.newcomer_nonce = [9; 32],
            |t| t.inviter_nonce = [9; 32],
            |t| t.exporter = [9; 32],
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = transcript();
            change(&mut changed);
            assert!(!changed.newcomer_proves(&secret, &proof), "change {number}");
        }
    }

    #[test]
    fn the_bytes_of_the_proofs_are_these() {
        let secret = TicketSecret([6; 32]);
        let hex = |proof: [u8; 32]| data_encoding::HEXLOWER.encode(&proof);
        assert_eq!(
            hex(transcript().inviter_proof(&secret)),
            "7e277abda503caeb8fd409d0e9319cd24bac8e15d4cd1d84abde1ce63d579555"
        );
        assert_eq!(
            hex(transcript().newcomer_proof(&secret)),
            "3510dd8f52d787622b298db16232396808f5e75259ceb6a2cf2813b92e967d4d"
        );
    }
}
