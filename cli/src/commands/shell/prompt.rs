//! The line a person edits, on a thread of its own, because it waits for keys. The thread reads the terminal only when it is
//! asked for an input; it ends with its handle, or with the process if it still waits for a key then.

use super::completeness::is_whole;
use anyhow::Context;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Inputs of earlier shells that can be had again.
const HISTORY_LEN_MAX: usize = 1000;
/// What a tab stands for.
const INDENT: &str = "    ";
/// Before the first line of an input.
const FIRST: &str = ">>> ";
/// Before each further line.
const FURTHER: &str = "... ";

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A whole input of one line or several.
    Text(String),
    /// The end: Ctrl-D.
    End,
}

/// The thread with the editor.
pub(super) struct Prompt {
    orders: mpsc::Sender<oneshot::Sender<anyhow::Result<Typed>>>,
}

impl Prompt {
    /// Starts the thread; inputs are remembered in this file, which only its owner can read.
    pub(super) fn start(history: PathBuf) -> anyhow::Result<Self> {
        let config = Config::builder().max_history_size(HISTORY_LEN_MAX)?.build();
        let mut editor = Editor::with_config(config).context("cannot use the terminal")?;
        editor.set_helper(Some(Indents));
        if history.exists() {
            editor.load_history(&history).with_context(|| format!("cannot read {}", history.display()))?;
        }
        let (orders, mut queue) = mpsc::channel::<oneshot::Sender<_>>(1);
        let body = move || {
            while let Some(answer) = queue.blocking_recv() {
                // Whoever no longer waits is about to leave.
                let _gone = answer.send(entry(&mut editor, &history));
            }
        };
        std::thread::Builder::new()
            .name("prompt".into())
            .spawn(body)
            .context("cannot start a thread for the prompt")?;
        Ok(Self { orders })
    }

    /// The next input that is whole. Must be waited for before the next is asked for.
    pub(super) async fn entry(&mut self) -> anyhow::Result<Typed> {
        let (answer, typed) = oneshot::channel();
        // The thread ends before its handle only if it panics.
        let _sent = self.orders.send(answer).await;
        typed.await.context("the prompt's thread has ended")?
    }
}

type PythonEditor = Editor<Indents, FileHistory>;

fn entry(editor: &mut PythonEditor, history: &Path) -> anyhow::Result<Typed> {
    let mut text = String::new();
    loop {
        match editor.readline(if text.is_empty() { FIRST } else { FURTHER }) {
            Ok(line) => text.push_str(&line),
            Err(ReadlineError::Interrupted) => {
                text.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(Typed::End),
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
        if is_whole(&text) {
            remember(editor, history, &text);
            return Ok(Typed::Text(text));
        }
        text.push('\n');
    }
}

/// Keeps an input for this shell and the next. A history that cannot be written is no reason to stop.
fn remember(editor: &mut PythonEditor, history: &Path, text: &str) {
    let kept = editor.add_history_entry(text.trim_end()).and_then(|_| editor.append_history(history));
    if let Err(error) = kept {
        tracing::debug!(%error, "the input is not remembered");
    }
}

/// Makes the tab key indent.
struct Indents;

impl Completer for Indents {
    type Candidate = String;

    fn complete(
        &self,
        _: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((position, vec![INDENT.to_owned()]))
    }
}

impl Hinter for Indents {
    type Hint = String;
}

impl Highlighter for Indents {}

impl Validator for Indents {}

impl Helper for Indents {}
