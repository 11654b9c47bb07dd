//! `potluck shell`: a Python prompt over a session. Read from anything but a terminal, the whole input is one turn.

mod completeness;
mod prompt;

use super::session::opening::{Life, OpeningArgs};
use crate::exit::{self, Refusal, Trouble};
use crate::limits::TurnLimitArgs;
use crate::render::{self, say};
use crate::signals::{Asked, EndRequests};
use crate::terminal::Modes;
use crate::turn::{Input, Seen, Turns};
use crate::{background, sessions, settings, streams};
use clap::{Args, ValueHint};
use potluck_node::client::{Client, FailureKind, SessionFailure, SessionHandle};
use potluck_runtime::TurnLimits;
use prompt::{Prompt, Typed};
use std::future::Future;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  potluck shell                                        Python on this machine, in a sandbox
  potluck shell --image data -f sales.csv              with pandas imported and a file at hand
  potluck shell --on attic --name work                 on the machine called attic; it stays when you leave
  potluck session attach work                          back to it
  potluck shell --from work.session                    from a saved state
  potluck shell < script.py                            all of it as one turn; the exit code is Python's

Ctrl-C interrupts what runs. Ctrl-D leaves; exit() ends the session. Fuel, time and output are for each turn; memory and disk are for
the session.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE))]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    opening: OpeningArgs,
    /// Leave the session running when you leave; a name does so too
    #[arg(long)]
    keep: bool,
    /// Start from a state that `potluck session save` has kept
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "image")]
    from: Option<PathBuf>,
}

/// Opens a session and a prompt over it.
pub(crate) fn execute(args: ShellArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        let source = Source::of_stdin()?;
        let mut requests = EndRequests::listen()?;
        let life = if args.keep || args.opening.is_named() { Life::Lasting } else { Life::Command };
        let session = args.opening.open(&client, args.from, life, &mut requests).await?;
        let limits = TurnLimits::from(&session.info().limits);
        let code = Shell { client: &client, session: &session, requests, limits, life }.run(source).await;
        background::make_images(&client.images_wanted());
        code
    })
}

/// A prompt over a session that is there, once it is found.
pub(super) async fn attach(
    client: &Client,
    found: impl Future<Output = anyhow::Result<SessionHandle>>,
    limits: TurnLimitArgs,
) -> anyhow::Result<u8> {
    // Read first: a connection to a peer is not looked after meanwhile.
    let source = Source::of_stdin()?;
    let requests = EndRequests::listen()?;
    let session = found.await?;
    let limits = limits.within(&session.info().limits);
    Shell { client, session: &session, requests, limits, life: Life::Lasting }.run(source).await
}

/// Where turns come from.
enum Source {
    /// A person.
    Prompt,
    /// A text, all of which is one turn.
    Text(String),
}

impl Source {
    /// What stdin is. Reads all of it unless it is a terminal, before signals are listened to.
    fn of_stdin() -> anyhow::Result<Self> {
        Ok(if io::stdin().is_terminal() { Self::Prompt } else { Self::Text(streams::all_of_stdin()?) })
    }
}

/// How a shell was left.
enum Left {
    /// The session has ended by itself, with this exit code.
    Quit(u8),
    /// The session could go on.
    Goes(u8),
}

impl Left {
    /// After a turn that was the last.
    fn after(seen: &Seen) -> Self {
        if seen.ended.quit {
            // That Ctrl-C was pressed in the turn, and heeded, is not what ended it.
            return Self::Quit(exit::code_of_outcome(&seen.ended.outcome));
        }
        Self::Goes(seen.exit_code())
    }

    fn exit_code(self) -> u8 {
        match self {
            Self::Quit(code) | Self::Goes(code) => code,
        }
    }
}

/// A session with somebody, or something, that gives it turns.
struct Shell<'a> {
    client: &'a Client,
    session: &'a SessionHandle,
    requests: EndRequests,
    limits: TurnLimits,
    life: Life,
}

