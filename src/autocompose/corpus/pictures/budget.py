"""A bound for the memory of pictures that are being decoded, over all threads of a process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from autocompose.core.errors import BusyError


class Budget:
    """So many bytes may be in use at once; whoever wants more waits, in order of arrival.

    A single request beyond the whole budget gets its turn when nothing else is in use.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._used, self._queue, self._news = 0, deque[object](), threading.Condition()

    @contextmanager
    def reserve(self, amount: int, patience: float | None = None) -> Iterator[None]:
        """Hold ``amount`` bytes during the block.

        :param patience: seconds to wait at most; None = as long as it takes.
        :raises BusyError: its turn did not come in time.
        """
        ticket = object()
        with self._news:
            self._queue.append(ticket)
            its_turn = self._news.wait_for(lambda: self._queue[0] is ticket and self._fits(amount), patience)
            self._queue.remove(ticket)
            self._used += amount if its_turn else 0
            self._news.notify_all()
        if not its_turn:
            raise BusyError("too many large pictures are being opened at once; try again in a moment")
        try:
            yield
        finally:
            with self._news:
                self._used -= amount
                self._news.notify_all()

    def _fits(self, amount: int) -> bool:
        return self._used == 0 or self._used + amount <= self.total
