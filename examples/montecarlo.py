"""Estimates pi and its error with numpy, by throwing darts at a square.

    potluck run examples/montecarlo.py
    potluck run --on attic examples/montecarlo.py 20000000 7

The arguments are the number of darts (default 2,000,000) and the seed (default
1). The same seed gives the same answer on every machine.
"""

import sys

import numpy as np

darts = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
batch_max = 1_000_000

random = np.random.default_rng(seed)
hits = 0
left = darts
while left > 0:
    batch = min(left, batch_max)
    x, y = random.random((2, batch))
    hits += int(np.count_nonzero(x * x + y * y <= 1.0))
    left -= batch

share = hits / darts
estimate = 4 * share
error = 4 * (share * (1 - share) / darts) ** 0.5
print(f"{darts} darts, seed {seed}: pi is {estimate:.6f} +/- {error:.6f}")
