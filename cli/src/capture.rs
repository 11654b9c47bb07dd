//! What a job or a turn prints, kept for one JSON object. Bounded: what is too long is cut and said to be.

use potluck_runtime::OutputStream;
use serde::Serialize;

/// Bytes kept of each stream: an object is held in memory here and by whoever reads it.
const CAPTURE_LEN_MAX: usize = 8 << 20;

/// The beginning of both streams.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

impl Capture {
    /// Keeps `bytes` as far as there is room.
    pub(crate) fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        let kept = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        let room = CAPTURE_LEN_MAX - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.truncated |= bytes.len() > room;
    }
}

/// What was printed, as fields of an object for programs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct PrintedObject {
    stdout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    stderr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    truncated: bool,
}

impl From<&Capture> for PrintedObject {
    fn from(capture: &Capture) -> Self {
        let (stdout, stdout_base64) = text_of(&capture.stdout);
        let (stderr, stderr_base64) = text_of(&capture.stderr);
        Self { stdout, stdout_base64, stderr, stderr_base64, truncated: capture.truncated }
    }
}

/// Bytes as text, and as base64 too when the text loses something. A character cut in two by the bound counts as lost.
fn text_of(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(data_encoding::BASE64.encode(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_said_to_be() {
        let mut capture = Capture::default();
        capture.push(OutputStream::Stdout, &vec![b'a'; CAPTURE_LEN_MAX]);
        assert!(!capture.truncated);
        capture.push(OutputStream::Stderr, b"fine");
        capture.push(OutputStream::Stdout, b"b");
        assert!(capture.truncated);
        assert_eq!((capture.stdout.len(), capture.stderr.as_slice()), (CAPTURE_LEN_MAX, b"fine".as_slice()));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_beside_the_text() {
        assert_eq!(text_of("Zoë".as_bytes()), ("Zoë".to_owned(), None));
        assert_eq!(text_of(&[b'a', 0xff]), ("a\u{fffd}".to_owned(), Some("Yf8=".to_owned())));
    }
}
