#!/usr/bin/env qjs
// Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
// kept, ends early when somebody cancels it, and gives a result. What it says goes through the files of guest-sdk/CONTRACT.md.
//
//     potluck run examples/primes.js 1000000
//     qjs --std examples/primes.js 1000000     // outside Potluck

// How many numbers are looked at between two checkpoints.
const PIECE_LEN = 100_000;

// The file through which Potluck is spoken to or speaks; undefined outside of it.
const path = (name) => (std.getenv("POTLUCK") === "1" ? std.getenv(`POTLUCK_${name}`) : undefined);

function write(name, mode, text) {
  const file = std.open(name, mode);
  if (!file) throw new Error(`cannot write ${name}`);
  file.puts(text);
  file.close();
}

function say(event) {
  const events = path("EVENTS");
  if (events) write(events, "a", `${JSON.stringify(event)}\n`);
}

function cancelled() {
  const control = path("CONTROL");
  return control !== undefined && (std.loadFile(control) ?? "").split("\n").includes("cancel");
}

function restore() {
  const kept = path("RESTORE");
  return kept ? JSON.parse(std.loadFile(kept)) : { below: 0, primes: 0, largest: 0 };
}

function checkpoint(count) {
  const events = path("EVENTS");
  if (!events) return;
  const kept = `${events}-primes`;
  write(kept, "w", JSON.stringify(count));
  say({ checkpoint: { file: kept } });
}

// Counts the primes from where it is to `stop`: crosses out the multiples of every number whose square is below it.
function addPiece(count, stop) {
  const start = Math.max(count.below, 2);
  const crossedOut = new Uint8Array(Math.max(stop - start, 0));
  for (let factor = 2; factor * factor < stop; factor++) {
    const first = Math.max(factor * factor, Math.ceil(start / factor) * factor);
    for (let multiple = first; multiple < stop; multiple += factor) crossedOut[multiple - start] = 1;
  }
  for (let candidate = start; candidate < stop; candidate++) {
    if (crossedOut[candidate - start]) continue;
    count.primes++;
    count.largest = candidate;
  }
  count.below = stop;
}

const stop = Number(scriptArgs[1] ?? 1_000_000);
if (!Number.isSafeInteger(stop)) throw new RangeError(`${scriptArgs[1]} is no whole number`);
const count = restore();
if (count.below > 0) say({ log: { level: "info", message: "goes on", fields: count } });
while (count.below < stop && !cancelled()) {
  say({ progress: { done: count.below, total: stop, message: "sieving" } });
  addPiece(count, Math.min(stop, count.below + PIECE_LEN));
  checkpoint(count);
}
say({ progress: { done: count.below, total: stop, message: "sieved" } });
say({ result: count });
const line = `${count.primes} primes below ${count.below}, the largest ${count.largest}`;
console.log(line);
if (scriptArgs[2]) write(scriptArgs[2], "w", `${line}\n`);
