//! Read-only folders that travelled with a job, laid out where the sandbox can be given them: one directory per job,
//! made of links to blobs, removed with the job. Its name begins with the id of the process that made it, so that what
//! a killed process left is found and removed by the next.

use super::blocking;
use super::inputs::Inputs;
use crate::dispatch::Role;
use crate::wire::{Fault, FaultCode, JobMount};
use potluck_runtime::Mount;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes the directory all carried folders lie in, and removes what is there of processes that are gone: such folders, and files
/// that were on their way.
pub(crate) fn prepare_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // What is written beside such a file first has its name behind a dot.
        let own = name.to_str().map(|name| name.strip_prefix('.').unwrap_or(name));
        let owner = own.and_then(|name| name.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

/// Who reads the folders of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Workers, which are this user's.
    Own,
    /// Containers, which are nobody's. What is above the folders keeps everybody else out.
    Anybody,
}

/// The folders of a job on this machine; removed when this is dropped.
pub(super) struct LaidOut {
    /// For the sandbox.
    pub(super) mounts: Vec<Mount>,
    _dir: Option<tempfile::TempDir>,
}

/// Lays out a job's folders under `dir`. Folders of this machine are passed on as they are; admission has refused them
/// from anyone but the owner.
pub(super) async fn lay_out(
    dir: &Path,
    mounts: &[JobMount],
    inputs: &Inputs,
    (role, readers): (Role, Readers),
) -> Result<LaidOut, Fault> {
    let mut laid_out = LaidOut { mounts: Vec::new(), _dir: None };
    if mounts.iter().any(|mount| mount.local.is_none()) {
        let prefix = format!("{}-", std::process::id());
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(dir);
        laid_out._dir = Some(made.map_err(|error| failed(&error, role))?);
    }
    for (index, mount) in mounts.iter().enumerate() {
        let host = match (&mount.local, &laid_out._dir) {
            (Some(local), _) => local.clone(),
            (None, Some(dir)) => {
                let host = dir.path().join(index.to_string());
                let plan = plan(mount, &host, inputs, readers)?;
                blocking(move || plan.carry_out()).await.map_err(|error| failed(&error, role))?;
                host
            }
            (None, None) => return Err(Fault::new(FaultCode::INTERNAL, "a folder of the job has no place")),
        };
        laid_out.mounts.push(Mount { host, guest: mount.guest.clone() });
    }
    Ok(laid_out)
}

struct Plan {
    directories: Vec<PathBuf>,
    files: Vec<(PathBuf, PathBuf, u32)>,
    readers: Readers,
}

/// What to make; every path below `host` is made of normal components only.
fn plan(mount: &JobMount, host: &Path, inputs: &Inputs, readers: Readers) -> Result<Plan, Fault> {
    let mut directories = vec![host.to_owned()];
    directories.extend(mount.directories.iter().map(|path| host.join(path.as_str())));
    let mut files = Vec::with_capacity(mount.files.len());
    for file in &mount.files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        files.push((inputs.path(&file.digest)?.to_owned(), host.join(file.path.as_str()), mode));
    }
    Ok(Plan { directories, files, readers })
}

impl Plan {
    fn carry_out(&self) -> io::Result<()> {
        let mut made = fs::DirBuilder::new();
        made.recursive(true);
        for directory in &self.directories {
            made.create(directory)?;
        }
        for (source, place, mode) in &self.files {
            if let Some(parent) = place.parent() {
                made.create(parent)?;
            }
            // Guests cannot write below a mount, so a link is as good as a copy; a copy does where links cannot reach.
            match self.readers {
                Readers::Own => fs::hard_link(source, place).or_else(|_| fs::copy(source, place).map(|_| ()))?,
                Readers::Anybody => {
                    fs::copy(source, place)?;
                    fs::set_permissions(place, fs::Permissions::from_mode(*mode))?;
                }
            }
        }
        if self.readers == Readers::Anybody {
            self.open_directories()?;
        }
        Ok(())
    }

    /// Whatever this process makes may be its user's alone.
    fn open_directories(&self) -> io::Result<()> {
        let Some(host) = self.directories.first() else { return Ok(()) };
        let above = self.files.iter().flat_map(|(_, place, _)| place.ancestors().skip(1));
        let all = self.directories.iter().flat_map(|directory| directory.ancestors()).chain(above);
        for directory in all.filter(|directory| directory.starts_with(host)) {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

fn failed(error: &io::Error, role: Role) -> Fault {
    let text = match role {
        Role::Peer => format!("the machine could not lay out the job's folders: {}", error.kind()),
        Role::Owner => format!("cannot lay out the job's folders: {error}"),
    };
    Fault::new(FaultCode::INTERNAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_is_given_can_be_read_by_nobody_in_particular() {
        let dir = tempfile::tempdir().unwrap();
        let (source, host) = (dir.path().join("blob"), dir.path().join("0"));
        fs::write(&source, "text").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o600)).unwrap();
        let files = vec![(source.clone(), host.join("deep/er/tool"), 0o755)];
        let plan = Plan { directories: vec![host.clone()], files, readers: Readers::Anybody };
        plan.carry_out().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&host), mode(&host.join("deep")), mode(&host.join("deep/er/tool"))], [0o755; 3]);
        assert_eq!(mode(&source), 0o600);
    }

    #[test]
    fn what_a_process_that_is_gone_had_on_its_way_is_removed_be_it_a_folder_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let gone = u32::MAX;
        fs::create_dir(dir.path().join(format!("{gone}-folder"))).unwrap();
        fs::write(dir.path().join(format!("{gone}-folder/file")), "").unwrap();
        fs::write(dir.path().join(format!("{gone}-file")), "").unwrap();
        fs::write(dir.path().join(format!(".{gone}-file.{gone}.part")), "").unwrap();
        let ours = dir.path().join(format!("{}-file", std::process::id()));
        fs::write(&ours, "").unwrap();
        prepare_dir(dir.path()).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [ours]);
    }
}
