//! Performs what [`crate::state`] decides: owns the links and the book, dials, asks, closes, writes down. One task, one
//! inbox; whoever wants something of it sends a message. The book is written before anyone is told of a change.

mod accept;
mod core;
mod machines;

pub(crate) use machines::facts;
mod twins;
mod ways;

pub(crate) use accept::accept;
pub(crate) use core::{Core, Message, Overview};
pub(crate) use ways::DriverWays;

use self::core::BookChange;
use self::twins::{compare, probe_twin};
use crate::defaults::{DRAIN_TIMEOUT, LINKS_PER_PEER_MAX, PUT_AWAY_TIMEOUT, REQUEST_TIMEOUT, STREAMS_MAX, TICK};
use crate::dispatch::requests::{say_goodbye, serve_stream};
use crate::dispatch::{Caller, Role};
use crate::home::JobHome;
use crate::identity::NodeId;
use crate::net::link::{CloseCode, Closed, Link};
use crate::net::tls::Expected;
use crate::state::home::words::Event as HomeEvent;
use crate::state::peers::{Direction, Effect, Event, LinkId, Peers};
use crate::state::placement::Place;
use crate::store::record::RecordError;
use crate::trust::book::{Book, BookStore};
use crate::wire::{Frame, Members, Tag};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

/// How long a goodbye may take before the node leaves without.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(400);
/// How often files that others may have changed are looked at.
const RELOAD_TICKS: u32 = 5;

/// The task that does.
pub(crate) struct Driver {
    core: Arc<Core>,
    store: Arc<BookStore>,
    book: Arc<Book>,
    book_modified: Option<SystemTime>,
    state: Peers,
    links: HashMap<LinkId, Link>,
    links_made: u64,
    tasks: JoinSet<()>,
    start: Instant,
    known: watch::Sender<Vec<IpAddr>>,
}

impl Driver {
    pub(crate) fn new(core: Arc<Core>, store: Arc<BookStore>, known: watch::Sender<Vec<IpAddr>>) -> Self {
        let state = Peers::new(core.identity.id());
        Self {
            core,
            store,
            book: Arc::new(Book::default()),
            book_modified: None,
            state,
            links: HashMap::new(),
            links_made: 0,
            tasks: JoinSet::new(),
            start: Instant::now(),
            known,
        }
    }

