//! What one job costs this machine, whatever else it does: processor time, page faults and context switches of the node
//! and its workers, for a job that prints one line and is given over the owner's socket; and how long the quickest and the
//! median one took. `cargo bench -p potluck-benches --bench cost -- COUNT` says over how many jobs.

use potluck_benches::{NodeProcess, burst, client, has_python, hello, over_socket, role, script};
use potluck_node::client::Client;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const COUNT: u64 = 500;
/// Jobs before what is measured.
const WARM_UP: u64 = 50;
/// The unit of times in `/proc/PID/stat`.
const TICKS_PER_SECOND: u64 = 100;

fn main() -> ExitCode {
    if let Some(code) = role() {
        return code;
    }
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(COUNT);
    let directory = TempDir::new().expect("there is a temporary directory");
    let node = NodeProcess::start(directory.path());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system has room");
    let client = client(directory.path());
    let mut programs = vec![hello()];
    programs.extend(has_python(&tokio, &client).then(script));
    for program in programs {
        for in_flight in [1, 2, 8] {
            measure(&tokio, &client, &node, &program, count, in_flight);
        }
    }
    ExitCode::SUCCESS
}

fn measure(tokio: &Runtime, client: &Client, node: &NodeProcess, program: &Path, count: u64, in_flight: usize) {
    let run = |count| tokio.block_on(burst(count, in_flight, || over_socket(client.clone(), program.to_owned())));
    run(WARM_UP);
    let (before, start) = (Used::by(node), Instant::now());
    run(count);
    let (used, elapsed) = (Used::by(node).since(&before), start.elapsed());
    let ms = |ticks: u64| ticks as f64 * 1000.0 / TICKS_PER_SECOND as f64 / count as f64;
    let name = program.file_name().unwrap_or_default().display();
    print!("{name}, {in_flight} in flight: {:.0} a second; each ", count as f64 / elapsed.as_secs_f64());
    print!("{:.2} ms in the node and {:.2} ms in workers, ", ms(used.node), ms(used.workers));
    print!("{} faults, {} switches", used.faults / count, used.switches / count);
    if in_flight == 1 {
        let times = times(count, || run(1));
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        print!("; {:.2} ms at least, {:.2} ms the median", ms(times[0]), ms(times[times.len() / 2]));
    }
    println!();
}

/// How long each call takes, the shortest first.
fn times(count: u64, run: impl Fn()) -> Vec<Duration> {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..count.max(1)).map(time).collect();
    times.sort_unstable();
    times
}

/// What the node and those of its workers that live have used so far.
#[derive(Default)]
struct Used {
    /// Processor time in ticks.
    node: u64,
    workers: u64,
    faults: u64,
    switches: u64,
}

impl Used {
    fn by(node: &NodeProcess) -> Self {
        let mut used = Self::default();
        for entry in fs::read_dir("/proc").expect("there is /proc").flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            // The name, in parentheses, may hold anything.
            let fields: Vec<u64> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split(' ')
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            let is_node = id == node.id();
            if fields.len() < 16 || !(is_node || fields[2] == u64::from(node.id())) {
                continue;
            }
            let ticks = fields[12] + fields[13];
            *(if is_node { &mut used.node } else { &mut used.workers }) += ticks;
            used.faults += fields[8];
            used.switches += switches(&entry.path().join("task"));
        }
        used
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            node: self.node - before.node,
            workers: self.workers.saturating_sub(before.workers),
            faults: self.faults.saturating_sub(before.faults),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

fn switches(tasks: &Path) -> u64 {
    let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
    let status = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let count = |status: String| -> u64 {
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
    };
    status.map(count).sum()
}
