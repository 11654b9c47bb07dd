//! The object of `--json`, which is also what the words for people are made of.

use crate::reasons::OwnedMachineObject;
use potluck_node::store::jobs::Role;
use potluck_node::wire::{JobContainer, JobProgram};
use potluck_runtime::{BuiltIn, ImageChoice, Inspection, NEVER, ProgramImport, ProgramKind};
use serde::Serialize;

/// What is known of a program.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    /// The job it is of, and whose.
    pub(super) job: Option<String>,
    pub(super) role: Option<&'static str>,
    pub(super) bytes: Option<u64>,
    /// Files of a job, where a script may find its modules.
    pub(super) files: Vec<String>,
    /// Packages it brings along.
    pub(super) packages: Vec<String>,
    #[serde(flatten)]
    pub(super) about: Option<About>,
    /// The memory the job gets.
    pub(super) memory_bytes: u64,
    pub(super) runs_here: bool,
    /// Why not, and what to do.
    pub(super) why: Option<String>,
    /// The machine it would go to now; none when it would wait.
    pub(super) place: Option<String>,
    /// Machines that would not take it now.
    pub(super) machines: Vec<OwnedMachineObject>,
}

/// What it is.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum About {
    /// A core module.
    Module(Outline),
    /// A component.
    Component(Outline),
    /// A script.
    Script {
        environment: String,
        environment_here: bool,
        /// Whether its interpreter goes along with it, so that no machine need have one.
        interpreter_comes_along: bool,
        /// What it imports whenever it runs, beside its own files; of a peer's job, by the peer's word.
        modules: Vec<String>,
        /// The image it starts from, where its imports decide.
        image: Option<&'static str>,
    },
    /// A command in a container.
    Container {
        /// The image of its container.
        docker_image: String,
        command: Vec<String>,
        /// Which of its files is the program; none where it is a command of the image.
        entry: Option<String>,
        /// Graphics processors that it is given.
        gpus: u32,
        reaches: &'static str,
    },
}

/// What a job in a container can reach.
pub(super) const CONTAINER_REACHES: &str = "its image, its files, arguments and input, and the folders it names; it has no network and none of the machine's files";

/// What a program of WebAssembly shows of itself.
#[derive(Serialize)]
pub(super) struct Outline {
    pub(super) imports: Vec<ProgramImport>,
    pub(super) imports_count: u64,
    pub(super) exports: Vec<String>,
    pub(super) exports_count: u64,
    pub(super) memory_initial_bytes: u64,
    pub(super) memory_maximum_bytes: Option<u64>,
    pub(super) can: Vec<&'static str>,
    pub(super) denied: Vec<Denied>,
    pub(super) cannot: &'static str,
}

/// Something it reaches for and does not get.
#[derive(Serialize)]
pub(super) struct Denied {
    pub(super) what: &'static str,
    pub(super) why: &'static str,
}

impl Report {
    /// A program of which nothing is known but what its job would get.
    pub(super) fn of(name: String, memory_bytes: u64) -> Self {
        Self {
            name,
            job: None,
            role: None,
            bytes: None,
            files: Vec::new(),
            packages: Vec::new(),
            about: None,
            memory_bytes,
            runs_here: true,
            why: None,
            place: None,
            machines: Vec::new(),
        }
    }

    /// Whether what is said of it is a peer's word.
    pub(super) fn is_of_a_peer(&self) -> bool {
        self.role == Some(Role::Ran.word())
    }

    /// It cannot run; the first reason stands.
    pub(super) fn refuse(&mut self, why: String) {
        self.runs_here = false;
        self.why.get_or_insert(why);
    }
}

impl About {
    pub(super) fn script(program: &JobProgram, environment_here: bool) -> Self {
        let (environment, image) = match program {
            JobProgram::Script { environment, image, .. } | JobProgram::Session { environment, image, .. } => {
                (environment.as_str(), Some(image))
            }
            JobProgram::Wasm { .. } | JobProgram::Container(_) => ("", None),
        };
        let modules = match image {
            Some(ImageChoice::Auto(modules)) => Some(modules),
            Some(ImageChoice::None | ImageChoice::Recipe(_)) | None => None,
        };
        Self::Script {
            environment: environment.to_owned(),
            environment_here,
            interpreter_comes_along: program.interpreter().is_some(),
            modules: modules.into_iter().flatten().cloned().collect(),
            image: modules.map(|modules| BuiltIn::covering(modules).name),
        }
    }

    pub(super) fn container(container: &JobContainer) -> Self {
        Self::Container {
            docker_image: container.image.to_string(),
            command: container.command.clone(),
            entry: container.entry.as_ref().map(ToString::to_string),
            gpus: container.gpus,
            reaches: CONTAINER_REACHES,
        }
    }

    pub(super) fn program(inspection: &Inspection) -> Self {
        let (mut can, mut denied) = (Vec::new(), Vec::new());
        for ability in inspection.abilities() {
            match ability.denied {
                None => can.push(ability.what),
                Some(why) => denied.push(Denied { what: ability.what, why }),
            }
        }
        let outline = Outline {
            imports: inspection.imports.clone(),
            imports_count: inspection.imports_count,
            exports: inspection.exports.clone(),
            exports_count: inspection.exports_count,
            memory_initial_bytes: inspection.initial_bytes(),
            memory_maximum_bytes: inspection.maximum_bytes(),
            can,
            denied,
            cannot: NEVER,
        };
        match inspection.kind {
            ProgramKind::Module => Self::Module(outline),
            ProgramKind::Component => Self::Component(outline),
        }
    }
}
