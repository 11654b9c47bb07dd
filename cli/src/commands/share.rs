//! `potluck share`: what this machine lends and why, and the owner's rules. A change counts at once.

mod docker;
mod object;
mod words;

use crate::quantity::{ByteSize, Span};
use crate::{exit, render, settings};
use clap::{Args, ValueEnum};
pub(in crate::commands) use docker::named as named_engine;
pub(in crate::commands) use object::{LendsObject, SharingObject};
use potluck_node::client::{ShareChange, ShareScope, Sharing};
use potluck_node::state::containers::Image;
use potluck_node::state::sharing::Situation;
use potluck_node::state::sharing::hours::Hours;
use potluck_node::state::sharing::rules::When;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const EXAMPLES: &str = "\
Examples:
  potluck share                                   what is lent now and why, and the rules
  potluck share --jobs 2 --cores 2 --memory 4G    at most, at any time
  potluck share --when idle --idle-after 10m      while nobody is at the machine
  potluck share --while active --jobs 1           less while somebody is
  potluck share --while battery --jobs 1          on battery too, where nothing is lent otherwise
  potluck share --hours 'Mon-Fri 22:00-07:00, Sat Sun'
  potluck share --load 1.5 --temperature 80       nothing while others use more, or it is hotter
  potluck share --peer attic --when never         not to this machine, whatever its quota
  potluck share --hours any --load any            without these bounds again
  potluck share --docker --docker-image python:3.12   containers of this image too, by the Docker that runs here
  potluck share --docker-forbid python:3.12           not of this one any more
  potluck share --json | jq .now.closed

These rules hold for peers. The owner's own jobs are bound by their limits alone. `potluck pause` takes the machine back.
An image is never fetched for a job: `docker pull IMAGE` does that. Docker and its images hold for the owner's own jobs too.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShareArgs {
    /// Rules for this peer instead, by its name or id: --when, --hours, --job-memory
    #[arg(long, value_name = "PEER", conflicts_with = "meanwhile")]
    peer: Option<String>,
    /// What is lent at most while the owner is active, or on battery: --jobs, --cores, --memory
    #[arg(long = "while", value_name = "SITUATION", id = "meanwhile")]
    meanwhile: Option<Meanwhile>,
    /// Whether to lend always, while the owner is away, or never
    #[arg(long, value_name = "WHEN")]
    when: Option<WhenArg>,
    /// Hours of the week in which to lend, such as 22:00-07:00; or any
    #[arg(long)]
    hours: Option<Hours>,
    /// Jobs and turns that run at once; or any
    #[arg(long, value_name = "N")]
    jobs: Option<OrAny<u32>>,
    /// Cores that all of them together may use; or any
    #[arg(long, value_name = "N")]
    cores: Option<OrAny<u32>>,
    /// Memory that all of them together may ask for; or any
    #[arg(long, value_name = "SIZE")]
    memory: Option<OrAny<ByteSize>>,
    /// Memory that one of them may ask for; or any
    #[arg(long, value_name = "SIZE")]
    job_memory: Option<OrAny<ByteSize>>,
    /// Disk that all peers together may keep: inputs, and sessions; or any
    #[arg(long, value_name = "SIZE")]
    disk: Option<OrAny<ByteSize>>,
    /// How long nobody has typed or clicked when the owner counts as away [default: 5m]
    #[arg(long, value_name = "TIME")]
    idle_after: Option<OrAny<Span>>,
    /// How long what runs may go on when less is lent than before [default: 10s]
    #[arg(long, value_name = "TIME")]
    grace: Option<OrAny<Span>>,
    /// Cores that others than Potluck's jobs may use before nothing is lent; or any
    #[arg(long, value_name = "CORES")]
    load: Option<OrAny<Cores>>,
    /// Degrees Celsius above which nothing is lent; or any
    #[arg(long, value_name = "DEGREES")]
    temperature: Option<OrAny<u32>>,
    /// Let jobs run in containers, by the Docker or Podman of this machine, of the images that are allowed alone
    #[arg(long, overrides_with = "no_docker")]
    docker: bool,
    /// Let none run in containers; those of peers that run are ended
    #[arg(long, overrides_with = "docker")]
    no_docker: bool,
    /// Allow an image; may be repeated
    #[arg(long = "docker-image", value_name = "IMAGE")]
    docker_images: Vec<Image>,
    /// Allow an image no more; may be repeated
    #[arg(long = "docker-forbid", value_name = "IMAGE")]
    docker_forbid: Vec<Image>,
    /// The socket of the container engine; or any, which looks where engines have theirs
    #[arg(long, value_name = "SOCKET")]
    docker_engine: Option<OrAny<Socket>>,
    /// Forget what was said before, of the peer or the situation if one is named
    #[arg(long)]
    reset: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Meanwhile {
    /// Somebody is at the machine
    Active,
    /// The machine runs on battery
    Battery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenArg {
    /// Whatever the owner does
    Always,
    /// While nobody is at the machine
    Idle,
    /// Not at all
    Never,
}

/// A value, or `any`: no bound, or the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OrAny<T>(Option<T>);

impl<T: FromStr> FromStr for OrAny<T>
where
    T::Err: fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self(None)),
            text => text.parse().map(|value| Self(Some(value))).map_err(|error: T::Err| format!("{error}; or any")),
        }
    }
}

