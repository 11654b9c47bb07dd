//! Whether a job may run here. Pure: the description, who asks and what the owner allows go in, a refusal that names the
//! rule comes out. Digests and paths were parsed with the message; here they are looked at together.

use super::clashes::{Case, check_paths};
use crate::defaults::GPUS_MAX;
use crate::dispatch::Role;
use crate::wire::bounds::{FILES_MAX, MOUNTS_MAX, WORDS_MAX};
use crate::wire::{
    CONTAINER_FEATURE, Fault, FaultCode, INTERPRETER_FEATURE, JobContainer, JobFile, JobMount, JobProgram,
    PACKAGES_FEATURE, SubmitJob,
};
use potluck_runtime::wheels::{WHEEL_LEN_MAX, WHEEL_NAME_LEN_MAX};
use potluck_runtime::{GuestPath, ImageChoice, Limits};

/// Bytes of inputs of a peer's job.
const INPUT_BYTES_MAX: u64 = 64 << 30;
/// Bytes of arguments and environment variables together; they end up in the guest's memory.
const WORDS_LEN_MAX: usize = 1 << 20;
/// Imports a script is said to have; more are of no use for choosing an image.
const IMPORTS_MAX: usize = 4096;
/// Guest paths that are taken.
const RESERVED: [&str; 3] = ["/tmp", "/usr/local/lib", "/usr/local/site-packages"];

/// Bytes of memory that are lent; nothing said is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryLent {
    /// To one job.
    pub(crate) one: Option<u64>,
    /// To all that run at once.
    pub(crate) all: Option<u64>,
}

/// Refuses what may not run here.
pub(crate) fn admit(job: &SubmitJob, role: Role, lent: MemoryLent, name: &str, case: Case) -> Result<(), Fault> {
    admit_features(job, name)?;
    admit_limits(&job.limits, role, lent, name)?;
    admit_files_in_memory(job, role, lent, name)?;
    admit_words(job)?;
    admit_files(job, case)?;
    admit_mounts(&job.mounts, role, case)?;
    admit_packages(job)?;
    match &job.program {
        JobProgram::Wasm { .. } => Ok(()),
        JobProgram::Container(container) => admit_container(container, &job.files),
        JobProgram::Script { entry, .. } if !job.files.iter().any(|file| file.path == *entry) => {
            Err(bad_input(format!("the script {entry} is not among the job's files")))
        }
        JobProgram::Script { interpreter: Some(interpreter), .. } if interpreter.argv.is_empty() => {
            Err(bad_input("the script's interpreter has no name".to_owned()))
        }
        JobProgram::Script { image, .. } => admit_image(image),
        // The folders are not there any more when it goes on elsewhere.
        JobProgram::Session { .. } if !job.mounts.is_empty() => {
            Err(bad_input("a session has no read-only folders; put files into its working directory".to_owned()))
        }
        JobProgram::Session { image, name, saved, .. } => {
            admit_session_name(name.as_deref())?;
            admit_session_name(saved.as_ref().map(|saved| saved.image.as_str()))?;
            admit_image(image)
        }
    }
}

/// Refuses what this version does not know, and what a version before it would have taken for something else.
fn admit_features(job: &SubmitJob, name: &str) -> Result<(), Fault> {
    let features = [
        (INTERPRETER_FEATURE, job.program.interpreter().is_some(), "a script that brings its interpreter"),
        (PACKAGES_FEATURE, !job.packages.is_empty(), "a job that brings packages"),
        (CONTAINER_FEATURE, job.program.container_image().is_some(), "a job in a container"),
    ];
    if let Some(strange) = job.requires.iter().find(|named| !features.iter().any(|(known, ..)| named == known)) {
        let text = format!("the job needs {strange:?}, which {name} does not know; a newer Potluck there may");
        return Err(Fault::new(FaultCode::UNSUPPORTED, text));
    }
    match features.iter().find(|(feature, is_used, _)| job.requires.iter().any(|named| named == feature) != *is_used) {
        Some((feature, _, who)) => Err(bad_input(format!("{who} says {feature:?}, and no other does"))),
        None => Ok(()),
    }
}

