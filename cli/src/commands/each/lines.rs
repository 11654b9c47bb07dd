//! What several machines say at once, in whole lines, each with the name of its machine before it.

use bytes::Bytes;
use potluck_runtime::OutputStream;

/// Bytes of a line that are kept until its end comes; a longer one is shown in pieces.
const LINE_LEN_MAX: usize = 64 << 10;

/// The lines of all machines.
pub(super) struct Lines {
    machines: Vec<Line>,
}

/// What of a line of each stream has come.
struct Line {
    prefix: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lines {
    /// For machines of these names, which stand below each other.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let width = names.clone().map(|name| name.chars().count()).max().unwrap_or(0);
        let line = |name: &str| Line {
            prefix: format!("{name:<width$} | ").into_bytes(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        Self { machines: names.map(line).collect() }
    }

    /// The whole lines that a piece of output completes.
    pub(super) fn put(&mut self, machine: usize, stream: OutputStream, bytes: &[u8]) -> Bytes {
        let Line { prefix, stdout, stderr } = &mut self.machines[machine];
        let kept = match stream {
            OutputStream::Stdout => stdout,
            OutputStream::Stderr => stderr,
        };
        let mut whole = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            kept.extend_from_slice(piece);
            if piece.ends_with(b"\n") || kept.len() >= LINE_LEN_MAX {
                whole.extend_from_slice(prefix);
                whole.append(kept);
                if !whole.ends_with(b"\n") {
                    whole.push(b'\n');
                }
            }
        }
        whole.into()
    }

    /// A line that is no output.
    pub(super) fn own(&self, machine: usize, line: &str) -> String {
        format!("{}{line}", String::from_utf8_lossy(&self.machines[machine].prefix))
    }

    /// The lines of a machine that never ended.
    pub(super) fn rest(&mut self, machine: usize) -> Vec<(OutputStream, Bytes)> {
        let streams = [OutputStream::Stdout, OutputStream::Stderr];
        let rest = streams.map(|stream| {
            let line = &self.machines[machine];
            let kept = match stream {
                OutputStream::Stdout => &line.stdout,
                OutputStream::Stderr => &line.stderr,
            };
            let ended = if kept.is_empty() { Bytes::new() } else { self.put(machine, stream, b"\n") };
            (stream, ended)
        });
        rest.into_iter().filter(|(_, rest)| !rest.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};

    #[test]
    fn lines_stay_whole_and_name_their_machine() {
        let mut lines = Lines::of(["attic", "me"].into_iter());
        assert_eq!(lines.put(0, Stdout, b"one\ntw"), "attic | one\n");
        assert_eq!(lines.put(1, Stdout, b"uno\n"), "me    | uno\n");
        assert_eq!(lines.put(0, Stderr, b"oh"), "");
        assert_eq!(lines.put(0, Stdout, b"o\n"), "attic | two\n");
        assert_eq!(lines.rest(0), [(Stderr, Bytes::from_static(b"attic | oh\n"))]);
        assert_eq!(lines.rest(1), []);
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let mut lines = Lines::of(std::iter::once("me"));
        let mut shown = 0;
        for _ in 0..100 {
            shown += lines.put(0, Stdout, &[b'x'; 4096]).len();
            assert!(lines.machines[0].stdout.len() < LINE_LEN_MAX);
        }
        assert!(shown > 0);
    }
}
