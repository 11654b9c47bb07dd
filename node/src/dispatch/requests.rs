//! The requests a node answers itself; the others go to its [`JobService`](super::JobService).

use super::home;
use super::overview::peer_list;
use super::{Caller, Role};
use crate::defaults::{ADDRESSES_MAX, INVITATION_TTL_MAX, PORT, REQUEST_TIMEOUT};
use crate::driver::Core;
use crate::joining::{JoinFailure, join};
use crate::net::link::Link;
use crate::net::tls::Expected;
use crate::service::chain;
use crate::state::peers::{Event, LinkId};
use crate::trust::book::ApproveError;
use crate::trust::invitations::{Grant, Invitations, InviteError};
use crate::trust::join::Newcomer;
use crate::wire::{
    AcceptKey, AddPeer, DecodeError, Fault, FaultCode, Frame, FrameError, FrameStream, Invitation, Invite, Join,
    Members, RemovePeer, Tag, Twin, WhichKey,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Serves one stream of a link.
pub(crate) async fn serve_stream(core: Arc<Core>, caller: Caller, link: LinkId, mut stream: FrameStream) {
    let Some(len) = request_len(&caller, &mut stream).await else { return };
    let taken = match caller.role {
        Role::Owner => Ok(None),
        Role::Peer => core.budgets.take(caller.id, len).await.map(Some),
    };
    match taken {
        Ok(_taken) => {
            if let Some(first) = first_frame(&caller, &mut stream).await {
                serve_request(core, caller, Some(link), first, stream).await;
            }
        }
        // Whoever cannot be told is gone.
        Err(fault) => drop(stream.writer.send_fault(&fault).await),
    }
}

/// How long the request is, before it is taken in.
async fn request_len(caller: &Caller, stream: &mut FrameStream) -> Option<usize> {
    match tokio::time::timeout(REQUEST_TIMEOUT, stream.reader.peek()).await {
        Ok(Ok(head)) => head.map(|(_, len)| len),
        Err(_) => {
            tell(caller, stream, FaultCode::TOO_SLOW, silent()).await;
            None
        }
        Ok(Err(error)) => {
            tell(caller, stream, FaultCode::BAD_MESSAGE, error.to_string()).await;
            None
        }
    }
}

fn silent() -> String {
    format!("no request came within {} s", REQUEST_TIMEOUT.as_secs())
}

async fn tell(caller: &Caller, stream: &mut FrameStream, code: FaultCode, text: String) {
    tracing::debug!(peer = caller.id.short(), reason = text, "stream without a request");
    // Whoever cannot be told is gone.
    let _ = stream.writer.send_fault(&Fault::new(code, text)).await;
}

/// The frame that names the request, if there is one; a caller that says something else is told.
pub(super) async fn first_frame(caller: &Caller, stream: &mut FrameStream) -> Option<Frame> {
    match tokio::time::timeout(REQUEST_TIMEOUT, stream.reader.next()).await {
        Ok(Ok(first)) => first,
        Err(_) => {
            tell(caller, stream, FaultCode::TOO_SLOW, silent()).await;
            None
        }
        Ok(Err(error)) => {
            tell(caller, stream, FaultCode::BAD_MESSAGE, error.to_string()).await;
            None
        }
    }
}

/// Answers one request, which came over this link or over the owner's socket.
pub(super) async fn serve_request(
    core: Arc<Core>,
    caller: Caller,
    link: Option<LinkId>,
    first: Frame,
    mut stream: FrameStream,
) {
    tracing::trace!(peer = caller.id.short(), request = %first.tag, "request");
    let would_run = matches!(first.tag, Tag::SUBMIT | Tag::RUN_KEEP | Tag::SESSION_TURN | Tag::SESSION_FORK);
    if let Some(bad) = core.bad_engine.as_ref().filter(|_| would_run && caller.role == Role::Peer) {
        let text = format!("{} lends nothing: {bad}; its owner should update Potluck", core.config.name);
        // Whoever cannot be told is gone.
        let _ = stream.writer.send_fault(&Fault::new(FaultCode::NOT_ALLOWED, text)).await;
        let _ = stream.writer.finish().await;
        return;
    }
    let of_jobs =
        matches!(first.tag, Tag::SUBMIT | Tag::CANCEL | Tag::FETCH_ARTIFACT) || first.tag.is_about_kept_runs();
    if of_jobs || first.tag.is_about_lending() || first.tag.is_about_sessions() {
        return core.service.serve(caller, first, stream).await;
    }
    if first.tag.is_about_home() && caller.is_at_hand() {
        return serve_home(&core, &first, stream).await;
    }
    let answer = answer(&core, &caller, link, &first).await;
    let stopping = first.tag == Tag::OWNER_SHUTDOWN && answer.is_ok();
    let sent = match answer {
        Ok(Some(frame)) => stream.writer.send(frame).await,
        Ok(None) => Ok(()),
        Err(fault) => {
            tracing::debug!(peer = caller.id.short(), request = %first.tag, reason = fault.text, "refused");
            stream.writer.send_fault(&fault).await
        }
    };
    if sent.is_ok() {
        let _ = stream.writer.finish().await;
    }
    if stopping {
        core.stop.cancel();
    }
}

/// Answers what the owner asks of the jobs this node is home to.
async fn serve_home(core: &Core, first: &Frame, mut stream: FrameStream) {
    let answered = match core.home.get() {
        Some(home) => home::answer(home, &core.config.name, core.clock.unix_now_ms(), first, &mut stream).await,
        None => Err(Fault::new(FaultCode::UNSUPPORTED, "this node remembers no jobs").into()),
    };
    let told = match answered {
        Err(home::Stop::Refused(fault)) => stream.writer.send_fault(&fault).await,
        Ok(()) | Err(home::Stop::Gone) => Ok(()),
    };
    if told.is_ok() {
        // Whoever cannot be told is gone.
        let _ = stream.writer.finish().await;
    }
}

async fn answer(
    core: &Arc<Core>,
    caller: &Caller,
    link: Option<LinkId>,
    request: &Frame,
) -> Result<Option<Frame>, Fault> {
    if request.tag.is_for_owner() && caller.role != Role::Owner {
        return Err(Fault::new(FaultCode::NOT_ALLOWED, "only the owner of that machine may ask this"));
    }
    let done = Some(Frame::empty(Tag::DONE));
    match (request.tag, link) {
        (Tag::INFO, _) => Ok(Some(Frame::message(Tag::INFO_IS, &core.info()))),
        (Tag::MEMBERS, Some(link)) if caller.role == Role::Peer => members(core, link, request).await.map(Some),
        (Tag::GOODBYE, Some(link)) => {
            core.report(Event::Goodbye { link }).await;
            Ok(None)
        }
        (Tag::TWIN, Some(_)) if caller.role == Role::Peer => {
            let Twin { mut addresses } = decoded(request)?;
            addresses.truncate(ADDRESSES_MAX);
            core.report(Event::TwinTold { by: caller.id, addresses }).await;
            Ok(done)
        }
        (Tag::OWNER_PEERS, _) => Ok(Some(Frame::message(Tag::PEERS_ARE, &peer_list(core).await?))),
        (Tag::OWNER_SHUTDOWN, _) => Ok(done),
        (Tag::OWNER_INVITE, _) => invite(core, &decoded(request)?).await.map(Some),
        (Tag::OWNER_JOIN, _) => {
            let request: Join = decoded(request)?;
            join_group(core, &request.ticket).await.map(Some)
        }
        (Tag::OWNER_ADD_PEER, _) => {
            let request: AddPeer = decoded(request)?;
            add_peer(core, &request.address).await?;
            Ok(done)
        }
        (Tag::OWNER_REMOVE_PEER, _) => {
            let request: RemovePeer = decoded(request)?;
            let (known, _) = core.change_book(move |book| book.remove(&request.peer)).await?;
            core.service.forget(request.peer).await;
            if known { Ok(done) } else { Err(Fault::new(FaultCode::NOT_FOUND, "no such peer is trusted here")) }
        }
        (Tag::OWNER_APPROVE | Tag::OWNER_DENY | Tag::OWNER_REVOKE | Tag::OWNER_ACCEPT_KEY, _) => {
            decide(core, request).await?;
            Ok(done)
        }
        (other, _) => {
            let text = format!("{other} is no request that this node understands here");
            Err(Fault::new(FaultCode::UNSUPPORTED, text))
        }
    }
}

fn decoded<T: serde::de::DeserializeOwned>(request: &Frame) -> Result<T, Fault> {
    request.decode().map_err(|error: DecodeError| {
        let why = chain(&error);
        Fault::new(FaultCode::BAD_MESSAGE, format!("{} request cannot be understood: {why}", request.tag))
    })
}

async fn members(core: &Arc<Core>, link: LinkId, request: &Frame) -> Result<Frame, Fault> {
    let theirs: Members = decoded(request)?;
    let me = core.identity.id();
    let newcomers = core.config.newcomers(core.clock.unix_now());
    let (_, book) = core.change_book(move |book| book.take(me, &theirs, newcomers)).await?;
    core.report(Event::Introduced { link }).await;
    Ok(Frame::message(Tag::MEMBERS_ARE, &book.words()))
}

async fn invite(core: &Arc<Core>, request: &Invite) -> Result<Frame, Fault> {
    let ttl = Duration::from_secs(request.ttl_s);
    if ttl.is_zero() || ttl > INVITATION_TTL_MAX {
        return Err(Fault::new(FaultCode::BAD_INPUT, "an invitation is good for one second to thirty days"));
    }
    let (inviter, now) = (core.identity.id(), core.clock.unix_now());
    let grant = if request.approved { Grant::Enters } else { Grant::Asks };
    let addresses = core.addresses();
    let expires_unix = now.saturating_add(ttl.as_secs());
    let made = core.invitations(move |i| i.make(inviter, &addresses, now, expires_unix, grant)).await?;
    let ticket = made.map_err(|error: InviteError| Fault::new(FaultCode::BUSY, error.to_string()))?;
    core.pins.set_door(true);
    Ok(Frame::message(Tag::INVITATION_IS, &Invitation { ticket: ticket.to_string(), expires_unix }))
}

/// What the owner says about a key; it is in force when this returns.
async fn decide(core: &Arc<Core>, request: &Frame) -> Result<(), Fault> {
    let (identity, now) = (core.identity.clone(), core.clock.unix_now());
    let unknown = || Fault::new(FaultCode::NOT_FOUND, "no such peer is known here");
    let refused = |error: ApproveError| match error {
        ApproveError::NotPending => Fault::new(FaultCode::NOT_FOUND, error.to_string()),
        ApproveError::Full(_) => Fault::new(FaultCode::BUSY, error.to_string()),
    };
    if request.tag == Tag::OWNER_ACCEPT_KEY {
        let AcceptKey { old, new } = decoded(request)?;
        core.invitations(Invitations::withdraw_open).await??;
        let (accepted, _) = core.change_book(move |book| book.accept_key(&identity, old, new, now)).await?;
        core.service.forget(old).await;
        return accepted.map_err(refused);
    }
    let WhichKey { key } = decoded(request)?;
    match request.tag {
        Tag::OWNER_APPROVE => {
            let (approved, _) = core.change_book(move |book| book.approve(&identity, key, now)).await?;
            approved.map(|_| ()).map_err(refused)
        }
        Tag::OWNER_DENY => {
            let (waited, _) = core.change_book(move |book| book.deny(&key)).await?;
            if waited { Ok(()) } else { Err(refused(ApproveError::NotPending)) }
        }
        _ => {
            core.invitations(Invitations::withdraw_open).await??;
            let (revoked, _) = core.change_book(move |book| book.revoke(&identity, key, now)).await?;
            core.service.forget(key).await;
            revoked.map(|_| ()).ok_or_else(unknown)
        }
    }
}

async fn join_group(core: &Arc<Core>, ticket: &str) -> Result<Frame, Fault> {
    let newcomer = Newcomer { id: core.identity.id(), name: core.config.name.clone(), addresses: core.addresses() };
    let admission = join(&core.endpoint, &newcomer, ticket).await?;
    let (identity, now) = (core.identity.clone(), core.clock.unix_now());
    let (newcomers, waits) = (core.config.newcomers(now), admission.waits());
    let (entered, _) = core.change_book(move |book| admission.enter(book, &identity, newcomers, now)).await?;
    entered.map_err(|full| Fault::from(JoinFailure::from(full)))?;
    Ok(waits.map_or_else(|| Frame::empty(Tag::DONE), |waits| Frame::message(Tag::JOIN_WAITS, &waits)))
}

async fn add_peer(core: &Arc<Core>, text: &str) -> Result<(), Fault> {
    let refuse = |why: String| Fault::new(FaultCode::NOT_FOUND, format!("no peer was found at {text}: {why}"));
    let addresses = resolve(text).await.map_err(refuse)?;
    let expected = Expected::AnyPinned(Arc::clone(&core.pins));
    let link = core.endpoint.dial(expected, &addresses).await.map_err(|error| refuse(error.to_string()))?;
    link.info().await.map_err(|error| refuse(error.to_string()))?;
    let (peer, address) = (link.peer(), link.remote_address());
    core.change_book(move |book| book.note(&peer, None, &[address])).await?;
    core.dialled(link).await;
    Ok(())
}

/// The addresses of `HOST:PORT`, `HOST` (with the usual port), or an address.
async fn resolve(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, PORT)]);
    }
    let with_port = if text.contains(':') { text.to_owned() } else { format!("{text}:{PORT}") };
    let found = tokio::net::lookup_host(with_port).await.map_err(|error| error.to_string())?;
    Ok(found.collect())
}

/// Tells the other side that this node leaves, and waits until it has read it.
pub(crate) async fn say_goodbye(link: Link) -> Result<(), FrameError> {
    let Ok(mut stream) = link.open_stream().await else { return Ok(()) };
    stream.writer.send_empty(Tag::GOODBYE).await?;
    stream.writer.finish().await?;
    stream.reader.next().await.map(|_| ())
}
