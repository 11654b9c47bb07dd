//! Whether a Python input is whole, or more lines are to be asked for. Pure, and generous: what can never become valid
//! counts as whole, so that the interpreter says what is wrong with it. A block is whole when an empty line follows it, or
//! a line that is no part of it.

use std::iter::Peekable;
use std::str::Chars;

/// Words that open a block whose body may stand on the same line. `match` and `case` are names elsewhere, and no body
/// stands on the line of the first.
const BLOCK_WORDS: [&str; 12] =
    ["async", "class", "def", "elif", "else", "except", "finally", "for", "if", "try", "while", "with"];

/// Whether this input, typed or pasted, can be run as it is. Its last line is the one after the last `\n`.
pub(super) fn is_whole(text: &str) -> bool {
    let mut scan = Scan::new(text);
    match scan.run() {
        End::Open => false,
        End::Broken => true,
        End::Closed => {
            let ends_empty = text.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
            ends_empty || !scan.last.is_some_and(|line| line.wants_more())
        }
    }
}

/// How the text ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Within brackets, a string of three quotes, or after a backslash.
    Open,
    /// A string or a bracket is closed that was not opened, or the other way round.
    Broken,
    /// After a whole line.
    Closed,
}

/// What counts of a logical line: one statement, or the header of a block, over as many lines as its brackets span.
#[derive(Default)]
struct Line {
    indented: bool,
    /// The word it begins with, if it begins with one.
    word: String,
    decorates: bool,
    has_colon: bool,
    ends_in_colon: bool,
}

impl Line {
    /// Whether an empty line has to follow, because more of a block may come.
    fn wants_more(&self) -> bool {
        let opens = self.has_colon && BLOCK_WORDS.contains(&self.word.as_str());
        self.indented || self.decorates || self.ends_in_colon || opens
    }
}

