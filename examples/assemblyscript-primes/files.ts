// Whole files of WASI, by path: relative ones lie in the working directory, which is the first folder a program is given or, where
// that is the root, in it.

import {
  errnoToString, fd_close, fd_prestat_dir_name, fd_prestat_get, fd_read, fd_write, fdflags, oflags, path_open, prestat, rights,
} from "@assemblyscript/wasi-shim/assembly/bindings/wasi_snapshot_preview1";

// Where the numbers of folders begin that a program is given.
const FOLDERS: u32 = 3;

// The text of a file; nothing of one that is not there.
export function read(path: string): string {
  const file = open(path, 0, 0, rights.FD_READ);
  if (file < 0) return "";
  const piece = new ArrayBuffer(4096);
  let text = "";
  for (let length = move(file, piece, 4096, false); length > 0; length = move(file, piece, 4096, false)) {
    text += String.UTF8.decodeUnsafe(changetype<usize>(piece), length);
  }
  fd_close(<u32>file);
  return text;
}

export function write(path: string, text: string): void {
  put(path, text, oflags.CREAT | oflags.TRUNC, 0);
}

export function append(path: string, text: string): void {
  put(path, text, oflags.CREAT, fdflags.APPEND);
}

function put(path: string, text: string, how: u16, flags: u16): void {
  const file = open(path, how, flags, rights.FD_WRITE);
  if (file < 0) throw new Error("cannot write " + path);
  const bytes = String.UTF8.encode(text);
  move(file, bytes, <usize>bytes.byteLength, true);
  fd_close(<u32>file);
}

// Reads or writes once; how many bytes that were.
function move(file: i32, bytes: ArrayBuffer, length: usize, out: bool): usize {
  const vector = new StaticArray<usize>(2);
  vector[0] = changetype<usize>(bytes);
  vector[1] = length;
  const moved = new StaticArray<usize>(1);
  const at = changetype<usize>(vector);
  const error = out
    ? fd_write(<u32>file, at, 1, changetype<usize>(moved))
    : fd_read(<u32>file, at, 1, changetype<usize>(moved));
  if (error) throw new Error(errnoToString(error));
  return moved[0];
}

// Opens a file in the folder with the longest name that its path begins with; less than 0 if there is none.
function open(path: string, how: u16, flags: u16, may: u64): i32 {
  let best: i32 = -1;
  let name = "";
  for (let folder = FOLDERS; ; folder++) {
    const about = new StaticArray<u32>(2);
    if (fd_prestat_get(folder, changetype<prestat>(about))) break;
    const room = new ArrayBuffer(<i32>about[1]);
    fd_prestat_dir_name(folder, changetype<usize>(room), about[1]);
    const called = String.UTF8.decode(room);
    const holds = path.startsWith("/") ? path.startsWith(called == "/" ? "/" : called + "/") : called == "/" || called == ".";
    if (holds && (best < 0 || called.length > name.length)) {
      best = <i32>folder;
      name = called;
    }
  }
  if (best < 0) return -1;
  const rest = path.startsWith("/") ? path.substring(name == "/" ? 1 : name.length + 1) : path;
  const bytes = String.UTF8.encode(rest);
  const file = new StaticArray<u32>(1);
  const error = path_open(
    <u32>best, 1, changetype<usize>(bytes), <usize>bytes.byteLength, how, may, 0, flags, changetype<usize>(file),
  );
  return error ? -1 : <i32>file[0];
}
