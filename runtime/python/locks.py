"""Locks for a process with one thread.

Waiting for a lock that is taken cannot end, and in this interpreter it would end the whole job in a trap. Here a
wait with a timeout takes its time and fails; a wait without one is the deadlock it is, and says so.
"""

import _thread
import time


class Lock:
    """As `threading.Lock`, for one thread."""

    __slots__ = ("_lock", "__weakref__")

    def __init__(self):
        self._lock = _thread.allocate_lock()

    def acquire(self, blocking=True, timeout=-1):
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if self._lock.acquire(False):
            return True
        if not blocking:
            return False
        if timeout == -1:
            raise RuntimeError("deadlock: the lock is taken and nothing could release it: " + NO_THREADS)
        time.sleep(timeout)
        return self._lock.acquire(False)

    acquire_lock = acquire

    def release(self):
        self._lock.release()

    release_lock = release

    def locked(self):
        return self._lock.locked()

    locked_lock = locked

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exc):
        self._lock.release()

    def _at_fork_reinit(self):
        self._lock = _thread.allocate_lock()

    def __repr__(self):
        return repr(self._lock)


Lock.__module__ = "threading"


def apply(module):
    if module.__name__ == "threading":
        module._allocate_lock = Lock
        module.Lock = Lock
    else:
        module.SimpleQueue = module._PySimpleQueue
