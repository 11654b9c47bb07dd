//! What this machine lends, as its owner sees and decides it. A rule is written down here and heeded by the daemon at once; to
//! pause is asked of the daemon itself, which answers when nothing of a peer runs any more.

use super::Client;
use super::daemon::ask_daemon;
use super::docker::DockerSeen;
use super::network::{ClientError, KnownPeers, book, decoded};
use crate::clock::Clock;
use crate::config::{Config, Docker, Settings};
use crate::service::lending::{share_record, sharing_alone};
use crate::state::containers::Image;
use crate::state::sharing::Situation;
use crate::state::sharing::hours::Hours;
use crate::state::sharing::rules::{Amounts, Pause, PeerRules, Rules, When};
use crate::wire::{EndJob, Frame, JobsHere, PauseFor, SharingNow, Tag};
use std::path::PathBuf;
use std::time::Duration;

/// What is to be different; within an option, nothing means that nothing is said any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareChange {
    /// Forget what was said before.
    pub reset: bool,
    /// When to lend.
    pub when: Option<When>,
    /// In which hours.
    pub hours: Option<Hours>,
    /// Jobs and turns at once.
    pub jobs: Option<Option<u32>>,
    /// Cores that all of them may use.
    pub cores: Option<Option<u32>>,
    /// Bytes of memory all of them may ask for.
    pub memory_bytes: Option<Option<u64>>,
    /// Bytes of memory one of them may ask for.
    pub job_memory_bytes: Option<Option<u64>>,
    /// Bytes of disk that peers may keep.
    pub disk_bytes: Option<Option<u64>>,
    /// After how many seconds the owner counts as away.
    pub idle_after_s: Option<Option<u64>>,
    /// How long what runs may go on when less is lent.
    pub grace_s: Option<Option<u64>>,
    /// Thousandths of cores that others may use.
    pub load_max_milli: Option<Option<u32>>,
    /// Degrees Celsius.
    pub temperature_max: Option<Option<u32>>,
    /// Whether containers are offered.
    pub docker: Option<bool>,
    /// Images that may be used from now on.
    pub images_allowed: Vec<Image>,
    /// Images that may not be used any more.
    pub images_forbidden: Vec<Image>,
    /// The socket of the container engine.
    pub docker_engine: Option<Option<PathBuf>>,
}

/// Of what a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareScope<'a> {
    /// What holds for all, at any time.
    All,
    /// What is lent at most in this situation.
    While(Situation),
    /// What holds for this peer instead, by its name or id.
    Peer(&'a str),
}

/// What is lent, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The label of this machine.
    pub name: String,
    /// Whether its node runs; otherwise this is what it would lend.
    pub running: bool,
    /// What is lent now.
    pub now: SharingNow,
    /// The rules.
    pub rules: Rules,
    /// The settings beside them.
    pub config: Config,
    /// What is offered of containers.
    pub docker: DockerSeen,
    /// The labels of peers with rules of their own, in their order.
    pub peer_names: Vec<String>,
}

