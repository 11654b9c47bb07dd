//! The files through which a guest and its host talk, in the guest's `/tmp`. They are real and empty, and come to be when
//! they are opened; what is written by a handle of the events file goes to the host and not into the file. Which handles
//! these are is known by what they were opened from: the directory that was given as `/tmp`, under the very name.

mod events;

pub(super) use events::Events;

use super::meter::{LimitReached, Meter};
use super::stdio::Outbox;
use crate::protocol::RunSpec;
use potluck_guest::abi::{EVENTS_PATH, TEMP_DIR};
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The number of the first directory that a module was given.
const FIRST_HANDLE: u32 = 3;
/// What is taken of a guest at once: the longest line.
pub(super) const PIECE_LEN_MAX: u32 = 64 << 10;

/// What of this a guest has.
pub(super) struct Talk {
    events: Option<Arc<Events>>,
    /// Where its `/tmp` lies.
    temp: PathBuf,
    /// What it knows that directory by.
    temp_handles: HashSet<u32>,
    /// What it knows the events file by.
    events_handles: HashSet<u32>,
    was_made: bool,
}

impl Talk {
    /// With a guest that is run so.
    pub(super) fn of(spec: &RunSpec, outbox: &Outbox) -> Self {
        let Some((handle, temp)) = (FIRST_HANDLE..).zip(&spec.preopens).find(|(_, given)| given.guest == TEMP_DIR)
        else {
            return Self::none();
        };
        Self {
            events: Some(Arc::new(Events::told_by(outbox.teller()))),
            temp: temp.host.clone(),
            temp_handles: HashSet::from([handle]),
            ..Self::none()
        }
    }

    /// With nobody.
    pub(super) fn none() -> Self {
        Self {
            events: None,
            temp: PathBuf::new(),
            temp_handles: HashSet::new(),
            events_handles: HashSet::new(),
            was_made: false,
        }
    }

    /// With a component: its directories get their numbers each time it asks for them.
    pub(super) fn numbered_by_guest(self) -> Self {
        Self { temp_handles: HashSet::new(), ..self }
    }

    /// The guest got this directory by this number.
    pub(super) fn given(&mut self, handle: u32, path: &str) {
        if path == TEMP_DIR && self.events.is_some() {
            self.temp_handles.insert(handle);
        }
    }

    /// Whether this path leads to the events file, which is there then. The first is given; one in the place of what the guest
    /// moved away is charged before it is made, and what the guest put there instead of a file is its own affair.
    pub(super) fn leads_to_events(&mut self, handle: u32, path: &[u8], meter: &Meter) -> Result<bool, LimitReached> {
        if !self.temp_handles.contains(&handle) || !is_events(path) {
            return Ok(false);
        }
        let name = EVENTS_PATH.rsplit('/').next().unwrap_or_default();
        let place = self.temp.join(name);
        if let Ok(found) = fs::symlink_metadata(&place) {
            return Ok(found.is_file());
        }
        if self.was_made {
            meter.charge_entry(meter.place(handle, path))?;
        }
        // What is new is no link of the guest's making.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(place) {
            Ok(_) if !std::mem::replace(&mut self.was_made, true) => meter.give_entry(),
            Ok(_) => {}
            Err(error) => {
                // The guest finds out by itself that it is not there.
                tracing::debug!(%error, "there is no events file");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The events file was opened by this number.
    pub(super) fn opened(&mut self, handle: u32) {
        self.events_handles.insert(handle);
    }

    /// This number means nothing any more.
    pub(super) fn closed(&mut self, handle: u32) {
        self.temp_handles.remove(&handle);
        self.events_handles.remove(&handle);
    }

    /// What was `from` is `to` now.
    pub(super) fn renumbered(&mut self, from: u32, to: u32) {
        for handles in [&mut self.temp_handles, &mut self.events_handles] {
            if handles.remove(&from) {
                handles.insert(to);
            } else {
                handles.remove(&to);
            }
        }
    }

    /// What takes what is written by this number, if that is the events file.
    pub(super) fn listener(&self, handle: u32) -> Option<Arc<Events>> {
        // Asked at every write of every guest.
        if self.events_handles.is_empty() || !self.events_handles.contains(&handle) {
            return None;
        }
        self.events.clone()
    }

    /// What takes what the guest says, for as long as it runs.
    pub(super) fn events(&self) -> Option<Arc<Events>> {
        self.events.clone()
    }
}

/// Does the guest's work, and passes on in time what waits of what it says.
pub(super) async fn during<T>(events: Option<Arc<Events>>, work: impl Future<Output = T>) -> T {
    let Some(events) = events else { return work.await };
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = events.due() => events.flush(),
        }
    }
}

