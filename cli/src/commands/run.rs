//! `potluck run`: a program goes in, its output comes out as it is printed, and its exit code is ours.

pub(super) mod detached;
pub(super) mod line;
mod rehearsal;
mod report;

use crate::background;
use crate::capture::Capture;
use crate::exit::{self, Refusal, Trouble};
use crate::guest_bar::GuestBar;
use crate::guest_words::log_line;
use crate::program::ProgramArgs;
use crate::progress::{Manner, Progress};
use crate::render::{self, say};
use crate::settings;
use crate::signals::EndRequests;
use crate::streams::{self, Writer};
use crate::wishes::WishArgs;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use line::{Line, WordsArgs};
use potluck_node::client::{Client, FailureKind, Job, JobEvent, JobStdin, StdinMode, Submission, SubmitError, Target};
use potluck_runtime::{GuestEvent, OutputStream};
use report::Summary;
use std::ops::ControlFlow;
use std::path::PathBuf;

const USAGE: &str = "potluck run [OPTIONS] PROGRAM [ARGS]...\n       potluck run [OPTIONS] PROGRAM --on PEER [ARGS]...";
const EXAMPLES: &str = "\
Examples:
  potluck run hello.py                                here, or on any machine of the group that fits
  potluck run hello.lua                               Lua, JavaScript and what `potluck env ls` lists, by the ending
  potluck run report.py --on attic                    on the machine called attic
  potluck run --on attic report.py --year 2025        --year is the script's
  cat text | potluck run wordcount.py                 stdin is the script's stdin
  potluck run -f sales.csv -o out report.py           sales.csv goes along, what is written comes back into out/
  potluck run --with humanize==4.9.0 report.py        with a package that is written in Python alone
  potluck run --image none report.py                  without a memory image, everything imported anew
  potluck run --mount ./data::/data --memory 4G train.py
  potluck run --json tool.wasm | jq .exit_code
  potluck run -d -f sales.csv report.py               prints an id and leaves; `potluck attach ID` comes back
  potluck run -d --need mem=8G,cpu=4 --retries 5 train.py
  potluck run --dry-run -f data report.py             what would be sent, and where to

Options stand before PROGRAM; everything after it belongs to the program, except `--on PEER` directly after it, and
except `--` there, which passes all that follows to the program untouched.";

#[derive(Args, Debug)]
#[command(override_usage = USAGE, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE))]
pub(crate) struct RunArgs {
    /// Where to run: a peer's name or id, `any`, or `local`; with -d several, with commas between them [default: any machine
    /// that fits, this one included]
    #[arg(long, value_name = "PEER|any|local", value_parser = line::machine)]
    on: Option<String>,
    #[command(flatten)]
    program: ProgramArgs,
    /// Bring back the files the program made or changed into this folder
    #[arg(short = 'o', value_name = "DIR")]
    outputs: Option<PathBuf>,
    /// Give the job to this machine's node, print its id and leave; the job goes on whatever becomes of anybody
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    wish: WishArgs,
    /// Say what would be sent and where it would run, and send nothing; ends with 125 when no machine fits
    #[arg(long)]
    dry_run: bool,
    /// What the program reads: `none` is empty, `inherit` is ours, `auto` is ours unless we are in the background
    #[arg(long, value_name = "WHICH", default_value = "auto", hide_possible_values = true)]
    stdin: StdinChoice,
    /// Print one JSON object with everything about the job instead of its output; with -d its id, with --dry-run what would be
    #[arg(long)]
    json: bool,
    /// Say nothing but what the program says, unless it cannot be run
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    words: WordsArgs,
}

