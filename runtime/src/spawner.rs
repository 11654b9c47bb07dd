//! The thread that starts workers. A worker asks the system to be killed when whoever started it is gone, and for the
//! system that is a thread: so it is one that lives as long as the process.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

/// Something that starts a process.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Starts a process. Must be called within a Tokio runtime, which then reaps it.
///
/// # Errors
/// What the system says.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    let (answer, answered) = channel();
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let work: Work = Box::new(move || {
        let _entered = runtime.enter();
        // Whoever asked waits for the answer.
        let _asked = answer.send(command.spawn());
    });
    later(work)?;
    answered.recv().map_err(|_| gone())?
}

/// Has this done on the thread that starts workers.
///
/// # Errors
/// What the system says.
pub(crate) fn later(work: Work) -> io::Result<()> {
    spawner()?.lock().unwrap_or_else(PoisonError::into_inner).send(work).map_err(|_| gone())
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts workers is gone")
}

fn spawner() -> io::Result<&'static Mutex<Sender<Work>>> {
    static SPAWNER: OnceLock<Mutex<Sender<Work>>> = OnceLock::new();
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (sender, works) = channel::<Work>();
    std::thread::Builder::new().name("spawner".to_owned()).spawn(move || works.into_iter().for_each(|work| work()))?;
    // Of two threads that come here at once one has its thread end at once, which has started nothing.
    Ok(SPAWNER.get_or_init(|| Mutex::new(sender)))
}