/// Whether a path below `/tmp` is that of the events file.
fn is_events(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let name = names.next();
    name.is_some() && name == EVENTS_PATH.rsplit('/').next().map(str::as_bytes) && names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_events_file_or_elsewhere() {
        for path in [".potluck-events", "./.potluck-events", ".//.potluck-events"] {
            assert!(is_events(path.as_bytes()), "{path}");
        }
        for path in ["", "/", ".potluck-event", "x/.potluck-events", ".potluck-events/x", "../tmp/.potluck-events"] {
            assert!(!is_events(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn the_file_is_known_by_what_it_was_opened_from_and_as() {
        let limits = crate::limits::Limits::default();
        let disk = crate::worker::disk::DiskGauge::new(Vec::new(), &limits, crate::protocol::Given::default());
        let meter = Meter::new(&limits, disk);
        let dir = tempfile::tempdir().unwrap();
        let mut talk = Talk { temp: dir.path().to_owned(), temp_handles: HashSet::from([4]), ..Talk::none() };
        assert!(!talk.leads_to_events(3, b".potluck-events", &meter).unwrap());
        assert!(talk.leads_to_events(4, b".potluck-events", &meter).unwrap());
        assert!(talk.leads_to_events(4, b".potluck-events", &meter).unwrap(), "also when it is there");
        assert_eq!(std::fs::metadata(dir.path().join(".potluck-events")).unwrap().len(), 0);
        talk.opened(7);
        talk.renumbered(7, 9);
        assert!(talk.events_handles.contains(&9) && !talk.events_handles.contains(&7));
        talk.renumbered(8, 9);
        assert!(talk.events_handles.is_empty());
        talk.renumbered(4, 5);
        assert!(talk.leads_to_events(5, b".potluck-events", &meter).unwrap());
        talk.closed(5);
        assert!(!talk.leads_to_events(5, b".potluck-events", &meter).unwrap());
    }

    #[test]
    fn the_first_file_is_given_and_those_after_it_are_charged() {
        let limits = crate::limits::Limits { files: 3, ..crate::limits::Limits::default() };
        let dir = tempfile::tempdir().unwrap();
        let given = crate::protocol::Given::default();
        let disk = crate::worker::disk::DiskGauge::new(vec![dir.path().to_owned()], &limits, given);
        let meter = Meter::new(&limits, disk);
        let mut talk = Talk { temp: dir.path().to_owned(), temp_handles: HashSet::from([4]), ..Talk::none() };
        let mut made = 0;
        while talk.leads_to_events(4, b".potluck-events", &meter).is_ok() {
            made += 1;
            assert!(made < 10, "what was moved away is charged to nobody");
            fs::rename(dir.path().join(".potluck-events"), dir.path().join(format!("moved-{made}"))).unwrap();
        }
        assert_eq!(made, 4, "one is given, and three are allowed");
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_no_events_file() {
        let limits = crate::limits::Limits::default();
        let disk = crate::worker::disk::DiskGauge::new(Vec::new(), &limits, crate::protocol::Given::default());
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join(".potluck-events")).unwrap();
        let mut talk = Talk { temp: dir.path().to_owned(), temp_handles: HashSet::from([4]), ..Talk::none() };
        assert!(!talk.leads_to_events(4, b".potluck-events", &Meter::new(&limits, disk)).unwrap());
    }
}
