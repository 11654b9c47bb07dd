//! A disk that remembers: SQLite's own way to files, with every write, sync and removal noted in its order, beside what
//! the program was told meanwhile. What a power cut at any moment may leave follows from that (see `cut`).
#![expect(unsafe_code, reason = "SQLite takes its files from a table of C functions")]

use rusqlite::ffi;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static DISKS: Mutex<Vec<&'static Disk>> = Mutex::new(Vec::new());

/// What happened, in its order.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        len: usize,
    },
    /// The file's bytes are on the disk; with `dir` also the directory it lies in.
    Sync {
        file: String,
        dir: bool,
    },
    Delete {
        file: String,
        dir: bool,
    },
    /// The directory was synced by other means than SQLite's.
    SyncDir,
    /// The program was promised something: whatever is done later survives it.
    Told {
        job: u32,
        version: u32,
    },
}

/// What all files of one test went through.
pub(crate) struct Disk {
    name: &'static str,
    log: Mutex<Vec<Op>>,
    full: AtomicBool,
}

impl Disk {
    /// A disk by the name SQLite is to be given; it lives as long as the process.
    pub(crate) fn named(name: &'static str) -> &'static Self {
        let disk: &'static Self =
            Box::leak(Box::new(Self { name, log: Mutex::default(), full: AtomicBool::new(false) }));
        let c_name: &'static CStr = Box::leak(CString::new(name).unwrap().into_boxed_c_str());
        // SAFETY: SQLite's default table is found by a null name and is never removed. The copy is leaked, so that it and
        // the name and disk it points to live as long as SQLite may use them, and nothing changes it once it is registered.
        let status = unsafe {
            let usual = ffi::sqlite3_vfs_find(ptr::null());
            let mut table = *usual;
            table.pNext = ptr::null_mut();
            table.zName = c_name.as_ptr();
            table.pAppData = ptr::from_ref(disk).cast_mut().cast();
            table.szOsFile = size_of::<Noted>() as c_int + (*usual).szOsFile;
            table.xOpen = Some(open);
            table.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::leak(Box::new(table)), 0)
        };
        assert_eq!(status, ffi::SQLITE_OK);
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).push(disk);
        disk
    }

    /// What SQLite calls it.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Notes that the program was told that a job is known in this version.
    pub(super) fn told(&self, job: u32, version: u32) {
        self.log().push(Op::Told { job, version });
    }

    /// Notes that the directory was synced by other means than SQLite's.
    pub(super) fn dir_synced(&self) {
        self.log().push(Op::SyncDir);
    }

    /// From now on nothing can be written, or everything can again.
    pub(crate) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// The disk of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.iter().find(|disk| disk.name == name).copied()
    }

    /// Everything so far.
    pub(super) fn history(&self) -> Vec<Op> {
        self.log().clone()
    }

    fn log(&self) -> MutexGuard<'_, Vec<Op>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open file: SQLite's own lies in the memory behind this one.
#[repr(C)]
struct Noted {
    base: ffi::sqlite3_file,
    disk: *const Disk,
    /// Its name in the directory; null where nothing is noted. Leaked.
    name: *const String,
    /// Whether its first sync is also one of the directory, as SQLite does for a log it has made.
    dir: bool,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without memory-mapped reading, which the store does not use.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// SQLite's own file behind ours.
///
/// SAFETY: `file` must be one that `open` was given: memory for a [`Noted`] and SQLite's own file after it.
unsafe fn own(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the caller's promise; both sizes are multiples of a pointer's.
    unsafe { file.cast::<Noted>().add(1).cast() }
}

/// Calls a function of SQLite's own file.
macro_rules! own_call {
    ($file:expr, $method:ident $(, $arg:expr)*) => {{
        let own = own($file);
        ((*(*own).pMethods).$method.unwrap())(own $(, $arg)*)
    }};
}

/// Functions that are SQLite's own and note nothing.
macro_rules! passed_on {
    ($($name:ident = $method:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $type)*) $(-> $result)? {
            // SAFETY: SQLite calls this for files that `open` has opened, and asks of both what it asks of one.
            unsafe { own_call!(file, $method $(, $arg)*) }
        }
    )*};
}

