"""Prints one line: all a job that does nothing else costs."""

print("hello")
