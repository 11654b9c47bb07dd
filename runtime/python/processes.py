"""Refuses other processes, and pools of them, with one sentence."""

import errno


def _refuse(*args, **kwargs):
    raise OSError(errno.ENOTSUP, NO_PROCESSES)


def _refuse_threads(*args, **kwargs):
    raise RuntimeError("can't start new thread: " + NO_THREADS)


def apply(module):
    name = module.__name__
    if name == "subprocess":
        module.Popen.__init__ = _refuse
        module.Popen.__del__ = lambda self: None
    elif name == "multiprocessing.process":
        module.BaseProcess.start = _refuse
    elif name == "multiprocessing.pool":
        module.Pool.__init__ = _refuse
        module.Pool.__del__ = lambda self: None
        module.ThreadPool.__init__ = _refuse_threads
    elif name == "multiprocessing.context":
        for method in (
            "Manager Pipe Lock RLock Condition Semaphore BoundedSemaphore Event Barrier Queue JoinableQueue "
            "SimpleQueue Pool RawValue RawArray Value Array"
        ).split():
            setattr(module.BaseContext, method, _refuse)
    else:
        module.ProcessPoolExecutor.__init__ = _refuse
