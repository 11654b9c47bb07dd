//! A running daemon, and two of them becoming a group.

use crate::home::Home;
use crate::process::Running;
use crate::wait::{holds_within, until};
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// Longer than any test: the daemon ends when its handle is dropped.
const NODE_DEADLINE: Duration = Duration::from_secs(3600);
/// How long a daemon may take to leave politely.
const DOWN_WITHIN: Duration = Duration::from_secs(10);

/// A daemon (`potluck up`) of a home.
#[derive(Debug)]
pub struct Node<'home> {
    home: &'home Home,
    process: Running,
}

impl<'home> Node<'home> {
    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// When it ends or does not answer.
    #[must_use]
    #[track_caller]
    pub fn start(home: &'home Home) -> Self {
        let mut node = Self::launch(home);
        node.wait_until_it_answers();
        node
    }

    /// Starts the daemon without waiting.
    #[must_use]
    #[track_caller]
    pub fn launch(home: &'home Home) -> Self {
        Self { home, process: home.potluck(["up"]).deadline(NODE_DEADLINE).start() }
    }

    /// Waits until the daemon answers.
    ///
    /// # Panics
    /// When it ends or does not answer.
    #[track_caller]
    pub fn wait_until_it_answers(&mut self) {
        until("the daemon answers `potluck status`", || {
            let (out, err) = (self.process.stdout.text(), self.process.stderr.text());
            assert!(self.process.is_running(), "`potluck up` has ended\nstdout:\n{out}\nstderr:\n{err}");
            (self.home.potluck(["status"]).finish().code() == 0).then_some(())
        });
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &'home Home {
        self.home
    }

    /// The daemon's own process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// Where it listens.
    ///
    /// # Panics
    /// When `potluck status --json` does not say.
    #[must_use]
    #[track_caller]
    pub fn port(&self) -> u16 {
        let status = self.home.potluck(["status", "--json"]).finish();
        let json = status.expect(0).json();
        let addresses = json.pointer("/addresses").or_else(|| json.pointer("/me/addresses")).and_then(Value::as_array);
        let port =
            addresses.into_iter().flatten().filter_map(Value::as_str).find_map(|a| a.rsplit(':').next()?.parse().ok());
        port.unwrap_or_else(|| panic!("status names no address with a port: {status}"))
    }

    /// Makes an invitation whose holder is let in at once, and returns the ticket.
    ///
    /// # Panics
    /// When `potluck invite` fails.
    #[must_use]
    #[track_caller]
    pub fn invite(&self) -> String {
        ticket_in(&self.home.potluck(["invite", "--approved"]).finish().expect(0).out())
    }

    /// Makes an invitation whose holder has to wait for the owner's yes, and returns the ticket.
    ///
    /// # Panics
    /// When `potluck invite` fails.
    #[must_use]
    #[track_caller]
    pub fn invite_asking(&self) -> String {
        ticket_in(&self.home.potluck(["invite"]).finish().expect(0).out())
    }

    /// Leaves politely and waits for the end.
    ///
    /// # Panics
    /// When `potluck down` fails or the daemon goes on.
    #[track_caller]
    pub fn down(mut self) {
        self.home.potluck(["down"]).finish().expect(0);
        assert!(holds_within(DOWN_WITHIN, || !self.process.is_running()), "the daemon went on after `potluck down`");
    }

    /// Dies as in a power cut: the daemon is killed, and so are its workers.
    pub fn die(mut self) {
        self.process.kill();
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("daemon of {}:\n{}", self.home.root().display(), self.process.stderr.text());
        } else if self.process.is_running() {
            // It may be on its way out already, and then there is nobody to be asked: only the end counts.
            let _ = self.home.potluck(["down"]).finish();
            assert!(
                holds_within(DOWN_WITHIN, || !self.process.is_running()),
                "the daemon went on after `potluck down`"
            );
        }
    }
}

/// The newcomer uses a fresh ticket of the inviter.
///
/// # Panics
/// When `potluck join` refuses.
#[track_caller]
pub fn join(inviter: &Node<'_>, newcomer: &Home) {
    let ticket = inviter.invite();
    newcomer.potluck(["join", &ticket]).finish().expect(0);
}

/// Two running nodes become a group and see each other.
///
/// # Panics
/// When they do not.
#[track_caller]
pub fn pair(inviter: &Node<'_>, newcomer: &Node<'_>) {
    join(inviter, newcomer.home());
    for node in [inviter, newcomer] {
        until("both nodes list the other as online", || (online_peers(node.home()).len() == 1).then_some(()));
    }
}

/// The peers a home's `potluck peers --json` lists as online.
///
/// # Panics
/// When the command fails or prints something else.
#[must_use]
#[track_caller]
pub fn online_peers(home: &Home) -> Vec<Value> {
    let listing = home.potluck(["peers", "--json"]).finish();
    let json = listing.expect(0).json();
    let peers = json.get("peers").unwrap_or(&json).as_array().unwrap_or_else(|| panic!("no list of peers: {listing}"));
    peers.iter().filter(|peer| peer["online"] == true).cloned().collect()
}

fn ticket_in(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_else(|| panic!("`potluck invite` printed no ticket")).to_owned()
}
