"""The part of boot.py that only some scripts need: refusals with their reasons, patches of modules, and how a script
ends other than by reaching its last line."""

import os
import sys

HOME = "/usr/local/lib/"

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
NO_TERMINAL = "a job has no terminal"
NO_SCREEN = "a job has no screen: write an image with matplotlib's savefig and bring it back with -o"

WHY_ABSENT = {
    "_ssl": NO_NETWORK,
    "_multiprocessing": NO_PROCESSES,
    "_posixsubprocess": NO_PROCESSES,
    "_tkinter": NO_SCREEN,
}

ABSENT_FROM_OS = frozenset(
    "fork forkpty execl execle execlp execlpe execv execve execvp execvpe posix_spawn posix_spawnp "
    "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe system wait wait3 wait4 waitpid".split()
)


class Patched:
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
        apply(self._patch, module)


def find_spec(first, patch, name, path, target):
    if patch is None and name != "potluck":
        why = WHY_ABSENT.get(name, NO_TERMINAL)
        raise ModuleNotFoundError(f"No module named {name!r}: {why}", name=name)
    for finder in sys.meta_path:
        if finder is not first:
            spec = finder.find_spec(name, path, target)
            # A folder that merely has the name of our words is no module.
            is_found = spec is not None and (patch is not None or spec.loader is not None)
            if is_found:
                # A file of the job that bears the name of a standard module is left alone.
                if patch and spec.loader is not None and (spec.origin or "").startswith(HOME):
                    spec.loader = Patched(spec.loader, patch)
                return spec
    return words_spec() if patch is None else None


def words_spec():
    """Of the module of words that every job has, unless it brings one itself."""
    external = sys.modules["_frozen_importlib_external"]

    class Loader(external.SourceFileLoader):
        def get_code(self, name):
            return words()

    return external.spec_from_file_location("potluck", WORDS, loader=Loader("potluck", WORDS))


WORDS = os.path.join(os.path.dirname(__file__), "potluck.py")
_compiled = []


def words():
    """Compiled once in the life of a memory, which for a script from an image was before it began."""
    if not _compiled:
        with open(WORDS, "rb") as file:
            _compiled.append(compile(file.read(), WORDS, "exec", dont_inherit=True))
    return _compiled[0]


def apply(patch, module):
    path = os.path.join(os.path.dirname(__file__), patch + ".py")
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    scope = {"__name__": "_potluck_" + patch, "__file__": path}
    scope.update(NO_THREADS=NO_THREADS, NO_PROCESSES=NO_PROCESSES, NO_NETWORK=NO_NETWORK)
    exec(code, scope)
    scope["apply"](module)


def os_attribute_error(name):
    why = f": {NO_PROCESSES}" if name in ABSENT_FROM_OS else ""
    return AttributeError(f"module 'os' has no attribute {name!r}{why}", name=name, obj=os)


def status_of(exc):
    """The exit status of a script that ended with `exc`, which is reported as the interpreter would."""
    if isinstance(exc, SystemExit):
        return exit_status(exc)
    exc.__traceback__ = exc.__traceback__.tb_next  # without boot.py's own frame
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        top = exc.name.partition(".")[0]
        if top not in sys.stdlib_module_names:
            exc.add_note(
                f"{top!r} is neither in the python environment nor among the job's files; "
                "send a pure-Python package along with -f"
            )
    flush(sys.stdout)
    try:
        sys.excepthook(type(exc), exc, exc.__traceback__)
    except SystemExit as stop:
        return exit_status(stop)
    except BaseException as failure:
        print("Error in sys.excepthook:", file=sys.stderr)
        failure.__traceback__ = failure.__traceback__.tb_next
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(exc), exc, exc.__traceback__)
    return 1


def exit_status(stop):
    code = stop.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    flush(sys.stdout)
    print(code, file=sys.stderr)
    return 1


def flush(stream):
    try:
        stream.flush()
    except Exception:
        pass  # A closed or replaced stream has nothing of ours to lose.


def warm(setup, imports, wait):
    """Imports and runs what an image is made of. Nothing of it is left in the modules' own words: a run that looks
    cannot tell that its imports were done before, except that they are quick."""
    import _sitebuiltins
    import builtins
    import gc
    import importlib
    import linecache

    for name in imports:
        importlib.import_module(name)
    if setup:
        exec(compile(setup, "<setup>", "exec", dont_inherit=True), {"__name__": "__main__"})
    # A session's own way of ending is not a script's.
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    # Names of temporary files are drawn from a generator that would draw the same ones in each run.
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile._name_sequence = None
    for path in [path for path in sys.path_importer_cache if not path.startswith(HOME)]:
        del sys.path_importer_cache[path]
    linecache.clearcache()
    words()
    flush(sys.stdout)
    flush(sys.stderr)
    wait()
    # What every run shares is never looked through again, which would also make each page of it the run's own.
    gc.collect()
    gc.freeze()