/// Refuses a container that has nothing to run.
fn admit_container(container: &JobContainer, files: &[JobFile]) -> Result<(), Fault> {
    if container.command.first().is_none_or(String::is_empty) {
        return Err(bad_input("the job's container is given no command".to_owned()));
    }
    if usize::try_from(container.gpus).is_ok_and(|gpus| gpus > GPUS_MAX) {
        let text = format!("a job may have {GPUS_MAX} graphics processors and this one wants {}", container.gpus);
        return Err(bad_input(text));
    }
    match container.entry.as_ref().filter(|entry| !files.iter().any(|file| file.path == **entry)) {
        Some(entry) => Err(bad_input(format!("the program {entry} is not among the job's files"))),
        None => Ok(()),
    }
}

/// Refuses what no session can be called.
pub(super) fn admit_session_name(name: Option<&str>) -> Result<(), Fault> {
    let Some(name) = name else { return Ok(()) };
    crate::config::check_name(name).map_err(|why| bad_input(format!("a session cannot be called {name:?}: {why}")))
}

/// Refuses limits that the lender does not grant; asked before each job and each turn.
pub(super) fn admit_limits(limits: &Limits, role: Role, lent: MemoryLent, name: &str) -> Result<(), Fault> {
    match role {
        Role::Owner => Ok(()),
        Role::Peer => admit_peer(limits, lent, name),
    }
}

fn admit_image(image: &ImageChoice) -> Result<(), Fault> {
    match image {
        ImageChoice::Recipe(recipe) => recipe.check().map_err(|error| bad_input(format!("the job's image: {error}"))),
        ImageChoice::Auto(imports) if imports.len() > IMPORTS_MAX => {
            Err(bad_input(format!("the job names {} imports; the most is {IMPORTS_MAX}", imports.len())))
        }
        ImageChoice::Auto(_) | ImageChoice::None => Ok(()),
    }
}

/// The lender's rules. Nothing is made smaller in silence: a job that asks for more is refused.
fn admit_peer(limits: &Limits, lent: MemoryLent, name: &str) -> Result<(), Fault> {
    let bounds = [(lent.one, "a job", "--job-memory"), (lent.all, "all jobs together", "--memory")];
    for (max, whom, option) in bounds {
        if let Some(max) = max.filter(|max| limits.memory_bytes > *max) {
            let text = format!(
                "{name} lends {whom} at most {} MiB of memory and this one asks for {} MiB; run it with `--memory {}M`, or \
                 its owner can lend more with `potluck share {option} SIZE`",
                max >> 20,
                limits.memory_bytes >> 20,
                max >> 20,
            );
            return Err(Fault::new(FaultCode::NOT_ALLOWED, text));
        }
    }
    Ok(())
}

/// What a container writes lies in memory: a peer's has to fit into what is lent together with the memory it may use.
fn admit_files_in_memory(job: &SubmitJob, role: Role, lent: MemoryLent, name: &str) -> Result<(), Fault> {
    let most = [lent.one, lent.all].into_iter().flatten().min().filter(|most| job.memory_bytes() > *most);
    match (role, most) {
        (Role::Peer, Some(most)) => {
            let text = format!(
                "{name} lends a job at most {} MiB of memory, and this one may use {} MiB with what it writes, which lies in \
                 memory in a container; say less with `--memory` or `--disk`, or its owner can lend more with `potluck share`",
                most >> 20,
                job.memory_bytes() >> 20,
            );
            Err(Fault::new(FaultCode::NOT_ALLOWED, text))
        }
        _ => Ok(()),
    }
}

fn admit_words(job: &SubmitJob) -> Result<(), Fault> {
    let own = match &job.program {
        JobProgram::Script { interpreter: Some(interpreter), .. } => interpreter.argv.as_slice(),
        JobProgram::Container(container) => container.command.as_slice(),
        JobProgram::Script { .. } | JobProgram::Wasm { .. } | JobProgram::Session { .. } => &[],
    };
    let args = || own.iter().chain(&job.args);
    let words = args().count().saturating_add(job.env.len());
    let len: usize = args().map(String::len).chain(job.env.iter().map(|(k, v)| k.len() + v.len())).sum();
    if words > WORDS_MAX || len > WORDS_LEN_MAX {
        return Err(bad_input(format!(
            "a job may have {WORDS_MAX} arguments and environment variables of {WORDS_LEN_MAX} bytes together; this one \
             has {words} of {len} bytes"
        )));
    }
    if let Some(word) = args().find(|word| word.contains('\0')) {
        return Err(bad_input(format!("argument {word:?} holds a NUL character")));
    }
    for (key, value) in &job.env {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            return Err(bad_input(format!("environment variable {key:?} has no usable name or value")));
        }
    }
    Ok(())
}

