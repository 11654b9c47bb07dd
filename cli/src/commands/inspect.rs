//! `potluck inspect`: what a program is, what it could do and what not, and where it can run, before it runs anywhere. Whether
//! it can run is asked of what runs it: it is compiled as it would be, and kept for when it does.

mod object;
mod text;

use crate::exit::{self, Refusal, Trouble};
use crate::packages::PackageArgs;
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::reasons::OwnedMachineObject;
use crate::render::{self, sentence};
use crate::{records, settings};
use clap::Args;
use object::{About, Report};
use potluck_node::client::{Client, GivenProgram, Parcel, Submission};
use potluck_node::state::containers::lacks;
use potluck_node::state::needs::Requirements;
use potluck_node::store::jobs::Role;
use potluck_node::wire::{DockerOffer, JobContainer, JobProgram, Rehearsed};
use potluck_runtime::{Inspection, Limits, Program};
use std::io::Read;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  potluck inspect tool.wasm                      what it is, what it could do, where it can run
  potluck inspect report.py                      its environment and what it imports
  potluck inspect --job 3fa9c1                   of a job that was given, or that a peer has waiting here
  potluck inspect tool.wasm --json | jq .runs_here

Ends with 0 if it can run here, and with 126 if it cannot.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// A .wasm, a .py or other script, or a folder with `__main__.py`
    #[arg(value_name = "FILE", required_unless_present = "job", conflicts_with = "job")]
    file: Option<PathBuf>,
    /// The program of this job instead: one given with `run -d` or `map`, from here or by a peer to this machine
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// The memory that the job would get [default: 1G]
    #[arg(long, value_name = "SIZE", conflicts_with = "job")]
    memory: Option<ByteSize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &InspectArgs) -> anyhow::Result<u8> {
    let client = settings::client()?;
    let report = settings::block_on(async {
        match (&args.job, &args.file) {
            (Some(job), _) => of_job(&client, job).await,
            (None, Some(file)) => of_file(&client, file, args.memory).await,
            (None, None) => Err(Refusal::error(Trouble::Failed, "name a file, or a job with `--job ID`")),
        }
    })?;
    if args.json {
        render::print_json(&report)?;
    } else {
        render::print(&text::of(&report))?;
    }
    Ok(if report.runs_here { exit::SUCCESS } else { exit::CANNOT_RUN })
}

async fn of_file(client: &Client, file: &Path, memory: Option<ByteSize>) -> anyhow::Result<Report> {
    let default = Limits::default();
    let limits = Limits { memory_bytes: memory.map_or(default.memory_bytes, |memory| memory.0), ..default };
    let memory_bytes = limits.memory_bytes;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let mut report = Report::of(name.clone(), memory_bytes);
    let packages = PackageArgs::default().found(client, file, None, true).await?;
    report.packages = packages.wheels.iter().map(|wheel| wheel.name.clone()).collect();
    let parcel = match client.parcel(Submission::new(file).limits(limits).packages(packages)).await {
        Ok(parcel) => Some(parcel),
        Err(error) if super::run::trouble(&error) == Trouble::CannotRun => {
            report.refuse(sentence(&anyhow::Error::new(error)));
            None
        }
        Err(error) => return Err(super::run::refusal(error)),
    };
    report.bytes = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    match &parcel {
        Some(parcel) => match parcel.program() {
            program @ (JobProgram::Script { .. } | JobProgram::Session { .. }) => {
                script(client, program, parcel.interpreter_path(), &mut report).await?;
            }
            JobProgram::Wasm { .. } => wasm(client, file, &name, &mut report).await?,
            JobProgram::Container(container) => contained(client, container, &mut report).await?,
        },
        // What is no script is looked at all the same, for what it shows of itself.
        None if is_wasm(file) => drop(outline(client, file, &name, &mut report).await?),
        None => {}
    }
    if let Some(parcel) = parcel {
        machines(client, &parcel, &Requirements::default(), &mut report).await?;
    }
    Ok(report)
}

