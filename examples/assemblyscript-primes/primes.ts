// Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
// kept, ends early when somebody cancels it, and gives a result. What it says goes through the files of guest-sdk/CONTRACT.md.
//
//     cargo xtask guests
//     potluck run target/guests/assemblyscript-primes.wasm 1000000
//
// Exit codes: 0 when it has counted, also when it was cancelled and has counted a part; 2 when its argument is no number.

import { read, write, append } from "./files";

// How many numbers are looked at between two checkpoints.
const PIECE_LEN: i32 = 100_000;

// All that a run needs to know to go on from here.
let below: i32 = 0;
let primes: i32 = 0;
let largest: i32 = 0;

function variable(name: string): string {
  return process.env.has(name) ? process.env.get(name) : "";
}

// The file through which Potluck is spoken to or speaks; empty outside of it.
function file(name: string): string {
  return variable("POTLUCK") == "1" ? variable("POTLUCK_" + name) : "";
}

// Says one line of JSON.
function say(line: string): void {
  const events = file("EVENTS");
  if (events.length > 0) append(events, line + "\n");
}

function cancelled(): bool {
  const control = file("CONTROL");
  return control.length > 0 && read(control).split("\n").includes("cancel");
}

function counted(): string {
  return `{"below":${below},"primes":${primes},"largest":${largest}}`;
}

function restore(): void {
  const kept = file("RESTORE");
  if (kept.length == 0) return;
  const numbers = read(kept).split(" ");
  below = I32.parseInt(numbers[0]);
  primes = I32.parseInt(numbers[1]);
  largest = I32.parseInt(numbers[2]);
  say(`{"log":{"level":"info","message":"goes on","fields":${counted()}}}`);
}

function checkpoint(): void {
  const events = file("EVENTS");
  if (events.length == 0) return;
  write(events + "-primes", `${below} ${primes} ${largest}`);
  say(`{"checkpoint":{"file":"${events}-primes"}}`);
}

// Counts the primes from where it is to `end`: crosses out the multiples of every number whose square is below it.
function addPiece(end: i32): void {
  const start = max(below, 2);
  const crossedOut = new Uint8Array(max(end - start, 0));
  for (let factor = 2; factor * factor < end; factor++) {
    const first = max(factor * factor, ((start + factor - 1) / factor) * factor);
    for (let multiple = first; multiple < end; multiple += factor) crossedOut[multiple - start] = 1;
  }
  for (let candidate = start; candidate < end; candidate++) {
    if (crossedOut[candidate - start]) continue;
    primes++;
    largest = candidate;
  }
  below = end;
}

const args = process.argv;
const argument = args.length > 1 ? args[1] : "1000000";
const end = I32.parseInt(argument);
if (end.toString() != argument) {
  process.stderr.write("usage: assemblyscript-primes [NUMBER [FILE]]\n");
  process.exit(2);
}
restore();
while (below < end && !cancelled()) {
  say(`{"progress":{"done":${below},"total":${end},"message":"sieving"}}`);
  addPiece(min(end, below + PIECE_LEN));
  checkpoint();
}
say(`{"progress":{"done":${below},"total":${end},"message":"sieved"}}`);
say(`{"result":${counted()}}`);
const line = `${primes} primes below ${below}, the largest ${largest}`;
console.log(line);
if (args.length > 2) write(args[2], line + "\n");
