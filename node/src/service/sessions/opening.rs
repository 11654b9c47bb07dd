//! How a session comes to be here: by a job that asks for one, or back from disk for its next turn.

use super::resident::{About, Resident, Seat};
use super::{failure, parking};
use crate::dispatch::{Caller, Role};
use crate::service::{Inner, sentence};
use crate::wire::{Fault, FaultCode, JobId, SavedMemory, SessionInfo};
use potluck_runtime::{
    BUILT_IN, BuiltIn, Continuation, GuestPath, ImageChoice, InputFile, Limits, Prepared, Program, RunRequest, Session,
    SilentWatch, Tenant,
};
use std::path::PathBuf;
use std::sync::Arc;

/// What a session is called that starts from a plain interpreter.
const NO_IMAGE: &str = "none";
/// What a session is called whose image has no name here.
const OWN_IMAGE: &str = "own";
/// The script of the program that sessions are prepared as; it is not there and not run.
const NO_SCRIPT: &str = "session";

/// A session that a job asks for.
pub(in crate::service) struct Opening<'a> {
    /// The job's id, which becomes the session's.
    pub(in crate::service) session: JobId,
    /// What its user calls it.
    pub(in crate::service) name: &'a Option<String>,
    /// What to start from.
    pub(in crate::service) image: &'a ImageChoice,
    /// What to go on from instead, and where it lies.
    pub(in crate::service) saved: Option<(&'a SavedMemory, PathBuf)>,
}

/// Opens a session; from then on it is its caller's.
pub(in crate::service) async fn open(
    inner: &Arc<Inner>,
    caller: &Caller,
    opening: Opening<'_>,
    prepared: &Prepared,
    request: RunRequest,
) -> Result<SessionInfo, Fault> {
    inner.sessions.has_room(caller, &inner.name, opening.session, opening.name.as_deref())?;
    super::check_stored(inner, caller)?;
    let about = About {
        session: opening.session,
        name: opening.name.clone(),
        environment: environment(&request.program).to_owned(),
        image: opening
            .saved
            .as_ref()
            .map_or_else(|| image_name(opening.image).to_owned(), |(saved, _)| saved.image.clone()),
        turns: opening.saved.as_ref().map_or(0, |(saved, _)| saved.turns),
        limits: request.limits.clone(),
        env: request.env.clone(),
    };
    let opened = match opening.saved {
        None => inner.runtime.open_session(prepared, request).await,
        Some((saved, path)) => {
            let continuation = if saved.moved { Continuation::Same } else { Continuation::Twin };
            inner.runtime.restore_session(&path, prepared, request, continuation).await
        }
    };
    let session = opened.map_err(|error| failure(&error, caller.role))?;
    settle(inner, caller, about, session)
}

/// Makes a session known.
pub(super) fn settle(
    inner: &Arc<Inner>,
    caller: &Caller,
    about: About,
    session: Session,
) -> Result<SessionInfo, Fault> {
    let resident = Arc::new(Resident::new(caller, about, session));
    inner.sessions.insert(Arc::clone(&resident))?;
    tracing::debug!(session = %resident.session, caller = %caller.id.short(), "session opened");
    parking::watch(inner, &resident);
    Ok(resident.info(caller))
}

/// The session in a seat; one that is on disk alone is woken.
pub(super) async fn awake<'a>(
    inner: &Arc<Inner>,
    resident: &Arc<Resident>,
    seat: &'a mut Seat,
) -> Result<&'a mut Session, Fault> {
    if matches!(seat, Seat::Stored) {
        let session = wake(inner, resident).await?;
        resident.note_woken(&session);
        *seat = Seat::Here(Box::new(session));
    }
    match seat {
        Seat::Here(session) => {
            // From now on it may differ from what is on disk, whatever becomes of what is done with it.
            resident.note_use();
            Ok(session)
        }
        Seat::Stored | Seat::Ended => Err(super::no_session(resident.session)),
    }
}

async fn wake(inner: &Arc<Inner>, resident: &Resident) -> Result<Session, Fault> {
    let refuse = |error: &(dyn std::error::Error + 'static)| {
        tracing::warn!(session = %resident.session, error = %crate::service::chain(error), "session cannot be woken");
        Fault::new(FaultCode::INTERNAL, sentence(error, resident.role))
    };
    let no_store = || super::no_session(resident.session);
    let store = inner.sessions.store().ok_or_else(no_store)?;
    let record = store.record(resident.session).map_err(|error| refuse(&error))?.ok_or_else(no_store)?;
    let got = inner.environments.ensure(&resident.environment, None, &SilentWatch).await;
    got.map_err(|error| refuse(&error))?;
    let program = session_program(&resident.environment, ImageChoice::None)?;
    let prepared = inner.runtime.prepare(&program, &SilentWatch).await.map_err(|error| refuse(&error))?;
    let file = |file: crate::store::sessions::StoredFile| InputFile {
        source: store.file(resident.session, &file.path),
        guest: file.path,
        executable: file.executable,
    };
    let inputs = record.files.into_iter().map(file).collect();
    let request = request(resident, program, inputs, record.directories);
    let memory = store.memory(resident.session);
    let restored = inner.runtime.restore_session(&memory, &prepared, request, Continuation::Same).await;
    restored.map_err(|error| failure(&error, resident.role))
}

fn request(resident: &Resident, program: Program, inputs: Vec<InputFile>, directories: Vec<GuestPath>) -> RunRequest {
    let tenant = match resident.role {
        Role::Owner => Tenant::OWNER,
        Role::Peer => Tenant::new(*resident.holder.as_bytes()),
    };
    let limits: Limits = resident.limits.clone();
    let env = resident.env.clone();
    RunRequest {
        tenant,
        program,
        args: Vec::new(),
        env,
        inputs,
        directories,
        mounts: Vec::new(),
        packages: None,
        limits,
        gpus: 0,
        restore: None,
    }
}

/// The program that a session is prepared and run as.
pub(in crate::service) fn session_program(environment: &str, image: ImageChoice) -> Result<Program, Fault> {
    let entry = GuestPath::parse(NO_SCRIPT).map_err(|error| Fault::new(FaultCode::INTERNAL, error.to_string()))?;
    Ok(Program::Script { environment: environment.to_owned(), entry, image })
}

fn environment(program: &Program) -> &str {
    match program {
        Program::Script { environment, .. } => environment,
        Program::Wasm { name, .. } => name,
        Program::Container { image, .. } => image,
    }
}

fn image_name(image: &ImageChoice) -> &'static str {
    match image {
        ImageChoice::None => NO_IMAGE,
        ImageChoice::Auto(imports) => BuiltIn::covering(imports).name,
        ImageChoice::Recipe(recipe) => {
            let known = BUILT_IN.iter().find(|image| image.recipe() == *recipe);
            known.map_or(OWN_IMAGE, |image| image.name)
        }
    }
}