impl Shell<'_> {
    /// Until the input ends or somebody leaves; then ends the session, or says how to come back to it.
    async fn run(mut self, source: Source) -> anyhow::Result<u8> {
        let result = match source {
            Source::Prompt => self.converse().await,
            Source::Text(text) => self.one_turn(&text).await,
        };
        let left = result.map_err(|error| sessions::refusal_in(self.session, error));
        match (&left, self.life) {
            (Ok(Left::Quit(_)), _) => {}
            (_, Life::Command) => self.end().await,
            (Ok(Left::Goes(_)), Life::Lasting) => {
                say(&format!("the session goes on; `{}` comes back", sessions::way_back(self.session.info())));
            }
            // Where that is so, the error says it.
            (Err(_), Life::Lasting) => {}
        }
        left.map(Left::exit_code)
    }

    async fn one_turn(&mut self, text: &str) -> anyhow::Result<Left> {
        let mut turns = Turns { session: self.session, requests: &mut self.requests, input: Input::Nothing };
        let seen = turns.run(text, self.limits.clone(), None).await?;
        if let Some(why) = seen.explanation() {
            say(&why);
        }
        Ok(Left::after(&seen))
    }

    async fn converse(&mut self) -> anyhow::Result<Left> {
        let _modes = Modes::keep();
        self.client.paths().create()?;
        let mut prompt = Prompt::start(self.client.paths().data_dir.join("python_history"))?;
        self.greet();
        let mut turns = Turns { session: self.session, requests: &mut self.requests, input: Input::Terminal };
        loop {
            let text = match typed(&mut prompt, turns.requests).await? {
                Typed::Text(text) if text.trim().is_empty() => continue,
                Typed::Text(text) => text,
                Typed::End => return Ok(Left::Goes(exit::SUCCESS)),
            };
            match turns.run(&text, self.limits.clone(), None).await {
                Ok(seen) => {
                    explain(&seen)?;
                    if seen.ended.quit || seen.reader_gone {
                        return Ok(Left::after(&seen));
                    }
                }
                Err(error) if goes_on(&error) => say(&render::sentence(&error)),
                Err(error) => return Err(error),
            }
        }
    }

    fn greet(&self) {
        let info = self.session.info();
        let leaving = match self.life {
            Life::Command => "Ctrl-D or exit() ends it",
            Life::Lasting => "Ctrl-D leaves it running, exit() ends it",
        };
        say(&render::tame(&format!(
            "{} on {}, image {}; Ctrl-C interrupts, {leaving}",
            info.environment,
            self.session.node(),
            info.image,
        )));
    }

    async fn end(&self) {
        match self.session.stop().await {
            // One that has left by itself is gone.
            Err(failure) if failure.kind() != FailureKind::NotFound => {
                say(&render::sentence(&anyhow::Error::new(failure)));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// What is typed next; an error when the process is asked to end.
async fn typed(prompt: &mut Prompt, requests: &mut EndRequests) -> anyhow::Result<Typed> {
    let mut entry = std::pin::pin!(prompt.entry());
    loop {
        tokio::select! {
            typed = &mut entry => return typed,
            asked = requests.next_asked() => match asked {
                // The editor sees Ctrl-C as a key; a signal from elsewhere interrupts nothing here.
                Asked::Interrupt => {}
                Asked::End => return Err(Refusal::error(Trouble::Cancelled, "asked to end")),
            },
        }
    }
}

/// Says what a turn has not said itself.
fn explain(seen: &Seen) -> anyhow::Result<()> {
    if seen.line_open && !seen.reader_gone {
        // The editor begins its line at the left.
        render::print("\n")?;
    }
    if let Some(why) = seen.explanation() {
        say(&why);
    }
    Ok(())
}

/// Whether the session is there for a next turn after this.
fn goes_on(error: &anyhow::Error) -> bool {
    let Some(failure) = error.downcast_ref::<SessionFailure>() else { return false };
    match failure.kind() {
        FailureKind::BadProgram
        | FailureKind::BadInput
        | FailureKind::Refused
        | FailureKind::Environment
        | FailureKind::Cancelled
        | FailureKind::Internal => true,
        FailureKind::NotFound | FailureKind::Unreachable | FailureKind::Lost => false,
    }
}
