//! Reading a submission: every input once, in pieces, named by digest. What is wrong with the job that can be known here
//! is said here, before anything is sent.

mod folder;

mod container;

pub use container::is_command as is_command_of_image;
pub use folder::LeftOut;

use super::failure::SubmitError;
use super::opening::{GoesOn, SessionOpening};
use super::submission::{StdinMode, Submission};
use crate::interpreters::{Interpreter, PYTHON};
use crate::service::{Case, check_paths};
use crate::wire::{
    CONTAINER_FEATURE, INTERPRETER_FEATURE, JobFile, JobId, JobInterpreter, JobMount, JobPackage, JobProgram,
    PACKAGES_FEATURE, SavedMemory, SubmitJob,
};
use folder::Leaves;
use potluck_runtime::wheels::resolve::FoundWheel;
use potluck_runtime::{Digest, GuestPath, ImageChoice, script_imports};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What a directory runs by.
const DIRECTORY_ENTRY: &str = "__main__.py";
/// Files of one job; a folder with more was not meant.
const FILES_MAX: usize = 65_536;
/// Bytes of a program that is read at once: a fifth of a millisecond's worth.
const QUICK_LEN_MAX: u64 = 512 << 10;
/// Bytes of a script that are looked at for imports.
const SCRIPT_LEN_MAX: u64 = 16 << 20;

/// A job that can be sent: its description, and where the bytes of its blobs lie.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) job: SubmitJob,
    pub(super) sources: HashMap<Digest, Source>,
    pub(super) left_out: LeftOut,
}

/// Where a blob lies here.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// How read-only folders are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MountsBy {
    /// By their path; the job runs on this machine.
    Path,
    /// By their content.
    Content,
}

/// Whether reading the submission takes no longer than handing it to another thread would.
pub(super) fn is_quick(submission: &Submission) -> bool {
    let is_small = |program: &Path| {
        fs::metadata(program).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= QUICK_LEN_MAX)
    };
    let interpreter = submission.interpreter.as_ref();
    let is_plain = |own: &Interpreter| own.manifest.files.is_empty() && is_small(&own.program);
    submission.files.is_empty()
        && submission.mounts.is_empty()
        && is_small(&submission.program)
        && interpreter.is_none_or(is_plain)
}

/// Reads a submission.
pub(super) fn pack(submission: &Submission, id: JobId, mounts_by: MountsBy) -> Result<Packed, SubmitError> {
    let mut packer = Packer::new(submission.all_files);
    let mut tree = Tree::default();
    let mut program = packer.program(submission, &mut tree)?;
    for path in &submission.files {
        packer.input(path, &mut tree)?;
    }
    tree.check()?;
    if let JobProgram::Script { environment, entry, image, .. } = &mut program
        && environment == PYTHON
    {
        let modules = packer.check_script(submission, entry, &tree)?;
        *image = submission.image.clone().unwrap_or(ImageChoice::Auto(modules));
    } else if submission.image.is_some() {
        let why = "only Python scripts start from an image; leave `--image` out".to_owned();
        return Err(bad_program(&submission.program, why));
    }
    let mut mounts = Vec::new();
    for (host, guest) in &submission.mounts {
        mounts.push(packer.mount(host, guest, mounts_by)?);
    }
    let mut env = Vec::new();
    if let Some(interpreter) = &submission.interpreter {
        env.extend(interpreter.manifest.env.clone());
        for (guest, folder) in &interpreter.manifest.files {
            mounts.push(packer.mount(&interpreter.folder.join(folder.as_str()), guest, mounts_by)?);
        }
    }
    env.extend(submission.env.iter().cloned());
    let packages = packer.packages(submission, &program)?;
    let features = [
        submission.container.is_some().then_some(CONTAINER_FEATURE),
        submission.interpreter.is_some().then_some(INTERPRETER_FEATURE),
        (!packages.is_empty()).then_some(PACKAGES_FEATURE),
    ];
    let requires = features.into_iter().flatten().map(str::to_owned).collect();
    let job = SubmitJob {
        job: id,
        program,
        args: submission.args.clone(),
        env,
        files: tree.files,
        directories: tree.directories,
        mounts,
        limits: submission.limits.clone(),
        stdin: submission.stdin == StdinMode::Piped,
        outputs: submission.outputs_dir.is_some(),
        events: true,
        requires,
        packages,
    };
    Ok(Packed { job, sources: packer.sources, left_out: packer.left_out })
}

