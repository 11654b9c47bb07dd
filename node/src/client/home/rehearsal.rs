//! Where a job would go, were it given to the home of this machine: asked of the daemon, and where none runs decided here, by
//! the same rules over what the machines say of themselves now.

use super::Parcel;
use crate::client::Client;
use crate::client::daemon::ask_daemon;
use crate::client::network::{ClientError, decoded};
use crate::driver::facts;
use crate::state::home::Home;
use crate::state::home::spec::Input;
use crate::state::home::words::Event;
use crate::state::needs::Requirements;
use crate::state::now::{Mono, Now, Wall};
use crate::state::placement::Place;
use crate::wire::{Frame, NodeInfo, RehearseJob, Rehearsed, Tag};
use std::time::Duration;

impl Client {
    /// Where a job would go now. It is not given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rehearse(&self, parcel: &Parcel, requirements: &Requirements) -> Result<Rehearsed, ClientError> {
        let inputs = parcel.blobs().map(|(digest, size)| Input { digest, size }).collect();
        let requirements =
            Requirements { container: parcel.program().container_image().cloned(), ..requirements.clone() };
        let request = RehearseJob { requirements, kind: parcel.kind(), inputs };
        if self.daemon_runs() {
            let request = Frame::message(Tag::OWNER_REHEARSE, &request);
            return decoded(&ask_daemon(self, request, Tag::REHEARSED_IS).await?);
        }
        let now = Now { mono: Mono(0), wall: Wall(0) };
        let mut home = self.home_as_it_would_begin(now).await?;
        Ok(home.rehearse(now, request.spec(now.wall.0)).into())
    }

    /// A home without jobs that has heard of every machine in reach.
    async fn home_as_it_would_begin(&self, now: Now) -> Result<Home, ClientError> {
        let list = self.peers().await?;
        let is_paused = list.me.lends.as_ref().is_some_and(|lends| lends.closed.as_deref() == Some("paused"));
        let online = list.peers.into_iter().filter(|peer| peer.online);
        let peers = online.filter_map(|peer| Some((Place::Peer(peer.id), peer.info?)));
        let mut home = Home::new(now);
        // What it would have done for them is done by the home that the job is given to.
        let mut tell = |event| drop(home.handle(now, event));
        for (place, info) in std::iter::once((Place::Here, list.me)).chain(peers) {
            let info: NodeInfo = info;
            tell(Event::Seen { facts: facts(place, &info, &self.config().bad_engines, Duration::ZERO) });
            tell(Event::Reached { place });
        }
        tell(Event::Paused { paused: is_paused });
        Ok(home)
    }
}
