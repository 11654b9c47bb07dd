#!/usr/bin/env python3
"""Measures a turn of a notebook's kernel, to set beside a turn of a session (`cargo bench -p potluck-benches --bench session`).

    python3 benches/kernel.py [ROUNDS]

The kernel is ipykernel on this machine's Python, in a virtual environment that pip fills on the first use. A round sends
`1+1` to a kernel that has run it before and waits for the result and for the kernel to be idle, as a notebook does.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

VENV = Path(__file__).resolve().parent.parent / "target/kernel-python"
PATIENCE_S = 60


def with_ipykernel():
    """Goes on in the virtual environment, which is made if it is not there."""
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    if subprocess.run([str(python), "-c", "import ipykernel"], capture_output=True).returncode != 0:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "ipykernel"], check=True)
    os.execv(python, [str(python), *sys.argv])


def turn(client):
    """One turn, in seconds."""
    started = time.perf_counter()
    reply = client.execute_interactive("1+1", timeout=PATIENCE_S, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply
    return time.perf_counter() - started


def main():
    """Prints the median, the fastest and the slowest turn."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()
    try:
        for _ in range(10):
            turn(client)
        times = [turn(client) * 1000 for _ in range(rounds)]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print(f"notebook kernel, 1+1: median {statistics.median(times):.2f} ms, min {min(times):.2f}, max {max(times):.2f}")


if __name__ == "__main__":
    if Path(sys.prefix) != VENV:
        with_ipykernel()
    main()
