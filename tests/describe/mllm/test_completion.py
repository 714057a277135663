from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.describe.mllm.sending.completion import NoAnswerError, believed, read_completion
from tests.describe.mllm.wild import ANSWER, COUNTS, NO_ANSWER, SAID


@pytest.mark.parametrize("name", SAID)
def test_the_text_is_found_wherever_a_server_puts_it(name: str) -> None:
    body, raw, finish, refusal = SAID[name]
    answer = read_completion(body, 7)
    assert (answer.raw, answer.finish, answer.refusal) == (raw, finish, refusal)
    answer.raw.encode()


@pytest.mark.parametrize("body", NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_what_holds_no_answer_says_so(body: Any) -> None:
    with pytest.raises(NoAnswerError):
        read_completion(body, 7)


@pytest.mark.parametrize(("usage", "counts"), COUNTS.values(), ids=COUNTS.keys())
def test_only_sensible_counts_are_believed(usage: Any, counts: tuple[int | None, int | None]) -> None:
    prompt, made = (count or guess for count, guess in zip(counts, (7, 8), strict=True))
    assert believed(usage, 7, 8) == (prompt, made, None in counts)


KEYS = ["choices", "message", "content", "tool_calls", "function", "arguments", "usage", "text", "type"]
KEYS += ["prompt_tokens", "completion_tokens", "finish_reason", "reasoning", "error"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_no_completion_whatever_breaks_the_reader(message: Any) -> None:
    for body in (message, {"choices": message}, {"choices": [{"message": message}], "usage": message}):
        try:
            answer = read_completion(body, 7)
        except NoAnswerError:
            continue
        json.dumps(answer.__dict__).encode()
        assert answer.prompt_tokens > 0 and answer.completion_tokens > 0


def test_an_answer_keeps_its_provenance() -> None:
    body = {"choices": [{"message": {"content": ANSWER}}], "model": "m-1", "system_fingerprint": "f"}
    answer = read_completion(body, 7)
    assert (answer.model, answer.fingerprint, answer.estimated) == ("m-1", "f", True)
