//! `potluck top`: who is there, what runs here, what this machine's own queue has with machines, and what is lent, as it changes. What is shown is decided in [`screen`] and
//! drawn in [`view`]; this file asks the node and listens to the keyboard.

mod keys;
mod object;
mod screen;
mod view;

use crate::job_ids::JobIds;
use crate::signals::EndRequests;
use crate::standing::Standing;
use crate::{exit, render, settings};
use anyhow::Context;
use clap::Args;
use keys::Keyboard;
use potluck_node::client::{Client, ClientError};
use potluck_node::wire::{HomeJobs, JobAt};
use ratatui::DefaultTerminal;
use screen::{Asked, HomeJob, HomeNow, Screen, Sight};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  potluck top
  potluck top --once                  one look, as plain text
  potluck top --json | jq '.jobs[] | {who, what, cpu_ms}'
  potluck top --json | jq '.home_jobs | {count, waiting}'

Keys: arrows choose a job, k ends it after a question, p pauses and resumes lending, q quits.";

/// Jobs of this machine's queue that are shown, those first that machines have; the others are counted.
const HOME_JOBS_MAX: usize = 64;
/// How often the node is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopArgs {
    /// Print what there is now and end; also where there is no terminal
    #[arg(long)]
    once: bool,
    /// Print one JSON object and end
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &TopArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        if args.json {
            return render::print_json(&object::TopObject::new(&look(&client).await?));
        }
        let at_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if args.once || !at_terminal {
            return render::print(&view::plain(&Screen::new(look(&client).await?)));
        }
        watch(&client).await
    })?;
    Ok(exit::SUCCESS)
}

/// What the node says now. Where none runs, the client would find the peers and the rules by itself, and show them as if one did.
async fn look(client: &Client) -> anyhow::Result<Sight> {
    if !client.daemon_runs() {
        return Err(ClientError::NoDaemon.into());
    }
    let asked = (client.peers(), client.jobs_here(), client.sharing(), client.home_jobs(HOME_JOBS_MAX));
    let (list, jobs, sharing, home) = tokio::try_join!(asked.0, asked.1, asked.2, asked.3)?;
    if !sharing.running {
        return Err(ClientError::NoDaemon.into());
    }
    let home = home_now(&JobIds::open(client)?, &home)?;
    Ok(Sight { at: Instant::now(), list, jobs: jobs.jobs, home, sharing: sharing.now })
}

/// The jobs of this machine's queue by their names.
fn home_now(ids: &JobIds, home: &HomeJobs) -> anyhow::Result<HomeNow> {
    let mut with_machines = Vec::new();
    for job in home.jobs.iter().filter(|job| !matches!(job.at, JobAt::Waits(_))) {
        let program = ids.record(job.job)?.map(|record| record.program);
        with_machines.push(HomeJob {
            id: job.job.to_string(),
            short: ids.short(job.job),
            program: program.unwrap_or_default(),
            standing: Standing::from(job),
            place: job.place.clone(),
            attempt: job.attempt,
            progress: job.progress.clone(),
        });
    }
    Ok(HomeNow { count: home.count, waiting: home.waiting, with_machines })
}

/// Shows it until somebody quits. The terminal is given back whatever happens, also when this panics.
async fn watch(client: &Client) -> anyhow::Result<()> {
    let mut requests = EndRequests::listen()?;
    let screen = Screen::new(look(client).await?);
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let result = watch_until(client, &mut terminal, screen, &mut requests).await;
    ratatui::restore();
    result
}

async fn watch_until(
    client: &Client,
    terminal: &mut DefaultTerminal,
    mut screen: Screen,
    requests: &mut EndRequests,
) -> anyhow::Result<()> {
    let mut keyboard = Keyboard::open();
    loop {
        // Only cells that differ are written.
        terminal.draw(|frame| view::draw(frame, &screen)).context("cannot write to the terminal")?;
        let asked = tokio::select! {
            event = keyboard.next() => match event {
                Some(event) => screen.take(&event),
                None => Asked::Quit,
            },
            () = tokio::time::sleep_until((screen.sight().at + LOOK_EVERY).into()) => Asked::Look,
            () = requests.next() => Asked::Quit,
        };
        let done = match asked {
            Asked::Nothing => continue,
            Asked::Quit => return Ok(()),
            Asked::Look => None,
            Asked::Pause => client.pause(None).await.err(),
            Asked::Resume => client.resume().await.err(),
            Asked::End(number) => client.end_job_here(number).await.err(),
        };
        screen.say(done.map(|error| render::sentence(&error.into())));
        match look(client).await {
            Ok(sight) => screen.see(sight),
            // It may have been stopped; what was seen last would be a lie.
            Err(error) => return Err(error),
        }
    }
}
