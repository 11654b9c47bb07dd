#! out: 5 bytes
#! out: destroyed
import atexit
import os


class Thing:
    def __del__(self):
        print("destroyed")


thing = Thing()
file = open("unclosed.txt", "w")
file.write("hello")
file.flush()
atexit.register(lambda: print(os.path.getsize("/unclosed.txt"), "bytes"))
globals()[1] = "a name that is no text"
