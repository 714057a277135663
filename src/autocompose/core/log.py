"""Console output: messages, progress bars, and the tally of kept and dropped items."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from multiprocessing import parent_process
from typing import Any, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from autocompose.core.errors import NothingLeftError, one_line

console = Console(stderr=True, soft_wrap=True, highlight=False)
logger = logging.getLogger("autocompose")
T = TypeVar("T")
EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def escape_output() -> None:
    """What a terminal or pipe cannot show is printed as ``\\xe9`` from now on, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(message: str) -> None:
    """Print one line for the user (stderr, so that stdout stays machine-readable)."""
    console.print(message, markup=False)


_displayed = False  # a progress display is shown


class _Lines(Progress):
    """Progress for a file or a pipe: a line every ten seconds, of the first process only."""

    def __init__(self) -> None:
        super().__init__(console=console, disable=True)
        self._begun = self._reported = time.monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task, and report its progress when that is due."""
        super().advance(task_id, advance)
        now = time.monotonic()
        if now - self._reported >= EVERY and parent_process() is None and os.environ.get("RANK", "0") == "0":
            self._reported = now
            say(_line(self.tasks[self.task_ids.index(task_id)], now - self._begun))


def _line(task: Task, seconds: float) -> str:
    done, rest = int(task.completed), (task.total or 0) - task.completed
    left = f", about {seconds * rest / done:.0f} s left" if task.total and done else ""
    return f"{task.description}: {done:,}{f' of {int(task.total):,}' if task.total else ''}, {seconds:.0f} s{left}"


def bar() -> Progress:
    """A progress display: a bar on a terminal, otherwise a line every ten seconds."""
    if not console.is_terminal:
        return _Lines()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def track(
    items: Iterable[T], what: str, total: int | None = None, size: Callable[[T], int] = lambda item: 1
) -> Iterator[T]:
    """Iterate with a progress display named ``what``.

    Silent inside another ``track``, which counts for both, and in other threads than the main one (a server's).

    :param total: of the sizes; default: the number of items. :param size: what an item counts, such as ``len``.
    """
    global _displayed
    if _displayed or threading.current_thread() is not threading.main_thread():
        yield from items
        return
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    _displayed = True
    try:
        with bar() as progress:
            task = progress.add_task(what, total=total)
            for item in items:
                yield item
                progress.advance(task, size(item))
    finally:
        _displayed = False


class Limit(NamedTuple):
    """A limit of the user's that an item misses.

    :param option: what the user set, such as ``--height``.
    :param now: its value; ``enough``: the value with which the item would be kept.
    """

    option: str
    now: float
    enough: float

    def hint(self) -> str:
        """Which option to loosen, and by how much."""
        digits = math.floor if self.enough < self.now else math.ceil
        return f"{self.option} {digits(self.enough * 1000) / 1000:g} instead of {self.now:g} keeps the first"


def milder(limits: dict[str, Limit], limit: Limit) -> dict[str, Limit]:
    """The limits by option, with one more: of each option the one that has to be loosened least stays."""
    known = limits.get(limit.option, limit)
    return {**limits, limit.option: min(known, limit, key=lambda one: abs(one.enough - one.now))}


class Tally:
    """Counts in, counts out and a reason for each difference; nothing is dropped silently.

    >>> tally = Tally("pairs")
    >>> tally.keep(); tally.drop("no text", "a.png -> b.png")
    >>> tally.line()
    'pairs: 2 in, 1 kept; dropped 1: no text'
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.limits: dict[str, Limit] = {}

    def keep(self, n: int = 1) -> None:
        """Count ``n`` kept items."""
        self.kept += n

    def drop(self, reason: str, entry: str = "", n: int = 1, limit: Limit | None = None) -> None:
        """Count ``n`` dropped items; the first ten ``entry`` names of each reason are remembered.

        :param limit: what would keep them; the mildest of each option is remembered.
        """
        if not n:
            return
        self.dropped[reason] += n
        examples = self.examples.setdefault(reason, [])
        if entry and len(examples) < 10:
            examples.append(one_line(entry))
        if limit is not None:
            self.limits = milder(self.limits, limit)

    @property
    def total(self) -> int:
        """How many came in."""
        return self.kept + sum(self.dropped.values())

    def line(self) -> str:
        """One line for the console."""
        reasons = "".join(f"; dropped {n}: {reason}" for reason, n in self.dropped.most_common())
        return f"{self.what}: {self.total} in, {self.kept} kept{reasons}"

    def record(self) -> dict[str, Any]:
        """The same as a JSON-able value."""
        return {"kept": self.kept, "dropped": dict(self.dropped), "examples": self.examples}


def nothing_left(where: object, tallies: Iterable[Tally], advice: str = "") -> NothingLeftError:
    """The error for work that left nothing: all counts and reasons, and which option to relax, and how far.

    :param advice: what else helps.
    """
    tallies = list(tallies)
    counts = "; ".join(tally.line() for tally in tallies)
    limits: dict[str, Limit] = {}
    for limit in (limit for tally in tallies for limit in tally.limits.values()):
        limits = milder(limits, limit)
    hints = [limit.hint() for limit in limits.values()]
    return NothingLeftError(f"{where}: nothing is left ({counts})" + "".join(f"; {x}" for x in (*hints, advice) if x))
