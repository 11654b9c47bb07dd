"""Runs a job's script as `python3 script.py args` would, inside the sandboxed interpreter.

The host starts the interpreter with `-c` and one expression that runs this file with `__name__` set to
`_potluck`; `sys.argv` is then `["-c", entry, name, *args]`: the script's absolute path, the name the user typed,
and the user's arguments. To make an image, `__name__` is `_potluck_warm`, and `SETUP` and `IMPORTS` are set; the memory
kept afterwards has `_first_turn` wait for what a run from it is told. Always true: nothing of this file is visible in the script's `__main__`, in `sys.path` or
in the traceback of an uncaught exception.

This file is compiled at every start, so it holds only what every script needs. What some need (refusals, patches,
reports of exceptions) is in late.py, and is read when it is first needed.
"""

import _thread
import atexit
import os
import sys

del sys.modules["atexit"]  # a script that looks finds only what it has imported

HOME = "/usr/local/lib/"

# Where the packages lie that a job brings along; empty without any.
PACKAGES = "/usr/local/site-packages"

# Which patch file changes which module, right after that module's own code has run.
PATCHED = {
    "asyncio": "asyncio_loop",
    "concurrent.futures.process": "processes",
    "http.client": "network",
    "matplotlib": "matplotlib_fonts",
    "multiprocessing.context": "processes",
    "multiprocessing.pool": "processes",
    "multiprocessing.process": "processes",
    "queue": "locks",
    "socket": "network",
    "subprocess": "processes",
    "threading": "locks",
    "tqdm.std": "progress",
    "traceback": "tracebacks",
    "urllib.request": "network",
}

# Standard modules whose compiled half is not in this interpreter.
ABSENT = {"_ssl", "_multiprocessing", "_posixsubprocess", "_tkinter", "_curses", "termios", "readline"}


class _Finder:
    """First on `sys.meta_path`; answers only for the modules named above."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in PATCHED or name in ABSENT:
            return _late("find_spec")(_Finder, PATCHED.get(name), name, path, target)
        return None


_late_scope = {"__name__": "_potluck_late"}


def _late(name):
    if name not in _late_scope:
        path = _late_scope["__file__"] = os.path.join(os.path.dirname(__file__), "late.py")
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec", dont_inherit=True), _late_scope)
    return _late_scope[name]


def _no_thread(*args, **kwargs):
    raise RuntimeError("can't start new thread: " + _late("NO_THREADS"))


def _os_attribute(name):
    if name == "register_at_fork":  # asked for by many modules that do not need it
        raise AttributeError(name)
    raise _late("os_attribute_error")(name)


def _is_ours(module):
    """Whether a module is the interpreter's and not the job's."""
    path = getattr(module, "__file__", None)
    return not (isinstance(path, str) and path[:1] == "/") or path.startswith(HOME)


def _settle():
    """Notes the modules that are here before a script: looking at each of them once more at its end takes longer than
    a small script does."""
    _settled.clear()
    _settled.update((name, module) for name, module in sys.modules.items() if _is_ours(module) and name != "__main__")


_settled = {}


def _finish(main):
    """What an interpreter does at its end and a script can see: exit functions, then the script's own objects are
    destroyed (which closes its files), then the streams are flushed. The rest of the memory dies with the worker."""
    import gc

    atexit._run_exitfuncs()
    for key, module in [*sys.modules.items(), ("__main__", main)]:
        if _settled.get(key) is not module and not _is_ours(module):
            names = getattr(module, "__dict__", {})
            for name in sorted([name for name in names if type(name) is str], key=lambda name: name[:1] != "_"):
                if name[:2] != "__":
                    names[name] = None
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # A closed or replaced stream has nothing of ours to lose.


def install():
    """What makes this interpreter ours; once in the life of its memory."""
    for start in ("start_new_thread", "start_new", "start_joinable_thread"):
        setattr(_thread, start, _no_thread)
    os.__getattr__ = _os_attribute
    sys.meta_path.insert(0, _Finder)
    for known in sys.modules.keys() & PATCHED.keys():
        _late("apply")(PATCHED[known], sys.modules[known])
    # A line printed is a line seen, also through a pipe.
    sys.stdout.reconfigure(line_buffering=True)
    sys.stderr.reconfigure(line_buffering=True)
    _settle()


def _wait():
    """Has the memory, from now on an image, wait for its first turn."""
    _settle()
    reactor = sys.modules["_reactor"]
    run_turn, warm_environ = reactor._run_turn, dict(os.environ)

    def _first_turn(text, name):
        """Goes on from an image as if the interpreter had started with these arguments and this environment. They are
        told as words, because compiling a text that holds them takes longer than a small script does."""
        reactor._run_turn = run_turn
        if text[:1] != "\0":
            return run_turn(text, name)
        _, count, *words = text.split("\0")
        argv, environ = words[: int(count)], words[int(count) :]
        environ = dict(zip(environ[::2], environ[1::2]))
        if environ != warm_environ:
            os.environ.clear()
            os.environ.update(environ)
        reactor._refresh(False)
        main(*argv)

    reactor._run_turn = _first_turn


def main(entry, name, *args):
    sys.argv = [name, *args]
    sys.orig_argv = ["python3", name, *args]
    sys.path.insert(0, os.path.dirname(entry))
    if os.listdir(PACKAGES):
        sys.path.append(PACKAGES)
    main = sys.modules["_reactor"]._fresh_main()
    main.__file__ = entry
    main.__loader__ = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", entry)
    if os.path.basename(entry) == "__main__.py":
        main.__package__ = ""
    status = 0
    try:
        with open(entry, "rb") as file:
            source = file.read()
        exec(compile(source, entry, "exec", dont_inherit=True), main.__dict__)
    except BaseException as exc:
        status = _late("status_of")(exc)
    _finish(main)
    if status < 126:
        os._exit(status)
    sys.exit(status)  # preview 1 knows no higher status in its own exit call; the interpreter's return value does


install()
if __name__ == "_potluck_warm":
    _late("warm")(SETUP, IMPORTS, _wait)
else:
    main(*sys.argv[1:])
