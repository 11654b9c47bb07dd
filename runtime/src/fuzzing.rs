//! What of this crate reads bytes that others have made, for the targets in `fuzz/` and for nobody else. Nothing here may
//! panic or take memory out of proportion, whatever the bytes are; a disk that fails is the target's own affair.

use crate::engine::engine;
use crate::guest_event::{GuestEvent, Heard, Listener};
use crate::image::ImageFile;
use crate::protocol::{Answer, FrameReader, Purpose, Spec, decode, encode, tag};
use crate::wheels::archive::{Room, Wheel, WheelError};
use crate::wheels::declared::{inline, requirements_file};
use crate::wheels::requirement::Requirement;
use crate::worker::inspect;
use std::io;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::AsyncRead;
use wasmtime::Engine;

/// Inspects a program as a worker does before it compiles one, and as it does for people; whether it would be compiled.
///
/// # Panics
/// When there is no engine, or what would be compiled cannot be described.
#[must_use]
pub fn inspect(program: &[u8]) -> bool {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| engine(Purpose::Command, None).expect("the engine's settings are its own"));
    let described = inspect::describe_outline(program, engine);
    let would_be_compiled = inspect::inspect(program, Purpose::Command, engine).is_ok();
    assert!(described.is_ok() || !would_be_compiled, "what runs can be described");
    would_be_compiled
}

/// Reads the tail of an image or of a session's memory; whether it is one.
///
/// # Errors
/// What the disk says.
pub fn image(bytes: &[u8]) -> io::Result<bool> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    match ImageFile::open(file.path()) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Hears what a guest writes into its events file, in pieces; how much was heard.
///
/// # Panics
/// When what is held of it is out of proportion, or what is passed on is not understood on the other side.
#[must_use]
pub fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut listener = Listener::default();
    let mut heard = Vec::new();
    for (piece, second) in pieces.zip(0..) {
        heard.extend(listener.hear(piece, Duration::from_secs(second)));
    }
    heard.extend(listener.finish(Duration::from_secs(24 * 60 * 60)));
    for heard in &heard {
        let Heard::Event(event) = heard else { continue };
        let said = encode(event).expect("what was read can be written");
        assert_eq!(decode::<GuestEvent>(&said).expect("what was written can be read"), *event);
    }
    heard.len()
}

/// Reads a wheel and unpacks it as a runner does; whether it is one.
///
/// # Errors
/// What the disk says.
pub fn wheel(bytes: &[u8]) -> io::Result<bool> {
    let dir = tempfile::tempdir()?;
    let mut room = Room { bytes: 1 << 20, files: 64 };
    let unpacked = Wheel::open(io::Cursor::new(bytes)).and_then(|mut wheel| wheel.unpack(dir.path(), &mut room));
    match unpacked {
        Ok(()) => Ok(true),
        Err(WheelError::Disk(error)) if error.kind() != io::ErrorKind::InvalidFilename => Err(error),
        Err(_) => Ok(false),
    }
}

/// Reads a script or a list for the packages that it names; how many.
#[must_use]
pub fn requirements(text: &str) -> usize {
    let named = inline(text).ok().flatten().unwrap_or_default().into_iter();
    let all = named.chain(requirements_file(text).unwrap_or_default());
    all.filter(|one| Requirement::parse(&one.to_string()).is_ok_and(|again| again == *one)).count()
}

/// Reads what a worker and its parent say to each other; how many messages were understood.
pub async fn worker_messages(bytes: impl AsyncRead + Unpin) -> usize {
    let mut reader = FrameReader::new(bytes);
    let mut understood = 0;
    while let Ok(Some((tag, payload))) = reader.next().await {
        understood += usize::from(match tag {
            tag::SPEC => decode::<Spec>(&payload).is_ok(),
            tag::ANSWER => decode::<Answer>(&payload).is_ok(),
            tag::SAID => decode::<GuestEvent>(&payload).is_ok(),
            _ => false,
        });
    }
    understood
}
