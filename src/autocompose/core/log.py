"""What a stage says: one console, progress bars, and the tally of kept and dropped items."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, soft_wrap=True, highlight=False)
logger = logging.getLogger("autocompose")
T = TypeVar("T")


def escape_output() -> None:
    """What a terminal or pipe cannot show is printed as ``\\xe9`` from now on, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def json_line(value: Any, indent: int | None = None) -> str:
    """JSON for stdout: letters as they are where it takes UTF-8, else escaped as JSON does."""
    plain = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return json.dumps(value, indent=indent, ensure_ascii=not plain)


def say(message: str) -> None:
    """Print one line for the user (stderr, so that stdout stays machine-readable)."""
    console.print(message, markup=False)


def bar() -> Progress:
    """A progress display; shown only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar named ``what``.

    Without a terminal, and in other threads than the main one (as those of a server), there is none, nor the thread
    that it would start.
    """
    if not console.is_terminal or threading.current_thread() is not threading.main_thread():
        yield from items
        return
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with bar() as progress:
        yield from progress.track(items, total=total, description=what)


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

    def keep(self, n: int = 1) -> None:
        """Count ``n`` kept items."""
        self.kept += n

    def drop(self, reason: str, entry: str = "", n: int = 1) -> None:
        """Count ``n`` dropped items; the first ten ``entry`` names of each reason are remembered."""
        if not n:
            return
        self.dropped[reason] += n
        examples = self.examples.setdefault(reason, [])
        if entry and len(examples) < 10:
            examples.append(entry)

    def line(self) -> str:
        """One line for the console."""
        total = self.kept + sum(self.dropped.values())
        reasons = "".join(f"; dropped {n}: {reason}" for reason, n in self.dropped.most_common())
        return f"{self.what}: {total} in, {self.kept} kept{reasons}"

    def record(self) -> dict[str, Any]:
        """The same as a JSON-able value."""
        return {"kept": self.kept, "dropped": dict(self.dropped), "examples": self.examples}
