//! The walk of one job on the side that runs it: admitted, accepted, given a place, its inputs gathered, its environment
//! got, compiled, run, its outputs and its end sent.

use super::admission::MemoryLent;
use super::inbound::Inbound;
use super::inputs::{Inputs, LocalSources};
use super::kept::Checkpoints;
use super::mounts::Readers;
use super::noting::Noting;
use super::present::{About, Here};
use super::pump::{Over, Telling, Times};
use super::stages::{StageRelay, tell_while};
use super::{Inner, Stop, admission, gone, inputs, mounts, outputs, packages, pump, sentence, sessions, sharing};
use crate::dispatch::{Caller, Role};
use crate::service::environment::GetError;
use crate::service::gate::Place;
use crate::service::quotas::Promise;
use crate::state::home::spec::Input;
use crate::state::quotas::QuotaHit;
use crate::wire::{
    Accepted, Ended, Fault, FaultCode, Frame, FrameWriter, JobContainer, JobProgram, SavedMemory, Stage, SubmitJob, Tag,
};
use potluck_runtime::{
    ContainerError, EngineError, GuestEvent, ImageChoice, InputFile, Mount, Outcome, PrepareError, Program, Report,
    RunRequest, StartError, Tenant,
};
use std::path::Path;
use std::sync::Arc;

/// When a machine is asked again whose container engine did not answer: it was perhaps being started anew.
const ENGINE_AGAIN_S: u64 = 30;

/// Answers a `SUBMIT`. A job that is cancelled before or after its run has an end
/// too.
pub(super) async fn walk(
    inner: &Arc<Inner>,
    caller: &Caller,
    first: &Frame,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    local: &LocalSources,
    here: &Here,
) -> Result<(), Stop> {
    let job: SubmitJob = first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, super::chain(&error)))?;
    here.asks_for(about(&job));
    check_lent(inner, caller)?;
    check_container(inner, &job)?;
    admission::admit(&job, caller.role, memory_lent(inner, caller), &inner.name, inner.case)?;
    check_quotas(inner, caller, job.limits.fuel)?;
    let Some(cancellable) = inner.cancellations.register(caller.id, job.job) else {
        return Err(Fault::new(FaultCode::BAD_INPUT, format!("job {} is here already", job.job)).into());
    };
    inbound.heed(cancellable.token());
    let accepted = Accepted { job: job.job, node: inner.node, name: inner.name.clone() };
    // Told together with what is needed, or that the job has to wait.
    writer.queue(Frame::message(Tag::ACCEPTED, &accepted)).await.map_err(gone)?;
    tracing::debug!(job = %job.job, caller = %caller.id.short(), "job accepted");
    let mut noting = Noting::begun(inner, caller, &job, &first.payload);
    let last = match accepted_walk(inner, caller, job, inbound, writer, local, (here, &mut noting)).await {
        Err(Stop::Cancelled) => Frame::message(Tag::ENDED, &cancelled()),
        Err(Stop::Refused(fault)) => {
            noting.refused(&fault);
            return Err(Stop::Refused(fault));
        }
        other => other?,
    };
    writer.send(last).await.map_err(gone)
}

/// The walk from its beginning to its last frame.
async fn accepted_walk(
    inner: &Arc<Inner>,
    caller: &Caller,
    job: SubmitJob,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    local: &LocalSources,
    (here, noting): (&Here, &mut Noting),
) -> Result<Frame, Stop> {
    let _place = take_place(inner, caller, job.memory_bytes(), inbound, writer).await?;
    here.has_place();
    let inputs = inputs::gather(inner, (&job, None), caller, local, inbound, writer).await?;
    let walk = Walk { inner, caller, job: &job, inputs: &inputs, restore: None, times: Times::Untold, here };
    walk.run(inbound, writer, noting, None).await
}

/// The walk of a job that has its place and its inputs.
pub(super) struct Walk<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) caller: &'a Caller,
    pub(super) job: &'a SubmitJob,
    pub(super) inputs: &'a Inputs,
    /// The checkpoint it goes on from.
    pub(super) restore: Option<Input>,
    pub(super) times: Times,
    pub(super) here: &'a Here,
}

