//! What a process has written so far, read on a thread of its own as it comes.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a pipe has carried so far.
#[derive(Clone, Debug)]
pub struct Capture(Arc<(Mutex<Carried>, Condvar)>);

#[derive(Debug, Default)]
struct Carried {
    bytes: Vec<u8>,
    ended: bool,
}

impl Capture {
    pub(crate) fn of(mut reader: impl Read + Send + 'static) -> Self {
        let capture = Self(Arc::default());
        let shared = Arc::clone(&capture.0);
        thread::spawn(move || {
            let mut buffer = [0u8; 64 * 1024];
            loop {
                let count = reader.read(&mut buffer).unwrap_or(0);
                let mut carried = shared.0.lock().expect("no holder of this lock panics");
                carried.bytes.extend_from_slice(&buffer[..count]);
                carried.ended = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        capture
    }

    /// What has come so far, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let carried = self.0.0.lock().expect("no holder of this lock panics");
        String::from_utf8_lossy(&carried.bytes).into_owned()
    }

    /// Waits until `text` has come after the first `from` bytes, and returns where it ends.
    pub(crate) fn wait_for(&self, text: &str, from: usize, end: Instant) -> Result<usize, String> {
        let mut carried = self.0.0.lock().expect("no holder of this lock panics");
        loop {
            let new = &carried.bytes[from..];
            if let Some(start) = new.windows(text.len()).position(|window| window == text.as_bytes()) {
                return Ok(from + start + text.len());
            }
            let left = end.saturating_duration_since(Instant::now());
            if carried.ended || left.is_zero() {
                let why = if carried.ended { "the stream ended" } else { "time ran out" };
                let so_far = String::from_utf8_lossy(new);
                return Err(format!("{why} before {text:?} came; so far:\n{so_far}\n"));
            }
            carried = self.0.1.wait_timeout(carried, left).expect("no holder of this lock panics").0;
        }
    }

    /// All of it, once the pipe has ended. A pipe that some grandchild still holds open fails the test.
    ///
    /// # Panics
    /// When the pipe is still open after `limit`.
    #[track_caller]
    pub(crate) fn all(&self, limit: Duration) -> Vec<u8> {
        let carried = self.0.0.lock().expect("no holder of this lock panics");
        let waited = self.0.1.wait_timeout_while(carried, limit, |c| !c.ended).expect("no holder of this lock panics");
        assert!(!waited.1.timed_out(), "a process that has ended left its output open to another");
        waited.0.bytes.clone()
    }
}
