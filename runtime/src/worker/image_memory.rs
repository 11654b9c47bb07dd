//! Linear memories that start as a copy-on-write mapping of an image. The address range is reserved once; a page is the
//! image's until the guest writes to it, and then its own.
#![expect(unsafe_code, reason = "wasmtime takes the memory of an instance as a raw range that we map and unmap")]

use super::spare_memory::{Spare, SparePlace};
use crate::file_state::FileState;
use crate::image::{ImageFile, PAGE};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// All a guest of 32 bits can address, in bytes; reserved whole, so that growth never moves a memory.
const ADDRESSABLE: usize = 4 << 30;

/// What a memory starts from.
pub(super) enum Beginning {
    /// These images, each over the one before.
    Layers(Vec<ImageFile>),
    /// An image alone, in a memory that serves one guest after the other.
    Again(ImageFile),
}

/// Makes the memories of interpreters. Which image the next one starts from is said before each instantiation; a worker
/// instantiates one guest at a time. The engine's own heap (of exceptions) is made here as well, and is told from the
/// guest's memory by its size.
#[derive(Default)]
pub(super) struct ImageMemories {
    next: Mutex<Option<Next>>,
    spare: Arc<SparePlace>,
}

/// What the next memory of this size at the start, in bytes, starts from.
struct Next {
    minimum: usize,
    beginning: Beginning,
}

impl ImageMemories {
    /// The next memory whose module asks for `minimum` bytes starts like this.
    pub(super) fn start_from(&self, minimum: usize, beginning: Beginning) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Next { minimum, beginning });
    }

    /// Puts the memory of a guest that is gone in order, if one lies here.
    pub(super) fn tidy(&self) {
        self.spare.tidy();
    }
}

// SAFETY: `ImageMemory` reserves all the bytes that were asked for and the guard behind them, inaccessible; what is made
// accessible is zero or the image's (whose bytes the module would have written there itself).
unsafe impl MemoryCreator for ImageMemories {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved_size_in_bytes: Option<usize>,
        guard_size_in_bytes: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let beginning = next.take_if(|next| next.minimum == minimum).map(|next| next.beginning);
        let capacity = reserved_size_in_bytes.unwrap_or(ADDRESSABLE).max(minimum);
        let room = Room { minimum, capacity, guard: guard_size_in_bytes };
        let memory = match beginning {
            None => ImageMemory::new(&[], room),
            Some(Beginning::Layers(layers)) => ImageMemory::new(&layers, room),
            Some(Beginning::Again(image)) => self.again(image, room),
        };
        memory.map(|memory| Box::new(memory) as Box<dyn LinearMemory>).map_err(|error| error.to_string())
    }
}

impl ImageMemories {
    /// The memory of the guest before, if that started from this image, or a new one.
    fn again(&self, image: ImageFile, room: Room) -> io::Result<ImageMemory> {
        let id = FileState::by_modification(&image.file.metadata()?);
        let (reservation, len, guests) = match self.spare.take(id) {
            Some(spare) => (spare.reservation, spare.len, spare.guests),
            None => {
                let memory = ImageMemory::new(slice::from_ref(&image), room)?;
                (memory.reservation.clone(), memory.len, 0)
            }
        };
        let back = Back { place: self.spare.clone(), image, id, guests: guests + 1 };
        Ok(ImageMemory { reservation, len, capacity: room.capacity, back: Some(back) })
    }
}

/// How much of the address space a memory takes, in bytes.
#[derive(Clone, Copy)]
struct Room {
    /// What is accessible at least.
    minimum: usize,
    /// What it may grow to.
    capacity: usize,
    /// What stays inaccessible behind that.
    guard: usize,
}

/// A range of addresses that are nobody else's; unmapped when it is dropped.
pub(super) struct Reservation {
    base: *mut c_void,
    len: usize,
}

// SAFETY: the range belongs to this value alone, and its own methods only read its fields.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

