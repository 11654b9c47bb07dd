//! What a second run of a job says again: a job whose machine vanished is run anew and repeats what it printed, which whoever
//! reads it has seen. Of what was printed only the count and the digest are kept, and of each word of the guest its digest, as
//! many as a run may say, so nothing grows with a job's output.

use bytes::Bytes;
use potluck_runtime::OutputStream;

/// Words that are known again; more than a run says.
const WORDS_MAX: usize = 16_384;

/// What was shown of a job so far, and how much of it the run that speaks now has repeated.
#[derive(Default)]
pub(crate) struct Repetition {
    stdout: Shown,
    stderr: Shown,
    /// Words of the guest that were shown, by what they say.
    words: Vec<blake3::Hash>,
    /// Words that the run has said that speaks now.
    words_again: usize,
}

/// What a piece of output is to whoever has seen what came before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was shown already, or some of it; this is the rest.
    New(Bytes),
    /// The run does not say what the one before it said.
    Differs,
}

/// One stream.
#[derive(Default)]
struct Shown {
    len: u64,
    hasher: blake3::Hasher,
    /// What the run that speaks now has said of what was shown; none when it is through with that.
    again: Option<Again>,
}

#[derive(Default)]
struct Again {
    len: u64,
    hasher: blake3::Hasher,
}

impl Repetition {
    /// What follows is said by a run from its beginning.
    pub(crate) fn begins_again(&mut self) {
        self.words_again = 0;
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.again = (stream.len > 0).then(Again::default);
        }
    }

    /// The run goes on where another was, and repeats nothing.
    pub(crate) fn goes_on(&mut self) {
        self.words_again = self.words.len();
        (self.stdout.again, self.stderr.again) = (None, None);
    }

    /// The next piece of what the run says.
    pub(crate) fn take(&mut self, stream: OutputStream, bytes: Bytes) -> Heard {
        match stream {
            OutputStream::Stdout => self.stdout.take(bytes),
            OutputStream::Stderr => self.stderr.take(bytes),
        }
    }

    /// Whether a word of the guest was not shown yet. From the first on that differs, all of them are new.
    pub(crate) fn is_new_word(&mut self, word: &str) -> bool {
        let hash = blake3::hash(word.as_bytes());
        let is_new = self.words.get(self.words_again) != Some(&hash);
        if is_new {
            self.words.truncate(self.words_again);
        }
        if is_new && self.words.len() < WORDS_MAX {
            self.words.push(hash);
        }
        self.words_again = (self.words_again + 1).min(WORDS_MAX);
        is_new
    }

    /// Whether the run, which has said all it has to say, has repeated all that was shown.
    pub(crate) fn is_whole(&self) -> bool {
        self.stdout.again.is_none() && self.stderr.again.is_none()
    }
}

impl Shown {
    fn take(&mut self, mut bytes: Bytes) -> Heard {
        if let Some(again) = &mut self.again {
            let left = usize::try_from(self.len - again.len).unwrap_or(usize::MAX);
            let repeated = bytes.split_to(left.min(bytes.len()));
            again.hasher.update(&repeated);
            again.len += repeated.len() as u64;
            if again.len == self.len {
                if again.hasher.finalize() != self.hasher.finalize() {
                    return Heard::Differs;
                }
                self.again = None;
            }
        }
        self.hasher.update(&bytes);
        self.len += bytes.len() as u64;
        Heard::New(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};

    /// What is shown of these runs, each a list of pieces.
    fn shown(runs: &[&[(OutputStream, &'static str)]]) -> Result<String, &'static str> {
        let mut repetition = Repetition::default();
        let mut text = String::new();
        for run in runs {
            repetition.begins_again();
            for (stream, piece) in *run {
                match repetition.take(*stream, Bytes::from_static(piece.as_bytes())) {
                    Heard::New(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                    Heard::Differs => return Err("differs"),
                }
            }
        }
        if repetition.is_whole() { Ok(text) } else { Err("too little") }
    }

    #[test]
    fn what_a_second_run_repeats_is_not_shown_again() {
        let first: &[_] = &[(Stdout, "one\ntw"), (Stderr, "oh\n")];
        assert_eq!(shown(&[first]).as_deref(), Ok("one\ntwoh\n"));
        let second: &[_] = &[(Stdout, "on"), (Stdout, "e\ntwo\n"), (Stderr, "oh\nno\n"), (Stdout, "three\n")];
        assert_eq!(shown(&[first, second]).as_deref(), Ok("one\ntwoh\no\nno\nthree\n"));
    }

    #[test]
    fn a_word_that_a_second_run_says_again_is_not_new() {
        let mut repetition = Repetition::default();
        let mut shown = |words: &'static str| {
            repetition.begins_again();
            words.split(' ').filter(|word| repetition.is_new_word(word)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("one two"), "one two");
        assert_eq!(shown("one two three"), "three");
        assert_eq!(shown("one other three"), "other three", "a run that says something else is not taken for the same");
        assert_eq!(shown("one other three"), "");
        assert_eq!(shown("one"), "");
        assert_eq!(shown("one other three four"), "four");
    }

    #[test]
    fn the_streams_may_be_interlaced_otherwise() {
        let first: &[_] = &[(Stdout, "out"), (Stderr, "err")];
        let second: &[_] = &[(Stderr, "err!"), (Stdout, "out!")];
        assert_eq!(shown(&[first, second]).as_deref(), Ok("outerr!!"));
    }

    #[test]
    fn a_run_that_vanishes_while_it_repeats_leaves_the_measure_as_it_was() {
        let runs: [&[_]; 3] = [&[(Stdout, "abcdef")], &[(Stdout, "abc")], &[(Stdout, "abcdefg")]];
        assert_eq!(shown(&runs).as_deref(), Ok("abcdefg"));
    }

    #[test]
    fn a_run_that_says_something_else_or_less_is_noticed() {
        assert_eq!(shown(&[&[(Stdout, "abc")], &[(Stdout, "abd")]]), Err("differs"));
        assert_eq!(shown(&[&[(Stdout, "abc")], &[(Stdout, "xyzabc")]]), Err("differs"));
        assert_eq!(shown(&[&[(Stdout, "abc")], &[(Stdout, "ab")]]), Err("too little"));
        assert_eq!(shown(&[&[(Stdout, "abc"), (Stderr, "e")], &[(Stdout, "abc")]]), Err("too little"));
    }
}
