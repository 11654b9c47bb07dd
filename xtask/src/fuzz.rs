//! Fuzzing: the targets of `fuzz/`, built with libFuzzer and coverage by the ordinary compiler, and run for a while from the
//! inputs kept in `fuzz/corpus`. A target that finds anything fails the chore and leaves the input.
//!
//! Coverage is asked for our own crates and the parsers they use, not for the engine, which would take minutes more to
//! compile: this program stands between cargo and rustc and adds the flags to those alone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, find, is_root, read, run, run_within};
use crate::workspace::Workspace;

/// Set for the time of the build: cargo calls this program as it would call rustc.
pub(crate) const AS_RUSTC: &str = "POTLUCK_XTASK_AS_RUSTC";
/// Crates whose code libFuzzer is to see, besides the targets.
const COVERED: [&str; 11] = [
    "potluck_fuzz",
    "potluck_node",
    "potluck_runtime",
    "rmp",
    "rmp_serde",
    "serde_json",
    "wasmparser",
    "zip",
    "toml",
    "toml_parser",
    "data_encoding",
];
/// What makes LLVM count for libFuzzer. They are options of the ordinary compiler.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// How long each target runs unless `--seconds` says otherwise.
const SECONDS: u64 = 10;
/// Bytes of an input: enough for any header, and for an archive or module with something in it.
const INPUT_LEN_MAX: usize = 64 << 10;
/// What a target may take: an input that asks for more memory, or more time, is a finding.
const MEMORY_MIB_MAX: u32 = 2048;
const INPUT_SECONDS_MAX: u32 = 10;
/// How long a target may take besides its seconds: it reads its corpus first.
const GRACE: Duration = Duration::from_secs(60);
const USAGE: &str = "usage: cargo xtask fuzz [TARGET...] [--seconds N] [--jobs N] [--merge]";

/// What was asked for.
struct Plan {
    targets: Vec<String>,
    seconds: u64,
    jobs: usize,
    /// Whether what was found is to be added to the corpus that is kept, in place of what it makes needless.
    merges: bool,
}

/// Builds the targets and runs them, as many at once as there are processors.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let plan = Plan::parse(workspace, arguments)?;
    install_compiler()?;
    build(workspace)?;
    let mut failed = Vec::new();
    for targets in plan.targets.chunks(plan.jobs) {
        let started: Vec<_> = targets.iter().map(|target| start(workspace, target, &plan)).collect::<Result<_>>()?;
        for (target, child) in targets.iter().zip(started) {
            if !ends_well(workspace, target, child)? {
                failed.push(target.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} found something; the inputs lie in {}", failed.join(", "), artifacts(workspace).display());
    }
    if plan.merges {
        plan.targets.iter().try_for_each(|target| merge(workspace, target))?;
    }
    Ok(())
}

/// Calls rustc as cargo wants it called, with the flags of coverage where they belong.
pub(crate) fn be_rustc() -> Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let rustc = words.next().context("cargo names no compiler")?;
    let words: Vec<OsString> = words.collect();
    let name = words.iter().skip_while(|word| *word != "--crate-name").nth(1);
    let name = name.and_then(|name| name.to_str()).unwrap_or_default();
    let mut command = Command::new(rustc);
    command.args(&words);
    // What cargo runs while it builds, macros above all, is compiled without `--target` and cannot be covered.
    let ships = words.iter().any(|word| word == "--target");
    if ships && (COVERED.contains(&name) || is_target(name)) {
        command.args(COVERAGE);
    }
    let status = command.status().context("cannot start rustc")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// Whether a crate of this name is a target; cargo says in which folder it compiles.
fn is_target(name: &str) -> bool {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .is_some_and(|folder| Path::new(&folder).join(format!("fuzz_targets/{name}.rs")).is_file())
}

impl Plan {
    fn parse(workspace: &Workspace, arguments: &[String]) -> Result<Self> {
        let known = targets(workspace)?;
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut plan = Self { targets: Vec::new(), seconds: SECONDS, jobs, merges: false };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).context(USAGE);
            match word.as_str() {
                "--seconds" => plan.seconds = number()?,
                "--jobs" => plan.jobs = usize::try_from(number()?)?.max(1),
                "--merge" => plan.merges = true,
                target if known.iter().any(|name| name == target) => plan.targets.push(target.to_owned()),
                other => bail!("there is no target {other:?}; there are {}\n{USAGE}", known.join(", ")),
            }
        }
        if plan.targets.is_empty() {
            plan.targets = known;
        }
        Ok(plan)
    }
}

