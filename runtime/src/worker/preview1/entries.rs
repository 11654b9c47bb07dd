//! What makes, moves, opens and closes files and directories: each is charged before it is done, and placed.

use super::{Call, MODULE, ModuleGuest, SUCCESS, parts};
use crate::worker::paths::Place;
use crate::worker::talk::Door;
use wasmtime::{Caller, Linker, Result};
use wasmtime_wasi::p1::wasi_snapshot_preview1 as preview1;
use wiggle::{GuestMemory, GuestPtr};

/// `__WASI_ERRNO_NAMETOOLONG`.
const NAME_TOO_LONG: i32 = 37;
/// `__WASI_OFLAGS_CREAT`.
const OFLAGS_CREAT: i32 = 1;
/// The longest path the system takes, in bytes.
const PATH_LEN_MAX: u32 = 4096;

/// A path as the guest wrote it: where it leads, and the length of its last name at most.
#[derive(Clone, Copy)]
struct Named {
    place: Place,
    len: usize,
}

/// Reads a path. None if it is too long for any system, which is known before it is read.
fn named(memory: &GuestMemory<'_>, guest: &ModuleGuest, (fd, path, len): (i32, i32, i32)) -> Result<Option<Named>> {
    let len = len.cast_unsigned();
    if len > PATH_LEN_MAX {
        return Ok(None);
    }
    let path = memory.as_cow(GuestPtr::<[u8]>::new((path.cast_unsigned(), len)))?;
    let last = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty()).map_or(0, <[u8]>::len);
    Ok(Some(Named { place: guest.meter.place(fd.cast_unsigned(), &path), len: last }))
}

/// The file through which we talk to which a path leads that is not too long.
fn door(memory: &GuestMemory<'_>, guest: &mut ModuleGuest, (fd, path, len): (i32, i32, i32)) -> Result<Option<Door>> {
    let path = memory.as_cow(GuestPtr::<[u8]>::new((path.cast_unsigned(), len.cast_unsigned())))?;
    Ok(guest.talk.door(fd.cast_unsigned(), &path, &guest.meter)?)
}

pub(super) fn add_making(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_create_directory",
        |mut caller: Caller<'_, ModuleGuest>, (fd, path, len): (i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                let Some(new) = named(&memory, guest, (fd, path, len))? else { return Ok(NAME_TOO_LONG) };
                guest.meter.charge_entry(new.place)?;
                let errno = preview1::path_create_directory(&mut guest.wasi, &mut memory, fd, path, len).await?;
                made(guest, new, errno)
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_symlink",
        |mut caller: Caller<'_, ModuleGuest>, (old, old_len, fd, path, len): (i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                let Some(new) = named(&memory, guest, (fd, path, len))? else { return Ok(NAME_TOO_LONG) };
                guest.meter.charge_entry(new.place)?;
                guest.meter.linked();
                let errno = preview1::path_symlink(&mut guest.wasi, &mut memory, old, old_len, fd, path, len).await?;
                made(guest, new, errno)
            }) as Call<'_>
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_link",
        |mut caller: Caller<'_, ModuleGuest>,
         (old_fd, flags, old, old_len, fd, path, len): (i32, i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                let Some(new) = named(&memory, guest, (fd, path, len))? else { return Ok(NAME_TOO_LONG) };
                guest.meter.charge_entry(new.place)?;
                let wasi = &mut guest.wasi;
                let errno = preview1::path_link(wasi, &mut memory, old_fd, flags, old, old_len, fd, path, len).await?;
                made(guest, new, errno)
            }) as Call<'_>
        },
    )?;
    Ok(())
}

fn made(guest: &ModuleGuest, new: Named, errno: i32) -> Result<i32> {
    if errno == SUCCESS {
        guest.meter.made(new.len)?;
    }
    Ok(errno)
}

pub(super) fn add_moving(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_rename",
        |mut caller: Caller<'_, ModuleGuest>, (old_fd, old, old_len, fd, path, len): (i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                let from = named(&memory, guest, (old_fd, old, old_len))?;
                let to = named(&memory, guest, (fd, path, len))?;
                let (Some(from), Some(to)) = (from, to) else { return Ok(NAME_TOO_LONG) };
                guest.meter.check_place(to.place)?;
                let wasi = &mut guest.wasi;
                let errno = preview1::path_rename(wasi, &mut memory, old_fd, old, old_len, fd, path, len).await?;
                if errno == SUCCESS {
                    guest.meter.moved(from.place, to.place)?;
                }
                Ok(errno)
            }) as Call<'_>
        },
    )?;
    Ok(())
}

pub(super) fn add_opening(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_open",
        |mut caller: Caller<'_, ModuleGuest>,
         (fd, lookup, path, len, flags, rights, inheriting, fd_flags, out): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i64,
            i64,
            i32,
            i32,
        )| {
            Box::new(async move {
                let (mut memory, guest) = parts(&mut caller)?;
                let Some(new) = named(&memory, guest, (fd, path, len))? else { return Ok(NAME_TOO_LONG) };
                guest.meter.check_open()?;
                let door = door(&memory, guest, (fd, path, len))?;
                // The files through which we talk are the host's, and there.
                let makes = flags & OFLAGS_CREAT != 0 && door.is_none();
                if makes {
                    guest.meter.charge_entry(new.place)?;
                }
                let wasi = &mut guest.wasi;
                let errno = preview1::path_open(
                    wasi,
                    &mut memory,
                    fd,
                    lookup,
                    path,
                    len,
                    flags,
                    rights,
                    inheriting,
                    fd_flags,
                    out,
                )
                .await?;
                if errno == SUCCESS {
                    let opened = memory.read(GuestPtr::<u32>::new(out.cast_unsigned()))?;
                    guest.meter.opened(opened, new.place);
                    door.into_iter().for_each(|door| guest.talk.opened(opened, door));
                }
                if makes { made(guest, new, errno) } else { Ok(errno) }
            }) as Call<'_>
        },
    )?;
    Ok(())
}

/// What gives a descriptor back.
pub(super) fn add_closing(linker: &mut Linker<ModuleGuest>) -> Result<()> {
    linker.func_wrap_async(MODULE, "fd_close", |mut caller: Caller<'_, ModuleGuest>, (fd,): (i32,)| {
        Box::new(async move {
            let (mut memory, guest) = parts(&mut caller)?;
            let errno = preview1::fd_close(&mut guest.wasi, &mut memory, fd).await?;
            if errno == SUCCESS {
                guest.meter.closed(fd.cast_unsigned());
                guest.talk.closed(fd.cast_unsigned());
                mark_replaced(guest, fd);
            }
            Ok(errno)
        }) as Call<'_>
    })?;
    linker.func_wrap_async(MODULE, "fd_renumber", |mut caller: Caller<'_, ModuleGuest>, (from, to): (i32, i32)| {
        Box::new(async move {
            let (mut memory, guest) = parts(&mut caller)?;
            let errno = preview1::fd_renumber(&mut guest.wasi, &mut memory, from, to).await?;
            if errno == SUCCESS && from != to {
                guest.meter.renumbered(from.cast_unsigned(), to.cast_unsigned());
                guest.talk.renumbered(from.cast_unsigned(), to.cast_unsigned());
                mark_replaced(guest, from);
                mark_replaced(guest, to);
            }
            Ok(errno)
        }) as Call<'_>
    })?;
    Ok(())
}

/// From now on this number may mean a file.
fn mark_replaced(guest: &mut ModuleGuest, fd: i32) {
    if let Some(replaced) = usize::try_from(fd).ok().and_then(|fd| guest.replaced.get_mut(fd)) {
        *replaced = true;
    }
}