impl Reservation {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping somewhere free replaces nothing.
        let base = unsafe {
            mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)?
        };
        Ok(Self { base, len })
    }

    pub(super) fn base(&self) -> *mut c_void {
        self.base
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and is used by nobody any more.
        if let Err(error) = unsafe { munmap(self.base, self.len) } {
            tracing::warn!(%error, "cannot unmap a guest's memory");
        }
    }
}

/// One memory.
struct ImageMemory {
    reservation: Arc<Reservation>,
    /// Accessible bytes.
    len: usize,
    /// Bytes the memory may grow to.
    capacity: usize,
    /// Where it goes when its guest is gone.
    back: Option<Back>,
}

/// What a memory that serves again goes back with.
struct Back {
    place: Arc<SparePlace>,
    image: ImageFile,
    id: FileState,
    guests: u32,
}

impl ImageMemory {
    fn new(layers: &[ImageFile], room: Room) -> io::Result<Self> {
        let reserved = room.capacity.checked_add(room.guard);
        let reserved = reserved.ok_or_else(|| io::Error::other("too much address space is asked for"))?;
        let reservation = Arc::new(Reservation::new(reserved)?);
        let mut memory = Self { reservation, len: 0, capacity: room.capacity, back: None };
        for image in layers {
            memory.map_image(image)?;
        }
        if memory.len < room.minimum {
            memory.extend(room.minimum)?;
        }
        Ok(memory)
    }

    fn map_image(&mut self, image: &ImageFile) -> io::Result<()> {
        let len = usize::try_from(image.tail.memory_bytes).map_err(io::Error::other)?;
        if len > self.capacity {
            return Err(io::Error::other("the image is larger than the memory"));
        }
        let Some(rows) = &image.tail.pages else {
            // SAFETY: the range lies inside our own reservation, which nobody has been given yet.
            unsafe { map_over(self.reservation.base, &image.file, 0..len)? };
            self.len = self.len.max(len);
            return Ok(());
        };
        if self.len < len {
            self.extend(len)?;
        }
        for (first, count) in rows {
            let start = usize::try_from(*first).map_err(io::Error::other)?.saturating_mul(PAGE);
            let end = start.saturating_add(usize::try_from(*count).map_err(io::Error::other)?.saturating_mul(PAGE));
            if end > len {
                return Err(io::Error::other("a layer's pages lie outside of the memory"));
            }
            // SAFETY: as above.
            unsafe { map_over(self.reservation.base, &image.file, start..end)? };
        }
        Ok(())
    }

    fn extend(&mut self, len: usize) -> io::Result<()> {
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the range from the old to the new length lies inside our reservation and is not accessible yet.
        unsafe { mprotect(self.reservation.base.byte_add(self.len), len - self.len, access)? };
        self.len = len;
        Ok(())
    }
}

/// Puts these bytes of a file in the place of the same bytes of a memory; what is written to them stays the memory's own.
///
/// # Safety
/// The range lies inside a mapping that belongs to the caller, and nobody counts on what is there now. The file is of this
/// user alone; where it is mapped it is changed only to what the memory holds.
pub(super) unsafe fn map_over(base: *mut c_void, file: &File, range: Range<usize>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
    // SAFETY: the caller's promise.
    unsafe { mmap(base.byte_add(range.start), range.len(), access, flags, file, range.start as u64)? };
    Ok(())
}

// SAFETY: base and length describe the accessible part of a reservation that lives as long as the value; growing keeps
// the base, and what is beyond the length stays inaccessible.
unsafe impl LinearMemory for ImageMemory {
    fn byte_size(&self) -> usize {
        self.len
    }

    fn byte_capacity(&self) -> usize {
        self.capacity
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        if new_size > self.capacity {
            wasmtime::bail!("a memory of {} bytes cannot grow to {new_size}", self.capacity);
        }
        if new_size > self.len {
            self.extend(new_size)?;
        }
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.reservation.base.cast()
    }
}