    /// Drives until the node stops, then takes leave of everyone.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let stop = self.core.stop.clone();
        let mut ticks = 0u32;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut paused = self.core.service.paused();
        self.tell_home_of_us();
        self.tell_home_whether_paused(paused.as_mut());
        if let Some(home) = self.core.home.get() {
            home.machine(HomeEvent::Reached { place: Place::Here });
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    if ticks.is_multiple_of(RELOAD_TICKS) {
                        if self.core.home.get().is_some_and(JobHome::has_jobs) {
                            self.tell_home_of_us();
                        }
                        self.look_at_files().await;
                    }
                    ticks = ticks.wrapping_add(1);
                    self.handle(Event::Tick).await;
                }
                Some(message) = inbox.recv() => self.take(message).await,
                () = changed(paused.as_mut()) => self.tell_home_whether_paused(paused.as_mut()),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a task of the node panicked");
                    }
                }
            }
        }
        // Whoever still waits for an answer is told by the closed channel that the node leaves.
        drop(inbox);
        self.take_leave().await;
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.handle(event).await,
            Message::Linked(link, direction) => self.linked(link, direction).await,
            Message::List(sender) => {
                let now = self.start.elapsed();
                let (peers, remarks) = (self.state.list(now), self.state.own_remarks(now));
                let _ = sender.send(Overview { peers, remarks, book: Arc::clone(&self.book) });
            }
            Message::Link(peer, reply) => {
                // Whoever does not wait any more asks again.
                let _ = reply.send(self.links.values().find(|link| is_peers(link, peer)).cloned());
            }
            Message::Change(change, done) => {
                let result = self.change(change).await;
                let _ = done.send(result);
            }
        }
    }

    /// Gives the event to the state and performs its effects in order. A peer's effects cause no further events at
    /// once, so this ends.
    async fn handle(&mut self, event: Event) {
        self.tell_home(&event);
        if let Event::LinkDown { link, .. } = &event {
            self.links.remove(link);
        }
        let effects = self.state.handle(event, self.start.elapsed());
        let compares = effects.iter().any(|effect| matches!(effect, Effect::Compare { .. }));
        let is_surplus = |effect: &Effect| matches!(effect, Effect::Close { code: CloseCode::DUPLICATE, .. });
        let (surplus, effects): (Vec<Effect>, Vec<Effect>) =
            effects.into_iter().partition(|effect| compares && is_surplus(effect));
        let link_of = |effect: &Effect| match effect {
            Effect::Close { link, .. } => self.links.get(link).cloned(),
            _ => None,
        };
        let surplus: Vec<Link> = surplus.iter().filter_map(link_of).collect();
        for effect in effects {
            match effect {
                Effect::Compare { peer, links } => self.compare(peer, links, surplus.clone()),
                effect => self.perform(effect).await,
            }
        }
    }

    /// The home of this node's jobs hears of machines.
    fn tell_home(&mut self, event: &Event) {
        let Some(home) = self.core.home.get() else { return };
        match event {
            Event::Info { info } => {
                let (place, bad) = (Place::Peer(info.id), &self.core.config.bad_engines);
                let link = self.links.values().find(|link| is_peers(link, info.id));
                let round_trip = link.map_or(Duration::ZERO, Link::round_trip);
                home.machine(HomeEvent::Seen { facts: machines::facts(place, info, bad, round_trip) });
            }
            Event::LinkUp { peer, .. } => home.machine(HomeEvent::Reached { place: Place::Peer(*peer) }),
            Event::LinkDown { link, .. } => {
                let Some(gone) = self.links.get(link).filter(|link| link.role() == Role::Peer) else { return };
                let peer = gone.peer();
                let others = self.links.iter().filter(|(id, other)| *id != link && is_peers(other, peer)).count();
                if others == 0 {
                    home.machine(HomeEvent::Gone { place: Place::Peer(peer) });
                }
            }
            Event::Unpinned { peer } => home.machine(HomeEvent::Removed { place: Place::Peer(*peer) }),
            _ => {}
        }
    }

    /// The home hears of this machine, which is one of the runners.
    fn tell_home_of_us(&self) {
        if let Some(home) = self.core.home.get() {
            let facts = machines::facts(Place::Here, &self.core.info(), &self.core.config.bad_engines, Duration::ZERO);
            home.machine(HomeEvent::Seen { facts });
        }
    }

    /// What is paused runs nothing of its own queue.
    fn tell_home_whether_paused(&self, paused: Option<&mut watch::Receiver<bool>>) {
        if let (Some(home), Some(paused)) = (self.core.home.get(), paused) {
            home.machine(HomeEvent::Paused { paused: *paused.borrow_and_update() });
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { peer, addresses } => {
                self.tasks.spawn(dial(Arc::clone(&self.core), peer, addresses));
            }
            Effect::Introduce { link } => self.introduce(link),
            Effect::ProbeTwin { address } => drop(self.tasks.spawn(probe_twin(Arc::clone(&self.core), address))),
            // Done by the caller, with the links that are closed afterwards.
            Effect::Compare { .. } => {}
            Effect::AskInfo { link } => {
                if let Some(link) = self.links.get(&link).cloned() {
                    self.tasks.spawn(ask_info(Arc::clone(&self.core), link));
                }
            }
            Effect::Close { link, code } => {
                if let Some(link) = self.links.get(&link) {
                    link.close(code);
                }
            }
            Effect::Remember { peer, name, addresses } => {
                let note: BookChange = Box::new(move |book| book.note(&peer, Some(&name), &addresses));
                if let Err(error) = self.write(note).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "an address is not remembered");
                }
            }
        }
    }

    async fn linked(&mut self, link: Link, direction: Direction) {
        let theirs = self.links.values().filter(|other| other.peer() == link.peer()).count();
        if link.role() == Role::Peer && direction == Direction::Accepted && theirs >= LINKS_PER_PEER_MAX {
            tracing::debug!(peer = link.peer().short(), "as many links of that peer stand as may");
            return link.close(CloseCode::FULL);
        }
        self.links_made += 1;
        let id = LinkId(self.links_made);
        let (peer, role, address) = (link.peer(), link.role(), link.remote_address());
        let name = self.book.peer(&peer).map_or_else(|| peer.short(), |entry| entry.name.clone());
        let caller = Caller { id: peer, role, name, link: Some(link.clone()) };
        // At a level that a daemon logs: whose requests a line is about decides how many such lines there may be.
        let span = tracing::info_span!("link", peer = peer.short(), link = id.0);
        self.links.insert(id, link.clone());
        self.tasks.spawn(serve_link(Arc::clone(&self.core), link, id, caller).instrument(span));
        if role == Role::Peer {
            tracing::debug!(peer = peer.short(), %address, ?direction, "link up");
            self.handle(Event::LinkUp { peer, link: id, direction, address }).await;
        }
    }

    /// Asks both links who is there before those that are surplus are closed.
    fn compare(&mut self, peer: NodeId, links: [LinkId; 2], surplus: Vec<Link>) {
        let [Some(stood), Some(new)] = links.map(|link| self.links.get(&link).cloned()) else {
            surplus.iter().for_each(|link| link.close(CloseCode::DUPLICATE));
            return;
        };
        self.tasks.spawn(compare(Arc::clone(&self.core), peer, [stood, new], surplus));
    }

    fn introduce(&mut self, link: LinkId) {
        if let Some(link) = self.links.get(&link).cloned() {
            self.tasks.spawn(introduce(Arc::clone(&self.core), link, Arc::clone(&self.book)));
        }
    }

    async fn change(&mut self, change: BookChange) -> Result<Arc<Book>, RecordError> {
        self.write(change).await?;
        Ok(Arc::clone(&self.book))
    }

    /// Writes the book, then lets the change take force.
    async fn write(&mut self, change: BookChange) -> Result<(), RecordError> {
        let store = Arc::clone(&self.store);
        let written = tokio::task::spawn_blocking(move || store.update(change)).await;
        match written {
            Ok(Ok(((), book))) => {
                self.book_modified = self.store.modified();
                self.adopt(book);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Sees what a command without the daemon may have written, and shuts the door when the last ticket is forgotten.
    async fn look_at_files(&mut self) {
        let modified = self.store.modified();
        if modified != self.book_modified {
            match self.store.read() {
                Ok(book) => {
                    self.book_modified = modified;
                    self.adopt(book);
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the book of peers cannot be read");
                }
            }
        }
        let now = self.core.clock.unix_now();
        if self.book.has_waited_too_long(now) {
            let forget: BookChange = Box::new(move |book| {
                book.forget_pending(now);
            });
            if let Err(error) = self.write(forget).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the book of peers cannot be written");
            }
        }
        match self.core.invitations(move |i| i.any(now)).await {
            Ok(Ok(any)) => self.core.pins.set_door(any),
            Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "invitations cannot be read"),
            Err(_) => {}
        }
    }

    /// Lets a new book take force: pins first, then what follows from them.
    fn adopt(&mut self, book: Book) {
        if *self.book == book {
            return;
        }
        self.core.pins.replace(book.peers().map(|entry| entry.id));
        self.core.pins.replace_pending(book.pending().map(|entry| entry.id));
        let before = std::mem::replace(&mut self.book, Arc::new(book));
        let book = Arc::clone(&self.book);
        let now = self.start.elapsed();
        let mut effects = Vec::new();
        for gone in before.peers().filter(|entry| book.peer(&entry.id).is_none()) {
            let unpinned = Event::Unpinned { peer: gone.id };
            self.tell_home(&unpinned);
            effects.extend(self.state.handle(unpinned, now));
            let (core, peer) = (Arc::clone(&self.core), gone.id);
            // Its jobs end with its links; its sessions would outlive them.
            self.tasks.spawn(async move { core.service.forget(peer).await });
        }
        for entry in book.peers().filter(|entry| before.peer(&entry.id) != Some(*entry)) {
            let (peer, name, addresses) = (entry.id, entry.name.clone(), entry.addresses.clone());
            self.core.home.get().into_iter().for_each(|home| home.call(Place::Peer(peer), &name));
            effects.extend(self.state.handle(Event::Pinned { peer, name, addresses }, now));
        }
        // Pins and unpins only ever close links.
        for effect in effects {
            if let Effect::Close { link, code } = effect
                && let Some(link) = self.links.get(&link)
            {
                link.close(code);
            }
        }
        if !before.says_the_same(&book) {
            let standing: Vec<LinkId> = self.state.standing_links().collect();
            for link in standing {
                self.introduce(link);
            }
        }
        if !before.peers().map(|entry| entry.id).eq(book.peers().map(|entry| entry.id)) {
            let mut known: Vec<IpAddr> =
                book.peers().filter_map(|entry| entry.addresses.first()).map(SocketAddr::ip).collect();
            known.sort_unstable();
            known.dedup();
            self.known.send_replace(known);
        }
    }

    async fn take_leave(mut self) {
        let mut goodbyes = JoinSet::new();
        for link in self.links.values().cloned() {
            match link.role() {
                Role::Peer => goodbyes.spawn(async move { drop(say_goodbye(link).await) }),
                // The owner may just be reading that the node stops; it closes the link when it has.
                Role::Owner => goodbyes.spawn(async move { drop(link.closed().await) }),
            };
        }
        let all_said = async { while goodbyes.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, all_said).await;
        let most = DRAIN_TIMEOUT + PUT_AWAY_TIMEOUT;
        if tokio::time::timeout(most, self.core.service.shutdown()).await.is_err() {
            tracing::warn!("sessions were not put to disk in time");
        }
        self.core.endpoint.shutdown().await;
        self.tasks.shutdown().await;
    }
}

