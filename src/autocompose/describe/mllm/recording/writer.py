"""A writer thread that owns the journal; queued operations share transactions.

Each commit waits for the disk. With 32 requests in flight that would block the event loop much of the time, so
operations queue up and are committed together.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from autocompose.core.errors import AutocomposeError
from autocompose.describe.mllm.recording.journal import Journal

T = TypeVar("T")
P = ParamSpec("P")
_Job = tuple[Callable[[Journal], Any], "asyncio.Future[Any]"]
MAX_JOBS = 256


class Writer:
    """Runs methods of the journal in one thread.

    Usage: ``answer = await writer.do(Journal.lookup, ask)``; when it returns, the change is on the disk.
    """

    def __init__(self, path: Path) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._journal = Journal(path)
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def do(self, step: Callable[Concatenate[Journal, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``step(journal, *args)`` inside a transaction.

        :raises StorageError: writing failed; nothing of this transaction is kept.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((lambda journal: step(journal, *args, **kwargs), future))
        return await future

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        more = True
        while more:
            jobs: list[_Job] = []
            first = self._jobs.get()
            while first is not None:
                jobs.append(first)
                if len(jobs) == MAX_JOBS or self._jobs.empty():
                    break
                first = self._jobs.get()
            more = first is not None
            if jobs:
                self._commit(jobs)
        self._journal.close()

    def _commit(self, jobs: list[_Job]) -> None:
        results: list[Any] = []
        try:
            with self._journal.transaction():
                results = [step(self._journal) for step, _ in jobs]
        except Exception as error:
            if len(jobs) > 1 and isinstance(error, AutocomposeError):
                for job in jobs:  # one refused step must not take the others with it
                    self._commit([job])
                return
            self._settle([(future, error) for _, future in jobs])
            return
        self._settle([(future, value) for (_, future), value in zip(jobs, results, strict=True)])

    def _settle(self, outcomes: list[tuple[asyncio.Future[Any], Any]]) -> None:
        def tell() -> None:
            for future, value in outcomes:
                if future.done():  # cancelled meanwhile
                    continue
                if isinstance(value, Exception):
                    future.set_exception(value)
                else:
                    future.set_result(value)

        self._loop.call_soon_threadsafe(tell)
