"""Counts the words of its standard input and prints the most frequent ones.

    potluck run examples/wordcount.py < README.md
    potluck run --on attic examples/wordcount.py 3 < README.md

The optional argument says how many words to print (default 10). Words that
occur equally often are printed in alphabetical order.
"""

import re
import sys
from collections import Counter

shown = int(sys.argv[1]) if len(sys.argv) > 1 else 10
counts = Counter()
lines = 0
for line in sys.stdin:
    lines += 1
    counts.update(re.findall(r"[a-z']+", line.lower()))

print(f"{lines} lines, {counts.total()} words, {len(counts)} different")
for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:shown]:
    print(f"{count:6d}  {word}")