/// Returns when what is watched has changed; never where nothing is, or nothing will.
async fn changed(watched: Option<&mut watch::Receiver<bool>>) {
    if let Some(watched) = watched
        && watched.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn is_peers(link: &Link, peer: NodeId) -> bool {
    link.role() == Role::Peer && link.peer() == peer
}

async fn dial(core: Arc<Core>, peer: NodeId, addresses: Vec<SocketAddr>) {
    match core.endpoint.dial(Expected::Exactly(peer), &addresses).await {
        Ok(link) => core.dialled(link).await,
        Err(error) => {
            tracing::debug!(peer = peer.short(), %error, "not reached");
            if let Some(address) = error.other_key_at() {
                core.report(Event::OtherKey { peer, address }).await;
            }
            core.report(Event::DialFailed { peer }).await;
        }
    }
}

async fn introduce(core: Arc<Core>, link: Link, book: Arc<Book>) {
    let ours = book.words();
    let theirs: Members = match link.request(Frame::message(Tag::MEMBERS, &ours), Tag::MEMBERS_ARE).await {
        Ok(theirs) => theirs,
        Err(error) => {
            tracing::debug!(peer = link.peer().short(), %error, "vouches not exchanged");
            return;
        }
    };
    let (me, newcomers) = (core.identity.id(), core.config.newcomers(core.clock.unix_now()));
    if (*book).clone().take(me, &theirs, newcomers) {
        let _ = core.change_book(move |book| book.take(me, &theirs, newcomers)).await;
    }
}

async fn ask_info(core: Arc<Core>, link: Link) {
    match link.info().await {
        Ok(info) => core.report(Event::Info { info: Box::new(info) }).await,
        Err(error) => tracing::debug!(peer = link.peer().short(), %error, "no answer to a request for its load"),
    }
}

/// Serves the streams of one link until it ends; they end with it.
async fn serve_link(core: Arc<Core>, link: Link, id: LinkId, caller: Caller) {
    let mut streams = JoinSet::new();
    let streams_max = usize::try_from(STREAMS_MAX).unwrap_or(usize::MAX);
    let closed = loop {
        tokio::select! {
            // The transport admits no more than STREAMS_MAX at once; this holds also while their tasks wind up.
            stream = link.accept_stream(), if streams.len() < streams_max => match stream {
                Ok(stream) => {
                    let serving = serve_stream(Arc::clone(&core), caller.clone(), id, stream);
                    streams.spawn(serving.in_current_span());
                }
                Err(closed) => break closed,
            },
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "serving a request panicked");
                }
            }
        }
    };
    tracing::debug!(%closed, "link down");
    let leaving = closed == Closed::There(CloseCode::LEAVING);
    // Streams see their connection end; give what runs for them the chance to end tidily before it is cut.
    let wind_up = async { while streams.join_next().await.is_some() {} };
    if closed == Closed::There(CloseCode::NOT_APPROVED) {
        core.report(Event::NotApproved { peer: caller.id }).await;
    }
    core.report(Event::LinkDown { link: id, leaving }).await;
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, wind_up).await;
}
