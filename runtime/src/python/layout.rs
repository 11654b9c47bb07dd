//! What the interpreter finds beside its two artifacts: our own guest-side files, and matplotlib's data, which it reads
//! as plain files. Both are made from what is already verified, written aside and renamed, so that a directory that
//! exists is whole; whoever loses a race uses the winner's.

use super::artifacts::{EnvironmentSpec, INTERPRETER, INTERPRETER_SIGNALS, LIBRARY};
use super::partial::sync_parent;
use super::store::{EnvironmentError, failed};
use crate::digest::Digest;
use crate::job::GuestPath;
use crate::script::{ScriptBoot, ScriptPlan};
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const GUEST_LIB: &str = "/usr/local/lib";
/// Where matplotlib looks for its data: beside its own files, inside the path of the archive.
const GUEST_MPL_DATA: &str = "/usr/local/lib/python315.zip/matplotlib/mpl-data";
/// Where a script finds the packages it brings along. Every run has it, because an image knows its directories by their order.
const GUEST_PACKAGES: &str = "/usr/local/site-packages";
const MPL_DATA_MEMBER: &str = "matplotlib/mpl-data.zip";
/// The inner archive has 9.7 MB and unpacks to less than 30 MB.
const MPL_ARCHIVE_BYTES_MAX: u64 = 32 << 20;
const MPL_DATA_BYTES_MAX: u64 = 64 << 20;
const MPL_DATA_FILES_MAX: usize = 4096;

const GUEST_FILES: &[(&str, &str)] = &[
    ("boot.py", include_str!("../../python/boot.py")),
    ("late.py", include_str!("../../python/late.py")),
    ("asyncio_loop.py", include_str!("../../python/asyncio_loop.py")),
    ("locks.py", include_str!("../../python/locks.py")),
    ("matplotlib_fonts.py", include_str!("../../python/matplotlib_fonts.py")),
    ("fontlist-v3.11.0.json", include_str!("../../python/fontlist-v3.11.0.json")),
    ("network.py", include_str!("../../python/network.py")),
    ("processes.py", include_str!("../../python/processes.py")),
    ("session.py", include_str!("../../python/session.py")),
    ("progress.py", include_str!("../../python/progress.py")),
    ("tracebacks.py", include_str!("../../python/tracebacks.py")),
];

