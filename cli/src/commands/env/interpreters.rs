//! The part of `potluck env` that is about interpreters: those that come with Potluck and those added from a manifest.

use super::EnvironmentObject;
use crate::exit::{Refusal, Trouble};
use crate::fetching;
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::render::{self, say};
use crate::settings;
use crate::signals::EndRequests;
use anyhow::Context;
use potluck_node::client::Client;
use potluck_node::interpreters::{Carried, Fetchable, Interpreter, Interpreters};
use potluck_runtime::{Digest, Program};
use std::fs::File;
use std::path::Path;

/// All of them, as they are listed.
pub(super) fn list(client: &Client) -> anyhow::Result<Vec<EnvironmentObject>> {
    let runtime = client.runtime()?;
    let object = |interpreter: Interpreter| {
        let content = File::open(&interpreter.program).and_then(Digest::of_reader);
        EnvironmentObject {
            ready: content.is_ok(),
            compiled: content.is_ok_and(|(digest, _)| runtime.program_compiled(digest)),
            why: None,
            bytes: interpreter.bytes(),
            path: interpreter.path().display().to_string(),
            added: !interpreter.is_bundled,
            package: None,
            sha256: interpreter.manifest.program.sha256,
            name: interpreter.manifest.name,
            title: interpreter.manifest.title,
            version: interpreter.manifest.version,
            endings: interpreter.manifest.endings,
        }
    };
    let interpreters = Interpreters::of(client.paths());
    let damaged = interpreters.damaged()?.into_iter().map(|(name, path, error)| EnvironmentObject {
        name,
        title: String::new(),
        version: String::new(),
        endings: Vec::new(),
        added: true,
        package: None,
        sha256: None,
        ready: false,
        compiled: false,
        why: Some(render::sentence(&error.into())),
        bytes: 0,
        path: path.display().to_string(),
    });
    let fetchable = interpreters.fetchable().map(of_fetchable);
    Ok(interpreters.list()?.into_iter().map(object).chain(damaged).chain(fetchable).collect())
}

/// One that is not here.
fn of_fetchable(fetchable: &Fetchable) -> EnvironmentObject {
    let manifest = fetchable.manifest();
    EnvironmentObject {
        name: manifest.name,
        title: manifest.title,
        version: manifest.version,
        endings: manifest.endings,
        added: false,
        package: Some(fetchable.published.to_string()),
        sha256: manifest.program.sha256,
        ready: false,
        compiled: false,
        why: None,
        bytes: 0,
        path: String::new(),
    }
}

/// Takes an interpreter from a manifest, or one that is known from its package. It is compiled first: what cannot run here is not
/// kept.
pub(super) fn add_from(client: &Client, name: &str, from: &Path, quiet: bool) -> anyhow::Result<()> {
    let interpreters = Interpreters::of(client.paths());
    client.paths().create()?;
    let candidate = match Fetchable::named(name).filter(|_| is_package(from)) {
        Some(fetchable) => interpreters.take(fetchable, from)?,
        None => interpreters.candidate(name, from)?,
    };
    for Carried { from, guest, files, bytes } in candidate.carried() {
        let (from, guest) = (render::tame(&from.display().to_string()), render::tame(guest));
        let bytes = ByteSize(*bytes);
        say(&format!("taking {from}: {files} files, {bytes}; whoever runs a script in {name} gets them, at {guest}"));
    }
    prepare(client, &candidate.manifest().args[0], &candidate.program(), quiet)
        .with_context(|| format!("{} is not kept as {name}", candidate.from().display()))?;
    let interpreter = interpreters.add(candidate)?;
    if !quiet {
        let endings: Vec<String> = interpreter.manifest.endings.iter().map(|ending| format!(".{ending}")).collect();
        let whose = if endings.is_empty() {
            format!("`--env {name}` runs a script in it")
        } else {
            format!("files that end in {} run in it", endings.join(" or "))
        };
        say(&format!("{name} is ready; {whose}"));
    }
    Ok(())
}

/// Whether a file is no manifest, but what one that is known is taken from.
fn is_package(from: &Path) -> bool {
    let ending = from.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    from.is_file() && matches!(ending, "whl" | "tgz" | "wasm")
}

/// The one of this name, if it can be fetched and is not here.
pub(super) fn lacking(client: &Client, name: &str) -> Option<&'static Fetchable> {
    Interpreters::of(client.paths()).fetchable().find(|fetchable| fetchable.name == name)
}

/// Fetches one that is known, and compiles it.
pub(super) fn fetch(client: &Client, fetchable: &'static Fetchable, quiet: bool) -> anyhow::Result<()> {
    let interpreter = settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        tokio::select! {
            fetched = fetching::fetch(client, fetchable, quiet) => fetched,
            () = requests.next() => Err(Refusal::error(Trouble::Cancelled, "cancelled; nothing was added")),
        }
    })?;
    compile(client, &interpreter, quiet)
}

/// Compiles one that is here, so that its first script need not.
pub(super) fn compile(client: &Client, interpreter: &Interpreter, quiet: bool) -> anyhow::Result<()> {
    prepare(client, &interpreter.manifest.args[0], &interpreter.program, quiet)?;
    if !quiet {
        say(&format!("{} is ready", interpreter.manifest.name));
    }
    Ok(())
}

/// Removes one that was added; whether there was one of this name.
pub(super) fn remove(client: &Client, name: &str) -> anyhow::Result<bool> {
    let freed = Interpreters::of(client.paths()).remove(name)?;
    if let Some(bytes) = freed {
        say(&format!("removed {}: {} freed", render::tame(name), ByteSize(bytes)));
    }
    Ok(freed.is_some())
}

/// Refuses to remove what is not here: no environment at all, or one that was not fetched.
pub(super) fn check_known(client: &Client, name: &str) -> anyhow::Result<()> {
    let known = Interpreters::of(client.paths()).known();
    anyhow::ensure!(known.split(", ").any(|one| one == name), "there is no environment {name:?}; there are: {known}");
    anyhow::ensure!(lacking(client, name).is_none(), "{name} is not on this machine, so there is nothing to remove");
    Ok(())
}

/// Why something that only Python has is asked for in vain of this environment; nothing if it is Python or not known.
pub(crate) fn refuse_other_than_python(client: &Client, name: &str, what: &str) -> anyhow::Result<()> {
    let is_other = Fetchable::named(name).is_some() || Interpreters::of(client.paths()).named(name)?.is_some();
    anyhow::ensure!(
        !is_other,
        "{name} has no {what}, only Python has; run a script in it with `potluck run --env {name} FILE`"
    );
    Ok(())
}

fn prepare(client: &Client, called: &str, program: &Path, quiet: bool) -> anyhow::Result<()> {
    let progress = Progress::new(Manner::suitable(quiet));
    let runtime = client.runtime()?;
    let program = Program::Wasm { path: program.to_owned(), name: called.to_owned() };
    let warning = settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        tokio::select! {
            prepared = runtime.prepare(&program, &progress) => anyhow::Ok(prepared?.warning().map(ToString::to_string)),
            () = requests.next() => Err(Refusal::error(Trouble::Cancelled, "cancelled; nothing was added")),
        }
    })?;
    progress.finish();
    if let Some(warning) = warning {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}
