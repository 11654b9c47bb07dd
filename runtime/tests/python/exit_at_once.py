#! exit: 4
#! out: seen
#! not: never
import atexit
import os

atexit.register(print, "never")
print("seen")
os._exit(4)