passed_on! {
    close = xClose() -> c_int;
    read = xRead(to: *mut c_void, len: c_int, at: i64) -> c_int;
    file_size = xFileSize(size: *mut i64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(result: *mut c_int) -> c_int;
    file_control = xFileControl(op: c_int, arg: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) -> c_int;
    shm_lock = xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}

/// Notes what is done to a file, if it has a name.
unsafe fn note(file: *mut ffi::sqlite3_file, op: impl FnOnce(String, &mut Noted) -> Op) {
    // SAFETY: SQLite calls this for files that `open` has opened, which has filled the fields in and leaked what they
    // point to.
    unsafe {
        let noted = &mut *file.cast::<Noted>();
        if let Some(name) = noted.name.as_ref() {
            let disk = &*noted.disk;
            // Held while it is noted, so that what is told afterwards stands behind it.
            let mut log = disk.log();
            let op = op(name.clone(), noted);
            log.push(op);
        }
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `len` bytes at `from`.
    unsafe {
        if (*(*file.cast::<Noted>()).disk).full.load(Ordering::SeqCst) {
            return ffi::SQLITE_FULL;
        }
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), len as usize).to_vec();
        let status = own_call!(file, xWrite, from, len, at);
        if status == ffi::SQLITE_OK {
            note(file, |file, _| Op::Write { file, at: at as usize, bytes });
        }
        status
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: as for the functions that are passed on.
    unsafe {
        let status = own_call!(file, xTruncate, len);
        if status == ffi::SQLITE_OK {
            note(file, |file, _| Op::Truncate { file, len: len as usize });
        }
        status
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as for the functions that are passed on.
    unsafe {
        let status = own_call!(file, xSync, flags);
        if status == ffi::SQLITE_OK {
            note(file, |file, noted| Op::Sync { file, dir: std::mem::take(&mut noted.dir) });
        }
        status
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives memory of the size our table asks for, and the path of a file or null for a nameless one.
    unsafe {
        let usual = ffi::sqlite3_vfs_find(ptr::null());
        let name = if path.is_null() { None } else { Some(file_name(path)) };
        let is_new_log = flags & ffi::SQLITE_OPEN_WAL != 0
            && !Path::new(std::ffi::OsStr::new(CStr::from_ptr(path).to_str().unwrap())).exists();
        let status = ((*usual).xOpen.unwrap())(usual, path, own(file), flags, flags_out);
        let opened = status == ffi::SQLITE_OK;
        file.cast::<Noted>().write(Noted {
            base: ffi::sqlite3_file { pMethods: if opened { &raw const METHODS } else { ptr::null() } },
            disk: (*vfs).pAppData.cast::<Disk>().cast_const(),
            name: name.map_or(ptr::null(), |name| ptr::from_ref(Box::leak(Box::new(name)))),
            dir: is_new_log,
        });
        status
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, path: *const c_char, dir: c_int) -> c_int {
    // SAFETY: SQLite gives the path of a file, and our own table.
    unsafe {
        let usual = ffi::sqlite3_vfs_find(ptr::null());
        let status = ((*usual).xDelete.unwrap())(usual, path, dir);
        if status == ffi::SQLITE_OK {
            let disk = &*(*vfs).pAppData.cast::<Disk>();
            disk.log().push(Op::Delete { file: file_name(path), dir: dir != 0 });
        }
        status
    }
}

/// SAFETY: `path` must be one of C.
unsafe fn file_name(path: *const c_char) -> String {
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) }.to_str().unwrap();
    Path::new(path).file_name().unwrap().to_str().unwrap().to_owned()
}
