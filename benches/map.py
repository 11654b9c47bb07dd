#!/usr/bin/env python3
"""Measures maps of tasks that do next to nothing, over two nodes of this machine, against GNU parallel.

    cargo xtask bench map                         # 5 rounds of 1,000 tasks
    python3 benches/map.py --tasks 10000 --rounds 3 --json map.json

Each task has an input of its own and says hello; its output becomes a file. Every round runs each contender once, in turn,
so that a busy moment of the machine meets all of them:

  parallel     GNU parallel, a job for each core, with native Python running `examples/hello.py`
  hello.py     `potluck map` of that script: the node it was given to and a second one that lends
  hello.wasm   `potluck map` of a compiled guest

The table shows tasks a second and what one costs of the machine: time on the clock, and on processors of all processes that
have to do with it (commands, nodes and workers). Ratios are between the medians, to GNU parallel. Python must be in the cache
named by POTLUCK_CACHE_DIR (`cargo xtask env` names the tests'); GNU parallel is installed with `apt-get install parallel`.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import HELLO_PY, HELLO_WASM, POTLUCK, Node, join

TICKS = os.sysconf("SC_CLK_TCK")
# Not "python3" by name: what PATH has may be a shim that costs more than the interpreter.
PYTHON = os.path.realpath(sys.executable)


def ticks(directory):
    """What a process has used, itself and by children that have ended, and who started it."""
    stat = (directory / "stat").read_text().rsplit(")", 1)[1].split()
    return int(stat[1]), sum(int(stat[field]) for field in (11, 12, 13, 14))


def used_by(daemons):
    """Seconds on processors of these processes and of those they started."""
    used = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent, own = ticks(entry)
        except (OSError, IndexError):
            continue
        if int(entry.name) in daemons or parent in daemons:
            used += own
    return used / TICKS


def used_by_commands():
    """Seconds on processors of commands that have ended, and of all that they waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(command, directory, environment, daemons):
    """Seconds on the clock and on processors of one contender."""
    out = directory / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    before, commands = used_by(daemons), used_by_commands()
    started = time.monotonic()
    done = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    wall = time.monotonic() - started
    cpu = used_by(daemons) - before + used_by_commands() - commands
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stderr)
        sys.exit(f"map: {' '.join(command)} ended with exit code {done.returncode}")
    return {"wall": wall, "cpu": cpu}


def contenders(cores, node):
    """What is measured, by name: the command and its environment. `list` has the inputs, `out` gets what is printed."""
    natively = f"{PYTHON} {HELLO_PY} {{}} > out/{{/}}.out"

    def mapped(program):
        return [POTLUCK, "map", "--quiet", "--inputs", "list", "-o", "out", program], node.environment

    return {
        "parallel": (["parallel", "--will-cite", "-j", str(cores), "-a", "list", natively], dict(os.environ)),
        "hello.py": mapped(HELLO_PY),
        "hello.wasm": mapped(HELLO_WASM),
    }


def print_table(rounds, tasks):
    """Medians of all rounds."""
    def median(name, what):
        return statistics.median(one[name][what] for one in rounds)

    names = list(rounds[0])
    first = {what: median(names[0], what) for what in ("wall", "cpu")}
    print(f"{'':12}{'tasks/s':>9}{'slowest':>9}{'fastest':>9}{'x':>7}{'ms/task':>10}{'CPU ms/task':>13}{'x':>7}")
    for name in names:
        wall, cpu = median(name, "wall"), median(name, "cpu")
        rates = [tasks / one[name]["wall"] for one in rounds]
        print(
            f"{name:12}{tasks / wall:9.0f}{min(rates):9.0f}{max(rates):9.0f}{first['wall'] / wall:7.2f}"
            f"{wall / tasks * 1000:10.2f}{cpu / tasks * 1000:13.2f}{cpu / first['cpu']:7.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="write every round there")
    arguments = parser.parse_args()
    if shutil.which("parallel") is None:
        sys.exit("map: GNU parallel is missing: `apt-get install parallel`")
    cache = os.environ.get("POTLUCK_CACHE_DIR") or sys.exit("map: POTLUCK_CACHE_DIR names no cache with Python")
    cores = len(os.sched_getaffinity(0))
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.environ["POTLUCK_SYS_ROOT"] = str(directory)
        (directory / "in").mkdir()
        for number in range(arguments.tasks):
            (directory / "in" / str(number)).write_text(f"{number}\n")
        (directory / "list").write_text("".join(f"in/{number}\n" for number in range(arguments.tasks)))
        home, lender = Node(directory / "home", cache, "home"), Node(directory / "lender", cache, "lender")
        try:
            for node in (home, lender):
                node.start()
            join(home, lender)
            daemons = {home.daemon.pid, lender.daemon.pid}
            for number in range(arguments.rounds + 1):
                one = {}
                for who, (command, environment) in contenders(cores, home).items():
                    one[who] = measure(command, directory, environment, daemons)
                if number > 0:  # The first compiles and warms up.
                    rounds.append(one)
                print(f"\r{number} of {arguments.rounds}", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("\nended early", file=sys.stderr)
        finally:
            print(file=sys.stderr)
            for node in (home, lender):
                node.stop()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rounds))
    if rounds:
        print(f"{cores} cores, 2 nodes, {len(rounds)} rounds of {arguments.tasks} tasks; medians")
        print_table(rounds, arguments.tasks)


if __name__ == "__main__":
    main()
