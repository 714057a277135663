"""Sending questions: bounded slots, request and token rates, retries, one pause for all, and the reasons to stop.

A fault of one question concerns that question only; the state of the server (rate limits, unreachable) holds for every
slot. A run stops in order: nothing new is sent, requests in flight finish, everything else stays open.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autocompose.core.errors import AnnotationError
from autocompose.core.log import say
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind, Unanswered
from autocompose.describe.mllm.recipe import Limits
from autocompose.describe.mllm.recording.journal import Attempt, Journal
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.client import Send
from autocompose.describe.mllm.sending.costs import Costs

LONGEST_PAUSE = 300.0
SAME_REJECTIONS = 10
FIRST_SLOTS = 8


class Stopped(Exception):  # noqa: N818
    """The run is ending; the question stays open."""


class Slots:
    """At most ``limit`` holders at once; the limit may change meanwhile.

    :param slots: the limit never exceeds it.
    """

    def __init__(self, slots: int) -> None:
        self.slots, self.limit, self.used = slots, float(min(FIRST_SLOTS, slots)), 0
        self._slow = True
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold one slot."""
        async with self._free:
            await self._free.wait_for(lambda: self.used < int(self.limit))
            self.used += 1
        try:
            yield
        finally:
            self.used -= 1
            async with self._free:
                self._free.notify_all()

    def grow(self) -> None:
        """After a success: doubles per round until the first rate limit, then one more per round."""
        self.limit = min(float(self.slots), self.limit + (1 if self._slow else 1 / self.limit))

    def halve(self) -> None:
        """After a rate limit."""
        self._slow = False
        self.limit = max(1.0, self.limit / 2)


