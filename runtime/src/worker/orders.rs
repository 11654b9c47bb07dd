//! What comes to the worker: one order after another, and between two of them the stdin of the run that is under way.
//! Whatever of a run's stdin arrives after the run has ended is dropped; all of it precedes the next order.

use super::stdio::Inbox;
use crate::handed;
use crate::protocol::{self, FrameReader, Spec, tag};
use std::io;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

/// The parent gives an order only when the one before was answered.
const ORDERS_MAX: usize = 1;

/// The orders of the parent.
pub(super) struct Orders {
    receiver: mpsc::Receiver<io::Result<(Spec, Inbox)>>,
}

impl Orders {
    pub(super) fn open(frames: FrameReader<pipe::Receiver>) -> Self {
        let (sender, receiver) = mpsc::channel(ORDERS_MAX);
        // The task ends with the input or, at the latest, with the process.
        tokio::spawn(read(frames, sender));
        Self { receiver }
    }

    /// The next order and the stdin that belongs to it; `None` when the parent is gone.
    pub(super) async fn next(&mut self) -> Option<io::Result<(Spec, Inbox)>> {
        self.receiver.recv().await
    }
}

async fn read(mut frames: FrameReader<pipe::Receiver>, orders: mpsc::Sender<io::Result<(Spec, Inbox)>>) {
    let mut inbox = Inbox::default();
    while let Ok(Some((tag, payload))) = frames.next().await {
        match tag {
            tag::SPEC => {
                inbox = Inbox::default();
                let order = order(&payload).map(|spec| (spec, inbox.clone()));
                if orders.send(order).await.is_err() {
                    return;
                }
            }
            tag::STDIN => inbox.feed(payload).await,
            _ => inbox.end(),
        }
    }
    inbox.end();
}

fn order(payload: &[u8]) -> io::Result<Spec> {
    let spec: Spec = protocol::decode(payload)?;
    let handed = spec.handed();
    if !handed.is_empty() {
        handed::receive(io::stderr(), &handed)?;
    }
    Ok(spec)
}
