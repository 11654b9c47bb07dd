#!/usr/bin/env python3
"""Measures how long `potluck pause` takes under full load until the machine is its owner's again.

    cargo xtask bench pause                  # 50 rounds
    python3 benches/pause.py --rounds 5 --json pause.json

One node lends, another machine's jobs fill it: a WebAssembly guest that spins for every core and one more, and a Python
script that spins. Each round measures, from the moment at which `potluck pause` is started:

  command    until the command has returned
  guests     until none of the guests' processes is there any more
  probe      until a loop of the owner's has had 95 % of a core for 50 ms (as it may have had before: see `before`)

`before` is what the probe got of a core while the guests still ran: they give way to whatever else wants to run. The table
shows the median and the worst. Python must be in the cache named by POTLUCK_CACHE_DIR (`cargo xtask env` names the tests').
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import GUESTS, POTLUCK, Node

WINDOW_S = 0.05
SHARE = 0.95
DEADLINE_S = 300
SPIN_PY = "print('spinning', flush=True)\nwhile True:\n    pass\n"
# A loop of the owner's: says every few milliseconds how much of a core it has had so far.
PROBE = """
import sys, time
out = open(sys.argv[1], "wb", buffering=0)
next_at = 0
while True:
    now = time.monotonic_ns()
    if now >= next_at:
        out.write(b"%d %d\\n" % (now, time.process_time_ns()))
        next_at = now + 2_000_000
"""


def workers(daemon):
    """The processes of a daemon in which guests run, with the ticks they have used."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(stat[1]) == daemon and b"--worker" in (entry / "cmdline").read_bytes():
                found[int(entry.name)] = int(stat[11]) + int(stat[12])
        except (OSError, IndexError):
            continue
    return found


def is_there(process):
    """Whether a process is there and no mere entry of one that has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def is_lent(process):
    """Whether a worker serves a peer: those alone have the system's idle policy."""
    return os.sched_getscheduler(process) == os.SCHED_IDLE


def until(what, condition):
    """Waits for a condition."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"pause: waited {DEADLINE_S} s in vain: {what}")
        time.sleep(0.01)


def shares(path):
    """What the probe has had of a core, by moment."""
    lines = [line.split() for line in path.read_bytes().splitlines()[:-1]]
    return [(int(at) / 1e9, int(cpu) / 1e9) for at, cpu in (line for line in lines if len(line) == 2)]


def share_from(samples, start):
    """The share of a core in the window that begins at the first sample from `start` on, and when that window begins."""
    begun = next((sample for sample in samples if sample[0] >= start), None)
    if begun is None:
        return None
    end = next((sample for sample in samples if sample[0] >= begun[0] + WINDOW_S), None)
    return end and ((end[1] - begun[1]) / (end[0] - begun[0]), begun[0])


def measure(lender, guest, directory, cores):
    """One round."""
    jobs = []
    spinner = str(GUESTS / "hog.wasm")
    commands = [[spinner, "fuel"]] * (cores + 1) + [[str(directory / "spin.py")]]
    for command in commands:
        arguments = [POTLUCK, "run", "--on", "lender", "--timeout", "10m", "--fuel", "1000T", *command]
        jobs.append(subprocess.Popen(arguments, env=guest.environment, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL))
    daemon = lender.daemon.pid

    def all_run():
        states = [job["state"] for job in json.loads(lender.command("top", "--json"))["jobs"]]
        return states == ["running"] * len(commands)

    until("all jobs run", all_run)
    samples_at = directory / "probe"
    probe = subprocess.Popen([sys.executable, "-c", PROBE, str(samples_at)])
    before = workers(daemon)
    time.sleep(0.5)
    # A worker that only waits for work serves nobody, and is let be by a pause.
    after = workers(daemon).items()
    busy = [process for process, ticks in after if ticks > before.get(process, ticks) and is_lent(process)]
    start = time.monotonic()
    command = subprocess.Popen([POTLUCK, "pause"], env=lender.environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    returned = gone = None
    while returned is None or gone is None:
        if gone is None and not any(is_there(process) for process in busy):
            gone = time.monotonic() - start
        if returned is None and command.poll() is not None:
            returned = time.monotonic() - start
        if time.monotonic() - start > DEADLINE_S:
            sys.exit("pause: the guests do not end")
        time.sleep(0.001)
    time.sleep(0.3)
    probe.kill()
    probe.wait()
    samples = shares(samples_at)
    probed = start
    while (found := share_from(samples, probed)) and found[0] < SHARE:
        probed += 0.005
    for job in jobs:
        job.wait(timeout=DEADLINE_S)
    lender.command("resume")
    had = share_from(samples, samples[0][0] + 0.1)
    return {
        "busy": len(busy),
        "command": returned,
        "guests": gone,
        "probe": found[1] + WINDOW_S - start if found else None,
        "before": had[0] if had else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", help="write every round there")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        cache = os.environ.get("POTLUCK_CACHE_DIR") or sys.exit("pause: POTLUCK_CACHE_DIR names no cache with Python")
        os.environ["POTLUCK_SYS_ROOT"] = str(directory)
        (directory / "spin.py").write_text(SPIN_PY)
        lender = Node(directory / "lender", cache, "lender")
        guest = Node(directory / "guest", cache, "guest")
        lender.start()
        try:
            lender.command("share", "--jobs", str(cores + 2))
            lender.command("quota", "--jobs", str(cores + 2), "--fuel-per-day", "9000P")
            guest.command("join", lender.command("invite", "--approved").split()[0])
            measure(lender, guest, directory, cores)  # Compiles and warms up.
            for number in range(arguments.rounds):
                rounds.append(measure(lender, guest, directory, cores))
                print(f"\r{number + 1} of {arguments.rounds}", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("\nended early", file=sys.stderr)
        finally:
            print(file=sys.stderr)
            lender.stop()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rounds))
    print(f"{cores} cores, {cores + 2} guests that spin, {len(rounds)} rounds; milliseconds")
    print(f"{'':10} {'median':>8} {'worst':>8}")
    for what in ["command", "guests", "probe"]:
        values = [one[what] * 1000 for one in rounds if one[what] is not None]
        late = len(rounds) - len(values)
        print(f"{what:10} {statistics.median(values):8.1f} {max(values):8.1f}" + (f"  ({late} never)" if late else ""))
    had = [one["before"] * 100 for one in rounds if one["before"] is not None]
    print(f"before the pause the probe had {statistics.median(had):.1f} % of a core in the median, {min(had):.1f} % at worst")


if __name__ == "__main__":
    main()