impl Client {
    /// What this machine lends now, and by which rules.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sharing(&self) -> Result<Sharing, ClientError> {
        // As they are written by now, also by this process.
        let config =
            Config::load(self.paths()).map_err(|error| ClientError::local("cannot use the settings", error))?;
        let rules = share_record(&self.paths().data_dir).read()?;
        let running = self.daemon_runs();
        let now = if running {
            decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_SHARING), Tag::SHARING_IS).await?)?
        } else {
            sharing_alone(&self.paths().data_dir, &self.paths().system_root, &config).await?
        };
        let book = book(self.paths())?;
        let name = |id| book.peer(id).map_or_else(|| id.short(), |entry| super::label(&entry.name, *id));
        let peer_names = rules.peers.keys().map(name).collect();
        let docker = self.docker().await?;
        Ok(Sharing { name: config.name.clone(), running, now, rules, config, docker, peer_names })
    }

    /// Changes what this machine lends.
    ///
    /// # Errors
    /// [`ClientError`] when a rule does not belong where it is to stand, nobody is meant, or a file cannot be written.
    pub async fn change_sharing(&self, scope: ShareScope<'_>, change: &ShareChange) -> Result<(), ClientError> {
        change.check(scope).map_err(|text| ClientError::Failed(text.to_owned()))?;
        self.paths().create().map_err(|error| ClientError::local("cannot use the data directory", error))?;
        let record = share_record(&self.paths().data_dir);
        match scope {
            ShareScope::All => {
                self.change_settings(change)?;
                record.update(|rules| change.apply(rules))?;
            }
            ShareScope::While(Situation::Active) => drop(record.update(|rules| change.amounts(&mut rules.active))?),
            ShareScope::While(Situation::Battery) => drop(record.update(|rules| change.amounts(&mut rules.battery))?),
            ShareScope::Peer(peer) => {
                let peer = KnownPeers::load(self).await?.find(peer)?;
                record.update(|rules| rules.change_peer(peer, |own| change.apply_to_peer(own)))?;
            }
        }
        Ok(())
    }

    /// The rules that stand in the settings.
    fn change_settings(&self, change: &ShareChange) -> Result<(), ClientError> {
        let unusable = |error| ClientError::local("cannot change the settings", error);
        let file = self.paths().config_file();
        let mut settings = Settings::load(&file).map_err(unusable)?;
        let before = settings.clone();
        if change.reset {
            (settings.lend, settings.jobs_max, settings.job_memory_bytes_max) = (None, None, None);
            settings.docker = Docker::default();
        }
        match change.when {
            Some(When::Never) => settings.lend = Some(false),
            Some(When::Always | When::Idle) => settings.lend = None,
            None => {}
        }
        let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        if let Some(jobs) = change.jobs {
            settings.set("jobs_max", &text(jobs.map(u64::from))).map_err(unusable)?;
        }
        if let Some(bytes) = change.job_memory_bytes {
            settings.set("job_memory_bytes_max", &text(bytes)).map_err(unusable)?;
        }
        change.apply_to_docker(&mut settings.docker);
        settings.clone().resolve().map_err(unusable)?;
        if settings == before { Ok(()) } else { settings.save(&file).map_err(unusable) }
    }

    /// Lends nothing for a while, or until [`Client::resume`]. Where a node runs, nothing of a peer runs any more when this
    /// returns.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pause(&self, length: Option<Duration>) -> Result<Sharing, ClientError> {
        let seconds = length.map(|length| length.as_secs().max(1));
        if self.daemon_runs() {
            let request = Frame::message(Tag::OWNER_PAUSE, &PauseFor { seconds });
            let now = decoded(&ask_daemon(self, request, Tag::SHARING_IS).await?)?;
            return Ok(Sharing { now, ..self.sharing().await? });
        }
        let since_unix = Clock::system().unix_now();
        let until_unix = seconds.map(|seconds| since_unix.saturating_add(seconds).min(i64::MAX.unsigned_abs()));
        self.write_pause(Some(Pause { since_unix, until_unix }))?;
        self.sharing().await
    }

    /// Lends again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume(&self) -> Result<Sharing, ClientError> {
        if self.daemon_runs() {
            let now = decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_RESUME), Tag::SHARING_IS).await?)?;
            return Ok(Sharing { now, ..self.sharing().await? });
        }
        self.write_pause(None)?;
        self.sharing().await
    }

    fn write_pause(&self, pause: Option<Pause>) -> Result<(), ClientError> {
        self.paths().create().map_err(|error| ClientError::local("cannot use the data directory", error))?;
        share_record(&self.paths().data_dir).update(|rules| rules.pause = pause)?;
        Ok(())
    }

    /// The jobs that are on this machine's node; none where no node runs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn jobs_here(&self) -> Result<JobsHere, ClientError> {
        if !self.daemon_runs() {
            return Ok(JobsHere::default());
        }
        decoded(&ask_daemon(self, Frame::empty(Tag::OWNER_JOBS), Tag::JOBS_ARE).await?)
    }

    /// Ends a job on this machine's node, whosever it is.
    ///
    /// # Errors
    /// [`ClientError`] when it is not there any more, among others.
    pub async fn end_job_here(&self, number: u64) -> Result<(), ClientError> {
        ask_daemon(self, Frame::message(Tag::OWNER_END_JOB, &EndJob { number }), Tag::DONE).await.map(drop)
    }
}

