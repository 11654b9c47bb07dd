//! A container engine of a test's own: Docker's daemon below a directory that goes with it, with one small image made of this
//! machine's busybox. Nothing is fetched, and no engine that runs already is touched.

use crate::wait::holds_within;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The image that each engine has.
pub const BUSYBOX: &str = "busybox:test";
/// Commands of busybox that the image has beside it.
const COMMANDS: [&str; 18] = [
    "cat", "dd", "echo", "env", "head", "hostname", "id", "ls", "mkdir", "printf", "pwd", "sh", "sleep", "sort",
    "touch", "true", "wc", "wget",
];
/// Says that one can be started, as `cargo xtask test` has found out.
const MUST: &str = "POTLUCK_TEST_DOCKER";
/// How long the daemon may take to answer, on a machine that is busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to leave.
const GONE_WITHIN: Duration = Duration::from_secs(60);
/// The daemon touches nothing of this machine's network: containers of jobs have none.
const OPTIONS: [&str; 4] = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"];

/// A container engine.
#[derive(Debug)]
pub struct Engine {
    dir: TempDir,
    daemon: Option<Child>,
}

/// Runs `body` where a container engine can be started. Elsewhere it says so and passes, except in CI and where one is
/// known to start, where that is a failure.
///
/// # Panics
/// When the body fails, or where an engine must start and does not.
pub fn with_engine(body: impl FnOnce(&mut Engine)) {
    match Engine::start() {
        Ok(mut engine) => body(&mut engine),
        Err(why) => {
            let must = std::env::var_os(MUST).is_some() || std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!must, "no container engine can be started: {why}");
            eprintln!("SKIPPED: no container engine can be started here: {why}");
        }
    }
}

impl Engine {
    fn start() -> Result<Self, String> {
        let busybox = find_busybox().ok_or("no statically linked busybox is here (package busybox-static)")?;
        if rustix::process::geteuid().as_raw() != 0 {
            return Err("only root starts one".to_owned());
        }
        let dir = tempfile::Builder::new().prefix("potluck-engine-").tempdir().map_err(|error| error.to_string())?;
        let mut engine = Self { dir, daemon: None };
        engine.start_daemon().map_err(|error| format!("dockerd: {error}"))?;
        if !holds_within(ANSWERS_WITHIN, || engine.answers() || !engine.runs()) || !engine.answers() {
            return Err(format!("dockerd does not answer: {}", engine.log()));
        }
        engine.import(&busybox).map_err(|error| format!("the image: {error}"))?;
        Ok(engine)
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// The ids of all containers that it has, running or not.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn containers(&self) -> Vec<String> {
        let (status, body) = self.ask("GET", "/containers/json?all=true", &[]).expect("the engine answers");
        assert_eq!(status, 200, "{body}");
        let list: serde_json::Value = serde_json::from_str(&body).expect("the engine lists containers");
        let ids = list.as_array().into_iter().flatten();
        ids.filter_map(|container| container["Id"].as_str().map(str::to_owned)).collect()
    }

    /// Stops the daemon, as an owner would; its images stay.
    ///
    /// # Panics
    /// When it does not leave.
    pub fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let id = i32::try_from(daemon.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a child has an id");
        // Gone already is as good.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let left = holds_within(GONE_WITHIN, || daemon.try_wait().is_ok_and(|status| status.is_some()));
        assert!(left, "dockerd goes on: {}", self.log());
    }

    fn start_daemon(&mut self) -> io::Result<()> {
        let dir = self.dir.path();
        let log = fs::File::create(dir.join("log"))?;
        let mut command = Command::new("dockerd");
        for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(option).arg(dir.join(name));
        }
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(OPTIONS);
        self.daemon = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    fn runs(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().is_ok_and(|status| status.is_none()))
    }

    fn answers(&self) -> bool {
        self.ask("GET", "/_ping", &[]).is_ok_and(|(status, _)| status == 200)
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        text.lines().rev().take(5).collect::<Vec<_>>().join("\n")
    }

    /// Makes the image: a file system with busybox, and nothing else.
    fn import(&self, busybox: &Path) -> io::Result<()> {
        let root = self.dir.path().join("image");
        for name in ["bin", "tmp", "etc"] {
            fs::create_dir_all(root.join(name))?;
        }
        fs::copy(busybox, root.join("bin/busybox"))?;
        for name in COMMANDS {
            symlink("busybox", root.join("bin").join(name))?;
        }
        let packed = Command::new("tar").arg("-C").arg(&root).args(["-cf", "-", "."]).output()?;
        if !packed.status.success() {
            return Err(io::Error::other("tar fails"));
        }
        let (name, tag) = BUSYBOX.split_once(':').expect("the image has a tag");
        let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
        let (status, body) = self.ask("POST", &path, &packed.stdout)?;
        if status == 200 { Ok(()) } else { Err(io::Error::other(body)) }
    }

    /// One request, on a connection of its own.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(self.socket())?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no answer of HTTP"))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        Ok((status, body))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A busybox that needs no library of this machine.
fn find_busybox() -> Option<PathBuf> {
    let places = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"].map(PathBuf::from);
    places.into_iter().find(|place| {
        let listed = Command::new("ldd").arg(place).output();
        place.is_file() && listed.is_ok_and(|listed| !String::from_utf8_lossy(&listed.stdout).contains("=>"))
    })
}
