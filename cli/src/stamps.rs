//! The time of day before each line of a job's output. The streams have lines of their own: a stamp stands where a line of
//! its stream begins, and never within one.

use bytes::Bytes;
use potluck_node::host::local_time;
use potluck_runtime::OutputStream;

/// Puts stamps before lines.
#[derive(Default)]
pub(crate) struct Stamps {
    /// The stamp of what is said now.
    stamp: String,
    within_stdout_line: bool,
    within_stderr_line: bool,
}

impl Stamps {
    /// What follows was said then, in milliseconds since 1970.
    pub(crate) fn at(&mut self, unix_ms: u64) {
        self.stamp = stamp(unix_ms);
    }

    /// A line that stands for itself, with its stamp.
    pub(crate) fn line(&self, text: &str) -> String {
        format!("{} {text}", self.stamp)
    }

    /// A piece of output with its stamps.
    pub(crate) fn put(&mut self, stream: OutputStream, bytes: &Bytes) -> Bytes {
        let within_line = match stream {
            OutputStream::Stdout => &mut self.within_stdout_line,
            OutputStream::Stderr => &mut self.within_stderr_line,
        };
        let mut stamped = Vec::with_capacity(bytes.len() + self.stamp.len() + 1);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !*within_line {
                stamped.extend_from_slice(self.stamp.as_bytes());
                stamped.push(b' ');
            }
            stamped.extend_from_slice(line);
            *within_line = !line.ends_with(b"\n");
        }
        stamped.into()
    }
}

/// The time of day where this machine stands, to the millisecond. Offsets of zones are whole minutes.
fn stamp(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let time = local_time(seconds).map_or_else(|| "??:??".to_owned(), |time| time.to_string());
    format!("{time}:{:02}.{:03}", seconds % 60, unix_ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};

    #[test]
    fn each_line_has_one_stamp_wherever_it_was_cut() {
        let mut stamps = Stamps { stamp: "T".to_owned(), ..Stamps::default() };
        let mut put = |stream, text: &'static str| {
            String::from_utf8(stamps.put(stream, &Bytes::from_static(text.as_bytes())).to_vec()).unwrap()
        };
        assert_eq!(put(Stdout, "one\ntw"), "T one\nT tw");
        assert_eq!(put(Stderr, "oh\n"), "T oh\n");
        assert_eq!(put(Stdout, "o\n"), "o\n");
        assert_eq!(put(Stdout, "\n"), "T \n");
    }

    #[test]
    fn a_stamp_ends_in_seconds_and_thousandths() {
        let stamp = stamp(1_800_000_061_007);
        assert!(stamp.len() == "12:34:01.007".len() && stamp.ends_with(":01.007"), "{stamp}");
    }
}
