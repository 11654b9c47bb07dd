//! The files through which a guest and its host talk, in the guest's `/tmp`. They are real and empty, and come to be when
//! they are opened; what is written by a handle of the events file goes to the host and not into the file, and what the
//! control file comes to hold the parent writes. Which handles these are is known by what they were opened from: the directory
//! that was given as `/tmp`, under the very name.

mod checkpoint;
mod events;

pub(super) use events::Events;

use super::meter::{LimitReached, Meter};
use super::stdio::{Outbox, Teller};
use crate::protocol::RunSpec;
use checkpoint::Places;
use potluck_guest::abi::{CONTROL_PATH, EVENTS_PATH, TEMP_DIR, WORK_DIR};
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
    /// None of a guest with whom nobody talks.
    with: Option<With>,
    /// What the guest knows its `/tmp` by.
    temp_handles: HashSet<u32>,
    /// What it knows the events file by.
    events_handles: HashSet<u32>,
}

struct With {
    events: Arc<Events>,
    teller: Teller,
    /// Where the guest's `/tmp` lies.
    temp: PathBuf,
    /// The files that were made there.
    made: HashSet<Door>,
    /// Whether it was told that the guest may hear.
    was_heeding: bool,
}

/// A file through which guest and host talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Door {
    /// The guest speaks.
    Events,
    /// The host does.
    Control,
}

impl Door {
    const ALL: [Self; 2] = [Self::Events, Self::Control];

    fn name(self) -> &'static str {
        let path = match self {
            Self::Events => EVENTS_PATH,
            Self::Control => CONTROL_PATH,
        };
        path.rsplit('/').next().unwrap_or_default()
    }

    /// The one to which a path below `/tmp` leads.
    fn at(path: &[u8]) -> Option<Self> {
        let mut names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
        let name = names.next()?;
        let door = Self::ALL.into_iter().find(|door| door.name().as_bytes() == name)?;
        names.next().is_none().then_some(door)
    }
}

impl Talk {
    /// With a guest that is run so.
    pub(super) fn of(spec: &RunSpec, outbox: &Outbox) -> Self {
        let given = |path: &str| (FIRST_HANDLE..).zip(&spec.preopens).find(|(_, given)| given.guest == path);
        let (Some((handle, temp)), Some((_, root))) = (given(TEMP_DIR), given(WORK_DIR)) else { return Self::none() };
        let (temp, root) = (temp.host.clone(), root.host.clone());
        let teller = outbox.teller();
        let events = Arc::new(Events::told_by(teller.clone(), Places { root, temp: temp.clone() }));
        let with = With { events, teller, temp, made: HashSet::new(), was_heeding: false };
        Self { with: Some(with), temp_handles: HashSet::from([handle]), ..Self::none() }
    }

    /// With nobody.
    pub(super) fn none() -> Self {
        Self { with: None, temp_handles: HashSet::new(), events_handles: HashSet::new() }
    }

    /// With a component: its directories get their numbers each time it asks for them.
    pub(super) fn numbered_by_guest(self) -> Self {
        Self { temp_handles: HashSet::new(), ..self }
    }

    /// The guest got this directory by this number.
    pub(super) fn given(&mut self, handle: u32, path: &str) {
        if path == TEMP_DIR && self.with.is_some() {
            self.temp_handles.insert(handle);
        }
    }

    /// The file to which this path leads, if it is one of these; it is there then. The first of each is given; one in the place of
    /// what the guest moved away is charged before it is made, and what the guest put there instead of a file is its own affair.
    pub(super) fn door(&mut self, handle: u32, path: &[u8], meter: &Meter) -> Result<Option<Door>, LimitReached> {
        let Some(door) = Door::at(path).filter(|_| self.temp_handles.contains(&handle)) else { return Ok(None) };
        let Some(with) = self.with.as_mut() else { return Ok(None) };
        let place = with.temp.join(door.name());
        if let Ok(found) = fs::symlink_metadata(&place) {
            return Ok(found.is_file().then_some(door));
        }
        if with.made.contains(&door) {
            meter.charge_entry(meter.place(handle, path))?;
        }
        // What is new is no link of the guest's making.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(place) {
            Ok(_) if with.made.insert(door) => meter.give_entry(),
            Ok(_) => {}
            Err(error) => {
                // The guest finds out by itself that it is not there.
                tracing::debug!(%error, "a file to talk through cannot be made");
                return Ok(None);
            }
        }
        Ok(Some(door))
    }

    /// This file was opened by this number.
    pub(super) fn opened(&mut self, handle: u32, door: Door) {
        match door {
            Door::Events => drop(self.events_handles.insert(handle)),
            Door::Control => {
                let Some(with) = &mut self.with else { return };
                if !std::mem::replace(&mut with.was_heeding, true) {
                    with.teller.heeds();
                }
            }
        }
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
        self.events()
    }

    /// What takes what the guest says, for as long as it runs.
    pub(super) fn events(&self) -> Option<Arc<Events>> {
        self.with.as_ref().map(|with| with.events.clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::protocol::Given;
    use crate::worker::disk::DiskGauge;

    #[test]
    fn a_path_leads_to_one_of_the_files_or_elsewhere() {
        for path in [".potluck-events", "./.potluck-events", ".//.potluck-events"] {
            assert_eq!(Door::at(path.as_bytes()), Some(Door::Events), "{path}");
        }
        assert_eq!(Door::at(b".potluck-control"), Some(Door::Control));
        for path in ["", "/", ".potluck-event", "x/.potluck-events", ".potluck-events/x", "../tmp/.potluck-events"] {
            assert_eq!(Door::at(path.as_bytes()), None, "{path}");
        }
    }

    #[tokio::test]
    async fn the_file_is_known_by_what_it_was_opened_from_and_as() {
        let meter = Meter::new(&Limits::default(), DiskGauge::new(Vec::new(), &Limits::default(), Given::default()));
        let dir = tempfile::tempdir().unwrap();
        let (sender, _receiver) = tokio::net::unix::pipe::pipe().unwrap();
        let teller = Outbox::open(sender).teller();
        let places = Places { root: dir.path().to_owned(), temp: dir.path().to_owned() };
        let events = Arc::new(Events::told_by(teller.clone(), places));
        let with = With { events, teller, temp: dir.path().to_owned(), made: HashSet::new(), was_heeding: false };
        let mut talk = Talk { with: Some(with), temp_handles: HashSet::from([4]), ..Talk::none() };
        assert_eq!(talk.door(3, b".potluck-events", &meter).unwrap(), None);
        assert_eq!(talk.door(4, b".potluck-events", &meter).unwrap(), Some(Door::Events));
        assert_eq!(talk.door(4, b".potluck-events", &meter).unwrap(), Some(Door::Events), "also when it is there");
        assert_eq!(std::fs::metadata(dir.path().join(".potluck-events")).unwrap().len(), 0);
        talk.opened(7, Door::Events);
        talk.renumbered(7, 9);
        assert!(talk.listener(9).is_some() && talk.listener(7).is_none());
        talk.renumbered(8, 9);
        assert!(talk.listener(9).is_none());
        talk.renumbered(4, 5);
        assert_eq!(talk.door(5, b".potluck-events", &meter).unwrap(), Some(Door::Events));
        talk.closed(5);
        assert_eq!(talk.door(5, b".potluck-events", &meter).unwrap(), None);
    }
}
