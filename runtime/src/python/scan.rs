//! Cuts Python source into logical lines: comments dropped, strings emptied, continued lines joined. It knows as much
//! of Python 3.15 as is needed to never take the inside of a string for code: triple quotes, prefixes, and f- and
//! t-strings whose expressions hold strings again. It reads any text in one pass and never fails; source it cannot
//! follow (a string without an end) just ends there.

/// How deep expressions in f-strings may nest before the rest of the file is ignored.
const NESTING_MAX: usize = 64;

/// One logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it starts, counted from 1.
    pub(super) number: u32,
    /// The width of its indentation, tabs to the next multiple of eight.
    pub(super) indent: usize,
    /// Its code, without indentation; every string is `""`.
    pub(super) code: String,
}

/// The logical lines of `source` that hold code.
pub(super) fn lines(source: &str) -> Vec<Line> {
    let mut scanner = Scanner { bytes: source.as_bytes(), at: 0, number: 1 };
    if source.starts_with('\u{feff}') {
        scanner.at = '\u{feff}'.len_utf8();
    }
    let mut lines = Vec::new();
    while let Some(line) = scanner.line() {
        if !line.code.is_empty() {
            lines.push(line);
        }
    }
    lines
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    number: u32,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn advance(&mut self) -> u8 {
        let byte = self.peek(0);
        if byte == b'\n' || (byte == b'\r' && self.peek(1) != b'\n') {
            self.number = self.number.saturating_add(1);
        }
        self.at += 1;
        byte
    }

    fn ended(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn line(&mut self) -> Option<Line> {
        if self.ended() {
            return None;
        }
        let indent = self.indentation();
        let number = self.number;
        let mut code = Vec::new();
        let mut depth = 0usize;
        while !self.ended() {
            match self.peek(0) {
                b'\n' | b'\r' if depth == 0 => {
                    self.advance();
                    break;
                }
                b'\n' | b'\r' => {
                    self.advance();
                    code.push(b' ');
                }
                b'#' => self.comment(),
                b'\\' if matches!(self.peek(1), b'\n' | b'\r') => {
                    self.advance();
                    if self.advance() == b'\r' && self.peek(0) == b'\n' {
                        self.advance();
                    }
                    code.push(b' ');
                }
                b'"' | b'\'' => {
                    let prefix = prefix(&code);
                    code.truncate(code.len() - prefix.len);
                    self.string(&prefix, 0);
                    code.extend_from_slice(b"\"\"");
                }
                byte => {
                    match byte {
                        b'(' | b'[' | b'{' => depth += 1,
                        b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    code.push(self.advance());
                }
            }
        }
        // What was cut out lies between whole characters, so what is left is text.
        let code = String::from_utf8_lossy(&code).trim().to_owned();
        Some(Line { number, indent, code })
    }

    fn indentation(&mut self) -> usize {
        let mut width = 0;
        loop {
            match self.peek(0) {
                b' ' => width += 1,
                b'\t' => width = (width / 8 + 1) * 8,
                b'\x0c' => width = 0,
                _ => return width,
            }
            self.advance();
        }
    }

    fn comment(&mut self) {
        while !self.ended() && !matches!(self.peek(0), b'\n' | b'\r') {
            self.advance();
        }
    }

    /// Passes a string literal; the next byte is its first quote.
    fn string(&mut self, prefix: &Prefix, nesting: usize) {
        let quote = self.advance();
        let triple = self.peek(0) == quote && self.peek(1) == quote;
        if triple {
            self.advance();
            self.advance();
        }
        while !self.ended() {
            match self.peek(0) {
                b'\\' => {
                    self.advance();
                    let named = prefix.formatted && !prefix.raw && self.peek(0) == b'N' && self.peek(1) == b'{';
                    if !(prefix.formatted && matches!(self.peek(0), b'{' | b'}')) {
                        self.advance();
                    }
                    while named && !self.ended() && self.peek(0) != b'}' && self.peek(0) != b'\n' {
                        self.advance();
                    }
                }
                b'\n' | b'\r' if !triple => return, // an error in Python; what follows is code again
                b'{' if prefix.formatted && self.peek(1) == b'{' => {
                    self.advance();
                    self.advance();
                }
                b'{' if prefix.formatted => self.replacement(nesting + 1),
                byte if byte == quote && !triple => {
                    self.advance();
                    return;
                }
                byte if byte == quote && self.peek(1) == quote && self.peek(2) == quote => {
                    self.at += 3;
                    return;
                }
                _ => {
                    self.advance();
                }
            }
        }
    }

    /// Passes `{expression!r:spec}` inside a formatted string; the next byte is the brace.
    fn replacement(&mut self, nesting: usize) {
        if nesting > NESTING_MAX {
            self.at = self.bytes.len();
            return;
        }
        self.advance();
        let mut depth = 0usize;
        let mut in_spec = false;
        let mut word = Vec::new();
        while !self.ended() {
            let byte = self.peek(0);
            match byte {
                b'}' if depth == 0 => {
                    self.advance();
                    return;
                }
                b'{' if in_spec => self.replacement(nesting + 1),
                b'"' | b'\'' if in_spec => return, // the string ended without closing its brace
                b'"' | b'\'' => {
                    let prefix = prefix(&word);
                    self.string(&prefix, nesting);
                }
                b'#' if !in_spec => self.comment(),
                b':' if depth == 0 && !in_spec => {
                    in_spec = true;
                    self.advance();
                }
                _ => {
                    match byte {
                        b'(' | b'[' | b'{' => depth += 1,
                        b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.advance();
                }
            }
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 {
                word.push(byte);
            } else {
                word.clear();
            }
        }
    }
}

/// The letters in front of a string.
struct Prefix {
    len: usize,
    raw: bool,
    formatted: bool,
}

fn prefix(code: &[u8]) -> Prefix {
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80;
    let len = code.iter().rev().take_while(is_word).count();
    let word = code[code.len() - len..].to_ascii_lowercase();
    match word.as_slice() {
        b"r" | b"b" | b"u" | b"f" | b"t" | b"br" | b"rb" | b"fr" | b"rf" | b"tr" | b"rt" => {
            Prefix { len, raw: word.contains(&b'r'), formatted: word.contains(&b'f') || word.contains(&b't') }
        }
        _ => Prefix { len: 0, raw: false, formatted: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(source: &str) -> Vec<String> {
        lines(source).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn strings_and_comments_hold_no_code() {
        let cases = [
            ("'''\nimport a\n'''\nx", vec!["\"\"", "x"]),
            ("s = \"import a # no\" # import b\nx", vec!["s = \"\"", "x"]),
            ("r'\\''\nx", vec!["\"\"", "x"]),
            ("rb'''\\'''\nimport no'''\nx", vec!["\"\"", "x"]),
            ("'it''s'\nx", vec!["\"\"\"\"", "x"]),
            ("''\nx", vec!["\"\"", "x"]),
            ("'open\nx", vec!["\"\"", "x"]),
        ];
        for (source, expected) in cases {
            assert_eq!(codes(source), expected, "{source}");
        }
    }

    #[test]
    fn formatted_strings_may_hold_strings_of_any_quote() {
        for source in [
            "f'{d['k']}'\nx",
            "f\"{f\"{1}\"}\"\nx",
            "f'{{not}} {a!r:>{width}}'\nx",
            "f'''{\n'''import no'''\n}'''\nx",
            "f'\\N{BULLET} {a}'\nx",
            "t'{a:%H:%M}'\nx",
            "f'{a:'\nx",
            "rf'\\{a}'\nx",
            "f'{(lambda: {1: 2})()}'\nx",
        ] {
            assert_eq!(codes(source), ["\"\"", "x"], "{source}");
        }
    }

    #[test]
    fn continued_lines_are_one_and_keep_their_number() {
        let found = lines("\n(a,\n # b\n c)\nif x \\\n  and y:\n\timport z\r\nend");
        let shown: Vec<_> = found.iter().map(|line| (line.number, line.indent, line.code.as_str())).collect();
        assert_eq!(shown, [(2, 0, "(a,    c)"), (5, 0, "if x    and y:"), (7, 8, "import z"), (8, 0, "end")]);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        let nested = "f'{".repeat(100_000);
        for source in ["\u{feff}import a", "(((", "\\", "f'{", "'''", "f'{a:{b", "é = 'ü'", "\0\x0c", &nested] {
            lines(source);
        }
        assert_eq!(codes("\u{feff}import a"), ["import a"]);
    }
}
