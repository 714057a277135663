"""Sending many requests to an embeddings endpoint: bounded slots and rates, retries, one pause for all.

The rules are those of the annotation engine: faults of one request are that request's business; what the server says
about itself (rate limits, being away) holds for every slot; many faults in a row end the work.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autocompose.core.errors import AnnotationError
from autocompose.core.log import say
from autocompose.describe.mllm.asks import Fault, FaultKind, Unanswered
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.describe.mllm.sending.client import Client
from autocompose.describe.mllm.sending.flow import LONGEST_PAUSE, Bucket, Slots
from autocompose.model.embedders.endpoint.vectors import BadVectorsError, read_tokens, read_vectors

PATH = "/embeddings"
Post = Callable[[str, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Request:
    """A request that is made when its turn comes: thousands of pictures do not wait in memory.

    :param body: makes the body, in a thread of its own.
    :param count: number of vectors that it asks for; ``tokens``: about how many it has.
    """

    body: Callable[[], dict[str, Any]]
    count: int = 1
    tokens: int = 0


class Requests:
    """Sends requests from any thread; an event loop of its own does the work.

    :param post: replaces the client (tests).
    """

    def __init__(self, endpoint: Endpoint, limits: Limits, post: Post | None = None) -> None:
        self.endpoint, self.limits, self._post = endpoint, limits, post
        self.tokens = 0  # that the server has counted so far
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def send(self, requests: Sequence[Request], done: Callable[[], None] = lambda: None) -> list[np.ndarray | str]:
        """For each request its ``(count, D)`` vectors, or why the server refuses it.

        :param done: is called after each.
        :raises AnnotationError: the server cannot be used: key, model, quota, away, or faults in a row.
        """
        loop = self._started()
        future = asyncio.run_coroutine_threadsafe(self._all(requests, done), loop)
        try:
            return future.result()
        except BaseException:  # also Ctrl-C: nothing more is sent
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        """The event loop, with the client inside.

        :raises ConfigError: there is no key; DependencyError: the client's package is missing.
        """
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="embeddings", daemon=True).start()
                try:
                    asyncio.run_coroutine_threadsafe(self._start(), loop).result()
                except BaseException:
                    loop.call_soon_threadsafe(loop.stop)
                    raise
                self._loop = loop
            return self._loop

    async def _start(self) -> None:
        limits = self.limits
        self._slots = Slots(limits.slots)
        self._per_minute, self._tokens_per_minute = Bucket(limits.requests_per_minute), Bucket(limits.tokens_per_minute)
        self._resume_at, self._row, self._waits = 0.0, 0, 0
        self._last_success: float | None = None
        if self._post is None:
            self._post = Client(self.endpoint, limits.slots, limits.deadline).post

    async def _all(self, requests: Sequence[Request], done: Callable[[], None]) -> list[np.ndarray | str]:
        results: list[np.ndarray | str] = [""] * len(requests)
        places = iter(range(len(requests)))
        self._row = 0

        async def work() -> None:
            for place in places:
                try:
                    results[place] = await self._one(requests[place])
                except Unanswered as unanswered:
                    results[place] = unanswered.words
                done()

        workers = [asyncio.create_task(work()) for _ in range(min(self.limits.slots, len(requests)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        return results

    async def _one(self, request: Request) -> np.ndarray:
        """:raises Unanswered: this request has no answer; AnnotationError: no request will have one."""
        begun, tries, body = time.monotonic(), 0, await asyncio.to_thread(request.body)
        while True:
            async with self._slots.one():
                await self._per_minute.draw()
                await self._tokens_per_minute.draw(request.tokens)
                await asyncio.sleep(max(0.0, self._resume_at - time.monotonic()))
                try:
                    vectors = await self._attempt(request, body)
                except Fault as fault:
                    self._judge(fault, begun)
                    tries += fault.kind is FaultKind.RETRY
                    if fault.kind is FaultKind.ITEM_FAILED or tries >= self.limits.tries:
                        raise Unanswered(fault.reason, fault.message) from None
                else:
                    self._last_success, self._row, self._waits = time.monotonic(), 0, 0
                    self._slots.grow()
                    return vectors
            if tries:
                await asyncio.sleep(self._backoff(tries))

    async def _attempt(self, request: Request, body: dict[str, Any]) -> np.ndarray:
        assert self._post is not None
        answer = await self._post(PATH, body)
        try:
            vectors = read_vectors(answer, request.count)
        except BadVectorsError as error:
            raise Fault(FaultKind.RETRY, "vectors", f"200, but {error}") from None
        self.tokens += read_tokens(answer) or request.tokens
        return vectors

    def _judge(self, fault: Fault, begun: float) -> None:
        """:raises AnnotationError: the server cannot be used."""
        if fault.kind is FaultKind.RUN_FAILED:
            raise AnnotationError(fault.message)
        if fault.kind is FaultKind.WAIT:
            self._pause(fault, begun)
        elif fault.kind is FaultKind.RETRY:
            self._row += 1
            if self._row >= self.limits.breaker:
                line = f"{self.endpoint.host}: {self._row} faults in a row without an answer; last: {fault.message}"
                raise AnnotationError(f"{line}; see whether the server is well, then run again")

    def _pause(self, fault: Fault, begun: float) -> None:
        away = fault.reason == "unreachable"
        if away and self._last_success is None:
            raise AnnotationError(fault.message.replace("--base-url", "the address in --model"))
        now, limit = time.monotonic(), self.limits.reconnect if away else self.limits.patience
        if now - max(begun, self._last_success or 0.0) > limit:
            raise AnnotationError(f"{self.endpoint.host}: no answer for {limit:g} s ({fault.message}); run again later")
        if now < self._resume_at:
            return  # another slot has said so already
        if fault.after is None:
            self._slots.halve()
        self._waits += 1
        pause = min(LONGEST_PAUSE, self._backoff(self._waits) if fault.after is None else fault.after)
        self._resume_at = now + pause
        if pause >= 1:
            say(f"waiting {pause:.0f} s ({fault.reason})")

    def _backoff(self, tries: int) -> float:
        """Exponential with full jitter, at most a minute."""
        return random.uniform(0.1, 1.0) * min(60.0, self.limits.backoff * 2 ** (tries - 1))
