"""Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
kept, ends early when somebody cancels it, and gives a result.

    potluck run examples/primes.py 1000000
    PYTHONPATH=guest-sdk/python python3 examples/primes.py 1000000     # outside Potluck
"""

import sys

import potluck

# How many numbers are looked at between two checkpoints.
PIECE_LEN = 100_000


def add_piece(count, end):
    """Counts the primes from where it is to `end`: crosses out the multiples of every number whose square is below it."""
    start = max(count["below"], 2)
    is_prime = bytearray(b"\1") * max(end - start, 0)
    factor = 2
    while factor * factor < end:
        first = max(factor * factor, -(-start // factor) * factor)
        is_prime[first - start :: factor] = bytes(len(range(first, end, factor)))
        factor += 1
    if found := is_prime.count(1):
        count["primes"] += found
        count["largest"] = start + is_prime.rindex(1)
    count["below"] = end


def main(end):
    count = potluck.restore() or {"below": 0, "primes": 0, "largest": 0}
    if count["below"]:
        potluck.log("info", "goes on", below=count["below"], primes=count["primes"])
    while count["below"] < end and not potluck.cancelled():
        potluck.progress(count["below"], end, "sieving")
        add_piece(count, min(end, count["below"] + PIECE_LEN))
        potluck.checkpoint(count)
    potluck.progress(count["below"], end, "sieved")
    potluck.result(count)
    return f"{count['primes']} primes below {count['below']}, the largest {count['largest']}"


line = main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
print(line)
if len(sys.argv) > 2:
    with open(sys.argv[2], "w") as file:
        print(line, file=file)
