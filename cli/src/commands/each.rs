//! `potluck each`: one program on every machine of the group that can be reached, this one among them, and what each of
//! them says with its name before it.

mod lines;
mod report;

use super::run::line::{WordsArgs, program_and_args};
use crate::exit;
use crate::program::ProgramArgs;
use crate::render::say;
use crate::settings;
use crate::signals::EndRequests;
use crate::streams::Writer;
use bytes::Bytes;
use clap::Args;
use lines::Lines;
use potluck_node::client::{Client, JobEvent, Submission, SubmitError, Target};
use potluck_node::wire::Ended;
use potluck_runtime::OutputStream;
use report::Report;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

const EXAMPLES: &str = "\
Examples:
  potluck each version.py                        on this machine and on every peer that is online
  potluck each -f probe.csv check.py probe.csv
  potluck each --json version.py | jq -r '.[] | select(.exit_code != 0) | .machine'

It ends with 0 if the program ended with 0 everywhere, and otherwise with 1. Ctrl-C ends it everywhere.";

/// Machines that run the program at once; each takes a connection and some memory for what it says.
const AT_ONCE: usize = 64;
/// Pieces of what machines say that wait to be shown; when it is full, the jobs wait.
const NEWS_MAX: usize = 64;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EachArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// Print a JSON array with an object for each machine instead of what they say
    #[arg(long)]
    json: bool,
    /// Say nothing but what the programs say
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    words: WordsArgs,
}

/// A machine that is to run the program.
struct Machine {
    id: String,
    name: String,
    target: Target,
}

/// What is heard of the program on one machine.
enum News {
    Output { stream: OutputStream, bytes: Bytes },
    Over(Over),
}

/// How it is over there.
enum Over {
    /// It ran.
    Ended(Ended),
    /// It could not be run.
    Failed(SubmitError),
    /// It was cancelled before it was sent.
    Cancelled,
}

pub(crate) fn execute(args: &EachArgs) -> anyhow::Result<u8> {
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let client = settings::client()?;
        let (program, words) = program_and_args(args.words.words.clone()).map_err(anyhow::Error::msg)?;
        let submission = args.program.submission(&client, &program, words, args.quiet).await?;
        let machines = machines(&client).await?;
        if machines.len() == 1 && !args.quiet {
            say("no peer is online, so the program runs on this machine alone");
        }
        let local = LocalSet::new();
        let reports = local.run_until(async {
            Group::start(&client, &submission, &machines).watch(&machines, args.json, &mut requests).await
        });
        let reports = reports.await?;
        report::show(&reports, args)?;
        Ok(if reports.iter().all(Report::is_good) { exit::SUCCESS } else { exit::SOME_FAILED })
    })
}

/// This machine, and every peer that can be reached.
async fn machines(client: &Client) -> anyhow::Result<Vec<Machine>> {
    let list = client.peers().await?;
    let me = Machine { id: list.me.id.to_string(), name: list.me.name, target: Target::Local };
    let peers = list.peers.into_iter().filter(|peer| peer.online).map(|peer| {
        let id = peer.id.to_string();
        Machine { target: Target::Peer(id.clone()), id, name: peer.name }
    });
    Ok(std::iter::once(me).chain(peers).collect())
}

/// The program on all machines.
struct Group {
    /// Ends with the group.
    _running: JoinSet<()>,
    news: mpsc::Receiver<(usize, News)>,
    cancelled: watch::Sender<bool>,
}

impl Group {
    fn start(client: &Client, submission: &Submission, machines: &[Machine]) -> Self {
        let (tell, news) = mpsc::channel(NEWS_MAX);
        let (cancelled, _) = watch::channel(false);
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for (index, machine) in machines.iter().enumerate() {
            let (client, submission, target) = (client.clone(), submission.clone(), machine.target.clone());
            let (places, cancelled, tell) = (Arc::clone(&places), cancelled.subscribe(), tell.clone());
            running.spawn_local(async move {
                let Ok(_place) = places.acquire().await else { return };
                let over = run(&client, target, submission, cancelled, (index, &tell)).await;
                // Nobody listens any more when the command leaves.
                let _gone = tell.send((index, News::Over(over))).await;
            });
        }
        Self { _running: running, news, cancelled }
    }

    /// Shows what the machines say until all are through.
    async fn watch(
        mut self,
        machines: &[Machine],
        json: bool,
        requests: &mut EndRequests,
    ) -> anyhow::Result<Vec<Report>> {
        let mut reports: Vec<Report> = machines.iter().map(Report::new).collect();
        let mut lines = Lines::of(machines.iter().map(|machine| machine.name.as_str()));
        let mut writer = Writer::start()?;
        let mut left = machines.len();
        while left > 0 {
            let heard = tokio::select! {
                heard = self.news.recv() => heard,
                () = requests.next() => {
                    if self.cancelled.send_replace(true) {
                        break;
                    }
                    continue;
                }
            };
            let Some((index, news)) = heard else { break };
            match news {
                News::Output { stream, bytes } if json => reports[index].capture.push(stream, &bytes),
                News::Output { stream, bytes } => {
                    if !writer.write(stream, lines.put(index, stream, &bytes)).await {
                        self.cancelled.send_replace(true);
                    }
                }
                News::Over(over) => {
                    for (stream, rest) in lines.rest(index) {
                        // Whoever does not read is told nothing.
                        let _gone = writer.write(stream, rest).await;
                    }
                    reports[index].over(over);
                    left -= 1;
                }
            }
        }
        // A reader that has gone has ended the jobs, which their ends say.
        let _gone = writer.finish().await;
        Ok(reports)
    }
}

/// Runs the program on one machine.
async fn run(
    client: &Client,
    target: Target,
    submission: Submission,
    mut cancelled: watch::Receiver<bool>,
    (index, tell): (usize, &mpsc::Sender<(usize, News)>),
) -> Over {
    let submitted = tokio::select! {
        submitted = client.submit(target, submission) => submitted,
        _ = cancelled.wait_for(|cancelled| *cancelled) => return Over::Cancelled,
    };
    let mut job = match submitted {
        Ok(job) => job,
        Err(error) => return Over::Failed(error),
    };
    let mut told = false;
    loop {
        let event = tokio::select! {
            event = job.events.next() => event,
            _ = cancelled.wait_for(|cancelled| *cancelled), if !told => {
                told = true;
                job.canceller.cancel();
                continue;
            }
        };
        match event {
            Some(Ok(JobEvent::Output { stream, bytes })) => {
                let _gone = tell.send((index, News::Output { stream, bytes })).await;
            }
            Some(Ok(JobEvent::Ended(ended))) => return Over::Ended(ended),
            Some(Ok(
                JobEvent::Accepted { .. }
                | JobEvent::Sending { .. }
                | JobEvent::Stage(_)
                | JobEvent::Started
                | JobEvent::OutputFile { .. },
            )) => {}
            Some(Err(error)) => return Over::Failed(error),
            None => return Over::Cancelled,
        }
    }
}
