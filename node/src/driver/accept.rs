//! Lets connections in: each handshake within its bounds, each arrival to where it is served.

use super::core::{Core, Message};
use crate::defaults::{HANDSHAKES_MAX, JOININGS_MAX, LINKS_MAX};
use crate::joining::serve_joining;
use crate::net::quic::Arrival;
use crate::state::peers::Direction;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Accepts connections until the endpoint is closed. Each handshake has a task of its own, within the bounds of
/// [`HANDSHAKES_MAX`].
pub(crate) async fn accept(core: Arc<Core>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let joinings = Arc::new(Semaphore::new(JOININGS_MAX));
    let mut tasks = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = core.endpoint.accept() => incoming,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
        };
        let Some(incoming) = incoming else { break };
        if core.endpoint.connections() >= LINKS_MAX {
            incoming.refuse();
            continue;
        }
        if handshakes.available_permits() <= HANDSHAKES_MAX / 2 && !incoming.remote_address_validated() {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            continue;
        }
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let joinings = Arc::clone(&joinings);
        let core = Arc::clone(&core);
        tasks.spawn(async move {
            let arrival = core.endpoint.shake_hands(incoming).await;
            drop(permit);
            match arrival {
                Some(Arrival::Link(link)) => {
                    let _ = core.inbox.send(Message::Linked(link, Direction::Accepted)).await;
                }
                Some(Arrival::Joining(joining)) => match joinings.try_acquire() {
                    Ok(_permit) => serve_joining(core, joining).await,
                    Err(_) => joining.close(),
                },
                None => {}
            }
        });
    }
}
