#! exit: 3
#! out: no newline at the end
import sys

print("no newline at the end", end="")
sys.exit(3)
