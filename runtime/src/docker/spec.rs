//! What the engine is told to make for a run: a volume in memory for the working directory, a holder that keeps it, and the
//! job's container. Everything a job may not have is taken away here, in one place; nothing of the request can give it back.

use super::engine::Cards;
use super::holder::HOLDER_NAME;
use super::{PreparedContainer, process};
use crate::job::RunRequest;
use crate::job::Tenant;
use crate::protocol::Given;
use crate::runtime::base_env;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountTmpfsOptions,
    MountType, MountVolumeOptions, ResourcesUlimits, VolumeCreateRequest,
};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Where the working directory of a job is.
pub(crate) const WORK_PLACE: &str = "/work";
/// Where its temporary directory is.
const TMP_PLACE: &str = "/tmp";
/// Who a job is in its container: nobody, everywhere.
pub(crate) const JOB_USER: u64 = 65534;
/// The most processes and threads of a job.
const PROCESSES_MAX: i64 = 256;
/// The core a job has, in billionths.
const CORES: i64 = 1_000_000_000;
/// The least memory engines accept, in bytes.
const MEMORY_MIN: u64 = 6 << 20;
/// What a holder may have, in bytes: it needs one page, the engine's start of it a few megabytes.
const HOLDER_MEMORY: i64 = 16 << 20;
/// The least and the most of the temporary directory, in bytes; it is an eighth of the disk limit between them.
const TMP_MIN: u64 = 4 << 10;
const TMP_MAX: u64 = 64 << 20;
/// The most shared memory, in bytes; it counts as memory.
const SHARED_MAX: u64 = 64 << 20;
const PAGE: u64 = 4 << 10;
/// The weight of a job of somebody else beside the owner's own work, which has 1024.
const OTHERS_SHARES: i64 = 64;
/// How much sooner the system ends a job than anything of the owner's when memory runs out.
const OOM_SCORE: i64 = 500;

/// What the variables begin with that a runtime of graphics cards obeys, and the one that says which to give.
const CARDS_VARIABLES: &str = "NVIDIA_";
const CARDS_VARIABLE: &str = "NVIDIA_VISIBLE_DEVICES";

/// The labels on everything that is made.
pub(crate) const OWNER_LABEL: &str = "potluck.owner";
pub(crate) const RUN_LABEL: &str = "potluck.run";
pub(crate) const PROCESS_LABEL: &str = "potluck.process";

/// The names of what is made for one run.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) job: String,
    pub(crate) holder: String,
    pub(crate) volume: String,
    labels: HashMap<String, String>,
}

impl Names {
    /// Names that no other run has.
    pub(crate) fn new(owner: &str) -> Self {
        let serial = RandomState::new().hash_one(process::label());
        let run = format!("{serial:016x}");
        let labels = [(OWNER_LABEL, owner), (RUN_LABEL, &run), (PROCESS_LABEL, process::label())];
        Self {
            job: format!("potluck-{run}"),
            holder: format!("potluck-{run}-holder"),
            volume: format!("potluck-{run}-work"),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }
}

/// How large the directories of a job are, in bytes and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    work: u64,
    tmp: u64,
    files: u64,
}

impl Room {
    /// The disk limit goes to the temporary directory to an eighth and to the working directory for the rest, which has
    /// room for what the job was given besides.
    pub(crate) fn new(request: &RunRequest, given: Given) -> Self {
        let disk = request.limits.disk_bytes;
        let tmp = (disk / 8).clamp(TMP_MIN, TMP_MAX);
        // A size or a number of 0 would mean any.
        let work = disk.saturating_sub(tmp).saturating_add(given.bytes).max(PAGE).next_multiple_of(PAGE);
        let files = request.limits.files.saturating_add(given.entries).saturating_add(1);
        Self { work, tmp, files }
    }
}