impl ShareChange {
    /// Whether what is said can be said there.
    fn check(&self, scope: ShareScope<'_>) -> Result<(), &'static str> {
        let of_machine = self.disk_bytes.is_some()
            || self.idle_after_s.is_some()
            || self.grace_s.is_some()
            || self.load_max_milli.is_some()
            || self.temperature_max.is_some();
        let of_docker = self.docker.is_some()
            || self.docker_engine.is_some()
            || !self.images_allowed.is_empty()
            || !self.images_forbidden.is_empty();
        let amounts = self.jobs.is_some() || self.cores.is_some() || self.memory_bytes.is_some();
        let of_peer = self.when.is_some() || self.hours.is_some() || self.job_memory_bytes.is_some();
        match scope {
            ShareScope::While(_) | ShareScope::Peer(_) if of_docker => {
                Err("Docker is offered to all peers alike, at any time: leave `--while` and `--peer` out")
            }
            ShareScope::While(_) if of_machine || of_peer => {
                Err("`--while` goes with `--jobs`, `--cores` and `--memory` alone: what is lent at most meanwhile")
            }
            ShareScope::Peer(_) if of_machine || amounts => Err(
                "`--peer` goes with `--when`, `--hours` and `--job-memory` alone; how many jobs it may have at once, how \
                 much it may keep and how much fuel it may use is its quota: `potluck quota PEER`",
            ),
            ShareScope::All if self.jobs == Some(Some(0)) => {
                Err("to lend nothing say `--when never`, or `potluck pause`")
            }
            _ if self.cores == Some(Some(0)) => Err("`--cores` is at least 1; `--jobs 0` lends nothing meanwhile"),
            _ => Ok(()),
        }
    }

    fn apply(&self, rules: &mut Rules) {
        if self.reset {
            // What holds for single peers, and a pause, have commands of their own.
            let (peers, pause) = (std::mem::take(&mut rules.peers), rules.pause);
            *rules = Rules { peers, pause, ..Rules::default() };
        }
        match self.when {
            Some(When::Never) | None => {}
            Some(when) => rules.when = when,
        }
        if let Some(hours) = &self.hours {
            rules.hours = hours.clone();
        }
        set(&mut rules.idle_after_s, self.idle_after_s);
        set(&mut rules.grace_s, self.grace_s);
        set(&mut rules.load_max_milli, self.load_max_milli);
        set(&mut rules.temperature_max, self.temperature_max);
        set(&mut rules.disk_bytes, self.disk_bytes);
        set(&mut rules.at_most.cores, self.cores);
        set(&mut rules.at_most.memory_bytes, self.memory_bytes);
    }

    fn apply_to_docker(&self, docker: &mut Docker) {
        docker.offer = self.docker.unwrap_or(docker.offer);
        docker.images.retain(|image| !self.images_forbidden.contains(image));
        for image in &self.images_allowed {
            if !docker.images.contains(image) {
                docker.images.push(image.clone());
            }
        }
        if let Some(engine) = &self.docker_engine {
            docker.engine.clone_from(engine);
        }
    }

    fn amounts(&self, amounts: &mut Amounts) {
        if self.reset {
            *amounts = Amounts::default();
        }
        set(&mut amounts.jobs, self.jobs);
        set(&mut amounts.cores, self.cores);
        set(&mut amounts.memory_bytes, self.memory_bytes);
    }

    fn apply_to_peer(&self, own: &mut PeerRules) {
        if self.reset {
            *own = PeerRules::default();
        }
        own.when = self.when.or(own.when);
        own.hours = self.hours.clone().or_else(|| own.hours.take());
        set(&mut own.job_memory_bytes, self.job_memory_bytes);
    }
}

fn set<T: Copy>(place: &mut Option<T>, change: Option<Option<T>>) {
    if let Some(value) = change {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stands_where_it_belongs_and_elsewhere_it_is_refused_with_the_way_there() {
        let jobs = ShareChange { jobs: Some(Some(1)), ..ShareChange::default() };
        let when = ShareChange { when: Some(When::Idle), ..ShareChange::default() };
        let heat = ShareChange { temperature_max: Some(Some(80)), ..ShareChange::default() };
        let active = ShareScope::While(Situation::Active);
        assert!(jobs.check(ShareScope::Peer("ann")).unwrap_err().contains("potluck quota"));
        assert!(
            when.check(active).is_err() && heat.check(active).is_err() && heat.check(ShareScope::Peer("ann")).is_err()
        );
        assert!(
            jobs.check(active).is_ok()
                && when.check(ShareScope::Peer("ann")).is_ok()
                && heat.check(ShareScope::All).is_ok()
        );
        let none = ShareChange { jobs: Some(Some(0)), ..ShareChange::default() };
        assert!(none.check(ShareScope::All).unwrap_err().contains("--when never") && none.check(active).is_ok());
    }

    #[test]
    fn images_are_allowed_and_taken_off_by_their_full_names() {
        let image = |name: &str| -> Image { name.parse().unwrap() };
        let mut docker = Docker::default();
        let on = ShareChange {
            docker: Some(true),
            images_allowed: vec![image("busybox"), image("busybox:latest"), image("python:3.12")],
            docker_engine: Some(Some("/run/x.sock".into())),
            ..ShareChange::default()
        };
        on.apply_to_docker(&mut docker);
        assert_eq!((docker.offer, docker.images.as_slice()), (true, &[image("busybox"), image("python:3.12")][..]));
        let less = ShareChange {
            images_forbidden: vec![image("busybox:latest")],
            docker_engine: Some(None),
            ..ShareChange::default()
        };
        less.apply_to_docker(&mut docker);
        let left = Docker { offer: true, images: vec![image("python:3.12")], engine: None };
        assert_eq!(docker, left);
        assert!(on.check(ShareScope::Peer("ann")).unwrap_err().contains("leave `--while` and `--peer` out"));
        assert!(on.check(ShareScope::All).is_ok());
    }

    #[test]
    fn a_change_changes_what_it_names_and_a_reset_leaves_peers_and_the_pause() {
        let pause = Some(Pause { since_unix: 1, until_unix: None });
        let ann = crate::identity::NodeId::from_bytes([1; 32]);
        let mut rules = Rules { temperature_max: Some(80), pause, ..Rules::default() };
        rules.change_peer(ann, |own| own.when = Some(When::Never));
        let hours = ShareChange { hours: Some("22:00-07:00".parse().unwrap()), ..ShareChange::default() };
        hours.apply(&mut rules);
        assert_eq!((rules.temperature_max, rules.hours.to_string().as_str()), (Some(80), "22:00-07:00"));
        ShareChange { reset: true, cores: Some(Some(2)), ..ShareChange::default() }.apply(&mut rules);
        let at_most = Amounts { cores: Some(2), ..Amounts::default() };
        assert_eq!(rules, Rules { at_most, pause, peers: rules.peers.clone(), ..Rules::default() });
        assert_eq!(rules.peers.len(), 1);
    }
}
