//! `potluck ledger receipt`: what the machine that ran a job has signed about it. In a file it is JSON that holds the signed
//! bytes, so that anybody can check it anywhere.

use crate::exit::{self, Refusal, Trouble};
use crate::outcome::OutcomeObject;
use crate::quantity::{ByteSize, Fuel, Span};
use crate::{records, render, settings};
use anyhow::Context;
use clap::{ArgGroup, Args};
use data_encoding::HEXLOWER;
use potluck_node::store::jobs::{JobStore, KeptReceipt, Role};
use potluck_node::wire::receipt::BODY_LEN_MAX;
use potluck_node::wire::{JobId, Receipt, ReceiptBody};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a file with a receipt: the body in hexadecimal, and its meaning beside it.
const FILE_LEN_MAX: u64 = 4 * BODY_LEN_MAX as u64;

const EXAMPLES: &str = "\
Examples:
  potluck ledger receipt 3fa9c1                  what the machine that ran a job has signed about it
  potluck ledger receipt 3fa9c1 --json > r.json
  potluck ledger receipt --verify r.json         checks it, here or anywhere";

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true), after_help = EXAMPLES)]
pub(crate) struct ReceiptArgs {
    /// Which job
    #[arg(value_name = "ID", group = "which")]
    id: Option<String>,
    /// Check the receipt in this file, which `--json` has printed; `-` for stdin
    #[arg(long, value_name = "FILE", group = "which")]
    verify: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A receipt for programs; `body` and `signature` are all that counts.
#[derive(Serialize)]
struct ReceiptObject {
    body: String,
    signature: String,
    /// Why it is not believed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
    says: BodyObject,
}

#[derive(Serialize)]
struct BodyObject {
    job: String,
    ran: String,
    sent: String,
    program: Option<String>,
    request: String,
    image: Option<String>,
    engine: String,
    outcome: OutcomeObject,
    fuel_used: u64,
    wall_ms: u64,
    memory_peak_bytes: u64,
    output: String,
    accepted_ms: u64,
    ended_ms: u64,
    fuel_limit: u64,
    memory_limit_bytes: u64,
    wall_limit_ms: u64,
}

/// What is read of a file.
#[derive(Deserialize)]
struct SignedObject {
    body: String,
    signature: String,
}

pub(super) fn execute(args: &ReceiptArgs) -> anyhow::Result<u8> {
    let kept = match (&args.id, &args.verify) {
        (Some(id), _) => of_job(id)?,
        (None, Some(file)) => KeptReceipt { receipt: read(file)?, wrong: None },
        (None, None) => return Err(Refusal::error(Trouble::Failed, "name a job or a file")),
    };
    let body = kept.receipt.verify();
    let body = body.map_err(|error| {
        let why = render::sentence(&anyhow::Error::new(error));
        Refusal::error(Trouble::Failed, format!("this is no receipt: {why}"))
    })?;
    if args.json {
        render::print_json(&ReceiptObject::new(&kept, body))?;
    } else {
        render::print(&describe(&kept, &body))?;
    }
    Ok(if kept.wrong.is_some() { exit::UNWELL } else { exit::SUCCESS })
}

fn of_job(id: &str) -> anyhow::Result<KeptReceipt> {
    let store = records::open(&settings::client()?)?;
    let job = store.find(id)?;
    match find(&store, job)? {
        Some(kept) => Ok(kept),
        None => {
            let text = format!(
                "there is no receipt of {}: it ran here, did not run, or its machine signs none",
                store.shortened(job)?
            );
            Err(Refusal::error(Trouble::Failed, text))
        }
    }
}

fn find(store: &JobStore, job: JobId) -> anyhow::Result<Option<KeptReceipt>> {
    match store.receipt(job, Role::Sent)? {
        Some(kept) => Ok(Some(kept)),
        None => Ok(store.receipt(job, Role::Ran)?),
    }
}

fn read(file: &Path) -> anyhow::Result<Receipt> {
    let shown = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(FILE_LEN_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_LEN_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {shown}"))?;
    let bad = || format!("{shown} holds no receipt; `potluck ledger receipt ID --json` prints one");
    let SignedObject { body, signature } = serde_json::from_str(&text).with_context(bad)?;
    let body = HEXLOWER.decode(body.as_bytes()).with_context(bad)?;
    let signature = HEXLOWER.decode(signature.as_bytes()).with_context(bad)?;
    let signature = signature.try_into().map_err(|_| Refusal::error(Trouble::Failed, bad()))?;
    Ok(Receipt { body, signature })
}

fn describe(kept: &KeptReceipt, body: &ReceiptBody) -> String {
    let none = || "none".to_owned();
    let mut lines = vec![
        ("job", body.job.to_string()),
        ("ran by", body.ran.to_string()),
        ("for", body.sent.to_string()),
        ("program", body.program.map_or_else(none, |digest| digest.to_string())),
        ("request", body.request.to_string()),
        ("image", body.image.map_or_else(none, |digest| digest.to_string())),
        ("engine", body.engine.clone()),
        ("outcome", body.report.outcome.to_string()),
        ("fuel", format!("{} of {}", body.report.fuel_used, Fuel(body.limits.fuel))),
        ("time", Span(Duration::from_millis(body.report.wall_ms)).to_string()),
        ("memory", format!("{} of {}", ByteSize(body.report.memory_peak_bytes), ByteSize(body.limits.memory_bytes))),
        ("output", body.output.to_string()),
        ("signature", "good".to_owned()),
    ];
    if let Some(why) = &kept.wrong {
        lines.push(("WRONG", why.clone()));
    }
    lines.iter().map(|(what, value)| format!("{what:<10} {}\n", render::tame(value))).collect()
}

impl ReceiptObject {
    fn new(kept: &KeptReceipt, body: ReceiptBody) -> Self {
        let says = BodyObject {
            job: body.job.to_string(),
            ran: body.ran.to_string(),
            sent: body.sent.to_string(),
            program: body.program.map(|digest| digest.to_string()),
            request: body.request.to_string(),
            image: body.image.map(|digest| digest.to_string()),
            engine: body.engine,
            fuel_used: body.report.fuel_used,
            wall_ms: body.report.wall_ms,
            memory_peak_bytes: body.report.memory_peak_bytes,
            outcome: OutcomeObject::from(body.report.outcome),
            output: body.output.to_string(),
            accepted_ms: body.accepted_ms,
            ended_ms: body.ended_ms,
            fuel_limit: body.limits.fuel,
            memory_limit_bytes: body.limits.memory_bytes,
            wall_limit_ms: body.limits.wall_ms,
        };
        let Receipt { body, signature } = &kept.receipt;
        let (body, signature) = (HEXLOWER.encode(body), HEXLOWER.encode(signature));
        Self { body, signature, wrong: kept.wrong.clone(), says }
    }
}