impl Walk<'_> {
    /// Runs the job; returns its last frame.
    pub(super) async fn run(
        &self,
        inbound: &mut Inbound,
        writer: &mut FrameWriter,
        noting: &mut Noting,
        checkpoints: Option<Checkpoints>,
    ) -> Result<Frame, Stop> {
        let Self { inner, caller, job, inputs, restore, times, here } = *self;
        let relay = StageRelay::new(tenant(caller));
        // What is wrong with them is said before anything is fetched or made for the job.
        let packages = packages::lay_out(inner, job, inputs, caller.role);
        let packages = tell_while(&relay, inbound, writer, packages).await??;
        if let Some(environment) = job.program.environment() {
            let got = inner.environments.ensure(environment, Some(caller), &relay);
            tell_while(&relay, inbound, writer, got).await?.map_err(|error| no_environment(&error))?;
        }
        let program = program(job, inputs)?;
        let prepared = tell_while(&relay, inbound, writer, inner.runtime.prepare(&program, &relay)).await?;
        let prepared = prepared.map_err(|error| unprepared(error, &program, caller.role))?;
        if let Some(environment) = job.program.environment() {
            inner.images.note(environment, &prepared);
        }
        let readers = if job.program.container_image().is_some() { Readers::Anybody } else { Readers::Own };
        let laid_out = mounts::lay_out(&inner.mounts_dir, &job.mounts, inputs, (caller.role, readers)).await?;
        let mut request = request(job, tenant(caller), program, inputs, laid_out.mounts.clone())?;
        request.restore = restore.map(|checkpoint| inputs.path(&checkpoint.digest)).transpose()?.map(Path::to_owned);
        request.packages = packages;
        if let Some(opening) = opening(job, inputs)? {
            let opening = sessions::open(inner, caller, opening, &prepared, request);
            let info = tell_while(&relay, inbound, writer, opening).await??;
            noting.forget();
            return Ok(Frame::message(Tag::SESSION_IS, &info));
        }
        noting.starts_from(prepared.image_name(&request));
        let promise = promise_fuel(inner, caller, job.limits.fuel)?;
        let started = tell_while(&relay, inbound, writer, inner.runtime.start(&prepared, request)).await?;
        let run = started.map_err(|error| {
            if let StartError::Request(_) = &error {
                // What a machine has of graphics processors says nothing of others.
                let code = if job.program.gpus() > 0 { FaultCode::NOT_ALLOWED } else { FaultCode::BAD_PROGRAM };
                return Fault::new(code, error.to_string());
            }
            tracing::warn!(job = %job.job, error = %super::chain(&error), "job could not be started");
            Fault::new(FaultCode::INTERNAL, sentence(&error, caller.role))
        })?;
        here.runs(run.canceller.process());
        if job.program.container_image().is_some() {
            here.ends_by(run.canceller.clone());
        }
        noting.started();
        writer.queue(Frame::empty(Tag::STARTED)).await.map_err(gone)?;
        if let Some(checkpoint) = restore.filter(|_| job.events) {
            let restored = GuestEvent::Restored { size: checkpoint.size };
            writer.queue(Frame::message(Tag::GUEST_SAYS, &restored)).await.map_err(gone)?;
        }
        let telling = Telling { times, events: job.events, noting, here, checkpoints };
        let Over { report, outputs: made, result, is_whole } =
            pump::pump(run, job.stdin, inbound, writer, telling).await?;
        noting.ended(&report, result.as_ref());
        if let Some(promise) = promise {
            promise.settle(report.fuel_used);
        }
        tracing::debug!(job = %job.job, outcome = %report.outcome, "job ended");
        if !job.outputs || (report.outcome == Outcome::Cancelled && !is_whole) {
            let receipt = noting.receipt(inner, &report);
            return Ok(Frame::message(Tag::ENDED, &Ended { report, left_behind: Vec::new(), result, receipt }));
        }
        let left_behind = tokio::select! {
            sent = outputs::send(made, writer, noting) => sent?,
            // One that was asked to end and did has been cancelled before.
            stop = inbound.interrupted(), if report.outcome != Outcome::Cancelled => return Err(stop),
        };
        let receipt = noting.receipt(inner, &report);
        Ok(Frame::message(Tag::ENDED, &Ended { report, left_behind, result, receipt }))
    }
}

/// The session a job asks for, if it does.
fn opening<'a>(job: &'a SubmitJob, inputs: &Inputs) -> Result<Option<sessions::Opening<'a>>, Fault> {
    let JobProgram::Session { image, saved, name, .. } = &job.program else { return Ok(None) };
    let place = |saved: &'a SavedMemory| inputs.path(&saved.digest).map(|path| (saved, path.to_owned()));
    let saved = saved.as_ref().map(place).transpose()?;
    Ok(Some(sessions::Opening { session: job.job, name, image, saved }))
}