fn admit_files(job: &SubmitJob, case: Case) -> Result<(), Fault> {
    let mounted = job.mounts.iter().map(|mount| mount.files.len().saturating_add(mount.directories.len()));
    let count = mounted.fold(job.files.len().saturating_add(job.directories.len()), usize::saturating_add);
    if count > FILES_MAX {
        return Err(bad_input(format!("a job may have {FILES_MAX} files and directories and this one has {count}")));
    }
    let all = job.files.iter().chain(job.mounts.iter().flat_map(|mount| &mount.files));
    let program = match &job.program {
        JobProgram::Wasm { size, .. } => *size,
        JobProgram::Session { saved: Some(saved), .. } => saved.size,
        JobProgram::Script { interpreter: Some(interpreter), .. } => interpreter.size,
        JobProgram::Script { .. } | JobProgram::Container(_) | JobProgram::Session { saved: None, .. } => 0,
    };
    let bytes = all.fold(program, |sum, file| sum.saturating_add(file.size));
    if bytes > INPUT_BYTES_MAX {
        return Err(bad_input(format!(
            "a job may have {} GiB of input and this one has {} GiB",
            INPUT_BYTES_MAX >> 30,
            bytes >> 30
        )));
    }
    let files = job.files.iter().map(|file| &file.path);
    check_paths(files, &job.directories, case).map_err(|clash| bad_input(clash.to_string()))
}

fn admit_mounts(mounts: &[JobMount], role: Role, case: Case) -> Result<(), Fault> {
    if mounts.len() > MOUNTS_MAX {
        return Err(bad_input(format!(
            "a job may have {MOUNTS_MAX} read-only folders and this one has {}",
            mounts.len()
        )));
    }
    for (index, mount) in mounts.iter().enumerate() {
        check_mount_point(&mount.guest).map_err(bad_input)?;
        if mount.local.is_some() && role == Role::Peer {
            let text = format!("{} names a folder of this machine, which only its owner may do", mount.guest);
            return Err(Fault::new(FaultCode::NOT_ALLOWED, text));
        }
        if let Some(other) = mounts[..index].iter().find(|other| overlap(&other.guest, &mount.guest)) {
            return Err(bad_input(format!("read-only folders {} and {} overlap", other.guest, mount.guest)));
        }
        let files = mount.files.iter().map(|file: &JobFile| &file.path);
        check_paths(files, &mount.directories, case)
            .map_err(|clash| bad_input(format!("in {}: {clash}", mount.guest)))?;
    }
    Ok(())
}

/// Packages are of scripts alone, and each is small enough to be looked at.
fn admit_packages(job: &SubmitJob) -> Result<(), Fault> {
    if job.packages.is_empty() {
        return Ok(());
    }
    if !matches!(job.program, JobProgram::Script { .. }) {
        return Err(bad_input("only a script has packages".to_owned()));
    }
    let is_named =
        |name: &str| name.len() <= WHEEL_NAME_LEN_MAX && name.ends_with(".whl") && !name.contains(['/', '\0']);
    if let Some(package) = job.packages.iter().find(|package| !is_named(&package.name) || package.size > WHEEL_LEN_MAX)
    {
        let most = WHEEL_LEN_MAX >> 20;
        return Err(bad_input(format!("the package {:?} is no wheel of at most {most} MiB", package.name)));
    }
    Ok(())
}

/// Whether a guest path can be where a folder is mounted.
///
/// # Errors
/// The sentence that says why not.
pub(crate) fn check_mount_point(guest: &str) -> Result<(), String> {
    let inside = guest.strip_prefix('/').unwrap_or_default();
    if GuestPath::parse(inside).is_err() {
        return Err(format!("a read-only folder is mounted at an absolute path like /data, not at {guest:?}"));
    }
    match RESERVED.iter().find(|reserved| overlap(reserved, guest)) {
        Some(reserved) => {
            Err(format!("a read-only folder cannot be mounted at {guest}: {reserved} is the sandbox's own"))
        }
        None => Ok(()),
    }
}

/// Whether one absolute path is the other or inside it.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let inside = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(one, other) || inside(other, one)
}