impl Drop for ImageMemory {
    fn drop(&mut self) {
        if let Some(Back { place, image, id, guests }) = self.back.take() {
            let reservation = self.reservation.clone();
            place.put(Spare { reservation, len: self.len, image, id, guests, tidy: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageTail, write_image};
    use wasmtime::{Config, Engine, Instance, Module, Store};

    const MODULE: &str = r#"(module (memory (export "memory") 1 10) (data (i32.const 5) "")
        (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "set") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#;

    fn image(memory_bytes: u64, pieces: &[(u64, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_image(file.as_file(), &ImageTail::whole(memory_bytes, Vec::new()), pieces.iter().copied()).unwrap();
        file
    }

    fn open(image: &tempfile::NamedTempFile) -> ImageFile {
        ImageFile::open(image.path()).unwrap()
    }

    fn engine() -> (Engine, Module, Arc<ImageMemories>) {
        let memories = Arc::new(ImageMemories::default());
        let engine = Engine::new(Config::new().with_host_memory(memories.clone())).unwrap();
        let module = Module::new(&engine, wat::parse_str(MODULE).unwrap()).unwrap();
        (engine, module, memories)
    }

    /// Has a guest from this image look at it, write to it and grow, none of which the next one may see.
    fn check(store: &mut Store<()>, instance: Instance) {
        let get = instance.get_typed_func::<i32, i32>(&mut *store, "get").unwrap();
        let set = instance.get_typed_func::<(i32, i32), ()>(&mut *store, "set").unwrap();
        let grow = instance.get_typed_func::<(), i32>(&mut *store, "grow").unwrap();
        assert_eq!(get.call(&mut *store, 5).unwrap(), i32::from(b'x'));
        assert_eq!(get.call(&mut *store, 0x2_8000).unwrap(), i32::from(b'y'));
        assert_eq!(get.call(&mut *store, 0x1_8000).unwrap(), 0);
        assert!(get.call(&mut *store, 0x3_0000).is_err(), "beyond its image nothing is accessible");
        for at in [5, 0x1_8000, 0x2_ffff] {
            set.call(&mut *store, (at, 7)).unwrap();
            assert_eq!(get.call(&mut *store, at).unwrap(), 7);
        }
        assert_eq!(grow.call(&mut *store, ()).unwrap(), 3);
        assert_eq!(get.call(&mut *store, 0x3_0000).unwrap(), 0);
        set.call(&mut *store, (0x3_0000, 7)).unwrap();
    }

    #[test]
    fn a_memory_starts_as_its_image_and_what_is_written_stays_its_own() {
        let (engine, module, memories) = engine();
        let image = image(3 << 16, &[(5, b"x"), (0x2_8000, b"y")]);
        for _ in 0..2 {
            memories.start_from(1 << 16, Beginning::Layers(vec![open(&image)]));
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            check(&mut store, instance);
        }
    }

    #[test]
    fn a_memory_that_serves_again_is_as_its_image_again() {
        let (engine, module, memories) = engine();
        let image = image(3 << 16, &[(5, b"x"), (0x2_8000, b"y")]);
        let mut addresses = Vec::new();
        for round in 0..4 {
            memories.start_from(1 << 16, Beginning::Again(open(&image)));
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            check(&mut store, instance);
            addresses.push(instance.get_memory(&mut store, "memory").unwrap().data_ptr(&store));
            drop(store);
            if round % 2 == 0 {
                memories.tidy();
            }
        }
        assert!(addresses.iter().all(|address| *address == addresses[0]), "one memory serves all");
    }

    #[test]
    fn a_memory_does_not_serve_another_image_again() {
        let (engine, module, memories) = engine();
        for byte in [b"a", b"b"] {
            let image = image(3 << 16, &[(5, byte)]);
            memories.start_from(1 << 16, Beginning::Again(open(&image)));
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let get = instance.get_typed_func::<i32, i32>(&mut store, "get").unwrap();
            assert_eq!(get.call(&mut store, 5).unwrap(), i32::from(byte[0]));
        }
    }

    #[test]
    fn without_an_image_a_memory_is_zero() {
        let (engine, module, _) = engine();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let get = instance.get_typed_func::<i32, i32>(&mut store, "get").unwrap();
        assert_eq!(get.call(&mut store, 5).unwrap(), 0);
        assert!(get.call(&mut store, 0x1_0000).is_err());
    }
}