/// How `entry` is run. `name` is what the script sees as `sys.argv[0]`.
pub(super) fn plan(root: &Path, entry: &GuestPath) -> Result<ScriptPlan, EnvironmentError> {
    let ours = guest_files(root)?;
    let mpl_data = mpl_data(root)?;
    let none = no_packages(root)?;
    let boot = format!("{GUEST_LIB}/{ours}/boot.py");
    let start = format!(
        "exec(compile(open('{boot}','rb').read(),'<potluck>','exec'),{{'__name__':'_potluck','__file__':'{boot}'}})"
    );
    // `python3 tool` shows the directory's name, not that of the file inside it.
    let name = entry.as_str().strip_suffix("/__main__.py").unwrap_or(entry.as_str());
    Ok(ScriptPlan {
        module: root.join(INTERPRETER.place),
        module_digest: Digest::from_bytes(INTERPRETER.sha256),
        preopens: vec![
            (root.join("lib"), GUEST_LIB.to_owned()),
            (mpl_data, GUEST_MPL_DATA.to_owned()),
            (none, GUEST_PACKAGES.to_owned()),
        ],
        packages_place: GUEST_PACKAGES.to_owned(),
        env: [
            ("PYTHONTZPATH", ""), // zoneinfo then reads the archive's own tzdata
            ("MPLBACKEND", "agg"),
            ("MPLCONFIGDIR", "/tmp/.matplotlib"),
            ("LANG", "C.UTF-8"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        argv: ["python3", "-c", &start, &format!("/{entry}"), name].map(str::to_owned).into(),
        boot: ScriptBoot::Run,
        boot_file: boot,
        session_file: format!("{GUEST_LIB}/{ours}/session.py"),
        signals: INTERPRETER_SIGNALS,
    })
}

/// Lays out all that follows from the artifacts, so that the first run need not.
pub(super) fn lay_out(root: &Path) -> Result<(), EnvironmentError> {
    guest_files(root)?;
    no_packages(root)?;
    mpl_data(root).map(drop)
}

/// Makes the directories an environment always has.
pub(super) fn directories(root: &Path, spec: &EnvironmentSpec) -> Result<(), EnvironmentError> {
    let doing = "make the environment's directory";
    private_directory(&root.join("partial")).map_err(failed(doing, root))?;
    for artifact in spec.artifacts {
        if let Some(parent) = root.join(artifact.place).parent() {
            private_directory(parent).map_err(failed(doing, parent))?;
        }
    }
    Ok(())
}

/// Makes a directory, and those above it that are missing, for this user alone.
fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The directory of our guest-side files inside `lib`, named by their content: two versions of Potluck share a cache.
fn guest_files(root: &Path) -> Result<String, EnvironmentError> {
    let mut all = Vec::new();
    for (name, text) in GUEST_FILES {
        all.extend_from_slice(format!("{name} {}\n", text.len()).as_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    let name = format!("potluck-{}", Digest::of(&all).short());
    let place = root.join("lib").join(&name);
    make_whole(root, &place, |aside| {
        for (name, text) in GUEST_FILES {
            write_synced(&aside.join(name), text.as_bytes())?;
        }
        Ok(())
    })?;
    Ok(name)
}

/// The empty directory that a script without packages has in their place.
fn no_packages(root: &Path) -> Result<PathBuf, EnvironmentError> {
    let place = root.join("no-packages");
    make_whole(root, &place, |_| Ok(()))?;
    Ok(place)
}

fn mpl_data(root: &Path) -> Result<PathBuf, EnvironmentError> {
    let place = root.join("mpl-data");
    let library = root.join(LIBRARY.place);
    make_whole(root, &place, |aside| {
        let mut archive = zip::ZipArchive::new(io::BufReader::new(File::open(&library)?))?;
        let mut inner = Vec::new();
        archive.by_name(MPL_DATA_MEMBER)?.take(MPL_ARCHIVE_BYTES_MAX).read_to_end(&mut inner)?;
        unpack(inner, aside)
    })?;
    Ok(place)
}

/// Unpacks an archive of plain files below `directory`. Refused: names that lead out of it, links, too many files, too
/// many bytes.
fn unpack(archive: Vec<u8>, directory: &Path) -> io::Result<()> {
    let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
    if archive.len() > MPL_DATA_FILES_MAX {
        return Err(refuse(format!("the archive holds {} files", archive.len())));
    }
    let mut room = MPL_DATA_BYTES_MAX;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let Some(name) = member.enclosed_name() else {
            return Err(refuse(format!("the archive names a file outside of itself: {:?}", member.name_raw())));
        };
        if member.is_symlink() {
            return Err(refuse(format!("the archive holds a link: {}", name.display())));
        }
        let path = directory.join(&name);
        if member.is_dir() {
            private_directory(&path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            private_directory(parent)?;
        }
        let mut bytes = Vec::new();
        (&mut member).take(room + 1).read_to_end(&mut bytes)?;
        room = room
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| refuse(format!("the archive unpacks to more than {MPL_DATA_BYTES_MAX} bytes")))?;
        write_synced(&path, &bytes)?;
    }
    Ok(())
}

/// Fills a directory aside and renames it to `place`, unless it is there already.
fn make_whole(root: &Path, place: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), EnvironmentError> {
    if place.is_dir() {
        return Ok(());
    }
    let doing = "lay out";
    // Not in `partial`, whose directories a sweep may remove: this one belongs to us without the environment's lock.
    let aside = tempfile::Builder::new().prefix(".new-").tempdir_in(root).map_err(failed(doing, place))?;
    let whole = aside.path().join("whole");
    private_directory(&whole).and_then(|()| fill(&whole)).map_err(failed(doing, place))?;
    match fs::rename(&whole, place) {
        Ok(()) => sync_parent(place).map_err(failed(doing, place)),
        Err(_) if place.is_dir() => Ok(()),
        Err(error) => Err(failed(doing, place)(error)),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
