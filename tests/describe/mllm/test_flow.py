"""What the engine does about each fault: pauses, retries, stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind
from autocompose.describe.mllm.recipe import Limits
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.writer import Writer
from autocompose.describe.mllm.sending.costs import Costs, Price
from autocompose.describe.mllm.sending.flow import Bucket, Flow, Slots, Stopped, Unanswered

OK = Answer("fine", prompt_tokens=10, completion_tokens=5, model="m")
RETRY = Fault(FaultKind.RETRY, "transport", "500: oops")
RATE = Fault(FaultKind.WAIT, "rate-limit", "slow down")
AWAY = Fault(FaultKind.WAIT, "unreachable", "nothing listens at http://x/v1")


def question(n: int = 0) -> Ask:
    return Ask("texts", "system", (f"question {n}",), {}, "m", 10)


class Script:
    """Plays outcomes one per request; the last one for ever."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.sent = list(outcomes), []

    async def __call__(self, ask: Ask, dialect: Dialect) -> Answer:
        self.sent.append((ask, time.monotonic()))
        await asyncio.sleep(0)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if callable(outcome):
            outcome = await outcome(ask)
        if isinstance(outcome, Fault):
            raise Fault(outcome.kind, outcome.reason, outcome.message, outcome.after)
        return outcome


def play(
    tmp_path: Path, script: Script, work: Callable[[Flow], Any], costs: Costs | None = None, **limits: Any
) -> tuple[Any, Flow]:
    async def run() -> tuple[Any, Flow]:
        writer = Writer(tmp_path / "j.sqlite")
        await writer.do(Journal.start, "v", {})
        settings = Limits(**{"slots": 4, "backoff": 0.01, **limits})
        flow = Flow(script, writer, settings, costs or Costs(None), "host", Dialect())
        try:
            return await work(flow), flow
        finally:
            await writer.do(Journal.end, "done")
            await writer.close()

    return asyncio.run(run())


def one(flow: Flow) -> Any:
    return flow.ask(question())


async def many(flow: Flow, count: int = 40) -> list[Any]:
    return await asyncio.gather(*(flow.ask(question(i)) for i in range(count)), return_exceptions=True)


def test_an_answer_is_asked_for_once(tmp_path: Path) -> None:
    async def twice(flow: Flow) -> list[Answer]:
        return [await one(flow), await one(flow), *(await asyncio.gather(one(flow), one(flow)))]

    answers, _ = play(tmp_path, script := Script(OK), twice)
    assert {a.raw for a in answers} == {"fine"} and len(script.sent) == 1


def test_the_same_question_in_two_slots_is_sent_once(tmp_path: Path) -> None:
    answers, _ = play(tmp_path, script := Script(OK), lambda flow: asyncio.gather(one(flow), one(flow), one(flow)))
    assert [a.raw for a in answers] == ["fine"] * 3 and len(script.sent) == 1


def test_transport_faults_are_retried(tmp_path: Path) -> None:
    answer, flow = play(tmp_path, script := Script(RETRY, RETRY, OK), one)
    assert answer.raw == "fine" and len(script.sent) == 3 and flow.counts["transport"] == 2


def test_transport_faults_end_after_five_tries(tmp_path: Path) -> None:
    async def ask(flow: Flow) -> str:
        with pytest.raises(Unanswered) as caught:
            await one(flow)
        return caught.value.reason

    reason, flow = play(tmp_path, script := Script(RETRY), ask)
    assert reason == "transport" and len(script.sent) == 5 and flow.stop is None


def test_retry_after_pauses_every_slot_and_counts_as_no_try(tmp_path: Path) -> None:
    waits = [Fault(FaultKind.WAIT, "rate-limit", "slow", 0.3)] * 4
    answers, flow = play(tmp_path, script := Script(*waits, OK), lambda flow: many(flow, 8), tries=1)
    assert [a.raw for a in answers] == ["fine"] * 8
    times = sorted(at for _, at in script.sent)
    assert len(times) == 12 and times[4] - times[3] >= 0.29
    assert flow.slots.limit == 4


def test_a_rate_limit_without_retry_after_halves_the_slots(tmp_path: Path) -> None:
    answer, flow = play(tmp_path, script := Script(RATE, OK), one)
    assert answer.raw == "fine" and len(script.sent) == 2
    assert flow.slots.limit == pytest.approx(2.5)


def test_endless_rate_limiting_ends_the_run_with_everything_open(tmp_path: Path) -> None:
    results, flow = play(tmp_path, Script(RATE), lambda flow: many(flow, 4), patience=0.2)
    assert flow.stop == "rate-limit" and flow.error is None
    assert all(isinstance(r, Stopped) for r in results)
    journal = Journal(tmp_path / "j.sqlite")
    assert {r[0] for r in journal.db.execute("SELECT state FROM asks")} == {"open"}
    journal.close()