class Bucket:
    """A token bucket.

    :param per_minute: refill; None for no limit. The bucket holds a tenth of a minute's worth.
    """

    def __init__(self, per_minute: float | None) -> None:
        self.rate = per_minute / 60 if per_minute else None
        self._level = self._room = max(1.0, per_minute / 10) if per_minute else 0.0
        self._at = time.monotonic()

    async def draw(self, amount: float = 1.0) -> None:
        """Wait until ``amount`` may be used; a larger amount delays the next ones."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._level = min(self._room, self._level + (now - self._at) * self.rate) - amount
        self._at = now
        if self._level < 0:
            await asyncio.sleep(-self._level / self.rate)


class Flow:
    """Answers questions, from the journal or by sending them.

    :param send: the client; tests pass their own function.
    :param host: stored with every attempt as provenance.
    """

    def __init__(self, send: Send, writer: Writer, limits: Limits, costs: Costs, host: str, dialect: Dialect) -> None:
        self._send, self._writer, self._limits, self._costs, self.host = send, writer, limits, costs, host
        self.dialect = dialect
        self.slots = Slots(limits.slots)
        self._requests, self._tokens = Bucket(limits.requests_per_minute), Bucket(limits.tokens_per_minute)
        self._resume_at = 0.0
        self._last_success = self._begun = time.monotonic()
        self._waits, self._row, self._scale = 0, 0, 1.0
        self._rejections: list[str] = []
        self._models: set[tuple[str, str]] = set()
        self.stop: str | None = None
        self.error: AnnotationError | None = None
        self.counts: Counter[str] = Counter()
        self.busy_seconds = 0.0

    @property
    def tries(self) -> int:
        """How often a question is sent when the transport fails."""
        return self._limits.tries

    def halt(self, reason: str, error: AnnotationError | None = None) -> None:
        """End the run: nothing new is sent. The first reason stays.

        :param error: raised at the end of the run; without it the run ends cleanly and can be continued.
        """
        if self.stop is None:
            self.stop, self.error = reason, error

    def check(self) -> None:
        """Raise ``Stopped`` when the run is ending."""
        if self.stop is not None:
            raise Stopped(self.stop)

    async def ask(self, ask: Ask, item: int = 0) -> Answer:
        """The answer to a question, from the journal when it is known.

        :param item: row of the pair in the journal.
        :raises Stopped: the run ends; Unanswered: this question has no answer; StorageError: the journal fails.
        """
        if known := await self._writer.do(Journal.lookup, ask):
            self.counts["known"] += 1
            return known
        tries = 0
        while True:
            async with self.slots.one():
                await self._wait_for_turn(ask)
                answer = await self._leased(ask, item)
                if answer is not None:
                    return answer
                outcome = await self._attempt(ask, last=tries + 1 >= self._limits.tries)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.kind is FaultKind.RETRY:
                tries += 1
                await self._sleep(self._backoff(tries))

    async def _wait_for_turn(self, ask: Ask) -> None:
        prompt, completion = self._costs.tokens(ask)
        await self._requests.draw()
        await self._tokens.draw(prompt + completion)
        while (pause := self._resume_at - time.monotonic()) > 0:
            await self._sleep(pause)
        self.check()

    async def _leased(self, ask: Ask, item: int) -> Answer | None:
        """Lease the question, or return the answer that another slot or run has got meanwhile."""
        prompt, completion = self._costs.tokens(ask)
        prompt = int(prompt * self._scale) + 1
        budget = (self._limits.max_cost, self._limits.max_tokens)
        cost = self._costs.of(prompt, completion)
        while True:
            taken = await self._writer.do(Journal.take, ask, item, cost, prompt + completion, budget)
            if taken.state == "ask":
                return None
            if taken.state == "answered" and taken.answer is not None:
                return taken.answer
            if taken.state == "failed":
                raise Unanswered("transport", taken.reason)
            if taken.state == "budget":
                self.halt("budget")
                raise Stopped("budget")
            await self._sleep(0.2)

    async def _attempt(self, ask: Ask, last: bool) -> Answer | Fault:
        """Send once and record the result.

        :raises Unanswered: the fault was the last one this question may have.
        """
        wall, begun = time.time(), time.monotonic()
        answer: Answer | None = None
        fault: Fault | None = None
        try:
            answer = await self._send(ask, self.dialect)
        except Fault as error:
            fault = error
        finally:
            seconds = time.monotonic() - begun
            self.busy_seconds += seconds
        self.counts["requests"] += 1
        if answer is not None:
            return await self._answered(ask, answer, wall, seconds)
        assert fault is not None
        failed = fault.kind is FaultKind.ITEM_FAILED or (fault.kind is FaultKind.RETRY and last)
        attempt = Attempt(fault.reason, self.host, wall, seconds, 0.0, fault.message)
        await self._writer.do(Journal.record, ask.key, attempt, None, "failed" if failed else "open")
        if not (ask.stage == "probe" and fault.kind is FaultKind.ITEM_FAILED):  # which is what the probe wants to know
            self._fault(fault)
        if failed:
            raise Unanswered(fault.reason, fault.message)
        return fault

    async def _answered(self, ask: Ask, answer: Answer, wall: float, seconds: float) -> Answer:
        attempt = Attempt("ok", self.host, wall, seconds, self._costs.of_answer(answer))
        stored = await self._writer.do(Journal.record, ask.key, attempt, answer)
        self._last_success = time.monotonic()
        self._waits = self._row = 0
        self.slots.grow()
        if ask.stage != "probe":  # too short to say anything about estimates
            self._scale = max(self._scale, answer.prompt_tokens / self._costs.tokens(ask)[0])
        self._models.add((answer.model, answer.fingerprint))
        if len(self._models) == 2 and not self.counts["model changed"]:
            self.counts["model changed"] = 1
            say(f"warning: the server's answers come from different models: {sorted(self._models)}")
        return stored or answer

    def _fault(self, fault: Fault) -> None:
        self.counts[fault.reason] += 1
        if fault.kind is FaultKind.RUN_FAILED:
            self.halt(fault.reason, AnnotationError(fault.message))
        elif fault.kind is FaultKind.WAIT:
            self._pause(fault)
        elif fault.kind is FaultKind.ITEM_FAILED:
            self._rejections.append(fault.message)
            same = len(self._rejections) == SAME_REJECTIONS and len(set(self._rejections)) == 1
            if same and self._last_success == self._begun:
                line = f"the first {SAME_REJECTIONS} requests were all rejected alike: {fault.message}"
                self.halt("settings", AnnotationError(f"{line}; change the settings"))
        else:
            self._row += 1
            if self._row >= self._limits.breaker:
                line = f"{self._row} faults in a row without an answer; last: {fault.message}"
                self.halt("breaker", AnnotationError(f"{line}; see whether the server is well, then run again"))

    def _pause(self, fault: Fault) -> None:
        """All slots wait; too long without a single answer ends the run."""
        now = time.monotonic()
        pause: float | None
        if fault.reason == "unreachable":
            if self._last_success == self._begun:
                self.halt("unreachable", AnnotationError(fault.message))
                return
            limit, pause = self._limits.reconnect, 2.0
        else:
            if fault.after is None:
                self.slots.halve()
            limit, pause = self._limits.patience, fault.after
        if now - self._last_success > limit:
            self.halt(fault.reason)
            return
        if now < self._resume_at:
            return  # another slot has said so already
        self._waits += 1
        pause = min(LONGEST_PAUSE, self._backoff(self._waits) if pause is None else pause)
        self._resume_at = now + pause
        if pause >= 1:
            say(f"waiting {pause:.0f} s ({fault.reason})")

    def _backoff(self, tries: int) -> float:
        """Exponential with full jitter, at most a minute."""
        return random.uniform(0.1, 1.0) * min(60.0, self._limits.backoff * 2 ** (tries - 1))

    async def _sleep(self, seconds: float) -> None:
        """Sleep in short steps, so that a stop is noticed at once."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            self.check()
            await asyncio.sleep(min(0.25, rest))
        self.check()
