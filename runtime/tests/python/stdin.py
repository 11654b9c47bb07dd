#! stdin: Ann\nsecond line\nthird é\n
#! out: name? Ann
#! out: second line|third é
import sys

print(input("name? "))
print("|".join(line.rstrip("\n") for line in sys.stdin))
