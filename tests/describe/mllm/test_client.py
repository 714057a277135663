"""Every fault of the SDK table, one test each, against a raw-socket server on loopback."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate

import pytest

from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind, Picture, SchemaMode
from autocompose.describe.mllm.recipe import Endpoint
from autocompose.describe.mllm.sending.client import Client, retry_after
from tests.describe.mllm.raw_server import RawServer, Reply, completion, drip, error, hang, reply, reset

KEY = "sk-secret-0123456789"
ASK = Ask("parts", "system", ("look", Picture(b"bytes", "image/jpeg")), {"type": "object"}, "fake", 50, 0.5)
GOOD = reply(completion("{}"))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def send(*replies: Reply, deadline: float = 10, ask: Ask = ASK) -> Answer:
    with RawServer(*replies) as server:
        return _send(server.url, deadline, ask)


def _send(url: str, deadline: float = 10, ask: Ask = ASK, dialect: Dialect | None = None) -> Answer:
    async def run() -> Answer:
        async with Client(Endpoint(base_url=url), 4, deadline) as client:
            return await client(ask, dialect or Dialect())

    return asyncio.run(run())


def fault(*replies: Reply, deadline: float = 10) -> Fault:
    with pytest.raises(Fault) as caught:
        send(*replies, deadline=deadline)
    assert KEY not in str(caught.value)
    return caught.value


def test_an_answer_comes_back_untouched() -> None:
    answer = send(reply(completion('{"a": 1}')))
    assert (answer.raw, answer.finish, answer.prompt_tokens, answer.completion_tokens) == ('{"a": 1}', "stop", 100, 20)
    assert answer.model == "fake-1" and not answer.estimated


def test_the_request_holds_pictures_schema_and_limits() -> None:
    with RawServer(GOOD) as server:
        _send(server.url)
    body = server.bodies[0]
    assert body["messages"][1]["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,Ynl0ZXM="
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "parts", "schema": {"type": "object"}},
    }
    assert (body["max_tokens"], body["temperature"]) == (50, 0.5)


def test_the_dialect_changes_the_request() -> None:
    with RawServer(GOOD) as server:
        _send(server.url, dialect=Dialect(SchemaMode.PLAIN, "max_completion_tokens", temperature=False))
    assert "response_format" not in server.bodies[0] and "temperature" not in server.bodies[0]
    assert server.bodies[0]["max_completion_tokens"] == 50 and "max_tokens" not in server.bodies[0]


def test_429_with_retry_after_waits_that_long() -> None:
    found = fault(error(429, "slow down", headers={"Retry-After": "7"}))
    assert (found.kind, found.after) == (FaultKind.WAIT, 7.0)


def test_429_without_retry_after_waits() -> None:
    found = fault(error(429, "slow down"))
    assert (found.kind, found.after) == (FaultKind.WAIT, None)


def test_503_with_retry_after_waits() -> None:
    assert fault(error(503, "busy", headers={"Retry-After": "2"})).kind is FaultKind.WAIT


def test_an_exhausted_quota_stops_the_run() -> None:
    found = fault(error(429, "You exceeded your current quota", "insufficient_quota"))
    assert (found.kind, found.reason) == (FaultKind.RUN_FAILED, "quota")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_run_and_is_not_shown(status: int) -> None:
    found = fault(error(status, f"Incorrect API key provided: {KEY}"))
    assert (found.kind, found.reason) == (FaultKind.RUN_FAILED, "key")
    assert "OPENAI_API_KEY" in found.message and "***" in found.message


def test_an_unknown_model_stops_the_run() -> None:
    assert fault(error(404, "model fake not found")).reason == "model"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_rejected_request_fails_its_pair(status: int) -> None:
    found = fault(error(status, "bad picture"))
    assert (found.kind, found.reason) == (FaultKind.ITEM_FAILED, "rejected")
    assert "bad picture" in found.message


def test_one_picture_only_is_known_by_its_words() -> None:
    found = fault(error(400, "At most 1 image(s) may be provided in one request."))
    assert found.kind is FaultKind.RUN_FAILED and "side-by-side" in found.message


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_server_errors_are_retried(status: int) -> None:
    assert fault(error(status, "oops")).kind is FaultKind.RETRY


def test_an_html_error_page_is_retried_and_shown_without_markup() -> None:
    found = fault(reply(b"<html><h1>Bad gateway</h1></html>", 502, kind="text/html"))
    assert found.kind is FaultKind.RETRY and "<h1>" not in found.message


def test_an_html_page_with_200_is_a_transport_fault() -> None:
    found = fault(reply(b"<html><h1>Login</h1></html>", 200, kind="text/html"))
    assert (found.kind, found.reason) == (FaultKind.RETRY, "transport") and "Login" in found.message


@pytest.mark.parametrize("body", [b"", b'{"choices": [{"mess'])
def test_a_cut_or_empty_body_of_the_right_length_is_a_transport_fault(body: bytes) -> None:
    assert fault(reply(body)).kind is FaultKind.RETRY


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "overloaded"}},
        {"id": "x", "choices": None},
        {"id": "x", "choices": []},
        [{"error": {"code": 500, "message": "as a list"}}],
    ],
)
def test_200_without_an_answer_is_a_transport_fault(body: object) -> None:
    assert fault(reply(body)).kind is FaultKind.RETRY


def test_missing_usage_is_estimated_and_marked() -> None:
    answer = send(reply(completion('{"a": 1}', usage=False)))
    assert answer.estimated and answer.prompt_tokens > 0 and answer.completion_tokens > 0


def test_parts_reasoning_and_nonsense_counts_come_through_the_sdk() -> None:
    parts = [{"type": "thinking", "thinking": "{}"}, {"type": "text", "text": '{"a": 1}'}]
    body = completion(parts, reasoning_content="{}") | {"usage": {"prompt_tokens": -7, "completion_tokens": None}}
    answer = send(reply(b"\xef\xbb\xbf" + json.dumps(body).encode()))
    assert answer.raw == '{"a": 1}' and answer.estimated
    assert answer.prompt_tokens > 800 and answer.completion_tokens > 0  # the picture is counted


def test_a_refusal_is_an_answer() -> None:
    answer = send(reply(completion(None, refusal="I can't help with that.")))
    assert (answer.raw, answer.refusal) == ("", "I can't help with that.")


def test_a_content_filter_is_an_answer() -> None:
    assert send(reply(completion("", finish="content_filter"))).finish == "content_filter"


def test_a_body_shorter_than_announced_is_retried() -> None:
    assert fault(GOOD[:-10]).kind is FaultKind.RETRY


def test_a_reset_is_retried() -> None:
    assert fault(reset).kind is FaultKind.RETRY


def test_a_hang_ends_at_the_deadline() -> None:
    found = fault(hang(5), deadline=0.3)
    assert (found.kind, found.reason) == (FaultKind.RETRY, "timeout")


def test_a_slow_drip_ends_at_the_total_deadline() -> None:
    found = fault(drip(GOOD, 0.02), deadline=0.5)
    assert (found.kind, found.reason) == (FaultKind.RETRY, "timeout")


def test_nothing_listening_is_said() -> None:
    with RawServer(GOOD) as server:
        url = server.url
    with pytest.raises(Fault) as caught:
        _send(url)
    assert (caught.value.kind, caught.value.reason) == (FaultKind.WAIT, "unreachable")
    assert url in caught.value.message


def test_a_wrong_content_type_does_not_matter_when_the_body_is_an_answer() -> None:
    assert send(reply(json.dumps(completion("{}")).encode(), kind="text/plain")).raw == "{}"


def test_retry_after_reads_numbers_dates_and_nonsense() -> None:
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after-ms": "250"}) == 0.25
    assert 58 < (retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)}) or 0) <= 60
    assert retry_after({"retry-after": formatdate(time.time() - 60, usegmt=True)}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