/// The job of a submission that was read, with other arguments and more files, none of which has to do with the program.
pub(super) fn pack_more(
    packed: &Packed,
    submission: &Submission,
    id: JobId,
    (args, files): (Vec<String>, &[PathBuf]),
) -> Result<Packed, SubmitError> {
    let mut packer = Packer { count: packed.job.files.len(), ..Packer::new(submission.all_files) };
    let mut tree = Tree { files: packed.job.files.clone(), directories: packed.job.directories.clone() };
    for path in files {
        packer.input(path, &mut tree)?;
    }
    tree.check()?;
    let job = SubmitJob { job: id, args, files: tree.files, directories: tree.directories, ..packed.job.clone() };
    Ok(Packed { job, sources: packer.sources, left_out: packer.left_out })
}

/// Reads what a session is opened with.
pub(super) fn pack_session(
    opening: &SessionOpening,
    id: JobId,
    goes_on: Option<&GoesOn>,
) -> Result<Packed, SubmitError> {
    let mut packer = Packer::new(opening.all_files);
    let mut tree = Tree::default();
    let mut saved = None;
    if let Some(GoesOn { saved: session, moved }) = goes_on {
        let (digest, size) = packer.blob(&session.memory())?;
        let (image, turns) = (session.about.image.clone(), session.about.turns);
        saved = Some(SavedMemory { digest, size, moved: *moved, image, turns });
        for (path, place) in session.files() {
            tree.files.push(packer.file(&place, path.as_str())?);
        }
        tree.directories.clone_from(&session.about.directories);
    }
    for path in &opening.files {
        packer.input(path, &mut tree)?;
    }
    tree.check()?;
    let about = goes_on.map(|goes_on| &goes_on.saved.about);
    let program = JobProgram::Session {
        environment: about.map_or_else(|| PYTHON.to_owned(), |about| about.environment.clone()),
        image: opening.image.clone().unwrap_or_default(),
        saved,
        name: opening.name.clone().or_else(|| about.and_then(|about| about.name.clone())),
    };
    let limits = opening.limits.clone().or_else(|| about.map(|about| about.limits.clone())).unwrap_or_default();
    let job = SubmitJob {
        job: id,
        program,
        args: Vec::new(),
        env: opening.env.clone(),
        files: tree.files,
        directories: tree.directories,
        mounts: Vec::new(),
        limits,
        stdin: false,
        outputs: false,
        events: false,
        requires: Vec::new(),
        packages: Vec::new(),
    };
    Ok(Packed { job, sources: packer.sources, left_out: packer.left_out })
}

#[derive(Default)]
struct Tree {
    files: Vec<JobFile>,
    directories: Vec<GuestPath>,
}

impl Tree {
    fn check(&self) -> Result<(), SubmitError> {
        // Whether names may differ in case alone is for the machine to say where they will lie.
        check_paths(self.files.iter().map(|file| &file.path), &self.directories, Case::Kept).map_err(|clash| {
            SubmitError::BadInput(format!(
                "the job's files cannot lie together: {clash} (files are placed by their last name)"
            ))
        })
    }
}

struct Packer {
    sources: HashMap<Digest, Source>,
    count: usize,
    leaves: Leaves,
    left_out: LeftOut,
}

impl Packer {
    fn new(all_files: bool) -> Self {
        let leaves = if all_files { Leaves::Nothing } else { Leaves::Ignored };
        Self { sources: HashMap::new(), count: 0, leaves, left_out: LeftOut::default() }
    }

    fn program(&mut self, submission: &Submission, tree: &mut Tree) -> Result<JobProgram, SubmitError> {
        if let Some(image) = &submission.container {
            return self.contained(submission, image, tree).map(JobProgram::Container);
        }
        let path = &submission.program;
        let metadata =
            fs::metadata(path).map_err(|source| SubmitError::ProgramNotFound { path: path.clone(), source })?;
        if metadata.is_dir() { self.directory_program(submission, tree) } else { self.file_program(submission, tree) }
    }