fn bad_input(text: String) -> Fault {
    Fault::new(FaultCode::BAD_INPUT, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{JobId, JobInterpreter, SavedMemory};
    use potluck_runtime::Digest;

    const LENT: MemoryLent = MemoryLent { one: None, all: None };

    fn path(text: &str) -> GuestPath {
        GuestPath::parse(text).unwrap()
    }

    fn file(text: &str) -> JobFile {
        JobFile { path: path(text), digest: Digest::of(b""), size: 0, executable: false }
    }

    fn job() -> SubmitJob {
        SubmitJob {
            job: JobId([1; 16]),
            program: JobProgram::Wasm { digest: Digest::of(b""), size: 0, name: "p".into() },
            args: vec![],
            env: vec![],
            files: vec![],
            directories: vec![],
            mounts: vec![],
            limits: Limits::default(),
            stdin: false,
            outputs: false,
            events: false,
            requires: vec![],
            packages: vec![],
        }
    }

    fn mount(guest: &str) -> JobMount {
        JobMount { guest: guest.into(), files: vec![], directories: vec![], local: None }
    }

    fn refusal(role: Role, lent: MemoryLent, change: impl FnOnce(&mut SubmitJob)) -> Fault {
        let mut job = job();
        change(&mut job);
        admit(&job, role, lent, "attic", Case::Kept).unwrap_err()
    }

    #[test]
    fn a_plain_job_is_admitted() {
        let mut job = job();
        job.files = vec![file("a/b"), file("a/c")];
        job.directories = vec![path("a/d"), path("a")];
        job.mounts = vec![mount("/data"), mount("/database")];
        assert_eq!(admit(&job, Role::Peer, LENT, "attic", Case::Kept), Ok(()));
    }

    #[test]
    fn the_lenders_rules_are_named_and_do_not_bind_the_owner() {
        let small = MemoryLent { one: Some(256 << 20), all: None };
        let fault = refusal(Role::Peer, small, |_| {});
        assert!(fault.text.contains("--memory 256M") && fault.text.contains("share --job-memory"), "{fault}");
        let little = MemoryLent { one: None, all: Some(128 << 20) };
        let fault = refusal(Role::Peer, little, |_| {});
        assert!(fault.text.contains("--memory 128M") && fault.text.contains("share --memory"), "{fault}");
        assert_eq!(admit(&job(), Role::Owner, little, "attic", Case::Kept), Ok(()));
    }

    #[test]
    fn folders_of_this_machine_are_for_its_owner_alone() {
        let local = |job: &mut SubmitJob| job.mounts = vec![JobMount { local: Some("/etc".into()), ..mount("/data") }];
        assert_eq!(refusal(Role::Peer, LENT, local).code, FaultCode::NOT_ALLOWED);
        let mut job = job();
        local(&mut job);
        assert_eq!(admit(&job, Role::Owner, LENT, "attic", Case::Kept), Ok(()));
    }

    #[test]
    fn mount_points_that_escape_overlap_or_are_taken_are_refused() {
        for guest in ["data", "/", "", "/a/../b", "//a", "/tmp", "/tmp/x", "/usr", "/usr/local/lib/x"] {
            let fault = refusal(Role::Owner, LENT, |job| job.mounts = vec![mount(guest)]);
            assert_eq!(fault.code, FaultCode::BAD_INPUT, "{guest}");
        }
        let fault = refusal(Role::Owner, LENT, |job| job.mounts = vec![mount("/d"), mount("/d/e")]);
        assert!(fault.text.contains("/d and /d/e"), "{fault}");
    }

    #[test]
    fn unusable_words_counts_and_features_are_refused() {
        let code = |change: fn(&mut SubmitJob)| refusal(Role::Owner, LENT, change).code;
        assert_eq!(code(|job| job.args = vec!["a\0b".into()]), FaultCode::BAD_INPUT);
        assert_eq!(code(|job| job.args = vec![String::new(); WORDS_MAX + 1]), FaultCode::BAD_INPUT);
        assert_eq!(code(|job| job.env = vec![("A=B".into(), String::new())]), FaultCode::BAD_INPUT);
        assert_eq!(code(|job| job.directories = vec![path("a"); FILES_MAX + 1]), FaultCode::BAD_INPUT);
        assert_eq!(code(|job| job.files = vec![JobFile { size: u64::MAX, ..file("a") }]), FaultCode::BAD_INPUT);
        assert_eq!(code(|job| job.requires = vec!["wings".into()]), FaultCode::UNSUPPORTED);
        let script = |job: &mut SubmitJob| {
            job.program = JobProgram::Script {
                environment: "python".into(),
                entry: path("x.py"),
                image: ImageChoice::None,
                interpreter: None,
            };
        };
        assert!(refusal(Role::Owner, LENT, script).text.contains("x.py"));
    }

    #[test]
    fn a_script_that_brings_its_interpreter_says_so_and_no_other_job_does() {
        let script = |interpreter| JobProgram::Script {
            environment: "lua".into(),
            entry: path("x.lua"),
            image: ImageChoice::None,
            interpreter,
        };
        let own = JobInterpreter { digest: Digest::of(b""), size: 0, argv: vec!["lua".into(), "x.lua".into()] };
        let requires = vec![INTERPRETER_FEATURE.to_owned()];
        let brings = SubmitJob { program: script(Some(own)), files: vec![file("x.lua")], requires, ..job() };
        assert_eq!(admit(&brings, Role::Peer, LENT, "attic", Case::Kept), Ok(()));
        for odd in [
            SubmitJob { requires: vec![], ..brings.clone() },
            SubmitJob { program: script(None), ..brings.clone() },
            SubmitJob { program: job().program, ..brings },
        ] {
            assert_eq!(admit(&odd, Role::Peer, LENT, "attic", Case::Kept).unwrap_err().code, FaultCode::BAD_INPUT);
        }
    }

    #[test]
    fn a_container_says_so_has_a_command_and_its_disk_counts_as_memory() {
        let container = JobContainer {
            image: "busybox".parse().unwrap(),
            command: vec!["sh".into(), "x.sh".into()],
            entry: Some(path("x.sh")),
            gpus: 0,
        };
        let program = JobProgram::Container(container.clone());
        let requires = vec![CONTAINER_FEATURE.to_owned()];
        let plain = SubmitJob { program, files: vec![file("x.sh")], requires, ..job() };
        assert_eq!(admit(&plain, Role::Peer, LENT, "attic", Case::Kept), Ok(()));
        let idle = JobProgram::Container(JobContainer { command: vec![], ..container.clone() });
        let nul = JobProgram::Container(JobContainer { command: vec!["a\0".into()], ..container });
        for odd in [
            SubmitJob { requires: vec![], ..plain.clone() },
            SubmitJob { program: job().program, ..plain.clone() },
            SubmitJob { files: vec![], ..plain.clone() },
            SubmitJob { program: idle, ..plain.clone() },
            SubmitJob { program: nul, ..plain.clone() },
        ] {
            assert_eq!(admit(&odd, Role::Peer, LENT, "attic", Case::Kept).unwrap_err().code, FaultCode::BAD_INPUT);
        }
        let lent = MemoryLent { one: Some(Limits::default().memory_bytes), all: None };
        let fault = admit(&plain, Role::Peer, lent, "attic", Case::Kept).unwrap_err();
        assert!(fault.text.contains("`--disk`"), "{fault}");
        assert_eq!(admit(&plain, Role::Owner, lent, "attic", Case::Kept), Ok(()));
    }

    #[test]
    fn a_session_has_no_folders_and_a_usable_name_and_its_memory_counts() {
        let session = |name: &str, size| JobProgram::Session {
            environment: "python".into(),
            image: ImageChoice::None,
            saved: Some(SavedMemory { digest: Digest::of(b""), size, moved: false, image: "data".into(), turns: 0 }),
            name: Some(name.into()),
        };
        let plain = SubmitJob { program: session("work", 1), ..job() };
        assert_eq!(admit(&plain, Role::Peer, LENT, "attic", Case::Kept), Ok(()));
        let code = |change: &dyn Fn(&mut SubmitJob)| refusal(Role::Owner, LENT, change).code;
        assert_eq!(code(&|job| job.program = session("two words", 1)), FaultCode::BAD_INPUT);
        assert_eq!(code(&|job| job.program = session("work", u64::MAX)), FaultCode::BAD_INPUT);
        let mounted = |job: &mut SubmitJob| {
            (job.program, job.mounts) = (session("work", 1), vec![mount("/data")]);
        };
        assert_eq!(code(&mounted), FaultCode::BAD_INPUT);
    }
}