/// Where an engine listens, as a path from / on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Socket(PathBuf);

impl FromStr for Socket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text.strip_prefix("unix://").unwrap_or(text));
        match std::path::absolute(path) {
            Ok(path) if !text.contains("://") || text.starts_with("unix://") => Ok(Self(path)),
            _ => Err("the path of a socket is expected, such as /run/docker.sock".to_owned()),
        }
    }
}

/// Thousandths of cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cores(u32);

impl FromStr for Cores {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_number = "a number of cores is expected, such as 1 or 1.5";
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return Err(no_number);
        }
        let whole: u32 = whole.parse().map_err(|_| no_number)?;
        let fraction: u32 = format!("{fraction:0<3}").parse().map_err(|_| no_number)?;
        whole.checked_mul(1000).and_then(|milli| milli.checked_add(fraction)).map(Self).ok_or(no_number)
    }
}

pub(crate) fn execute(args: &ShareArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    settings::block_on(async {
        if args.changes() {
            client.change_sharing(args.scope(), &args.change()).await?;
        }
        let sharing = client.sharing().await?;
        args.warn_of_docker(&sharing);
        if args.json {
            return render::print_json(&SharingObject::new(&sharing));
        }
        render::print(&words::describe(&sharing))?;
        if !sharing.running {
            render::say("no node runs on this machine, so nothing is lent yet; `potluck up -d` starts one");
        }
        Ok(())
    })?;
    Ok(exit::SUCCESS)
}

impl ShareArgs {
    /// Says what is missing still where containers are offered from now on.
    fn warn_of_docker(&self, sharing: &Sharing) {
        let docker = &sharing.docker;
        let concerns = self.docker || !self.docker_images.is_empty() || self.docker_engine.is_some();
        if !concerns {
            return;
        }
        if !docker.settings.offer {
            return render::say("Docker is not offered yet; `potluck share --docker` does that");
        }
        if let Err(why) = &docker.engine {
            render::say(&format!("no container runs here yet: {why}"));
        }
        if docker.settings.images.is_empty() {
            render::say(
                "no image is allowed yet, so no container runs here; `potluck share --docker-image IMAGE` allows one",
            );
        }
    }

    fn changes(&self) -> bool {
        self.change() != ShareChange::default()
    }

    fn scope(&self) -> ShareScope<'_> {
        match (&self.peer, self.meanwhile) {
            (Some(peer), _) => ShareScope::Peer(peer),
            (None, Some(Meanwhile::Active)) => ShareScope::While(Situation::Active),
            (None, Some(Meanwhile::Battery)) => ShareScope::While(Situation::Battery),
            (None, None) => ShareScope::All,
        }
    }

    fn change(&self) -> ShareChange {
        let bytes = |size: Option<OrAny<ByteSize>>| size.map(|OrAny(size)| size.map(|size| size.0));
        let seconds = |span: Option<OrAny<Span>>| span.map(|OrAny(span)| span.map(|span| span.0.as_secs()));
        ShareChange {
            reset: self.reset,
            when: self.when.map(|when| match when {
                WhenArg::Always => When::Always,
                WhenArg::Idle => When::Idle,
                WhenArg::Never => When::Never,
            }),
            hours: self.hours.clone(),
            jobs: self.jobs.map(|OrAny(jobs)| jobs),
            cores: self.cores.map(|OrAny(cores)| cores),
            memory_bytes: bytes(self.memory),
            job_memory_bytes: bytes(self.job_memory),
            disk_bytes: bytes(self.disk),
            idle_after_s: seconds(self.idle_after),
            grace_s: seconds(self.grace),
            load_max_milli: self.load.map(|OrAny(load)| load.map(|cores| cores.0)),
            temperature_max: self.temperature.map(|OrAny(degrees)| degrees),
            docker: if self.docker { Some(true) } else { self.no_docker.then_some(false) },
            images_allowed: self.docker_images.clone(),
            images_forbidden: self.docker_forbid.clone(),
            docker_engine: self.docker_engine.clone().map(|OrAny(socket)| socket.map(|socket| socket.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_is_no_bound_and_what_is_no_value_is_refused() {
        assert_eq!("any".parse(), Ok(OrAny::<u32>(None)));
        assert_eq!("4".parse(), Ok(OrAny(Some(4u32))));
        assert!("four".parse::<OrAny<u32>>().unwrap_err().ends_with("or any"));
        for (text, milli) in [("2", 2000), ("1.5", 1500), ("0.25", 250)] {
            assert_eq!(text.parse(), Ok(Cores(milli)), "{text}");
        }
        for wrong in ["", ".", ".5", "1.2345", "-1", "1e3", "99999999999"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }
}