/// A place for the job. Peers wait for theirs and are told so; the owner does not wait.
pub(super) async fn take_place<'a>(
    inner: &'a Inner,
    caller: &Caller,
    memory_bytes: u64,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
) -> Result<Place<'a>, Stop> {
    if caller.role == Role::Owner {
        return Ok(inner.gate.enter());
    }
    match inner.gate.try_enter(caller.id, &inner.accounts.of(&caller.id), memory_bytes) {
        Ok(place) => Ok(place),
        Err(Ok(waiting)) => {
            let stage = Stage::Waiting { jobs_ahead: waiting.ahead };
            writer.send_message(Tag::STAGE, &stage).await.map_err(gone)?;
            tokio::select! {
                place = waiting.place() => Ok(place),
                stop = inbound.interrupted() => Err(stop),
                never = sharing::heed_changes(inner) => never,
            }
        }
        Err(Err(hit)) => Err(over_quota(inner, hit).into()),
    }
}

/// Refuses a peer to whom nothing is lent now.
pub(super) fn check_lent(inner: &Inner, caller: &Caller) -> Result<(), Fault> {
    match caller.role {
        Role::Owner => Ok(()),
        Role::Peer => inner.lending.admit(&caller.id, &inner.name),
    }
}

/// Refuses a container of an image that the owner of this machine does not offer, themself included.
pub(super) fn check_container(inner: &Inner, job: &SubmitJob) -> Result<(), Fault> {
    let refusal = job.program.container_image().and_then(|image| inner.containers.refusal(image, &inner.name));
    refusal.map_or(Ok(()), Err)
}

/// Refuses what wakes something of a peer while the machine is its owner's alone. Otherwise a session may be taken elsewhere
/// from a machine that lends nothing now.
pub(super) fn check_not_paused(inner: &Inner, caller: &Caller) -> Result<(), Fault> {
    if inner.lending.now().is_paused() { check_lent(inner, caller) } else { Ok(()) }
}

/// Memory that is lent to the caller.
pub(super) fn memory_lent(inner: &Inner, caller: &Caller) -> MemoryLent {
    inner.lending.memory(&caller.id)
}

/// What is listed of a job.
pub(super) fn about(job: &SubmitJob) -> About {
    About {
        job: job.job,
        what: what(&job.program),
        limits: job.limits.clone(),
        container: job.program.container_image().cloned(),
        memory_bytes: job.memory_bytes(),
    }
}

/// What people call a program.
fn what(program: &JobProgram) -> String {
    match program {
        JobProgram::Wasm { name, .. } => name.clone(),
        JobProgram::Script { entry, .. } => entry.to_string(),
        JobProgram::Container(container) => container.title(),
        JobProgram::Session { name: Some(name), .. } => format!("session {name}"),
        JobProgram::Session { environment, .. } => format!("session of {environment}"),
    }
}

/// The refusal of what a peer's quota does not allow.
pub(super) fn over_quota(inner: &Inner, hit: QuotaHit) -> Fault {
    Fault::new(FaultCode::OVER_QUOTA, hit.sentence(&inner.name))
}

/// Refuses, before anything of it travels, what a peer's quotas do not allow.
pub(super) fn check_quotas(inner: &Inner, caller: &Caller, fuel: u64) -> Result<(), Fault> {
    match caller.role {
        Role::Owner => Ok(()),
        Role::Peer => inner.accounts.check_fuel(&caller.id, fuel).map_err(|hit| over_quota(inner, hit)),
    }
}

/// The fuel of a run that begins; none is counted of the owner's.
pub(super) fn promise_fuel(inner: &Inner, caller: &Caller, fuel: u64) -> Result<Option<Promise>, Fault> {
    match caller.role {
        Role::Owner => Ok(None),
        Role::Peer => inner.accounts.promise(caller.id, fuel).map(Some).map_err(|hit| over_quota(inner, hit)),
    }
}

fn program(job: &SubmitJob, inputs: &Inputs) -> Result<Program, Fault> {
    Ok(match &job.program {
        JobProgram::Wasm { digest, name, .. } => {
            Program::Wasm { path: inputs.path(digest)?.to_owned(), name: name.clone() }
        }
        JobProgram::Script { interpreter: Some(interpreter), .. } => {
            let name = interpreter.argv.first().cloned().unwrap_or_default();
            Program::Wasm { path: inputs.path(&interpreter.digest)?.to_owned(), name }
        }
        JobProgram::Container(JobContainer { image, command, .. }) => {
            Program::Container { image: image.to_string(), command: command.clone() }
        }
        JobProgram::Script { environment, entry, image, interpreter: None } => {
            Program::Script { environment: environment.clone(), entry: entry.clone(), image: image.clone() }
        }
        // Saved memory needs no image below it.
        JobProgram::Session { environment, saved: Some(_), .. } => {
            sessions::session_program(environment, ImageChoice::None)?
        }
        JobProgram::Session { environment, image, .. } => sessions::session_program(environment, image.clone())?,
    })
}

