//! Opening a session: the flags that `potluck shell` and `potluck session new` share, and the way to the open session.

use crate::commands::env::refuse_other_than_python;
use crate::commands::run::{self, line};
use crate::exit::{Refusal, Trouble};
use crate::limits::LimitArgs;
use crate::program::parse_variable;
use crate::progress::{Manner, Progress};
use crate::sessions;
use crate::signals::EndRequests;
use clap::Args;
use potluck_node::client::{Client, JobEvent, Opening, OpeningEvent, SessionHandle, SessionOpening, Target};
use potluck_node::images::NamedImages;
use std::path::PathBuf;

// What a session starts with. No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Debug)]
pub(crate) struct OpeningArgs {
    /// Where it lives: a peer's name or id, `any`, or `local`
    #[arg(long, value_name = "PEER|any|local", default_value = "local", value_parser = line::machine)]
    on: String,
    /// The environment; only Python has sessions
    #[arg(long = "env", value_name = "NAME", default_value = "python", hide_default_value = true)]
    environment: String,
    /// The memory image it starts from, made first if need be; `none` imports everything anew [default: the plain
    /// interpreter]
    #[arg(long, value_name = "NAME|none")]
    image: Option<String>,
    /// Put files and folders into its working directory; of folders not what their `.gitignore` and `.potluckignore` leave
    /// out, nor `.git`, `.venv`, `node_modules` and other environments and caches
    #[arg(short = 'f', value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Leave nothing of the folders out
    #[arg(long)]
    all_files: bool,
    /// Set an environment variable; nothing else is inherited
    #[arg(short = 'e', value_name = "KEY=VALUE", value_parser = parse_variable)]
    variables: Vec<(String, String)>,
    /// A name by which to come back to it
    #[arg(long, value_name = "NAME", value_parser = session_name)]
    name: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// How long a session is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// As long as this command.
    Command,
    /// Until it is stopped.
    Lasting,
}

impl OpeningArgs {
    /// Whether it was given a name.
    pub(crate) fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// Opens the session, from a saved state if there is one.
    ///
    /// # Errors
    /// A [`Refusal`]; the session has ended then.
    pub(crate) async fn open(
        self,
        client: &Client,
        saved: Option<PathBuf>,
        life: Life,
        requests: &mut EndRequests,
    ) -> anyhow::Result<SessionHandle> {
        if self.environment != "python" {
            refuse_other_than_python(client, &self.environment, "sessions")?;
            anyhow::bail!(
                "there is no environment {:?}; sessions are Python's, so leave `--env` out",
                self.environment
            );
        }
        let mut opening = SessionOpening::new();
        if let Some(limits) = self.limits.typed() {
            opening = opening.limits(limits);
        }
        if let Some(name) = &self.image {
            opening = opening.image(NamedImages::of(client.paths()).choice(name)?);
        }
        for path in self.files {
            opening = opening.file(path);
        }
        if self.all_files {
            opening = opening.all_files();
        }
        for (key, value) in self.variables {
            opening = opening.env(key, value);
        }
        if let Some(file) = saved {
            opening = opening.saved(file);
        }
        if let Some(name) = self.name {
            opening = opening.name(name);
        }
        open(client, &self.on, opening, life, requests).await
    }
}

/// Opens a session on a machine, shows what that takes, and refuses one that could not live as long as it is to.
pub(super) async fn open(
    client: &Client,
    on: &str,
    opening: SessionOpening,
    life: Life,
    requests: &mut EndRequests,
) -> anyhow::Result<SessionHandle> {
    let target = on.parse().unwrap_or(Target::Local);
    // What is certain is said before anything is fetched or compiled.
    if life == Life::Lasting && target == Target::Local && !client.daemon_runs() {
        return Err(would_not_last());
    }
    let opening = tokio::select! {
        opening = client.open_session(target, opening) => opening.map_err(sessions::refusal)?,
        () = requests.next() => return Err(Refusal::error(Trouble::Cancelled, "cancelled before the session was asked for")),
    };
    let session = follow(opening, requests).await?;
    if life == Life::Lasting && !session.stays() {
        session.stop().await.map_err(sessions::refusal)?;
        return Err(would_not_last());
    }
    Ok(session)
}

/// Until the session is open. Asked to end, it cancels the opening; asked again, it waits for nothing.
async fn follow(mut opening: Opening, requests: &mut EndRequests) -> anyhow::Result<SessionHandle> {
    let progress = Progress::new(Manner::suitable(false));
    let mut cancelled = false;
    let session = loop {
        let event = tokio::select! {
            event = opening.next() => event,
            () = requests.next() => {
                if cancelled {
                    return Err(was_cancelled());
                }
                cancelled = true;
                progress.finish();
                opening.canceller.cancel();
                continue;
            }
        };
        match event {
            Some(Ok(OpeningEvent::Open(session))) => break session,
            Some(Ok(OpeningEvent::Job(event))) => show(&progress, event),
            Some(Err(_)) | None if cancelled => return Err(was_cancelled()),
            Some(Err(error)) => return Err(run::refusal(error)),
            None => anyhow::bail!("the session was not opened, and nothing says why"),
        }
    };
    progress.finish();
    if cancelled {
        session.stop().await.map_err(sessions::refusal)?;
        return Err(was_cancelled());
    }
    Ok(session)
}

fn show(progress: &Progress, event: JobEvent) {
    match event {
        JobEvent::Sending { done, total } => progress.bytes("sending files", done, Some(total)),
        JobEvent::Stage(stage) => progress.wire_stage(&stage),
        JobEvent::Started => progress.finish(),
        // A session says where it is when it is open, and the rest is of jobs.
        JobEvent::Accepted { .. }
        | JobEvent::Output { .. }
        | JobEvent::Said(_)
        | JobEvent::OutputFile { .. }
        | JobEvent::Ended(_) => {}
    }
}

fn was_cancelled() -> anyhow::Error {
    Refusal::error(Trouble::Cancelled, "cancelled before the session was open")
}

fn would_not_last() -> anyhow::Error {
    let why =
        "no node runs on this machine, so the session would end with this command; start one with `potluck up -d`";
    Refusal::error(Trouble::Failed, why)
}

/// The value of `--name`.
pub(super) fn session_name(name: &str) -> Result<String, String> {
    potluck_node::config::check_name(name).map(|()| name.to_owned()).map_err(str::to_owned)
}
