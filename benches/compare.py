#!/usr/bin/env python3
"""Measures warm runs of Potluck, here and on a second node, against `python3 -c` on the same machine.

    cargo xtask bench            # 20 rounds
    cargo xtask bench --rounds 5
    cargo xtask bench --cold     # also the first use of Python: fetching and compiling, in an empty cache

Every round runs each contender once, in turn, so that a busy moment of the machine meets all of them. The table shows
the median wall time of whole processes, the fastest and the slowest, and the median against native Python's. Both
nodes live in temporary directories and are stopped at the end; they share one cache, so nothing is compiled twice.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POTLUCK = os.environ.get("POTLUCK_BIN", str(ROOT / "target/release/potluck"))
GUESTS = Path(os.environ.get("POTLUCK_TEST_GUESTS", ROOT / "target/guests"))
HELLO_PY = str(ROOT / "examples/hello.py")
HELLO_WASM = str(GUESTS / "hello.wasm")
START_DEADLINE_S = 30


class Node:
    """One machine: a home of its own, and a daemon when asked for."""

    def __init__(self, home, cache, name):
        self.home = Path(home)
        self.home.mkdir()
        self.environment = dict(os.environ, POTLUCK_HOME=str(self.home), POTLUCK_CACHE_DIR=str(cache))
        self.name = name
        self.daemon = None
        (self.home / "config.toml").write_text(f'name = "{name}"\nport = 0\ndiscovery = false\n')

    def command(self, *arguments):
        """Runs `potluck` and returns its stdout; a failure shows what it said."""
        done = subprocess.run([POTLUCK, *arguments], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            sys.stderr.buffer.write(done.stderr)
            sys.exit(f"compare: `potluck {' '.join(arguments)}` ended with exit code {done.returncode}")
        return done.stdout.decode()

    def start(self):
        """Starts the daemon and waits until it answers."""
        log = open(self.home / "up.log", "wb")
        self.daemon = subprocess.Popen(
            [POTLUCK, "up"], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while subprocess.run([POTLUCK, "status"], env=self.environment, capture_output=True).returncode != 0:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                sys.exit("compare: the daemon does not start:\n" + (self.home / "up.log").read_text())
            time.sleep(0.05)

    def stop(self):
        """Ends the daemon, politely first."""
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()


def join(newcomer, inviter):
    """Pairs two nodes by a ticket."""
    ticket = re.search(r"potluck1[a-z2-7]+", inviter.command("invite"), re.IGNORECASE)
    if ticket is None:
        sys.exit("compare: `potluck invite` prints no ticket")
    newcomer.command("join", ticket.group())


def timed(command, environment):
    """The wall time of one process, in milliseconds."""
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    elapsed = (time.perf_counter() - started) * 1000
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stderr)
        sys.exit(f"compare: {' '.join(command)} ended with exit code {done.returncode}")
    return elapsed


def contenders(lone, near, far):
    """Name, command and environment of everything that is compared; the first is what the others are measured by."""
    # Not "python3" by name: what PATH has may be a shim that costs more than the interpreter.
    native = [sys.executable, "-c", "print('Hello, world!')"]
    rows = [("python3 -c, native", native, dict(os.environ))]
    for label, node, target in [
        ("here, no daemon", lone, "local"),
        ("here, through the daemon", near, "local"),
        ("on a second node, no daemon here", lone, far.name),
        ("on a second node, through the daemon", near, far.name),
    ]:
        for kind, program in [("hello.py", HELLO_PY), ("hello.wasm", HELLO_WASM)]:
            rows.append((f"{kind}, {label}", [POTLUCK, "run", "--quiet", "--on", target, program], node.environment))
    return rows


def measure(rows, rounds):
    """Warms each contender up once, then takes turns."""
    for _, command, environment in rows:
        timed(command, environment)
    times = [[] for _ in rows]
    for _ in range(rounds):
        for index, (_, command, environment) in enumerate(rows):
            times[index].append(timed(command, environment))
    return times


def print_table(rows, times):
    """Medians, extremes and ratios, as Markdown."""
    base = statistics.median(times[0])
    print(f"| {len(times[0])} rounds in turn | median ms | min | max | against native |")
    print("|---|---:|---:|---:|---:|")
    for (name, *_), taken in zip(rows, times):
        median = statistics.median(taken)
        print(f"| {name} | {median:.1f} | {min(taken):.1f} | {max(taken):.1f} | {median / base:.2f} |")


def print_first_use(directory, wheel):
    """What the first use of Python costs on a machine that has nothing."""
    node = Node(directory / "cold", directory / "cold-cache", "cold")
    started = time.perf_counter()
    node.command("env", "add", "python", *(["--wheel", wheel] if wheel else []))
    added = time.perf_counter()
    node.command("run", "--quiet", "--on", "local", HELLO_PY)
    ran = time.perf_counter()
    source = "from a wheel" if wheel else "downloaded"
    print(f"first use of Python, {source}: environment {added - started:.1f} s, first script {ran - added:.1f} s\n")


def main():
    """Sets the nodes up, measures, and leaves nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--cold", action="store_true", help="measure the first use of Python too")
    options = parser.parse_args()
    wheel = os.environ.get("POTLUCK_TEST_WHEEL")
    directory = Path(tempfile.mkdtemp(prefix="potluck-compare-"))
    with contextlib.ExitStack() as after:
        after.callback(shutil.rmtree, directory, ignore_errors=True)
        if options.cold:
            print_first_use(directory, wheel)
        cache = os.environ.get("POTLUCK_TEST_HOME", directory / "cache")
        lone, near, far = (Node(directory / name, cache, f"compare-{name}") for name in ("lone", "near", "far"))
        if wheel:
            lone.command("env", "add", "python", "--wheel", wheel)
        for node in (far, near):
            after.callback(node.stop)
            node.start()
        join(lone, far)
        join(near, far)
        rows = contenders(lone, near, far)
        print_table(rows, measure(rows, options.rounds))


if __name__ == "__main__":
    main()