async fn of_job(client: &Client, text: &str) -> anyhow::Result<Report> {
    let records = records::open(client)?;
    let given: GivenProgram = client.given_program(&records, text)?;
    let mut report = Report::of(given.name().to_owned(), given.memory_bytes());
    report.job = Some(given.job().to_string());
    report.role = Some(given.role().word());
    let path = given.path().map(Path::to_owned);
    report.bytes = path.as_ref().and_then(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len());
    if given.is_incomplete() {
        report.refuse("its bytes are not here any more, so it can be neither looked at nor given again".to_owned());
    }
    match (given.program(), &path) {
        (JobProgram::Wasm { name, .. }, Some(path)) => wasm(client, path, name, &mut report).await?,
        (JobProgram::Wasm { .. }, None) => {}
        (JobProgram::Container(container), _) => {
            report.files = given.files().iter().map(ToString::to_string).collect();
            contained(client, container, &mut report).await?;
        }
        (program, _) => {
            report.packages = given.packages();
            report.files = given.files().iter().map(ToString::to_string).collect();
            script(client, program, given.interpreter_path(), &mut report).await?;
        }
    }
    let is_ours = given.role() == Role::Sent;
    let (parcel, requirements) = given.into_parcel();
    // A peer's job is its home's to place.
    if is_ours {
        machines(client, &parcel, &requirements, &mut report).await?;
    }
    Ok(report)
}

fn is_wasm(file: &Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\0asm"
}

/// What a script needs; `own` is where the interpreter lies that goes along with it.
async fn script(client: &Client, program: &JobProgram, own: Option<&Path>, report: &mut Report) -> anyhow::Result<()> {
    let Some(environment) = program.environment() else {
        report.about = Some(About::script(program, true));
        return match own {
            Some(path) => compiled(client, path, &called(program), report).await,
            None => Ok(()),
        };
    };
    let environments = client.runtime()?;
    let environments = environments.environments();
    report.about = Some(About::script(program, environments.path(environment).is_some()));
    if let Err(error) = environments.missing(environment) {
        report.refuse(sentence(&anyhow::Error::new(error)));
    }
    Ok(())
}

/// What a job in a container is, and whether this machine offers what it needs.
async fn contained(client: &Client, container: &JobContainer, report: &mut Report) -> anyhow::Result<()> {
    report.about = Some(About::container(container));
    let offer = client.docker().await?.offer();
    if let Some(lacks) = lacks(offer.as_ref().map(DockerOffer::facts).as_ref(), &container.image) {
        report.refuse(format!("this machine {lacks}; {}", lacks.change()));
    }
    Ok(())
}

/// What an interpreter that goes along calls itself.
fn called(program: &JobProgram) -> String {
    program.interpreter().and_then(|own| own.argv.first()).cloned().unwrap_or_default()
}

/// Whether a program of WebAssembly can run.
async fn compiled(client: &Client, path: &Path, name: &str, report: &mut Report) -> anyhow::Result<()> {
    let progress = Progress::new(Manner::suitable(false));
    let program = Program::Wasm { path: path.to_owned(), name: name.to_owned() };
    let prepared = client.runtime()?.prepare(&program, &progress).await;
    progress.finish();
    if let Err(error) = prepared {
        report.refuse(sentence(&anyhow::Error::new(error.called(name))));
    }
    Ok(())
}

/// What a program of WebAssembly is, and whether it can run.
async fn wasm(client: &Client, path: &Path, name: &str, report: &mut Report) -> anyhow::Result<()> {
    let Some(inspection) = outline(client, path, name, report).await? else { return Ok(()) };
    compiled(client, path, name, report).await?;
    let (begins, gets) = (inspection.initial_bytes(), report.memory_bytes);
    if begins > gets {
        report.refuse(format!(
            "it begins with {} of memory and the job gets {}; run it with `--memory {}M`",
            ByteSize(begins),
            ByteSize(gets),
            begins.div_ceil(1 << 20)
        ));
    }
    Ok(())
}

/// What it shows of itself.
async fn outline(client: &Client, path: &Path, name: &str, report: &mut Report) -> anyhow::Result<Option<Inspection>> {
    match client.runtime()?.inspect(path, name).await {
        Ok(inspection) => {
            report.about = Some(About::program(&inspection));
            Ok(Some(inspection))
        }
        Err(error) => {
            report.refuse(sentence(&anyhow::Error::new(error)));
            Ok(None)
        }
    }
}

/// Where it would go now, and why not elsewhere.
async fn machines(
    client: &Client,
    parcel: &Parcel,
    requirements: &Requirements,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Rehearsed { place, lines } = client.rehearse(parcel, requirements).await?;
    report.place = place;
    report.machines = lines.iter().map(OwnedMachineObject::from).collect();
    Ok(())
}
