"""Runs a job's script as `python3 script.py args` would, inside the sandboxed interpreter.

The host starts the interpreter with `-c` and one expression that runs this file with `__name__` set to
`_potluck`; `sys.argv` is then `["-c", entry, name, *args]`: the script's absolute path, the name the user typed,
and the user's arguments. Always true: nothing of this file is visible in the script's `__main__`, in `sys.path` or
in the traceback of an uncaught exception. What one thread, no processes and no network make impossible is refused
with a sentence; those patches wait until the module they concern is imported, so that a script pays only for what
it uses.
"""

import _thread
import os
import sys

HOME = "/usr/local/lib/"
PATCHES = os.path.join(os.path.dirname(__file__), "")

NO_THREADS = (
    "a job has one thread: the sandbox cannot start another. Call the function directly or use asyncio, "
    "and submit several jobs to use several cores or machines"
)
NO_PROCESSES = (
    "a job is one process: the sandbox cannot start another program. Do the work in Python itself, "
    "and submit several jobs to use several cores or machines"
)
NO_NETWORK = (
    "a job has no network: the sandbox cannot open connections. Fetch the data before submitting "
    "and send it along with -f"
)

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

# Standard modules whose compiled half is not in this interpreter, and why.
ABSENT = {
    "_ssl": NO_NETWORK,
    "_multiprocessing": NO_PROCESSES,
    "_posixsubprocess": NO_PROCESSES,
    "_tkinter": "a job has no screen: write an image with matplotlib's savefig and bring it back with -o",
    "_curses": "a job has no terminal",
    "termios": "a job has no terminal",
    "readline": "a job has no terminal",
}

ABSENT_FROM_OS = frozenset(
    "fork forkpty execl execle execlp execlpe execv execve execvp execvpe posix_spawn posix_spawnp "
    "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe system wait wait3 wait4 waitpid".split()
)


class _Patched:
    """A loader that lets the module's own loader work and then applies our patch to the module."""

    def __init__(self, loader, patch):
        self._loader = loader
        self._patch = patch

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _apply(self._patch, module)


class _Finder:
    """First on `sys.meta_path`; answers only for the modules in the two tables."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}: {ABSENT[name]}", name=name)
        patch = PATCHED.get(name)
        if patch is None:
            return None
        for finder in sys.meta_path:
            if finder is not _Finder:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    if spec.loader is not None and (spec.origin or "").startswith(HOME):
                        spec.loader = _Patched(spec.loader, patch)
                    return spec
        return None


def _apply(patch, module):
    path = PATCHES + patch + ".py"
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    scope = {"__name__": "_potluck_" + patch, "__file__": path}
    scope.update(NO_THREADS=NO_THREADS, NO_PROCESSES=NO_PROCESSES, NO_NETWORK=NO_NETWORK)
    exec(code, scope)
    scope["apply"](module)


def _no_thread(*args, **kwargs):
    raise RuntimeError("can't start new thread: " + NO_THREADS)


def _os_attribute(name):
    if name in ABSENT_FROM_OS:
        raise AttributeError(f"module 'os' has no attribute {name!r}: {NO_PROCESSES}", name=name, obj=os)
    raise AttributeError(f"module 'os' has no attribute {name!r}", name=name, obj=os)


def _prepare():
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        if hasattr(_thread, name):
            setattr(_thread, name, _no_thread)
    os.__getattr__ = _os_attribute
    sys.meta_path.insert(0, _Finder)
    for name, patch in PATCHED.items():
        if name in sys.modules:
            _apply(patch, sys.modules[name])
    # A line printed is a line seen, also through a pipe.
    sys.stdout.reconfigure(line_buffering=True)
    sys.stderr.reconfigure(line_buffering=True)
    import builtins

    if not hasattr(builtins, "exit"):
        from _sitebuiltins import Quitter

        builtins.quit = Quitter("quit", "Ctrl-D (i.e. EOF)")
        builtins.exit = Quitter("exit", "Ctrl-D (i.e. EOF)")
    _reseed()


def _reseed():
    """An interpreter restored from memory must not repeat the random numbers of the one it was saved from."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _exit_status(exc):
    code = exc.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    _flush(sys.stdout)
    print(code, file=sys.stderr)
    return 1


def _report(exc):
    exc.__traceback__ = exc.__traceback__.tb_next  # without this file's own frame
    if isinstance(exc, ModuleNotFoundError) and exc.name and exc.name.partition(".")[0] not in sys.stdlib_module_names:
        exc.add_note(
            f"{exc.name.partition('.')[0]!r} is neither in the python environment nor among the job's files; "
            "send a pure-Python package along with -f"
        )
    _flush(sys.stdout)
    try:
        sys.excepthook(type(exc), exc, exc.__traceback__)
    except SystemExit as stop:
        return _exit_status(stop)
    except BaseException as failure:
        print("Error in sys.excepthook:", file=sys.stderr)
        failure.__traceback__ = failure.__traceback__.tb_next
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(exc), exc, exc.__traceback__)
    return 1


def _flush(stream):
    try:
        stream.flush()
    except Exception:
        pass  # A closed or replaced stream has nothing of ours to lose.


def _run(entry, main):
    """Runs the script and returns the exit status; every exception ends here."""
    try:
        with open(entry, "rb") as file:
            source = file.read()
        exec(compile(source, entry, "exec", dont_inherit=True), main.__dict__)
        return 0
    except SystemExit as stop:
        return _exit_status(stop)
    except BaseException as exc:
        return _report(exc)


def _finish(main):
    """What an interpreter does at its end and a script can see: exit functions, then the script's own objects are
    destroyed (which closes its files), then the streams are flushed. The rest of the memory dies with the worker."""
    import atexit
    import gc

    atexit._run_exitfuncs()
    own = [module for module in sys.modules.values() if _is_of_the_job(module)]
    own.append(main)
    for module in own:
        names = getattr(module, "__dict__", {})
        for first in (True, False):
            for name in list(names):
                if (name[:1] == "_" and name[:2] != "__") == first and name != "__builtins__":
                    names[name] = None
    gc.collect()
    _flush(sys.stdout)
    _flush(sys.stderr)


def _is_of_the_job(module):
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and path.startswith("/") and not path.startswith(HOME)


def _main():
    import _reactor
    from importlib.machinery import SourceFileLoader

    _, entry, name, *args = sys.argv
    sys.argv = [name, *args]
    sys.orig_argv = ["python3", name, *args]
    sys.path.insert(0, os.path.dirname(entry))
    _prepare()
    main = _reactor._fresh_main()
    main.__file__ = entry
    main.__loader__ = SourceFileLoader("__main__", entry)
    if os.path.basename(entry) == "__main__.py":
        main.__package__ = ""
    status = _run(entry, main)
    _finish(main)
    if status < 126:
        os._exit(status)
    sys.exit(status)  # preview 1 knows no higher status in its own exit call; the interpreter's return value does


_main()
