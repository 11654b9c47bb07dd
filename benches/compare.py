#!/usr/bin/env python3
"""Measures whole commands, as a user types them: the same jobs natively, under other sandboxes, and by Potluck.

    cargo xtask bench                     # 20 rounds
    cargo xtask bench --rounds 5
    cargo xtask bench --plot compare.png  # draws the table as well, by a job of Potluck's own
    cargo xtask bench --cold              # also the first use of Python: fetching and compiling, in an empty cache

Every round runs each contender once, in turn, so that a busy moment of the machine meets all of them. The table shows
the median wall time of whole processes, the fastest and the slowest, and the median against the first of its job.
Native Python is a virtual environment with pandas and scikit-learn, made by pip on the first use. bubblewrap, Docker and
wasmtime take part where they are installed; Docker with an image that is there (`--docker-image`), since none is pulled.
Potluck's nodes live in temporary directories and are stopped at the end; they share one cache, so nothing is compiled
twice.
"""

import argparse
import contextlib
import json
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
JOBS = ROOT / "benches/jobs"
HELLO_PY = str(ROOT / "examples/hello.py")
SCRIPTS = {
    "hello.py": HELLO_PY,
    "pandas": str(JOBS / "pandas_job.py"),
    "scikit-learn KMeans": str(JOBS / "kmeans_job.py"),
}
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


def native_python():
    """A Python with the packages of the jobs."""
    venv = ROOT / "target/compare-python"
    python = venv / "bin/python"
    if not python.exists():
        # Not "python3" by name: what PATH has may be a shim that costs more than the interpreter.
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        packages = [str(python), "-m", "pip", "install", "--quiet", "pandas", "scikit-learn"]
        subprocess.run(packages, check=True)
    return str(python)


def natively(python, program):
    """How else than by Potluck a script is run here, by name."""
    ways = {"native python3": [python, program]}
    if shutil.which("bwrap"):
        wall = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp"]
        ways["native in bubblewrap"] = [*wall, python, program]
    return ways


def in_docker(image, program):
    """The same in a container, where an engine and an image with the packages are there."""
    if not image or subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode != 0:
        return {}
    mount = f"{program}:/job.py:ro"
    return {"docker run": ["docker", "run", "--rm", "--network=none", "-v", mount, image, "python3", "/job.py"]}


def by_potluck(lone, near, far, program):
    """Potluck's own ways, by name."""

    def run(node, target, *options):
        return [POTLUCK, "run", "--quiet", "--on", target, *options, program], node.environment

    return {
        "Potluck, daemon running": run(near, "local"),
        "Potluck, no daemon": run(lone, "local"),
        "Potluck, on a second node": run(near, far.name),
        "Potluck, no image": run(near, "local", "--image", "none"),
    }


def contenders(lone, near, far, docker_image):
    """Job, way, command and environment of everything that is compared; the first of a job is what the others of it are
    measured by."""
    python = native_python()
    rows = []
    for job, program in SCRIPTS.items():
        for way, command in {**natively(python, program), **in_docker(docker_image, program)}.items():
            rows.append((job, way, command, dict(os.environ)))
        for way, (command, environment) in by_potluck(lone, near, far, program).items():
            rows.append((job, way, command, environment))
    if shutil.which("wasmtime"):
        rows.append(("hello.wasm", "wasmtime run", ["wasmtime", "run", HELLO_WASM], dict(os.environ)))
    for way, (command, environment) in by_potluck(lone, near, far, HELLO_WASM).items():
        if way != "Potluck, no image":
            rows.append(("hello.wasm", way, command, environment))
    return rows


def measure(rows, rounds):
    """Warms each contender up once, then takes turns."""
    for *_, command, environment in rows:
        timed(command, environment)
    times = [[] for _ in rows]
    for _ in range(rounds):
        for index, (*_, command, environment) in enumerate(rows):
            times[index].append(timed(command, environment))
    return times


def print_table(rows, times):
    """Medians, extremes and ratios, as Markdown."""
    bases = {}
    print(f"| job | {len(times[0])} rounds in turn | median ms | min | max | ratio |")
    print("|---|---|---:|---:|---:|---:|")
    for (job, way, *_), taken in zip(rows, times):
        median = statistics.median(taken)
        ratio = median / bases.setdefault(job, median)
        print(f"| {job} | {way} | {median:.1f} | {min(taken):.1f} | {max(taken):.1f} | {ratio:.2f} |")


def plot(node, rows, times, place):
    """Draws the table as a job on this machine."""
    measured = [
        {"job": job, "where": way, "median_ms": statistics.median(taken)} for (job, way, *_), taken in zip(rows, times)
    ]
    inputs = node.home / "rows.json"
    inputs.write_text(json.dumps(measured))
    node.command("run", "--quiet", "-f", str(inputs), "-o", str(node.home / "drawn"), str(JOBS / "plot_table.py"))
    shutil.copy(node.home / "drawn/compare.png", place)
    print(f"\ndrawn in {place}")


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
    parser.add_argument("--plot", metavar="FILE", help="draw the table into this PNG file")
    parser.add_argument("--docker-image", metavar="IMAGE", help="an image on this machine with python3, pandas and scikit-learn")
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
        for image in ("interpreter", "data", "science", "plot"):
            lone.command("env", "warm", "--quiet", image)
        rows = contenders(lone, near, far, options.docker_image)
        times = measure(rows, options.rounds)
        print_table(rows, times)
        if options.plot:
            plot(near, rows, times, options.plot)


if __name__ == "__main__":
    main()
