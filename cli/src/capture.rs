//! What a job or a turn prints, kept for one JSON object. Bounded: what is too long is cut and said to be.

use potluck_runtime::OutputStream;

/// Bytes kept of each stream: an object is held in memory here and by whoever reads it.
const CAPTURE_LEN_MAX: usize = 8 << 20;

/// The beginning of both streams.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) truncated: bool,
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

/// Bytes as text, and as base64 too when the text loses something. A character cut in two by the bound counts as lost.
pub(crate) fn text_of(bytes: &[u8]) -> (String, Option<String>) {
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
