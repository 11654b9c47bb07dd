//! What makes, moves, opens, lists and closes files and directories: each is charged before it is done, and placed.

use super::{Answer, Call, ComponentGuest, Guest, answer};
use crate::worker::listing::Listing;
use crate::worker::paths::Place;
use wasmtime::Result;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DirectoryEntry, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};

/// The instance that gives a guest its directories, under the very name wasmtime-wasi defines it by.
const GIVEN: &str = "wasi:filesystem/preopens@0.2.12";
/// The longest path the system takes, in bytes.
const PATH_LEN_MAX: usize = 4096;

/// A path as the guest gave it: where it leads, and the length of its last name at most.
#[derive(Clone, Copy)]
struct Named {
    place: Place,
    len: usize,
}

/// None if the path is too long for any system.
fn named(guest: &ComponentGuest, fd: &Resource<Descriptor>, path: &str) -> Option<Named> {
    let last = path.rsplit('/').find(|name| !name.is_empty()).map_or(0, str::len);
    let place = || guest.meter.place(fd.rep(), path.as_bytes());
    (path.len() <= PATH_LEN_MAX).then(|| Named { place: place(), len: last })
}

/// A path that is too long has no error of its own.
fn too_long<T>() -> Result<(Answer<T>,)> {
    Ok((Err(ErrorCode::NameTooLong),))
}

pub(super) fn add_making(files: &mut LinkerInstance<'_, ComponentGuest>) -> Result<()> {
    files.func_wrap_async(
        "[method]descriptor.create-directory-at",
        |mut store: Guest<'_>, (fd, path): (Resource<Descriptor>, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                let Some(new) = named(guest, &fd, &path) else { return too_long() };
                guest.meter.charge_entry(new.place)?;
                let made = answer(guest.filesystem().create_directory_at(fd, path).await)?;
                note(guest, new, made)
            }) as Call<'_, ()>
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.symlink-at",
        |mut store: Guest<'_>, (fd, old, path): (Resource<Descriptor>, String, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                let Some(new) = named(guest, &fd, &path) else { return too_long() };
                guest.meter.charge_entry(new.place)?;
                guest.meter.linked();
                let made = answer(guest.filesystem().symlink_at(fd, old, path).await)?;
                note(guest, new, made)
            }) as Call<'_, ()>
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.link-at",
        |mut store: Guest<'_>,
         (old_fd, flags, old, fd, path): (Resource<Descriptor>, PathFlags, String, Resource<Descriptor>, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                let Some(new) = named(guest, &fd, &path) else { return too_long() };
                guest.meter.charge_entry(new.place)?;
                let made = answer(guest.filesystem().link_at(old_fd, flags, old, fd, path).await)?;
                note(guest, new, made)
            }) as Call<'_, ()>
        },
    )
}

/// Something was made, or not.
fn note<T>(guest: &ComponentGuest, new: Named, made: (Answer<T>,)) -> Result<(Answer<T>,)> {
    if made.0.is_ok() {
        guest.meter.made(new.len)?;
    }
    Ok(made)
}

pub(super) fn add_moving(files: &mut LinkerInstance<'_, ComponentGuest>) -> Result<()> {
    files.func_wrap_async(
        "[method]descriptor.rename-at",
        |mut store: Guest<'_>,
         (old_fd, old, fd, path): (Resource<Descriptor>, String, Resource<Descriptor>, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                let (from, to) = (named(guest, &old_fd, &old), named(guest, &fd, &path));
                let (Some(from), Some(to)) = (from, to) else { return too_long() };
                guest.meter.check_place(to.place)?;
                let moved = answer(guest.filesystem().rename_at(old_fd, old, fd, path).await)?;
                if moved.0.is_ok() {
                    guest.meter.moved(from.place, to.place)?;
                }
                Ok(moved)
            }) as Call<'_, ()>
        },
    )
}

pub(super) fn add_opening(files: &mut LinkerInstance<'_, ComponentGuest>) -> Result<()> {
    files.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: Guest<'_>,
         (fd, lookup, path, open, flags): (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags)| {
            Box::new(async move {
                let guest = store.data_mut();
                let Some(new) = named(guest, &fd, &path) else { return too_long() };
                guest.meter.check_open()?;
                let door = guest.talk.door(fd.rep(), path.as_bytes(), &guest.meter)?;
                // The files through which we talk are the host's, and there.
                let makes = open.contains(OpenFlags::CREATE) && door.is_none();
                if makes {
                    guest.meter.charge_entry(new.place)?;
                }
                let opened = answer(guest.filesystem().open_at(fd, lookup, path, open, flags).await)?;
                if let Ok(descriptor) = &opened.0 {
                    guest.meter.opened(descriptor.rep(), new.place);
                    door.into_iter().for_each(|door| guest.talk.opened(descriptor.rep(), door));
                }
                if makes { note(guest, new, opened) } else { Ok(opened) }
            }) as Call<'_, Resource<Descriptor>>
        },
    )?;
    files.resource("descriptor", ResourceType::host::<Descriptor>(), |mut store: Guest<'_>, index| {
        let guest = store.data_mut();
        guest.meter.closed(index);
        guest.talk.closed(index);
        HostDescriptor::drop(&mut guest.filesystem(), Resource::new_own(index))
    })
}

pub(super) fn add_listing(files: &mut LinkerInstance<'_, ComponentGuest>) -> Result<()> {
    files.resource("directory-entry-stream", ResourceType::host::<Listing>(), |mut store: Guest<'_>, index| {
        let guest = store.data_mut();
        guest.meter.closed(index);
        guest.table.delete(Resource::<Listing>::new_own(index))?.close(&mut guest.memory);
        Ok(())
    })?;
    files.func_wrap_async(
        "[method]descriptor.read-directory",
        |mut store: Guest<'_>, (fd,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let guest = store.data_mut();
                guest.meter.check_open()?;
                let entries = match answer(guest.filesystem().read_directory(fd).await)?.0 {
                    Ok(stream) => guest.table.delete(stream)?.into_iter().collect(),
                    Err(error) => return Ok((Err(error),)),
                };
                let listing = Listing::new(entries, &mut guest.memory)?;
                let listing = guest.table.push(listing)?;
                guest.meter.opened(listing.rep(), Place::default());
                Ok((Ok(listing),))
            }) as Call<'_, Resource<Listing>>
        },
    )?;
    files.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: Guest<'_>, (stream,): (Resource<Listing>,)| -> Result<(Answer<Option<DirectoryEntry>>,)> {
            answer(store.data_mut().table.get_mut(&stream)?.next())
        },
    )
}

/// The directories a guest was given, which it gets anew each time it asks.
pub(super) fn add_given(linker: &mut Linker<ComponentGuest>) -> Result<()> {
    linker.instance(GIVEN)?.func_wrap("get-directories", |mut store: Guest<'_>, (): ()| {
        let guest = store.data_mut();
        let given = guest.filesystem().get_directories()?;
        for (directory, path) in &given {
            guest.meter.check_open()?;
            guest.meter.opened(directory.rep(), Place::default());
            guest.talk.given(directory.rep(), path);
        }
        Ok((given,))
    })
}