/// One pass over the text.
struct Scan<'a> {
    rest: Peekable<Chars<'a>>,
    brackets: Vec<char>,
    /// The last logical line that is not empty; comments are.
    last: Option<Line>,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), brackets: Vec::new(), last: None }
    }

    fn run(&mut self) -> End {
        while self.rest.peek().is_some() {
            let end = self.logical_line();
            if end != End::Closed {
                return end;
            }
        }
        End::Closed
    }

    /// Reads up to the end of a logical line, and keeps it unless it is empty.
    fn logical_line(&mut self) -> End {
        let mut line = Line { indented: self.skip_blanks(), ..Line::default() };
        let mut begun = false;
        while let Some(c) = self.rest.next() {
            match c {
                '\n' if self.brackets.is_empty() => break,
                '\n' | ' ' | '\t' | '\r' | '\u{c}' => continue,
                '#' => {
                    self.skip_comment();
                    continue;
                }
                '\\' => {
                    self.skip_line_end();
                    if self.rest.peek().is_none() {
                        return End::Open;
                    }
                    continue;
                }
                '\'' | '"' => match self.string(c) {
                    End::Closed => line.ends_in_colon = false,
                    end => return end,
                },
                c => {
                    if !begun {
                        line.decorates = c == '@';
                        line.word = self.word(c);
                    }
                    if !self.bracket(c) {
                        return End::Broken;
                    }
                    line.ends_in_colon = c == ':' && self.brackets.is_empty();
                    line.has_colon |= line.ends_in_colon;
                }
            }
            begun = true;
        }
        if begun {
            self.last = Some(line);
        }
        if self.brackets.is_empty() { End::Closed } else { End::Open }
    }

    /// Whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let mut some = false;
        while self.rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {
            some = true;
        }
        some
    }

    fn skip_comment(&mut self) {
        while self.rest.next_if(|c| *c != '\n').is_some() {}
    }

    /// The end of a line after a backslash, which is none.
    fn skip_line_end(&mut self) {
        self.rest.next_if_eq(&'\r');
        self.rest.next_if_eq(&'\n');
    }

    /// The word that begins with `first`, which is taken already; empty if none does.
    fn word(&mut self, first: char) -> String {
        let mut word = String::new();
        if first.is_alphabetic() || first == '_' {
            word.push(first);
            while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(c);
            }
        }
        word
    }

    /// Opens or closes a bracket if `c` is one; false when it closes what is not open.
    fn bracket(&mut self, c: char) -> bool {
        match c {
            '(' => self.brackets.push(')'),
            '[' => self.brackets.push(']'),
            '{' => self.brackets.push('}'),
            ')' | ']' | '}' => return self.brackets.pop() == Some(c),
            _ => {}
        }
        true
    }

    /// Reads a string whose first quote was taken. A formatted string is read as any other: quotes in its braces come in
    /// pairs, so that it ends where it should.
    fn string(&mut self, quote: char) -> End {
        let tripled = self.rest.next_if_eq(&quote).is_some();
        if tripled && self.rest.next_if_eq(&quote).is_none() {
            return End::Closed; // It is empty.
        }
        let mut quotes = 0;
        while let Some(c) = self.rest.next() {
            match c {
                // What follows a backslash ends nothing, in a raw string either.
                '\\' => {
                    quotes = 0;
                    if self.rest.next().is_none() {
                        return End::Open;
                    }
                }
                '\n' if !tripled => return End::Broken,
                c if c == quote => quotes += 1,
                _ => quotes = 0,
            }
            if quotes == if tripled { 3 } else { 1 } {
                return End::Closed;
            }
        }
        if tripled { End::Open } else { End::Broken }
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn what_is_whole_is_run_at_once() {
        for text in [
            "",
            "   ",
            "1+1",
            "x = {'a': 1}",
            "x: int = 1",
            "f = lambda x: x",
            "f(a[1:], {2: 3})",
            "print('if x:')",
            "# a comment: (",
            "x = 1  # if y:",
            "'''one''' + \"\"\"two\"\"\"",
            "''",
            "'a' ''",
            "'it\\'s'",
            "r'\\'' ",
            "f\"{d['a']}: {x:>{width}}\"",
            "f\"{d[\"a\"]}\"",
            "'''a ' '' b'''",
            "'''\nif x:\n'''",
            "x = (1 +\n  2)",
            "x = 1 + \\\n  2",
            "'a\\\nb'",
            "match = 1",
            "match: int = 1",
            "iffy = 1",
            "format(x)",
            "def f():\n    return 1\nf()",
            "x = 1\n\n\ny = 2",
            "été = 'é'",
            "a; b",
        ] {
            assert!(is_whole(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_open_asks_for_more() {
        for text in [
            "f(",
            "x = [1,\n2",
            "{'a': (1, 2)",
            "'''",
            "\"\"\"a\n'''\n",
            "'''a''",
            "x = 1 + \\",
            "x = 1 + \\\n",
            "f(  # a comment: )",
            "f('''\n",
            "x = '''\\'''",
            "'a\\",
            "(\n\n",
        ] {
            assert!(!is_whole(text), "{text:?}");
        }
    }

    #[test]
    fn a_block_asks_for_more_until_an_empty_line() {
        for block in [
            "if x:",
            "if x: pass",
            "for i in range(3):\n    print(i)",
            "while True:  # for ever",
            "def f(a: int = 1) -> dict[str, int]: return {}",
            "class A: pass",
            "async def f():\n    await g()",
            "with open('x') as f, g():",
            "try:\n    f()\nexcept E:\n    pass",
            "try:\n    f()\nfinally: pass",
            "if x:\n    pass\nelse:",
            "@decorated",
            "@decorated(1)\ndef f():\n    pass",
            "match x:",
            "match x:\n    case [a]: pass",
            "if x:\n    f('''\nend\n''')",
            "def f():\n    x = 1\n\n    return x",
            "if x:\n    pass\n# a comment",
            "if x:\n\tpass",
            "if (a and\n    b):",
            "else: pass",
        ] {
            assert!(!is_whole(block), "{block:?}");
            assert!(is_whole(&format!("{block}\n")), "{block:?} and an empty line");
            assert!(is_whole(&format!("{block}\n    ")), "{block:?} and a blank line");
        }
    }

    #[test]
    fn what_can_never_become_valid_is_left_to_the_interpreter() {
        for text in [")", "f(]", "'abc", "x = 'abc\nif y:", "if x", "(]\n(", "[)"] {
            assert!(is_whole(text), "{text:?}");
        }
    }
}