/// The names of the targets, in order.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn build(workspace: &Workspace) -> Result<()> {
    let wrapper = wrapper(workspace)?;
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", "fuzz", "--bins", "--manifest-path", "fuzz/Cargo.toml"]);
    build.args(["--target", &host()?]).arg("--target-dir").arg(workspace.fuzz_build()).current_dir(workspace.root());
    run(build.env("RUSTC_WRAPPER", wrapper).env(AS_RUSTC, "1"))
}

/// This program, at a place where it stays: the tests before may have been built with another one in its place.
fn wrapper(workspace: &Workspace) -> Result<PathBuf> {
    let wrapper = workspace.fuzz_build().join("rustc-with-coverage");
    fs::create_dir_all(workspace.fuzz_build()).context("there is no place for the fuzzers")?;
    // One that still runs cannot be written to.
    let aside = wrapper.with_extension("new");
    fs::copy("/proc/self/exe", &aside).context("this program cannot be copied")?;
    fs::rename(&aside, &wrapper).context("this program cannot be copied")?;
    Ok(wrapper)
}

/// libFuzzer is written in C++ and compiled with the targets.
fn install_compiler() -> Result<()> {
    if find("c++").is_some() || !is_root()? || find("apt-get").is_none() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install.args(["-qq", "-y", "install", "--no-install-recommends", "g++"]);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The system this runs on, as rustc calls it.
fn host() -> Result<String> {
    let text = read(Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for what it compiles")
}

fn program(workspace: &Workspace, target: &str) -> Result<PathBuf> {
    Ok(workspace.fuzz_build().join(host()?).join("fuzz").join(target))
}

fn artifacts(workspace: &Workspace) -> PathBuf {
    workspace.fuzz_build().join("artifacts")
}

fn log(workspace: &Workspace, target: &str) -> PathBuf {
    workspace.fuzz_build().join("logs").join(format!("{target}.log"))
}

/// The corpus that is kept, and the one to which a run adds.
fn corpora(workspace: &Workspace, target: &str) -> (PathBuf, PathBuf) {
    (workspace.root().join("fuzz/corpus").join(target), workspace.fuzz_build().join("corpus").join(target))
}

fn fuzzer(workspace: &Workspace, target: &str) -> Result<Command> {
    let (kept, found) = corpora(workspace, target);
    for folder in [&kept, &found, &artifacts(workspace), &workspace.fuzz_build().join("logs")] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = Command::new(program(workspace, target)?);
    command
        .arg(format!("-max_len={INPUT_LEN_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-artifact_prefix={}/{target}-", artifacts(workspace).display()));
    // Targets that need a file make it in memory.
    if Path::new("/dev/shm").is_dir() {
        command.env("TMPDIR", "/dev/shm");
    }
    Ok(command)
}

fn start(workspace: &Workspace, target: &str, plan: &Plan) -> Result<Child> {
    let (kept, found) = corpora(workspace, target);
    let mut command = fuzzer(workspace, target)?;
    let log = File::create(log(workspace, target)).context("cannot write the log of a target")?;
    command.arg(format!("-max_total_time={}", plan.seconds)).arg("-print_final_stats=1").arg(found).arg(kept);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().with_context(|| format!("cannot start the target {target}"))
}

/// Waits for a target and says how it went.
fn ends_well(workspace: &Workspace, target: &str, mut child: Child) -> Result<bool> {
    let status = child.wait()?;
    let text = fs::read_to_string(log(workspace, target)).unwrap_or_default();
    let number = |name: &str| text.lines().rev().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim);
    let covered = text.lines().rev().find_map(|line| line.split(" cov: ").nth(1)?.split(' ').next()).unwrap_or("?");
    let (runs, memory) = (number("stat::number_of_executed_units:"), number("stat::peak_rss_mb:"));
    eprintln!("fuzz: {target:<9} {runs:>12} runs, {covered:>6} places reached, {memory:>5} MiB, {status}");
    if !status.success() {
        eprintln!(
            "{}",
            text.lines().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        );
    }
    Ok(status.success())
}

/// Keeps what is needed to reach all that was reached.
fn merge(workspace: &Workspace, target: &str) -> Result<()> {
    let (kept, found) = corpora(workspace, target);
    let fresh = workspace.fuzz_build().join("merged").join(target);
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let mut command = fuzzer(workspace, target)?;
    // What reaches the same places oftener is not worth a file.
    command.args(["-merge=1", "-use_counters=0"]).arg(&fresh).arg(&kept).arg(&found).stderr(Stdio::null());
    run_within(&mut command, GRACE * 10)?;
    fs::remove_dir_all(&kept)?;
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(&fresh)? {
        let entry = entry?;
        fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    let size = read(Command::new("du").arg("-sh").arg(&kept))?;
    eprintln!("fuzz: kept {size}");
    Ok(())
}
