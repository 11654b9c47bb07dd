//! Joining, from both sides: a ticket becomes two pins and two vouches. What is proved how is in
//! [`crate::trust::join`]; here it is done over a connection and written down.

use crate::clock::Clock;
use crate::config::Config;
use crate::defaults::{ADDRESSES_MAX, JOIN_TIMEOUT};
use crate::driver::Core;
use crate::identity::{Identity, NodeId};
use crate::net::link::Closed;
use crate::net::quic::{BindError, DialError, Joining, QuicEndpoint};
use crate::store::record::RecordError;
use crate::trust::book::{Book, BookFull, BookStore, Newcomers, PendingEntry};
use crate::trust::invitations::{Grant, TicketRefusal, Use};
use crate::trust::join::{Answer, JoinError, Newcomer, challenge, use_ticket};
use crate::trust::pins::Pins;
use crate::trust::ticket::{Ticket, TicketId, TicketParseError};
use crate::wire::{Fault, FaultCode, FrameError, FrameStream, JoinHello, JoinWaits, Tag, Welcome};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
    answer: Answer,
}

impl Admission {
    /// The inviter's name for itself.
    #[must_use]
    pub fn inviter_name(&self) -> &str {
        match &self.answer {
            Answer::Welcome(welcome) => &welcome.name,
            Answer::Waits(waits) => &waits.name,
        }
    }

    /// The inviter's name if its owner has yet to say yes.
    #[must_use]
    pub fn waits(&self) -> Option<JoinWaits> {
        match &self.answer {
            Answer::Welcome(_) => None,
            Answer::Waits(waits) => Some(waits.clone()),
        }
    }

    /// Pins the inviter, vouches for it, and takes in what it says of the others. An inviter whose owner has yet to say
    /// yes is pinned as well: it will come to us when that is said, or be found by us.
    ///
    /// # Errors
    /// [`BookFull`].
    pub fn enter(
        self,
        book: &mut Book,
        identity: &Identity,
        newcomers: Newcomers,
        now_unix: u64,
    ) -> Result<(), BookFull> {
        let name = self.inviter_name().to_owned();
        book.admit(identity, self.inviter, &name, &self.addresses, now_unix)?;
        if let Answer::Welcome(Welcome { members, .. }) = self.answer {
            book.take(identity.id(), &members, newcomers);
        }
        Ok(())
    }
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
    // Whether it has expired is for the inviter's clock alone to say: ours may be hours off.
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
        Ok(answer) => Ok(Admission { inviter: ticket.inviter, addresses, answer }),
        Err(JoinError::Frame(_)) if refused => Err(JoinFailure::NoInvitation),
        Err(error) => Err(JoinFailure::Join(error)),
    }
}

/// Uses a ticket without a daemon: the book is changed here. The inviter's name for itself, and whether its owner has yet
/// to say yes.
///
/// # Errors
/// [`JoinFailure`].
pub async fn join_alone(
    identity: &Identity,
    store: &BookStore,
    config: &Config,
    ticket: &str,
) -> Result<(String, bool), JoinFailure> {
    let endpoint = QuicEndpoint::dial_only(identity, Arc::new(Pins::new(identity.id(), [])))?;
    let newcomer = Newcomer { id: identity.id(), name: config.name.clone(), addresses: Vec::new() };
    let result = join(&endpoint, &newcomer, ticket).await;
    endpoint.shutdown().await;
    let admission = result?;
    let (name, waits) = (admission.inviter_name().to_owned(), admission.waits().is_some());
    let now = Clock::system().unix_now();
    store.update(|book| admission.enter(book, identity, config.newcomers(now), now))?.0?;
    Ok((name, waits))
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
    let (id, newcomer, now) = (TicketId(hello.ticket), joining.peer, core.clock.unix_now());
    let secret = core.invitations(move |i| i.secret(id, newcomer, now)).await???;
    let me = core.identity.id();
    if !challenge(stream, &hello, &secret, me, newcomer, joining.exporter).await.map_err(broken)? {
        core.invitations(move |i| i.note_failure(id)).await??;
        return Err(TicketRefusal::Forged.into());
    }
    let now = core.clock.unix_now();
    let used = core.invitations(move |i| i.spend(id, newcomer, now)).await???;
    let addresses = newcomer_addresses(&hello, joining.remote_address());
    let identity = core.identity.clone();
    let (entered, book) = core
        .change_book(move |book| enter_newcomer(book, &identity, newcomer, &hello.name, &addresses, used, now))
        .await?;
    let name = core.config.name.clone();
    match entered.map_err(|full| Fault::new(FaultCode::BUSY, full.to_string()))? {
        Entered::In => {
            tracing::info!(peer = newcomer.short(), "a new peer has joined");
            let welcome = Welcome { name, members: book.words() };
            stream.writer.send_message(Tag::WELCOME, &welcome).await.map_err(broken)
        }
        Entered::Waits => {
            tracing::info!(peer = newcomer.short(), "a newcomer waits for the owner's yes: `potluck peers pending`");
            stream.writer.send_message(Tag::JOIN_WAITS, &JoinWaits { name }).await.map_err(broken)
        }
        Entered::Not => {
            let text = format!("the owner of {name} did not let this machine in; ask for a new ticket");
            Err(Fault::new(FaultCode::NOT_ALLOWED, text))
        }
    }
}

/// What became of a newcomer that has proved a ticket.
enum Entered {
    In,
    Waits,
    Not,
}

/// A ticket that was used before gives nothing anew: whoever was denied, removed or revoked since stays outside.
fn enter_newcomer(
    book: &mut Book,
    identity: &Identity,
    newcomer: NodeId,
    name: &str,
    addresses: &[SocketAddr],
    used: Use,
    now_unix: u64,
) -> Result<Entered, BookFull> {
    let inside = book.peer(&newcomer).is_some();
    match used {
        Use::First(_) if inside => book.admit(identity, newcomer, name, addresses, now_unix).map(|()| Entered::In),
        Use::First(Grant::Enters) => book.admit(identity, newcomer, name, addresses, now_unix).map(|()| Entered::In),
        Use::First(Grant::Asks) => {
            let (id, name, addresses) = (newcomer, name.to_owned(), addresses.to_vec());
            book.ask_in(PendingEntry { id, name, addresses, since_unix: now_unix, vouched_by: None })?;
            Ok(Entered::Waits)
        }
        Use::Again if inside => Ok(Entered::In),
        Use::Again if book.is_pending(&newcomer) => Ok(Entered::Waits),
        Use::Again => Ok(Entered::Not),
    }
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
