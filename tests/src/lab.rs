//! Hosts and switches made of network namespaces. Every lab has names of its own, takes away what it made, also after
//! a panic, and first takes away what a killed predecessor left. Needs the right to make namespaces: root has it, and
//! so has anybody inside a user namespace.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const PREFIX: &str = "potlucktest";
/// Set for the copy of a test that runs inside a user namespace.
const INSIDE: &str = "POTLUCK_TEST_INSIDE_NAMESPACE";
/// Makes `/run/netns` writable inside a user namespace, then becomes the command.
const PREPARE: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/netns && exec \"$@\"";

static LABS: AtomicU32 = AtomicU32::new(0);

/// Runs `body` where hosts can be made: here, or in a copy of this test inside a user namespace. Where neither is
/// possible it says so and passes, except in CI, where that is a failure. `test` is the test's full name.
///
/// # Panics
/// When the body fails, or in CI when no host can be made.
pub fn in_lab(test: &str, body: impl FnOnce(&mut Lab)) {
    let here = match Lab::new() {
        Ok(mut lab) => return body(&mut lab),
        Err(why) => why,
    };
    let inside = std::env::var_os(INSIDE).is_some();
    if !inside && can_unshare() {
        return run_inside(test);
    }
    let must =
        inside || std::env::var_os("POTLUCK_TEST_NETNS").is_some() || std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!must, "no network namespace can be made: {here}");
    eprintln!("SKIPPED: no network namespace can be made here: {here}");
}

/// Some hosts and switches.
#[derive(Debug)]
pub struct Lab {
    id: String,
    namespaces: Vec<String>,
    cables: u32,
}

impl Lab {
    fn new() -> Result<Self, String> {
        sweep();
        let id = format!("{PREFIX}-{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let mut lab = Self { id, namespaces: Vec::new(), cables: 0 };
        lab.try_space("probe")?;
        Ok(lab)
    }

    /// A switch without any host.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn switch(&mut self, switch: &str) {
        let space = self.space(switch);
        inside(&space, &["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"]);
        inside(&space, &["link", "set", "br0", "up"]);
    }

    /// A host without any cable; its name, to be given to [`Home::on_host`](crate::Home::on_host).
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn host(&mut self, host: &str) -> String {
        self.space(host)
    }

    /// A cable from `host` to `switch`; the host's end is called `interface` and has `addresses` (with prefix length).
    ///
    /// # Panics
    /// When it cannot be laid.
    pub fn plug(&mut self, host: &str, switch: &str, interface: &str, addresses: &[&str]) {
        self.cables += 1;
        let (host, switch, port) = (self.name(host), self.name(switch), format!("p{}", self.cables));
        inside(&switch, &["link", "add", &port, "type", "veth", "peer", "name", interface, "netns", &host]);
        inside(&switch, &["link", "set", &port, "master", "br0"]);
        inside(&switch, &["link", "set", &port, "up"]);
        inside(&host, &["link", "set", interface, "up"]);
        for address in addresses {
            give(&host, interface, address);
        }
    }

    /// Pulls the cable at `interface` of `host` out.
    ///
    /// # Panics
    /// When there is none.
    pub fn unplug(&mut self, host: &str, interface: &str) {
        inside(&self.name(host), &["link", "del", interface]);
    }

    /// A bridge as Docker makes one, with the address it has on every machine, and one container's cable in it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn docker_bridge(&mut self, host: &str) {
        let host = self.name(host);
        inside(&host, &["link", "add", "docker0", "type", "bridge"]);
        inside(&host, &["link", "set", "docker0", "up"]);
        inside(&host, &["link", "add", "veth-in", "type", "veth", "peer", "name", "veth-out"]);
        inside(&host, &["link", "set", "veth-in", "master", "docker0"]);
        inside(&host, &["link", "set", "veth-in", "up"]);
        inside(&host, &["link", "set", "veth-out", "up"]);
        give(&host, "docker0", "172.17.0.1/16");
    }

    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.id)
    }

    fn space(&mut self, part: &str) -> String {
        self.try_space(part).unwrap_or_else(|why| panic!("{why}"))
    }

    fn try_space(&mut self, part: &str) -> Result<String, String> {
        let name = self.name(part);
        ip(&["netns", "add", &name])?;
        self.namespaces.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            remove(namespace);
        }
        let left: Vec<_> = spaces().into_iter().filter(|name| name.starts_with(&self.id)).collect();
        assert!(thread::panicking() || left.is_empty(), "namespaces are left behind: {left:?}");
    }
}

/// Runs the test of this name again, in a user namespace that has its own networks.
fn run_inside(test: &str) {
    let this = std::env::current_exe().expect("a process knows its own program");
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", PREPARE, "sh"])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare was there a moment ago");
    let out = String::from_utf8_lossy(&status.stdout);
    let err = String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success() && out.contains("1 passed"), "inside a user namespace:\n{out}\n{err}");
}

fn can_unshare() -> bool {
    let probe = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "true"])
        .output();
    probe.is_ok_and(|output| output.status.success())
}

fn give(host: &str, interface: &str, address: &str) {
    let mut args = vec!["addr", "add", address, "dev", interface];
    if address.contains(':') {
        // An address that is still being checked for duplicates cannot be used yet.
        args.push("nodad");
    }
    inside(host, &args);
}

/// Takes away the namespaces of labs whose process is gone.
fn sweep() {
    for name in spaces() {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if owner.is_some_and(|id| !fs::exists(format!("/proc/{id}")).unwrap_or(true)) {
            remove(&name);
        }
    }
}

fn spaces() -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Ends what runs in the namespace, which is all of ours, and removes it.
fn remove(namespace: &str) {
    for id in ip(&["netns", "pids", namespace]).unwrap_or_default().split_whitespace() {
        if let Some(id) = id.parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
    if let Err(why) = ip(&["netns", "del", namespace]) {
        eprintln!("{why}");
    }
}

fn inside(namespace: &str, args: &[&str]) {
    let all: Vec<&str> = ["-n", namespace].iter().chain(args).copied().collect();
    ip(&all).unwrap_or_else(|why| panic!("{why}"));
}

fn ip(args: &[&str]) -> Result<String, String> {
    let output =
        Command::new("ip").args(args).output().map_err(|e| format!("`ip` cannot be run (install iproute2): {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`ip {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
