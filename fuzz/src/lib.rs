//! What the targets do with their bytes. A target returns when the bytes were read or refused, and panics when that went
//! wrong: that is what libFuzzer looks for.

mod messages;
mod pieces;

pub use messages::{message, submit};
pub use pieces::frames;

use potluck_node::net::beacon::Beacon;
use potluck_node::trust::ticket::Ticket;
use potluck_runtime::GuestPath;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A datagram on the discovery port.
pub fn beacon(bytes: &[u8]) {
    let mut asked = 0;
    let parsed = Beacon::parse(bytes, |_| {
        asked += 1;
        true
    });
    assert!(asked <= 1 && (parsed.is_none() || asked == 1));
}

/// What somebody pastes behind `potluck join`.
pub fn ticket(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Ticket>() {
        Ok(ticket) => assert_eq!(ticket.to_string().parse(), Ok(ticket)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A program of a peer, before it is compiled.
pub fn module(bytes: &[u8]) {
    let _runs = potluck_runtime::fuzzing::inspect(bytes);
}

/// The end of an image or of a session's memory.
pub fn image(bytes: &[u8]) {
    potluck_runtime::fuzzing::image(bytes).expect("the disk holds an image");
}

/// A file with a saved session.
pub fn session(bytes: &[u8]) {
    potluck_node::fuzzing::saved_session(bytes).expect("the disk holds a session");
}

/// What a guest writes into its events file, in pieces that zero bytes part.
pub fn events(bytes: &[u8]) {
    let _heard = potluck_runtime::fuzzing::events(bytes.split(|byte| *byte == 0));
}

/// The manifest of an interpreter that its owner was given.
pub fn manifest(bytes: &[u8]) {
    let _is_one = potluck_node::fuzzing::manifest(bytes);
}

/// What a worker says, which may be a guest that has broken out of its sandbox.
pub fn worker(bytes: &[u8]) {
    let _understood = ready(potluck_runtime::fuzzing::worker_messages(bytes));
}

/// A package of a job.
pub fn wheel(bytes: &[u8]) {
    potluck_runtime::fuzzing::wheel(bytes).expect("the disk holds a package");
}

/// A script or a list of packages, which are looked for before it runs.
pub fn requirements(bytes: &[u8]) {
    let _named = potluck_runtime::fuzzing::requirements(&String::from_utf8_lossy(bytes));
}

/// A script, of whose imports a list is made before it runs.
pub fn script(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let entry = GuestPath::parse("a/main.py").expect("a path");
    let files = [GuestPath::parse("a/b.py").expect("a path"), GuestPath::parse("a/c/__init__.py").expect("a path")];
    let _found = potluck_runtime::script_imports(&entry, &files, &|_| Some(text.clone()));
}

/// The value of a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a reader waits although all the bytes are there"),
    }
}