    fn directory_program(&mut self, submission: &Submission, tree: &mut Tree) -> Result<JobProgram, SubmitError> {
        let dir = &submission.program;
        if let Some(interpreter) = &submission.interpreter {
            let name = &interpreter.manifest.name;
            let why =
                format!("only Python runs folders; name the file for {name} and put the folder beside it with `-f`");
            return Err(bad_program(dir, why));
        }
        let entry = self.folder(dir, tree)?;
        let environment = submission.environment.clone().unwrap_or_else(|| PYTHON.to_owned());
        Ok(JobProgram::Script { environment, entry, image: ImageChoice::default(), interpreter: None })
    }

    /// Takes a folder along that runs by its entry.
    fn folder(&mut self, dir: &Path, tree: &mut Tree) -> Result<GuestPath, SubmitError> {
        if !dir.join(DIRECTORY_ENTRY).is_file() {
            return Err(bad_program(dir, format!("the directory has no {DIRECTORY_ENTRY}; add one or name a file")));
        }
        // The directory `.` has a name too.
        let resolved = fs::canonicalize(dir).map_err(|source| input(dir, source))?;
        let name = base_name(&resolved)?;
        self.walk(&resolved, &name, tree)?;
        let entry = guest_path(&format!("{name}/{DIRECTORY_ENTRY}"))?;
        if !tree.files.iter().any(|file| file.path == entry) {
            let why = format!("its {DIRECTORY_ENTRY} is left out by an ignore file; `--all-files` takes all along");
            return Err(bad_program(dir, why));
        }
        Ok(entry)
    }

    fn file_program(&mut self, submission: &Submission, tree: &mut Tree) -> Result<JobProgram, SubmitError> {
        let path = &submission.program;
        let name = base_name(path)?;
        let ending = super::interpreting::ending(Path::new(&name));
        let file = self.file(path, &name).map_err(|error| match error {
            SubmitError::Input { path, source } => SubmitError::ProgramNotFound { path, source },
            other => other,
        })?;
        if file.size == 0 && ending == "wasm" {
            return Err(bad_program(path, "the file is empty".into()));
        }
        if let Some(interpreter) = &submission.interpreter {
            let program = self.interpreted(interpreter, &file)?;
            tree.files.push(file);
            return Ok(program);
        }
        let environment = match (&submission.environment, ending.as_str()) {
            (Some(environment), _) => environment.clone(),
            (None, "py") => PYTHON.to_owned(),
            (None, "wasm") => return Ok(JobProgram::Wasm { digest: file.digest, size: file.size, name }),
            (None, _) => {
                let why =
                    "its name ends in none of .py, .wasm, .lua, .js, .rb and what `potluck env ls` lists; name the \
                           environment with --env"
                        .to_owned();
                return Err(bad_program(path, why));
            }
        };
        let entry = file.path.clone();
        tree.files.push(file);
        Ok(JobProgram::Script { environment, entry, image: ImageChoice::default(), interpreter: None })
    }

    /// A script whose interpreter goes along.
    fn interpreted(&mut self, interpreter: &Interpreter, script: &JobFile) -> Result<JobProgram, SubmitError> {
        let (digest, size) = self.blob(&interpreter.program)?;
        let argv = interpreter.manifest.argv(&script.path);
        Ok(JobProgram::Script {
            environment: interpreter.manifest.name.clone(),
            entry: script.path.clone(),
            image: ImageChoice::None,
            interpreter: Some(JobInterpreter { digest, size, argv }),
        })
    }

    fn input(&mut self, path: &Path, tree: &mut Tree) -> Result<(), SubmitError> {
        let metadata = fs::metadata(path).map_err(|source| input(path, source))?;
        if !metadata.is_dir() {
            let file = self.file(path, &base_name(path)?)?;
            tree.files.push(file);
            return Ok(());
        }
        let resolved = fs::canonicalize(path).map_err(|source| input(path, source))?;
        let name = base_name(&resolved)?;
        self.walk(&resolved, &name, tree)
    }

    fn file(&mut self, path: &Path, place: &str) -> Result<JobFile, SubmitError> {
        self.count += 1;
        if self.count > FILES_MAX {
            return Err(SubmitError::BadInput(format!("the job has more than {FILES_MAX} files; attach less with -f")));
        }
        let guest = guest_path(place)?;
        let failed = |source| input(path, source);
        let file = open_regular(path).map_err(failed)?;
        let executable = file.metadata().map_err(failed)?.permissions().mode() & 0o100 != 0;
        let (digest, size) = self.blob_of(file, path)?;
        Ok(JobFile { path: guest, digest, size, executable })
    }