impl RunArgs {
    /// What the words from PROGRAM on mean; they are taken out.
    pub(crate) fn line(&mut self) -> Result<Line, String> {
        Line::read(self.on.take(), std::mem::take(&mut self.words.words))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StdinChoice {
    Auto,
    None,
    Inherit,
}

/// Runs the program and gives its exit code.
pub(crate) fn execute(mut args: RunArgs) -> anyhow::Result<u8> {
    let json = args.json;
    let line = args.line().map_err(anyhow::Error::msg)?;
    match settings::block_on(act(args, line)) {
        Err(error) if json && exit::trouble_of(&error) != Trouble::ReaderGone => {
            let code = exit::trouble_of(&error).code();
            render::print_json(&report::of_failure(&render::sentence(&error), code))?;
            Err(error)
        }
        result => result,
    }
}

async fn act(args: RunArgs, line: Line) -> anyhow::Result<u8> {
    args.program.check_needs(&args.wish.needs()?)?;
    if args.dry_run {
        return rehearsal::rehearse(&args, &line).await;
    }
    if args.detach {
        return detached::give(&args, &line).await;
    }
    if let Some(option) = args.wish.typed_for_the_node()? {
        let text =
            format!("`{option}` is for jobs that the node sees to: say `-d` as well (`potluck attach ID` follows it)");
        return Err(Refusal::error(Trouble::Failed, text));
    }
    run(args, line).await
}

async fn run(args: RunArgs, line: Line) -> anyhow::Result<u8> {
    let mut requests = EndRequests::listen()?;
    let progress = Progress::new(Manner::suitable(args.quiet));
    let client = settings::client()?;
    let target: Target = line.on.as_deref().unwrap_or("any").parse().unwrap_or(Target::Any);
    let job = async { client.submit(target, submission(&client, &args, line).await?).await.map_err(refusal) };
    let job = tokio::select! {
        job = job => job?,
        () = requests.next() => return Err(Refusal::error(Trouble::Cancelled, "cancelled before the job was sent")),
    };
    let summary = Show::new(&args, progress)?.follow(job, &mut requests).await?;
    if !args.quiet {
        summary.explain();
    }
    background::make_images(&client.images_wanted());
    let code = summary.exit_code();
    if args.json {
        render::print_json(&summary.into_json())?;
    }
    Ok(code)
}

async fn submission(client: &Client, args: &RunArgs, line: Line) -> anyhow::Result<Submission> {
    let forwards = match args.stdin {
        StdinChoice::None => false,
        StdinChoice::Inherit => true,
        StdinChoice::Auto => streams::stdin_is_ours(),
    };
    let submission = args.program.submission(client, &line.program, line.args, args.quiet).await?;
    let submission = submission.gpus(args.wish.needs()?.gpus);
    let submission = submission.stdin(if forwards { StdinMode::Piped } else { StdinMode::None });
    Ok(match &args.outputs {
        Some(dir) => submission.outputs(dir),
        None => submission,
    })
}

/// Shows a job as it runs.
struct Show {
    progress: Progress,
    writer: Writer,
    capture: Option<Capture>,
    quiet: bool,
    summary: Summary,
}

impl Show {
    fn new(args: &RunArgs, progress: Progress) -> anyhow::Result<Self> {
        let capture = args.json.then(Capture::default);
        let writer = Writer::beside(GuestBar::new(Manner::suitable(args.quiet)))?;
        Ok(Self { progress, writer, capture, quiet: args.quiet, summary: Summary::default() })
    }

    /// Until the job has ended, or the user asks a second time to end it.
    async fn follow(mut self, mut job: Job, requests: &mut EndRequests) -> anyhow::Result<Summary> {
        self.summary.job = Some(job.id);
        if let Some(stdin) = job.stdin.take() {
            let pieces = streams::read_stdin()?;
            // Ends with the job, which closes its stdin, or with this process.
            tokio::spawn(forward(pieces, stdin));
        }
        let mut cancelled = false;
        loop {
            let step = {
                let next = async {
                    match job.events.next().await {
                        Some(event) => self.take(event.map_err(refusal)?).await,
                        None => Err(anyhow::anyhow!("the job ended without a word")),
                    }
                };
                tokio::select! {
                    step = next => Some(step?),
                    () = requests.next() => None,
                }
            };
            match step {
                Some(ControlFlow::Break(())) => break,
                Some(ControlFlow::Continue(true)) => {}
                Some(ControlFlow::Continue(false)) if self.summary.reader_gone => {}
                Some(ControlFlow::Continue(false)) => {
                    self.summary.reader_gone = true;
                    job.canceller.cancel();
                }
                None if cancelled => {
                    return Err(Refusal::error(Trouble::Cancelled, "cancelled; the job was not waited for"));
                }
                None => {
                    cancelled = true;
                    self.summary.interrupted = true;
                    self.progress.finish();
                    self.writer.show(None);
                    job.canceller.cancel();
                }
            }
        }
        self.finish(requests).await
    }

    /// Shows one event. Continues with whether the output is still wanted; breaks when the job has ended.
    async fn take(&mut self, event: JobEvent) -> anyhow::Result<ControlFlow<(), bool>> {
        match event {
            JobEvent::Accepted { node, name } => {
                if node.is_some() && !self.quiet && self.progress_is_for_people() {
                    say(&format!("running on {}", render::tame(&name)));
                }
                self.summary.peer = Some(name);
            }
            JobEvent::Sending { done, total } => self.progress.bytes("sending inputs", done, Some(total)),
            JobEvent::Stage(stage) => self.progress.wire_stage(&stage),
            JobEvent::Started => self.progress.finish(),
            JobEvent::Output { stream, bytes } => {
                self.progress.finish();
                return Ok(ControlFlow::Continue(self.output(stream, bytes).await));
            }
            JobEvent::Said(event) => {
                self.progress.finish();
                return Ok(ControlFlow::Continue(self.said(event).await));
            }
            JobEvent::OutputFile { path, size, digest } => {
                let (path, digest) = (path.to_string(), digest.to_string());
                self.summary.outputs.push(report::OutputEntry { path, size, digest });
            }
            JobEvent::Ended(ended) => {
                self.progress.finish();
                self.writer.show(None);
                self.summary.ended = Some(ended);
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(true))
    }

    fn progress_is_for_people(&self) -> bool {
        std::io::IsTerminal::is_terminal(&std::io::stderr())
    }

    async fn output(&mut self, stream: OutputStream, bytes: Bytes) -> bool {
        match &mut self.capture {
            Some(capture) => {
                capture.push(stream, &bytes);
                true
            }
            None => self.summary.reader_gone || self.writer.write(stream, bytes).await,
        }
    }

    /// Shows what the guest says of itself, or keeps it for whoever reads the object.
    async fn said(&mut self, event: GuestEvent) -> bool {
        if let GuestEvent::Progress(progress) = &event {
            self.writer.show(Some(progress.clone()));
        }
        match (&self.capture, event) {
            (Some(_), event) => {
                self.summary.events.push(event);
                true
            }
            (None, GuestEvent::Log(log)) => self.summary.reader_gone || self.writer.line(log_line(&log)).await,
            (None, _) => true,
        }
    }

    async fn finish(mut self, requests: &mut EndRequests) -> anyhow::Result<Summary> {
        let written = tokio::select! {
            written = self.writer.finish() => written,
            () = requests.next() => return Err(Refusal::error(Trouble::Cancelled, "cancelled before all output was written")),
        };
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => self.summary.reader_gone = true,
            Err(error) => return Err(anyhow::Error::new(error).context("cannot write the job's output to stdout")),
        }
        self.summary.capture = self.capture;
        Ok(self.summary)
    }
}

async fn forward(mut pieces: tokio::sync::mpsc::Receiver<Bytes>, mut stdin: JobStdin) {
    while let Some(bytes) = pieces.recv().await {
        if stdin.write(bytes).await.is_err() {
            return;
        }
    }
    stdin.close().await;
}

/// A submission's failure with its exit code.
pub(super) fn refusal(error: SubmitError) -> anyhow::Error {
    Refusal::error(trouble(&error), render::sentence(&anyhow::Error::new(error)))
}

/// What a submission's failure is.
pub(super) fn trouble(error: &SubmitError) -> Trouble {
    match error.kind() {
        FailureKind::NotFound => Trouble::NotFound,
        FailureKind::BadProgram => Trouble::CannotRun,
        FailureKind::Cancelled => Trouble::Cancelled,
        FailureKind::BadInput
        | FailureKind::Unreachable
        | FailureKind::Refused
        | FailureKind::Environment
        | FailureKind::Lost
        | FailureKind::Internal => Trouble::Failed,
    }
}
