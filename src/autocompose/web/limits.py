"""How much one client, and all together, may ask of the server at once."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from autocompose.core.errors import BusyError

T = TypeVar("T")
MAX_CLIENTS = 10_000
BUSY = "the server is busy with other pictures; try again in a moment"


def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the network of 64 bits that an IPv6 host may choose from."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    return str(number) if number.version == 4 else str(ipaddress.ip_network((number, 64), strict=False))


class RateLimit:
    """A token bucket for each client address: ``rate`` requests a second, and bursts.

    :param rate: 0 = no limit.
    :param clock: seconds; tests pass their own.
    :param burst: default: three seconds' worth.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic, burst: float | None = None) -> None:
        self.rate, self.burst, self._clock = rate, burst or max(3 * rate, 1.0), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, take: bool = True) -> float:
        """0 when the request may pass, else the seconds until it may.

        :param take: count this request; without, only look.
        """
        if self.rate <= 0:
            return 0.0
        now = self._clock()
        level, then = self._buckets.pop(client, (self.burst, now))
        level = min(self.burst, level + (now - then) * self.rate)
        passes = level >= 1
        self._buckets[client] = (level - 1 if passes and take else level, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1 - level) / self.rate


class Admission:
    """Bodies that are being received: so many, and so many bytes, of all clients and of each.

    :param bodies: at once; one client has at most half of them.
    :param total: bytes, as announced.
    """

    def __init__(self, bodies: int, total: int) -> None:
        self.bodies, self.total = bodies, total
        self._clients: Counter[str] = Counter()
        self._bytes = 0

    @contextmanager
    def enter(self, client: str, size: int) -> Iterator[None]:
        """Hold a place for a body of ``size`` bytes during the block.

        :raises BusyError: there is none.
        """
        full = self._clients.total() >= self.bodies or self._clients[client] >= max(1, self.bodies // 2)
        if full or (self._bytes and self._bytes + size > self.total):
            raise BusyError(BUSY)
        self._clients[client] += 1
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
            self._clients[client] -= 1
            self._clients += Counter()  # forget clients with none


class HeavyWork:
    """A few threads for slow work, so that it never blocks the threads that answer searches.

    :param queue: how many may wait; further ones are refused at once.
    :param patience: seconds that they wait.
    """

    def __init__(self, threads: int, queue: int, patience: float) -> None:
        self._queue, self._patience, self._waiting = queue, patience, 0
        self._free = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, "heavy")

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work()``.

        :raises BusyError: too many wait, or it has waited too long.
        """
        if self._waiting >= self._queue:
            raise BusyError(BUSY)
        self._waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), self._patience)
        except asyncio.TimeoutError:
            raise BusyError(BUSY) from None
        finally:
            self._waiting -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._free.release()

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
