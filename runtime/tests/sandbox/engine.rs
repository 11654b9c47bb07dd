//! A container engine of the tests' own, started from what the system has installed, and an image made without a registry.
//! It touches neither the network of this machine nor another engine, and ends with its test.

use potluck_runtime::ContainerConfig;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::block_on;
use bollard::Docker;
use bollard::query_parameters::{CreateImageOptions, ListContainersOptions, ListVolumesOptions};
use futures_util::StreamExt;

/// The image of the tests: a static shell with its tools.
pub(crate) const IMAGE: &str = "potluck-test/shell:1";
/// Says that an engine can be started, as `cargo xtask test` has found out.
const MUST: &str = "POTLUCK_TEST_DOCKER";
const SHELL: &str = "/bin/busybox";
const START_TIME_MAX: Duration = Duration::from_secs(120);
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// Starts an engine for this test and ends it afterwards. Where none can be started, the test is skipped, unless that was
/// found to be possible or this is the continuous integration.
pub(crate) fn with_engine(test: impl FnOnce(&TestEngine)) {
    match TestEngine::start() {
        Ok(engine) => test(&engine),
        Err(why) => {
            let must = std::env::var_os(MUST).is_some() || std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!must, "no container engine can be started: {why}");
            eprintln!("SKIPPED: no container engine can be started here: {why}");
        }
    }
}

/// A running engine.
pub(crate) struct TestEngine {
    daemon: Child,
    home: tempfile::TempDir,
    pub(crate) docker: Docker,
}

impl TestEngine {
    fn start() -> Result<Self, String> {
        if !Path::new(SHELL).is_file() {
            return Err(format!("{SHELL} is not there (package busybox-static)"));
        }
        // A socket's path is short.
        let home = tempfile::Builder::new().prefix("potluck-engine-").tempdir_in("/tmp").map_err(|e| e.to_string())?;
        let at = |name: &str| home.path().join(name).display().to_string();
        let log = std::fs::File::create(home.path().join("log")).map_err(|error| error.to_string())?;
        // Should the test be killed, its engine ends as well.
        let mut daemon = Command::new("setpriv");
        daemon.args(["--pdeathsig", "TERM", "--", "dockerd", "--iptables=false", "--ip6tables=false"]);
        daemon.args(["--ip-forward=false", "--bridge=none", "--data-root", &at("data"), "--exec-root", &at("exec")]);
        daemon.args(["--pidfile", &at("pid"), "-H", &format!("unix://{}", at("sock"))]);
        daemon.stdin(Stdio::null()).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        let mut daemon = daemon.spawn().map_err(|error| format!("setpriv: {error}"))?;
        let started = Instant::now();
        while !answers(&home.path().join("sock")) {
            let is_gone = daemon.try_wait().map_err(|error| error.to_string())?.is_some();
            if is_gone || started.elapsed() > START_TIME_MAX {
                let log = std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
                let _gone = daemon.kill().and_then(|()| daemon.wait());
                return Err(format!("dockerd (package docker.io) does not answer: {}", last_lines(&log)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let docker = connect(&home.path().join("sock"));
        let engine = Self { daemon, home, docker };
        block_on(engine.import(IMAGE, image(SHELL), &[]));
        Ok(engine)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("sock")
    }

    /// An offer of the test's image under a name that no other test has.
    pub(crate) fn config(&self, owner: &Path) -> ContainerConfig {
        let images = vec![IMAGE.to_owned()];
        ContainerConfig { engine: Some(self.socket()), images, owner: owner.display().to_string() }
    }

    /// Makes an image of an archive.
    pub(crate) async fn import(&self, name: &str, archive: Vec<u8>, changes: &[&str]) {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            ..CreateImageOptions::default()
        };
        let body = bollard::body_full(archive.into());
        let mut made = std::pin::pin!(self.docker.create_image(Some(options), Some(body), None));
        while let Some(step) = made.next().await {
            step.unwrap();
        }
    }

    /// The containers and volumes with this owner's label.
    pub(crate) async fn belongings(&self, owner: &str) -> Vec<String> {
        let label = vec![format!("potluck.owner={owner}")];
        let filters = Some([("label".to_owned(), label)].into());
        let containers = ListContainersOptions { all: true, filters, ..Default::default() };
        let volumes = ListVolumesOptions { filters: containers.filters.clone() };
        let containers = self.docker.list_containers(Some(containers)).await.unwrap();
        let volumes = self.docker.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default();
        let names = containers.into_iter().flat_map(|container| container.names.unwrap_or_default());
        names.chain(volumes.into_iter().map(|volume| volume.name)).collect()
    }

    /// Waits until an owner has neither containers nor volumes.
    pub(crate) async fn until_nothing_belongs_to(&self, owner: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = self.belongings(owner).await;
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there: {left:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        let process = rustix::process::Pid::from_child(&self.daemon);
        let _gone = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        let asked = Instant::now();
        while self.daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
            if asked.elapsed() > STOP_TIME_MAX {
                let _gone = self.daemon.kill().and_then(|()| self.daemon.wait());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn connect(socket: &Path) -> Docker {
    let version = bollard::ClientVersion { major_version: 1, minor_version: 41 };
    Docker::connect_with_unix(socket.to_str().unwrap(), 60, &version).unwrap()
}

fn answers(socket: &Path) -> bool {
    socket.exists() && block_on(async { connect(socket).version().await.is_ok() })
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

/// The root of a system that has this shell and its tools.
pub(crate) fn image(shell: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let entry = |kind, mode, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header
    };
    for (directory, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777), ("proc/", 0o755), ("dev/", 0o755)] {
        let mut header = entry(tar::EntryType::Directory, mode, 0);
        archive.append_data(&mut header, directory, std::io::empty()).unwrap();
    }
    let bytes = std::fs::read(shell).unwrap();
    let mut header = entry(tar::EntryType::Regular, 0o755, bytes.len() as u64);
    archive.append_data(&mut header, "bin/busybox", bytes.as_slice()).unwrap();
    let tools = Command::new(shell).arg("--list").output().unwrap().stdout;
    for tool in String::from_utf8(tools).unwrap().lines().filter(|tool| *tool != "busybox") {
        let mut header = entry(tar::EntryType::Symlink, 0o777, 0);
        archive.append_link(&mut header, format!("bin/{tool}"), "busybox").unwrap();
    }
    archive.into_inner().unwrap()
}