def test_an_empty_quota_stops_the_run_with_its_line(tmp_path: Path) -> None:
    quota = Fault(FaultKind.RUN_FAILED, "quota", "no quota left")
    results, flow = play(tmp_path, script := Script(quota), lambda flow: many(flow, 20))
    assert str(flow.error) == "no quota left" and len(script.sent) <= 4
    assert all(isinstance(r, Stopped) for r in results)


def test_twenty_faults_in_a_row_stop_the_run(tmp_path: Path) -> None:
    _, flow = play(tmp_path, script := Script(RETRY), many)
    assert flow.stop == "breaker" and "20 faults in a row" in str(flow.error)
    assert 20 <= len(script.sent) <= 20 + 4


def test_an_answer_between_faults_keeps_the_run_going(tmp_path: Path) -> None:
    script = Script(*[RETRY, RETRY, OK] * 20, OK)
    results, flow = play(tmp_path, script, many)
    assert flow.stop is None and all(isinstance(r, Answer) for r in results)


def test_the_first_ten_rejected_alike_mean_wrong_settings(tmp_path: Path) -> None:
    bad = Fault(FaultKind.ITEM_FAILED, "rejected", "400: unknown field")
    _, flow = play(tmp_path, script := Script(bad), many)
    assert flow.stop == "settings" and "rejected alike: 400: unknown field" in str(flow.error)
    assert len(script.sent) <= 10 + 4


def test_a_single_rejection_fails_only_its_question(tmp_path: Path) -> None:
    bad = Fault(FaultKind.ITEM_FAILED, "rejected", "400: bad picture")
    results, flow = play(tmp_path, Script(OK, bad, OK), lambda flow: many(flow, 20))
    assert sum(isinstance(r, Unanswered) for r in results) == 1 and flow.stop is None


def test_nothing_listening_at_the_start_stops_at_once(tmp_path: Path) -> None:
    _, flow = play(tmp_path, script := Script(AWAY), lambda flow: many(flow, 8))
    assert "nothing listens" in str(flow.error) and len(script.sent) <= 4


def test_a_server_that_goes_away_later_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(flow: Flow) -> Answer:
        await flow.ask(question(1))
        flow._backoff = lambda tries: 0.01  # type: ignore[method-assign]
        return await flow.ask(question(2))

    answer, _ = play(tmp_path, script := Script(OK, AWAY, OK), go)
    assert answer.raw == "fine" and len(script.sent) == 3
    assert script.sent[2][1] - script.sent[1][1] >= 1.9


def test_a_server_that_stays_away_ends_the_run_cleanly(tmp_path: Path) -> None:
    async def go(flow: Flow) -> Any:
        await flow.ask(question(1))
        await asyncio.sleep(0.05)
        return await asyncio.gather(flow.ask(question(2)), return_exceptions=True)

    (result,), flow = play(tmp_path, Script(OK, AWAY), go, reconnect=0.01)
    assert isinstance(result, Stopped) and (flow.stop, flow.error) == ("unreachable", None)


def test_money_in_flight_is_reserved(tmp_path: Path) -> None:
    """Each question may cost $0.01 at most and costs $0.005; four at once must not cross the limit together."""
    costs = Costs(Price(input=0, output=1000))

    async def slow(ask: Ask) -> Answer:
        await asyncio.sleep(0.02)
        return OK

    results, flow = play(tmp_path, script := Script(slow), many, costs, max_cost=0.031)
    assert flow.stop == "budget" and any(isinstance(r, Stopped) for r in results)
    journal = Journal(tmp_path / "j.sqlite")
    assert journal.spent()[0] == pytest.approx(0.005 * len(script.sent)) and journal.spent()[0] <= 0.031
    journal.close()
    assert len(script.sent) == 5


def test_slots_grow_fast_until_the_first_rate_limit_then_slowly() -> None:
    slots = Slots(32)
    for _ in range(8):
        slots.grow()
    assert slots.limit == 16
    slots.halve()
    before = slots.limit
    for _ in range(8):
        slots.grow()
    assert before == 8 and 8.9 < slots.limit < 9.1
    for _ in range(2000):
        slots.grow()
    assert slots.limit == 32


def test_slots_bound_what_is_in_flight(tmp_path: Path) -> None:
    now, most = 0, 0

    async def counted(ask: Ask) -> Answer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return OK

    play(tmp_path, Script(counted), many, slots=3)
    assert most == 3


def test_a_bucket_lets_its_rate_through() -> None:
    async def draw() -> float:
        bucket = Bucket(600)  # ten a second, 60 at once
        begun = time.monotonic()
        for _ in range(63):
            await bucket.draw()
        return time.monotonic() - begun

    assert asyncio.run(draw()) >= 0.29


def test_a_changed_model_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Answer("fine", model="m2")
    _, flow = play(tmp_path, Script(OK, other, OK), lambda flow: many(flow, 6))
    assert flow.counts["model changed"] == 1
