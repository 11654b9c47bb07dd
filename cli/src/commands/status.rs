//! `potluck status`: whether the node runs, and what it says of itself. Fails when it does not run, so that scripts can
//! ask.

use super::share::LendsObject;
use crate::gpus::{self, GpuObject};
use crate::quantity::ByteSize;
use crate::{exit, render, settings};
use clap::Args;
use potluck_node::wire::{DockerOffer, NodeInfo, OfferedImage, Remark};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  potluck status
  potluck status --json | jq .jobs_running

Exits with 0 when the node runs and with 125 when it does not.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Something a person should know of a node, in JSON.
#[derive(Serialize)]
pub(super) struct RemarkObject {
    kind: String,
    text: String,
}

impl RemarkObject {
    pub(super) fn new(remark: &Remark) -> Self {
        Self { kind: remark.kind.clone(), text: remark.text.clone() }
    }
}

/// What `status --json` says.
#[derive(Serialize)]
struct StatusObject {
    #[serde(flatten)]
    node: NodeObject,
    remarks: Vec<RemarkObject>,
}

/// A node in JSON: the fields of `status --json` and of each peer's `info`.
#[derive(Serialize)]
pub(super) struct NodeObject {
    running: bool,
    id: String,
    name: String,
    version: String,
    engine: String,
    os: String,
    arch: String,
    cores: u32,
    memory_bytes: u64,
    memory_free_bytes: u64,
    load: f64,
    gpus: Vec<GpuObject>,
    jobs_running: u32,
    environments: Vec<String>,
    addresses: Vec<String>,
    walls_missing: Option<Vec<String>>,
    tags: Vec<String>,
    lends: Option<LendsObject>,
    docker: Option<DockerOfferObject>,
}

/// What a node says it offers of containers, in JSON.
#[derive(Serialize)]
struct DockerOfferObject {
    /// The engine; none while none answers.
    engine: Option<String>,
    images: Vec<OfferedImageObject>,
}

#[derive(Serialize)]
struct OfferedImageObject {
    image: String,
    present: bool,
}

impl DockerOfferObject {
    fn new(offer: &DockerOffer) -> Self {
        let image =
            |offered: &OfferedImage| OfferedImageObject { image: offered.image.to_string(), present: offered.present };
        Self { engine: offer.engine.clone(), images: offer.images.iter().map(image).collect() }
    }
}

impl NodeObject {
    pub(super) fn new(info: &NodeInfo, running: bool) -> Self {
        Self {
            running,
            id: info.id.to_string(),
            name: info.name.clone(),
            version: info.version.clone(),
            engine: info.engine.clone(),
            os: info.os.clone(),
            arch: info.arch.clone(),
            cores: info.cores,
            memory_bytes: info.memory_bytes,
            memory_free_bytes: info.memory_free_bytes,
            load: f64::from(info.load_milli) / 1000.0,
            gpus: gpus::objects(info),
            jobs_running: info.jobs_running,
            environments: info.environments.clone(),
            addresses: info.addresses.iter().map(ToString::to_string).collect(),
            walls_missing: info.walls_missing.clone(),
            tags: info.tags.clone(),
            lends: info.lends.as_ref().map(LendsObject::new),
            docker: info.docker.as_ref().map(DockerOfferObject::new),
        }
    }
}

pub(crate) fn execute(args: &StatusArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let (running, info, remarks) = settings::block_on(async {
        let (info, remarks) = client.status().await?;
        Ok((client.daemon_runs(), info, remarks))
    })?;
    if args.json {
        let node = NodeObject::new(&info, running);
        render::print_json(&StatusObject { node, remarks: remarks.iter().map(RemarkObject::new).collect() })?;
    } else if running {
        let lines: String =
            remarks.iter().map(|remark| format!("attention     {}\n", render::tame(&remark.text))).collect();
        // The text is the rest of a sentence that begins with a name: "lends 2 jobs at once".
        let words = |text: &str| text.strip_prefix("lends ").unwrap_or(text).to_owned();
        let lends = info.lends.as_ref().map(|lends| format!("lends         {}\n", render::tame(&words(&lends.text))));
        let docker = info.docker.as_ref().map(|offer| format!("docker        {}\n", render::tame(&offered(offer))));
        render::print(&format!(
            "{}{}{}{lines}",
            describe(&info),
            lends.unwrap_or_default(),
            docker.unwrap_or_default()
        ))?;
    }
    if running {
        return Ok(exit::SUCCESS);
    }
    render::say("no node runs on this machine; `potluck up -d` starts one");
    Ok(exit::FAILED)
}

/// What is offered of containers, in one line.
pub(super) fn offered(offer: &DockerOffer) -> String {
    let Some(engine) = &offer.engine else { return "no engine answers".to_owned() };
    let names: Vec<String> =
        offer.images.iter().filter(|image| image.present).map(|image| image.image.to_string()).collect();
    let absent = offer.images.len() - names.len();
    let names = if names.is_empty() { "no image".to_owned() } else { names.join(", ") };
    let absent = if absent == 0 { String::new() } else { format!(" ({absent} more are allowed and not there)") };
    format!("{engine}: {names}{absent}")
}

fn describe(info: &NodeInfo) -> String {
    let addresses: Vec<String> = info.addresses.iter().map(ToString::to_string).collect();
    let gpus: Vec<String> = info.graphics().iter().map(gpus::described).collect();
    let gpus = if gpus.is_empty() { "none seen".to_owned() } else { gpus.join("; ") };
    let environments = if info.environments.is_empty() { "none".to_owned() } else { info.environments.join(", ") };
    format!(
        "{} ({}) is up\naddresses     {}\nmachine       {}/{}, {} cores, {} of {} memory free\ngpus          {}\nload          {:.2}\n\
         jobs running  {}\nenvironments  {environments}\nengine        {}\n",
        info.name,
        info.id.short(),
        addresses.join(", "),
        info.os,
        info.arch,
        info.cores,
        ByteSize(info.memory_free_bytes),
        ByteSize(info.memory_bytes),
        render::tame(&gpus),
        f64::from(info.load_milli) / 1000.0,
        info.jobs_running,
        info.engine,
    )
}
