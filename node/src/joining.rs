//! Joining, from both sides: a ticket becomes two pins and two vouches. What is proved how is in
//! [`crate::trust::join`]; here it is done over a connection and written down.

use crate::defaults::{ADDRESSES_MAX, JOIN_TIMEOUT};
use crate::driver::Core;
use crate::identity::{Identity, NodeId};
use crate::net::link::Closed;
use crate::net::quic::{BindError, DialError, Joining, QuicEndpoint};
use crate::store::record::RecordError;
use crate::trust::book::{Book, BookFull, BookStore};
use crate::trust::invitations::TicketRefusal;
use crate::trust::join::{JoinError, Newcomer, challenge, use_ticket};
use crate::trust::pins::Pins;
use crate::trust::ticket::{Ticket, TicketId, TicketParseError};
use crate::trust::vouch;
use crate::wire::{Fault, FaultCode, FrameError, FrameStream, JoinHello, Members, Tag, Welcome};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far two clocks may differ before the newcomer itself calls a ticket expired; within it the inviter decides.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(10 * 60);
/// How long the inviter waits for the newcomer to have read its welcome.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a machine did not join. Each text is a sentence for whoever pasted the ticket.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The text is no ticket.
    #[error("{0}")]
    Ticket(#[from] TicketParseError),
    /// It was made here.
    #[error("this ticket was made by this very machine; use it on the machine that should join")]
    OwnTicket,
    /// It expired long ago by our clock.
    #[error("the ticket has expired; ask for a new one with `potluck invite`")]
    Expired,
    /// The inviter was not reached.
    #[error(
        "the inviting machine was not reached: {0}; check that `potluck up` runs there and that both machines are on \
         the same network"
    )]
    Unreachable(#[from] DialError),
    /// The inviter's handshake refused us: it has no ticket to be used.
    #[error(
        "the inviting machine has no open invitation: the ticket has been used or has expired; ask for a new one with \
         `potluck invite`"
    )]
    NoInvitation,
    /// The proofs did not lead in.
    #[error("{0}")]
    Join(#[source] JoinError),
    /// The inviter stopped answering.
    #[error("the inviting machine stopped answering while joining; try again")]
    Silent,
    /// The book is full.
    #[error("{0}")]
    Full(#[from] BookFull),
    /// The book could not be written.
    #[error("cannot remember the new peer: {0}")]
    Record(#[from] RecordError),
    /// There is no socket.
    #[error("{0}")]
    Bind(#[from] BindError),
}

impl From<JoinFailure> for Fault {
    fn from(failure: JoinFailure) -> Self {
        let code = match &failure {
            JoinFailure::Join(JoinError::Refused(fault)) => fault.code,
            JoinFailure::Join(JoinError::Forged) => FaultCode::TICKET_FORGED,
            JoinFailure::Expired => FaultCode::TICKET_EXPIRED,
            JoinFailure::Ticket(_) | JoinFailure::OwnTicket | JoinFailure::NoInvitation => FaultCode::TICKET_REFUSED,
            JoinFailure::Unreachable(_) | JoinFailure::Silent => FaultCode::NOT_FOUND,
            JoinFailure::Join(_) | JoinFailure::Full(_) | JoinFailure::Record(_) | JoinFailure::Bind(_) => {
                FaultCode::INTERNAL
            }
        };
        Self::new(code, failure.to_string())
    }
}

/// What a used ticket leads to, to be entered into the book.
#[derive(Clone, Debug)]
pub struct Admission {
    inviter: NodeId,
    addresses: Vec<SocketAddr>,
    welcome: Welcome,
}

impl Admission {
    /// The inviter's name for itself.
    #[must_use]
    pub fn inviter_name(&self) -> &str {
        &self.welcome.name
    }

    /// Pins the inviter, vouches for it, and pins whom it vouches for.
    ///
    /// # Errors
    /// [`BookFull`].
    pub fn enter(self, book: &mut Book, identity: &Identity) -> Result<(), BookFull> {
        book.pin(self.inviter, &self.welcome.name, &self.addresses)?;
        let mut vouches = self.welcome.members.vouches;
        vouches.push(vouch::sign(identity, self.inviter, &self.welcome.name, &self.addresses, unix_now()));
        book.take_vouches(identity.id(), &vouches);
        Ok(())
    }
}

/// Seconds since 1970 by this machine's clock.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Uses a ticket over `endpoint`.
///
/// # Errors
/// [`JoinFailure`].
pub async fn join(endpoint: &QuicEndpoint, newcomer: &Newcomer, ticket: &str) -> Result<Admission, JoinFailure> {
    let ticket: Ticket = ticket.parse()?;
    if ticket.inviter == newcomer.id {
        return Err(JoinFailure::OwnTicket);
    }
    if unix_now() > ticket.expires_unix.saturating_add(CLOCK_TOLERANCE.as_secs()) {
        return Err(JoinFailure::Expired);
    }
    let joining = endpoint.dial_joining(ticket.inviter, &ticket.addresses).await?;
    let conversation = async {
        let mut stream = joining.open_stream().await.map_err(|closed| frame_error(&closed))?;
        use_ticket(&mut stream, &ticket, newcomer, joining.exporter).await
    };
    let result = tokio::time::timeout(JOIN_TIMEOUT, conversation).await.map_err(|_| JoinFailure::Silent)?;
    let refused = matches!(joining.close_reason(), Some(Closed::NotAccepted));
    let mut addresses = vec![joining.remote_address()];
    addresses.extend(ticket.addresses.iter().copied());
    joining.close();
    match result {
        Ok(welcome) => Ok(Admission { inviter: ticket.inviter, addresses, welcome }),
        Err(JoinError::Frame(_)) if refused => Err(JoinFailure::NoInvitation),
        Err(error) => Err(JoinFailure::Join(error)),
    }
}

/// Uses a ticket without a daemon: the book is changed here. The inviter's name for itself.
///
/// # Errors
/// [`JoinFailure`].
pub async fn join_alone(
    identity: &Identity,
    store: &BookStore,
    name: &str,
    ticket: &str,
) -> Result<String, JoinFailure> {
    let endpoint = QuicEndpoint::dial_only(identity, Arc::new(Pins::new(identity.id(), [])))?;
    let newcomer = Newcomer { id: identity.id(), name: name.to_owned(), addresses: Vec::new() };
    let result = join(&endpoint, &newcomer, ticket).await;
    endpoint.shutdown().await;
    let admission = result?;
    let name = admission.inviter_name().to_owned();
    store.update(|book| admission.enter(book, identity))?.0?;
    Ok(name)
}

fn frame_error(closed: &Closed) -> JoinError {
    JoinError::Frame(FrameError::Io(std::io::Error::other(closed.to_string())))
}

/// The inviter's side: one connection, one ticket, one answer.
pub(crate) async fn serve_joining(core: Arc<Core>, joining: Joining) {
    let served = tokio::time::timeout(JOIN_TIMEOUT, async {
        let mut stream = joining.accept_stream().await.ok()?;
        if let Err(fault) = admit(&core, &joining, &mut stream).await {
            tracing::debug!(newcomer = joining.peer.short(), reason = fault.text, "joining refused");
            stream.writer.send_fault(&fault).await.ok()?;
        }
        stream.writer.finish().await.ok()
    });
    if served.await.is_ok() {
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, joining.closed()).await;
    }
    joining.close();
}

async fn admit(core: &Arc<Core>, joining: &Joining, stream: &mut FrameStream) -> Result<(), Fault> {
    let broken = |error: FrameError| match error {
        FrameError::Fault(fault) => fault,
        other => Fault::new(FaultCode::BAD_MESSAGE, other.to_string()),
    };
    let hello: JoinHello = stream.reader.expect_message(Tag::JOIN).await.map_err(broken)?;
    let (id, newcomer) = (TicketId(hello.ticket), joining.peer);
    let secret = core.invitations(move |i| i.secret(id, newcomer, unix_now())).await???;
    let me = core.identity.id();
    if !challenge(stream, &hello, &secret, me, newcomer, joining.exporter).await.map_err(broken)? {
        core.invitations(move |i| i.note_failure(id)).await??;
        return Err(TicketRefusal::Forged.into());
    }
    core.invitations(move |i| i.spend(id, newcomer, unix_now())).await???;
    let addresses = newcomer_addresses(&hello, joining.remote_address());
    let vouch = vouch::sign(&core.identity, newcomer, &hello.name, &addresses, unix_now());
    let name = hello.name.clone();
    let (pinned, book) = core
        .change_book(move |book| {
            book.pin(newcomer, &name, &addresses)?;
            book.take_vouches(me, std::slice::from_ref(&vouch));
            Ok::<(), BookFull>(())
        })
        .await?;
    pinned.map_err(|full| Fault::new(FaultCode::BUSY, full.to_string()))?;
    tracing::info!(peer = newcomer.short(), "a new peer has joined");
    let members = Members { vouches: book.vouches().cloned().collect() };
    let welcome = Welcome { name: core.config.name.clone(), members };
    stream.writer.send_message(Tag::WELCOME, &welcome).await.map_err(broken)
}

/// Where the newcomer says it listens; the address it was seen at first, if that is where it listens.
fn newcomer_addresses(hello: &JoinHello, seen: SocketAddr) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    if hello.addresses.iter().any(|address| address.port() == seen.port()) {
        addresses.push(seen);
    }
    addresses.extend(hello.addresses.iter().filter(|address| **address != seen));
    addresses.truncate(ADDRESSES_MAX);
    addresses
}