/// The arguments between an interpreter's name and the script's own, the script last.
fn interpreted(program: &JobProgram) -> &[String] {
    match program {
        JobProgram::Script { interpreter: Some(interpreter), .. } => interpreter.argv.get(1..).unwrap_or_default(),
        JobProgram::Script { .. } | JobProgram::Wasm { .. } | JobProgram::Container(_) | JobProgram::Session { .. } => {
            &[]
        }
    }
}

/// For whom a job runs: all that its owner runs is one tenant, each peer is another.
fn tenant(caller: &Caller) -> Tenant {
    match caller.role {
        Role::Owner => Tenant::OWNER,
        Role::Peer => Tenant::new(*caller.id.as_bytes()),
    }
}

fn request(
    job: &SubmitJob,
    tenant: Tenant,
    program: Program,
    inputs: &Inputs,
    mounts: Vec<Mount>,
) -> Result<RunRequest, Fault> {
    let mut files = Vec::with_capacity(job.files.len());
    for file in &job.files {
        let source = inputs.path(&file.digest)?.to_owned();
        files.push(InputFile { guest: file.path.clone(), source, executable: file.executable });
    }
    Ok(RunRequest {
        tenant,
        program,
        args: interpreted(&job.program).iter().chain(&job.args).cloned().collect(),
        env: job.env.clone(),
        inputs: files,
        directories: job.directories.clone(),
        mounts,
        packages: None,
        limits: job.limits.clone(),
        gpus: job.program.gpus(),
        restore: None,
    })
}

/// The end of a job that was cancelled while no guest ran for it.
fn cancelled() -> Ended {
    let report = Report { outcome: Outcome::Cancelled, fuel_used: 0, wall_ms: 0, memory_peak_bytes: 0 };
    Ended { report, left_behind: Vec::new(), result: None, receipt: None }
}

fn no_environment(error: &GetError) -> Fault {
    let code = match error {
        GetError::Unknown { .. } => FaultCode::BAD_PROGRAM,
        GetError::NoSource { .. } | GetError::Look { .. } => FaultCode::NO_ENVIRONMENT,
    };
    Fault::new(code, super::chain(error))
}

/// What the program is at fault for is told with its causes; what this machine is at fault for only to its owner. The
/// program is called by the submitter's name for it, not by where its blob lies here.
fn unprepared(error: PrepareError, program: &Program, role: Role) -> Fault {
    if let PrepareError::Container { source: ContainerError::Engine(why), .. } = &error {
        tracing::warn!(error = %super::chain(why), "no container engine answers");
        return Fault::new(FaultCode::BUSY, no_engine(why, role)).again_in(Some(ENGINE_AGAIN_S));
    }
    let code = prepare_code(&error, role);
    if code == FaultCode::INTERNAL {
        tracing::warn!(error = %super::chain(&error), "program could not be prepared");
    }
    let error = if let Program::Wasm { name, .. } = program { error.called(name) } else { error };
    let text = if code == FaultCode::INTERNAL { sentence(&error, role) } else { super::chain(&error) };
    Fault::new(code, text)
}

/// What is told of an engine that does not answer. Where its socket lies is the owner's alone to know.
fn no_engine(why: &EngineError, role: Role) -> String {
    match role {
        Role::Owner => super::chain(why),
        Role::Peer => "its container engine does not answer; its owner sees with `potluck doctor` why".to_owned(),
    }
}

fn prepare_code(error: &PrepareError, role: Role) -> FaultCode {
    match error {
        PrepareError::NotFound { .. } => match role {
            // The owner's own file has gone; a peer's lay in the blob store a moment ago.
            Role::Owner => FaultCode::NOT_FOUND,
            Role::Peer => FaultCode::INTERNAL,
        },
        PrepareError::NotAProgram { .. }
        | PrepareError::MissingImport { .. }
        | PrepareError::NoEntryPoint { .. }
        | PrepareError::Image { .. }
        | PrepareError::Compile { .. } => FaultCode::BAD_PROGRAM,
        PrepareError::Container { source, .. } => match source {
            ContainerError::Off | ContainerError::NotAllowed { .. } => FaultCode::NOT_ALLOWED,
            ContainerError::Missing { .. } | ContainerError::Foreign { .. } => FaultCode::NO_ENVIRONMENT,
            ContainerError::Name(_) => FaultCode::BAD_INPUT,
            ContainerError::Engine(_) => FaultCode::BUSY,
        },
        PrepareError::MissingEnvironment { .. } | PrepareError::Environment { .. } => FaultCode::NO_ENVIRONMENT,
        PrepareError::Cache { .. } | PrepareError::Worker { .. } => FaultCode::INTERNAL,
    }
}
