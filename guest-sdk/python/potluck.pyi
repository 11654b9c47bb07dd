"""What editors and type checkers know of `potluck`, the module that every Python job of Potluck has."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")

def inside() -> bool:
    """Whether this runs inside Potluck."""

def progress(done: float, total: float | None = None, message: str | None = None) -> None:
    """Says that `done` of `total` is done, and with what the program is busy."""

def log(
    level: Literal["error", "warn", "info", "debug"], message: str, fields: Mapping[str, Any] | None = None, /, **more: Any
) -> None:
    """Notes a sentence, with fields that a machine can read."""

def result(value: Any) -> None:
    """Gives the job's result: any JSON value of less than 64 KiB. The last one counts."""

def checkpoint(state: Any) -> None:
    """Keeps the program's state (bytes, or any JSON value) for a run of this job after this one."""

def restore() -> Any:
    """What an earlier run of this job gave to `checkpoint`; None in its first run."""

def forget() -> None:
    """Forgets the checkpoint."""

def cancelled() -> bool:
    """Whether whoever waits for this job wants it to end."""

def task() -> tuple[int, int] | None:
    """In a map: which of its tasks this is, from 0, and of how many."""

def track(iterable: Iterable[_T], total: int | None = None, message: str | None = None) -> Iterator[_T]:
    """Goes through `iterable` and says how far it is."""
