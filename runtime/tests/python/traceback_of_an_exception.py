#! exit: 1
#! out: before, goodbye
#! err: Traceback (most recent call last):\n  File "/traceback_of_an_exception.py", line 17, in <module>\n    outer()
#! err: line 12, in outer
#! err: ValueError: boom
#! not: potluck
#! not: reactor
import atexit


def outer():
    raise ValueError("boom")


atexit.register(print, "goodbye")
print("before, ", end="")
outer()
