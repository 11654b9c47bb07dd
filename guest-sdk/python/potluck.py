"""What a job says to Potluck while it runs, and what it is told.

    import potluck

    state = potluck.restore() or {"line": 0, "sum": 0.0}   # what an earlier run of this job has come to
    for number in potluck.track(numbers, message="adding"):
        if potluck.cancelled():
            break
        ...
        potluck.checkpoint(state)   # if this machine vanishes, the job goes on from here on another one
    potluck.log("info", "added", rows=120)
    potluck.result({"sum": state["sum"]})

Every Python job has this module. The same file runs under any Python: outside Potluck each word does nothing, `restore` and
`task` give None, `cancelled` is False, and `track` goes through its iterable. Inputs and outputs are files of the working
directory, as always. All else is in the contract, guest-sdk/CONTRACT.md.
"""

import os

__all__ = ["cancelled", "checkpoint", "forget", "inside", "log", "progress", "restore", "result", "task", "track"]

VERSION = "1"
EVENT_LEN_MAX = 64 << 10
MESSAGE_LEN_MAX = 4 << 10  # characters, of which each takes twelve bytes at most
CHECKPOINT_LEN_MAX = 64 << 20
# `track` speaks no more often, since the host would pass no more on.
PAUSE_S = 0.1
LEVELS = ("error", "warn", "info", "debug")

# Nothing of the environment is kept here: memory images and sessions outlive it.


def inside():
    """Whether this runs inside Potluck."""
    return os.environ.get("POTLUCK") == VERSION


def progress(done, total=None, message=None):
    """Says that `done` of `total` is done, and with what the program is busy. Ten a second reach whoever looks, and the last
    one always."""
    if not _file("EVENTS"):
        return
    said = {"done": done}
    if total is not None:
        said["total"] = total
    if message:
        said["message"] = str(message)[:MESSAGE_LEN_MAX]
    try:
        _say({"progress": said})
    except (OSError, ValueError):
        pass  # Progress is a courtesy.


def log(level, message, fields=None, /, **more):
    """Notes a sentence, with fields that a machine can read: `log("warn", "no price", item="stew", line=3)`, or as one dict.
    `level` is error, warn, info or debug."""
    if level not in LEVELS:
        raise ValueError(f"a level of a log is one of {', '.join(LEVELS)}, and not {level!r}")
    if not _file("EVENTS"):
        return
    entry = {"level": level, "message": str(message)[:MESSAGE_LEN_MAX]}
    fields = {**(fields or {}), **more}
    if fields:
        entry["fields"] = {str(name): value for name, value in fields.items()}
    try:
        _say({"log": entry}, _plain_or_text)
    except (OSError, TypeError, ValueError):
        # A log is a courtesy as well: what fits in no line, or is no JSON, is counted.
        entry["fields"] = {"left_out": len(fields)}
        try:
            _say({"log": entry})
        except OSError:
            pass


def result(value):
    """Gives the job's result: any JSON value of less than 64 KiB, numpy's numbers and arrays too. The last one counts. Larger
    results are files."""
    if _file("EVENTS"):
        _say({"result": value})


def checkpoint(state):
    """Keeps the program's state: bytes, or any JSON value. A retry of this job, or a run on another machine after this one
    vanished, gets the last one from `restore`. Once in some seconds is often enough: each travels to the machine the job came
    from."""
    events = _file("EVENTS")
    if not events:
        return
    if isinstance(state, (bytes, bytearray, memoryview)):
        kept = b"B" + bytes(state)
    else:
        kept = b"J" + _json(state, _plain).encode()
    if len(kept) > CHECKPOINT_LEN_MAX:
        raise ValueError(f"a checkpoint has {CHECKPOINT_LEN_MAX} bytes at most, and this one {len(kept)}")
    # The host has its copy when the event is written, so one file serves for all.
    path = os.path.join(os.path.dirname(events), ".potluck-checkpoint")
    with open(path, "wb") as file:
        file.write(kept)
    _say({"checkpoint": {"file": path}})


def restore():
    """What an earlier run of this job gave to `checkpoint`; None in its first run."""
    path = _file("RESTORE")
    if not path:
        return None
    with open(path, "rb") as file:
        kept = file.read()
    if kept[:1] != b"J":
        return kept[1:]
    import json

    return json.loads(kept[1:])


def forget():
    """Forgets the checkpoint: a run after this one starts from the beginning."""
    if _file("EVENTS"):
        _say({"checkpoint": None})


def cancelled():
    """Whether whoever waits for this job wants it to end. A program that has asked once has five seconds to end by itself from
    then on, and its outputs and result are kept; one that never asked is ended at once. So is one whose machine is taken
    back: what is to last of it belongs into a checkpoint. It reads a file: ask once for each piece of
    work."""
    path = _file("CONTROL")
    if not path:
        return False
    try:
        with open(path, "rb") as file:
            return b"cancel" in file.read().splitlines()
    except OSError:
        return False


def task():
    """In a map: which of its tasks this is, from 0, and of how many. None otherwise."""
    if not inside():
        return None
    try:
        return int(os.environ["POTLUCK_TASK"]), int(os.environ["POTLUCK_TASKS"])
    except (KeyError, ValueError):
        return None


def track(iterable, total=None, message=None):
    """Goes through `iterable` and says how far it is. The total is its length, if it has one."""
    if not _file("EVENTS"):
        yield from iterable
        return
    import time

    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    done, said, due = 0, None, 0.0
    try:
        for item in iterable:
            now = time.monotonic()
            if said is None or now >= due:
                progress(done, total, message)
                said, due = done, now + PAUSE_S
            yield item
            done += 1
    finally:
        if said != done:  # the last word, also of a loop that was left
            progress(done, total, message)


def _file(which):
    """The path that the contract gives, where it holds."""
    return os.environ.get("POTLUCK_" + which) if inside() else None


def _say(event, otherwise=None):
    """Appends one event, in one write."""
    line = _json(event, otherwise or _plain).encode() + b"\n"
    if len(line) > EVENT_LEN_MAX:
        raise ValueError(f"an event has {EVENT_LEN_MAX} bytes at most, and this one {len(line)}")
    file = os.open(os.environ["POTLUCK_EVENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def _json(value, otherwise):
    import json

    return json.dumps(value, allow_nan=False, separators=(",", ":"), default=otherwise)


def _plain(value):
    """What numpy and pandas have as numbers and arrays of their own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no JSON value: give numbers, text, lists and dicts with names")


def _plain_or_text(value):
    return value.tolist() if hasattr(value, "tolist") else str(value)
