//! What a submission runs in a container. A program that is a file here goes along and is run by its ending, or by itself; a
//! word that is no file, and looks like none, is a command of the image.

use super::{Packer, Tree, bad_program, base_name};
use crate::client::failure::SubmitError;
use crate::client::interpreting::ending;
use crate::client::submission::Submission;
use crate::state::containers::Image;
use crate::wire::{JobContainer, JobFile};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What runs a file of this ending, which every image with the language has.
const RUN_BY: [(&str, &str); 6] =
    [("py", "python3"), ("sh", "sh"), ("js", "node"), ("rb", "ruby"), ("lua", "lua"), ("pl", "perl")];
/// How the files begin that the system runs by themselves.
const BY_ITSELF: [&[u8]; 2] = [b"\x7fELF", b"#!"];

/// Whether a program is a command of the image rather than a file of this machine.
#[must_use]
pub fn is_command(program: &Path) -> bool {
    let ending = ending(program);
    let looks_like_a_file = ending == "wasm" || RUN_BY.iter().any(|(known, _)| *known == ending);
    let is_a_word = program.to_str().is_some_and(|word| !word.contains('/'));
    is_a_word && !looks_like_a_file && fs::symlink_metadata(program).is_err()
}

impl Packer {
    /// The container of a submission; what its program is of files goes into its working directory.
    pub(super) fn contained(
        &mut self,
        submission: &Submission,
        image: &Image,
        tree: &mut Tree,
    ) -> Result<JobContainer, SubmitError> {
        let (path, gpus) = (&submission.program, submission.gpus);
        refuse_what_is_for_wasm(submission)?;
        if is_command(path) {
            let word = path.to_str().unwrap_or_default().to_owned();
            return Ok(JobContainer { image: image.clone(), command: vec![word], entry: None, gpus });
        }
        let metadata = fs::metadata(path).map_err(|source| not_found(path, source))?;
        if metadata.is_dir() {
            let entry = self.folder(path, tree)?;
            let (folder, _) = entry.as_str().split_once('/').unwrap_or((entry.as_str(), ""));
            let command = vec!["python3".to_owned(), word_of(folder)];
            return Ok(JobContainer { image: image.clone(), command, entry: Some(entry), gpus });
        }
        let file = self.file(path, &base_name(path)?)?;
        let command = command_of(path, &file)?;
        let entry = Some(file.path.clone());
        tree.files.push(JobFile { executable: true, ..file });
        Ok(JobContainer { image: image.clone(), command, entry, gpus })
    }
}

/// How a file is run.
fn command_of(path: &Path, file: &JobFile) -> Result<Vec<String>, SubmitError> {
    let ending = ending(path);
    let name = word_of(file.path.as_str());
    if ending == "wasm" {
        let why = "a program of WebAssembly needs no container; leave `--docker-image` out".to_owned();
        return Err(bad_program(path, why));
    }
    if let Some((_, by)) = RUN_BY.iter().find(|(known, _)| *known == ending) {
        return Ok(vec![(*by).to_owned(), name]);
    }
    let mut first = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read(&mut first));
    let len = read.map_err(|source| SubmitError::Input { path: path.to_owned(), source })?;
    if BY_ITSELF.iter().any(|magic| first[..len].starts_with(magic)) {
        return Ok(vec![name]);
    }
    let endings = RUN_BY.map(|(ending, _)| format!(".{ending}")).join(", ");
    let why = format!(
        "its name ends in none of {endings}, and it is no executable and has no `#!`; name the command that runs it, and the file \
         with -f: `potluck run --docker-image IMAGE -f {} COMMAND {}`",
        path.display(),
        file.path,
    );
    Err(bad_program(path, why))
}

/// A name as a command takes it for a file: one that begins as an option does would be one.
fn word_of(name: &str) -> String {
    if name.starts_with('-') { format!("./{name}") } else { name.to_owned() }
}