    fn blob(&mut self, path: &Path) -> Result<(Digest, u64), SubmitError> {
        let file = open_regular(path).map_err(|source| input(path, source))?;
        self.blob_of(file, path)
    }

    fn blob_of(&mut self, file: File, path: &Path) -> Result<(Digest, u64), SubmitError> {
        let failed = |source| input(path, source);
        let (digest, size) = Digest::of_reader(file).map_err(failed)?;
        self.sources.insert(digest, Source { path: std::path::absolute(path).map_err(failed)?, size });
        Ok((digest, size))
    }

    /// The packages of a script; their bytes are known by their names already.
    fn packages(&mut self, submission: &Submission, program: &JobProgram) -> Result<Vec<JobPackage>, SubmitError> {
        let wheels = &submission.packages.wheels;
        if !wheels.is_empty() && program.environment() != Some(PYTHON) {
            let why = "only Python scripts bring packages along; leave `--with` out".to_owned();
            return Err(bad_program(&submission.program, why));
        }
        for wheel in wheels {
            self.sources.insert(wheel.digest, Source { path: wheel.path.clone(), size: wheel.len });
        }
        let package =
            |wheel: &FoundWheel| JobPackage { name: wheel.name.clone(), digest: wheel.digest, size: wheel.len };
        Ok(wheels.iter().map(package).collect())
    }

    fn mount(&mut self, host: &Path, guest: &str, by: MountsBy) -> Result<JobMount, SubmitError> {
        let resolved = fs::canonicalize(host).map_err(|source| input(host, source))?;
        if !resolved.is_dir() {
            return Err(SubmitError::BadInput(format!("{} is no folder; attach files with -f", host.display())));
        }
        crate::service::check_mount_point(guest).map_err(SubmitError::BadInput)?;
        let mut tree = Tree::default();
        let local = match by {
            MountsBy::Path => Some(resolved),
            MountsBy::Content => {
                // A folder is read whole, as it is on this machine.
                let leaves = std::mem::replace(&mut self.leaves, Leaves::Nothing);
                let walked = self.walk(&resolved, "", &mut tree);
                self.leaves = leaves;
                walked?;
                None
            }
        };
        Ok(JobMount { guest: guest.to_owned(), files: tree.files, directories: tree.directories, local })
    }

    /// Says which imports are missing before anything is sent; gives those that are not.
    fn check_script(
        &self,
        submission: &Submission,
        entry: &GuestPath,
        tree: &Tree,
    ) -> Result<BTreeSet<String>, SubmitError> {
        // What cannot be read or is in another encoding is the interpreter's to judge.
        let read = |path: &GuestPath| {
            let file = tree.files.iter().find(|file| file.path == *path)?;
            let source = self.sources.get(&file.digest).filter(|source| source.size <= SCRIPT_LEN_MAX)?;
            String::from_utf8(fs::read(&source.path).ok()?).ok()
        };
        let files: Vec<GuestPath> = tree.files.iter().map(|file| file.path.clone()).collect();
        let mut imports = script_imports(entry, &files, &read);
        let packages = &submission.packages;
        imports.missing.retain(|missing| !packages.modules.contains(&missing.module));
        // What they bring needs no image, and what they use does.
        imports.modules.retain(|module| !packages.modules.contains(module));
        imports.modules.extend(packages.uses.iter().cloned());
        if imports.missing.is_empty() {
            return Ok(imports.modules);
        }
        let why: Vec<String> = imports.missing.iter().map(ToString::to_string).collect();
        Err(bad_program(&submission.program, why.join("; ")))
    }
}

/// Opens a file that must be a regular one; a pipe would make the reader wait for a writer.
fn open_regular(path: &Path) -> io::Result<File> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

fn base_name(path: &Path) -> Result<String, SubmitError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| SubmitError::BadInput(format!("{} has no usable last name to place it by", path.display())))
}

fn guest_path(text: &str) -> Result<GuestPath, SubmitError> {
    GuestPath::parse(text).map_err(|error| SubmitError::BadInput(error.to_string()))
}

fn input(path: &Path, source: io::Error) -> SubmitError {
    SubmitError::Input { path: path.to_owned(), source }
}

fn bad_program(path: &Path, why: String) -> SubmitError {
    SubmitError::BadProgram { program: path.display().to_string(), why }
}

#[cfg(test)]
mod tests;
