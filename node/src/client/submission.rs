//! What a user wants to run, as they said it. Nothing here touches the disk; `packing` reads it, once.

use crate::interpreters::Interpreter;
use crate::state::containers::Image;
use crate::state::placement::Needs;
use potluck_runtime::wheels::resolve::Found;
use potluck_runtime::{ImageChoice, Limits};
use std::path::PathBuf;

/// A job before it is read and sent.
#[derive(Clone, Debug)]
pub struct Submission {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) files: Vec<PathBuf>,
    pub(super) all_files: bool,
    pub(super) mounts: Vec<(PathBuf, String)>,
    pub(super) limits: Limits,
    pub(super) stdin: StdinMode,
    pub(super) outputs_dir: Option<PathBuf>,
    pub(super) environment: Option<String>,
    pub(super) image: Option<ImageChoice>,
    /// What runs it, once that was looked for.
    pub(super) interpreter: Option<Interpreter>,
    pub(super) packages: Found,
    /// The image of the container it runs in, where it runs in one.
    pub(super) container: Option<Image>,
    /// Graphics processors that the container is given.
    pub(super) gpus: u32,
}

/// Whether the job gets a stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdinMode {
    /// The guest reads the end at once.
    None,
    /// What is written to the job's `JobStdin`.
    Piped,
}

impl Submission {
    /// A job that runs this program: a `.py`, a `.wasm`, a directory with a `__main__.py`, or a script of another environment.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            files: Vec::new(),
            all_files: false,
            mounts: Vec::new(),
            limits: Limits::default(),
            stdin: StdinMode::None,
            outputs_dir: None,
            environment: None,
            image: None,
            interpreter: None,
            packages: Found::default(),
            container: None,
            gpus: 0,
        }
    }

    /// Arguments after the program's name.
    #[must_use]
    pub fn args(mut self, args: Vec<String>) -> Self {
        self.args = args;
        self
    }

    /// An environment variable; the guest inherits none.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// A file or folder of the working directory, placed there by its last name.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Takes along of folders also what is left out otherwise: version control, environments and caches.
    #[must_use]
    pub fn all_files(mut self) -> Self {
        self.all_files = true;
        self
    }

    /// A folder the guest may read at `guest`.
    #[must_use]
    pub fn mount(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.mounts.push((host.into(), guest.into()));
        self
    }

    /// What it may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether it gets a stdin; by default none.
    #[must_use]
    pub fn stdin(mut self, stdin: StdinMode) -> Self {
        self.stdin = stdin;
        self
    }

    /// Where the files it makes or changes are brought; by default they are not.
    #[must_use]
    pub fn outputs(mut self, dir: impl Into<PathBuf>) -> Self {
        self.outputs_dir = Some(dir.into());
        self
    }

    /// The environment that runs it; by default the ending of its name decides.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// Packages that a script brings along.
    #[must_use]
    pub fn packages(mut self, packages: Found) -> Self {
        self.packages = packages;
        self
    }

    /// Runs it in a container of this image, whose command it may be.
    #[must_use]
    pub fn container(mut self, image: Image) -> Self {
        self.container = Some(image);
        self
    }

    /// Gives its container so many graphics processors.
    #[must_use]
    pub fn gpus(mut self, gpus: u32) -> Self {
        self.gpus = gpus;
        self
    }

    /// What it needs of a machine.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let files_in_memory = if self.container.is_some() { self.limits.disk_bytes } else { 0 };
        let memory_bytes = self.limits.memory_bytes.saturating_add(files_in_memory);
        Needs { memory_bytes, container: self.container.clone(), gpus: self.gpus }
    }

    /// The memory image a script starts from; by default its imports decide.
    #[must_use]
    pub fn image(mut self, image: ImageChoice) -> Self {
        self.image = Some(image);
        self
    }
}