/// What belongs to the interpreters of this project is of no use in an image.
fn refuse_what_is_for_wasm(submission: &Submission) -> Result<(), SubmitError> {
    let program = &submission.program;
    if submission.environment.is_some() {
        let why = "in a container the image has what runs it; leave `--env` out, or `--docker-image`".to_owned();
        return Err(bad_program(program, why));
    }
    if submission.image.is_some() {
        let why = "only Python scripts outside of containers start from a memory image; leave `--image` out".to_owned();
        return Err(bad_program(program, why));
    }
    if !submission.packages.wheels.is_empty() {
        let why = "in a container the image has the packages; leave `--with` out, and choose an image that has them"
            .to_owned();
        return Err(bad_program(program, why));
    }
    Ok(())
}

fn not_found(path: &Path, source: io::Error) -> SubmitError {
    if source.kind() == ErrorKind::NotFound && path.to_str().is_some_and(|word| word.contains('/')) {
        let why = "there is no such file here; a command of the image is named without a `/`, such as `sh`";
        let source = io::Error::new(ErrorKind::NotFound, why);
        return SubmitError::ProgramNotFound { path: path.to_owned(), source };
    }
    SubmitError::ProgramNotFound { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::packing::{MountsBy, pack};
    use crate::wire::{CONTAINER_FEATURE, JobId, JobProgram};

    fn packed(submission: Submission) -> Result<(JobContainer, Vec<JobFile>), SubmitError> {
        let submission = submission.container("busybox".parse().unwrap());
        let job = pack(&submission, JobId([1; 16]), MountsBy::Content)?.job;
        assert_eq!(job.requires, [CONTAINER_FEATURE]);
        let JobProgram::Container(container) = job.program else { panic!("{:?}", job.program) };
        Ok((container, job.files))
    }

    fn command(submission: Submission) -> Vec<String> {
        packed(submission).unwrap().0.command
    }

    #[test]
    fn a_file_runs_by_its_ending_or_by_itself_and_a_folder_by_python() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            fs::write(dir.path().join(name), content).unwrap();
            Submission::new(dir.path().join(name))
        };
        assert_eq!(command(file("x.py", "import numpy.no.such.thing")), ["python3", "x.py"]);
        assert_eq!(command(file("x.SH", "")), ["sh", "x.SH"]);
        assert_eq!(command(file("-x.js", "")), ["node", "./-x.js"]);
        assert_eq!(command(file("tool", "#!/bin/awk -f")), ["tool"]);
        let (container, files) = packed(file("elf", "\x7fELF...")).unwrap();
        assert_eq!((container.command, files[0].executable), (vec!["elf".to_owned()], true));
        assert_eq!(container.entry.unwrap().as_str(), "elf");
        fs::create_dir(dir.path().join("app")).unwrap();
        fs::write(dir.path().join("app/__main__.py"), "").unwrap();
        let (folder, _) = packed(Submission::new(dir.path().join("app"))).unwrap();
        assert_eq!(
            (folder.command, folder.entry.unwrap().as_str()),
            (vec!["python3".into(), "app".into()], "app/__main__.py")
        );
    }

    #[test]
    fn a_word_that_is_no_file_is_a_command_and_a_mistyped_file_is_not_found() {
        let (container, files) = packed(Submission::new("no-such-tool-9")).unwrap();
        assert_eq!((container.command, container.entry, files), (vec!["no-such-tool-9".into()], None, vec![]));
        assert_eq!(command(Submission::new("python3.11")), ["python3.11"]);
        for typo in ["trian.py", "tset.sh", "no.wasm"] {
            assert!(matches!(packed(Submission::new(typo)), Err(SubmitError::ProgramNotFound { .. })), "{typo}");
        }
        let error = packed(Submission::new("/no/such/sh")).unwrap_err();
        let SubmitError::ProgramNotFound { source, .. } = error else { panic!("{error}") };
        assert!(source.to_string().contains("without a `/`"), "{source}");
    }

    #[test]
    fn what_is_of_no_use_in_a_container_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            fs::write(dir.path().join(name), "text").unwrap();
            Submission::new(dir.path().join(name))
        };
        for (submission, cure) in [
            (file("x.wasm"), "leave `--docker-image` out"),
            (file("x.txt"), "name the command that runs it"),
            (file("x.py").environment("python"), "leave `--env` out"),
            (file("x.py").image(potluck_runtime::ImageChoice::None), "leave `--image` out"),
        ] {
            let text = packed(submission).unwrap_err().to_string();
            assert!(text.contains(cure), "{text}");
        }
    }
}