/// The volume of the working directory.
pub(crate) fn volume(names: &Names, room: Room) -> VolumeCreateRequest {
    // In pages, not bytes: what is called a size is a quota of the disk to Podman, which few disks have.
    let options = format!(
        "nr_blocks={},nr_inodes={},mode=0700,uid={JOB_USER},gid={JOB_USER},nosuid,nodev",
        room.work.min(i64::MAX.cast_unsigned()).div_ceil(rustix::param::page_size() as u64),
        room.files.min(i64::MAX.cast_unsigned())
    );
    let driver_opts = [("type", "tmpfs"), ("device", "tmpfs"), ("o", options.as_str())];
    VolumeCreateRequest {
        name: Some(names.volume.clone()),
        driver: Some("local".to_owned()),
        driver_opts: Some(driver_opts.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        labels: Some(names.labels.clone()),
        ..VolumeCreateRequest::default()
    }
}

/// The holder. Its program is put into it before it starts, so its root is not read-only.
pub(crate) fn holder(names: &Names, prepared: &PreparedContainer) -> ContainerCreateBody {
    let host = HostConfig {
        memory: Some(HOLDER_MEMORY),
        memory_swap: Some(HOLDER_MEMORY),
        pids_limit: Some(PROCESSES_MAX),
        mounts: Some(vec![work_mount(names)]),
        ..walled()
    };
    ContainerCreateBody {
        entrypoint: Some(vec![format!("/{HOLDER_NAME}")]),
        cmd: Some(Vec::new()),
        healthcheck: prepared.has_check.then(no_check),
        host_config: Some(host),
        ..anyone(names, &prepared.image_id)
    }
}

/// The job's container.
pub(crate) fn job(
    names: &Names,
    prepared: &PreparedContainer,
    request: &RunRequest,
    room: Room,
    cards: Cards,
) -> ContainerCreateBody {
    let limits = &request.limits;
    // What is written to directories in memory counts as memory of whoever writes it.
    let memory = signed(limits.memory_bytes.saturating_add(limits.disk_bytes).max(MEMORY_MIN));
    let host = HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(CORES),
        cpu_shares: (request.tenant != Tenant::OWNER).then_some(OTHERS_SHARES),
        oom_score_adj: Some(OOM_SCORE),
        pids_limit: Some(PROCESSES_MAX),
        readonly_rootfs: Some(true),
        shm_size: Some(signed((limits.memory_bytes / 4).clamp(PAGE, SHARED_MAX))),
        ulimits: Some(vec![ulimit("nofile", i64::from(limits.open_files)), ulimit("core", 0)]),
        mounts: Some(mounts(names, prepared, request, room)),
        device_requests: (request.gpus > 0).then(|| vec![device_request(request.gpus, cards)]),
        ..walled()
    };
    let argv = argv(prepared, request);
    ContainerCreateBody {
        entrypoint: Some(argv.iter().take(1).cloned().collect()),
        cmd: Some(argv.iter().skip(1).cloned().collect()),
        env: Some(env(request).into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(WORK_PLACE.to_owned()),
        healthcheck: prepared.has_check.then(no_check),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..anyone(names, &prepared.image_id)
    }
}

/// What every container of ours is.
fn anyone(names: &Names, image_id: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image_id.to_owned()),
        hostname: Some("potluck".to_owned()),
        user: Some(format!("{JOB_USER}:{JOB_USER}")),
        network_disabled: Some(true),
        tty: Some(false),
        labels: Some(names.labels.clone()),
        ..ContainerCreateBody::default()
    }
}

/// Nothing of the image runs beside the job.
fn no_check() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

/// What every container of ours may not do.
fn walled() -> HostConfig {
    HostConfig {
        network_mode: Some("none".to_owned()),
        // The engine would put the name servers of this machine into the container.
        dns: Some(vec!["127.0.0.1".to_owned()]),
        ipc_mode: Some("private".to_owned()),
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        auto_remove: Some(false),
        // What the job prints is passed on, not kept.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    }
}

fn mounts(names: &Names, prepared: &PreparedContainer, request: &RunRequest, room: Room) -> Vec<Mount> {
    let mut mounts = vec![work_mount(names), in_memory(TMP_PLACE, room.tmp, 0o1777)];
    let given = request.mounts.iter().map(|mount| Mount {
        typ: Some(MountType::BIND),
        source: Some(mount.host.display().to_string()),
        target: Some(mount.guest.clone()),
        read_only: Some(true),
        ..Mount::default()
    });
    mounts.extend(given);
    // An image may declare places for which an engine makes directories of the host, without a bound.
    let taken: Vec<String> = mounts.iter().filter_map(|mount| mount.target.clone()).collect();
    let declared = prepared.volumes.iter().filter(|place| !taken.contains(place));
    mounts.extend(declared.map(|place| Mount { read_only: Some(true), ..in_memory(place, PAGE, 0o755) }));
    mounts
}

fn work_mount(names: &Names) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(names.volume.clone()),
        target: Some(WORK_PLACE.to_owned()),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

fn in_memory(place: &str, bytes: u64, mode: i64) -> Mount {
    Mount {
        typ: Some(MountType::TMPFS),
        target: Some(place.to_owned()),
        tmpfs_options: Some(MountTmpfsOptions { size_bytes: Some(signed(bytes)), mode: Some(mode), options: None }),
        ..Mount::default()
    }
}

fn device_request(gpus: u32, cards: Cards) -> DeviceRequest {
    match cards {
        Cards::Runtime | Cards::None => DeviceRequest {
            count: Some(i64::from(gpus)),
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            ..DeviceRequest::default()
        },
        Cards::Described => DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some((0..gpus).map(|card| format!("nvidia.com/gpu={card}")).collect()),
            ..DeviceRequest::default()
        },
    }
}

/// The command and the arguments. A first word that names an input is that file, not a program of the image.
fn argv(prepared: &PreparedContainer, request: &RunRequest) -> Vec<String> {
    let mut argv: Vec<String> = prepared.command().iter().chain(&request.args).cloned().collect();
    if let Some(first) = argv.first_mut()
        && request.inputs.iter().any(|input| input.guest.as_str() == first.as_str())
    {
        first.insert_str(0, "./");
    }
    argv
}

/// The variables every job has, and those of the request. Those by which a guest and we talk are left out: nobody would
/// listen. Those by which a runtime of graphics cards is told what to give are not the job's to set, nor its image's.
fn env(request: &RunRequest) -> Vec<(String, String)> {
    let mut env = base_env();
    if request.gpus == 0 {
        env.push((CARDS_VARIABLE.to_owned(), "void".to_owned()));
    }
    for (name, value) in request.env.iter().filter(|(name, _)| !name.starts_with(CARDS_VARIABLES)) {
        env.retain(|(known, _)| known != name);
        env.push((name.clone(), value.clone()));
    }
    env
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What images call the processor of this machine.
pub(crate) fn machine_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
