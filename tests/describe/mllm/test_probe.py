from __future__ import annotations

import json
from typing import Any

import pytest

from autocompose.core.errors import AnnotationError
from autocompose.describe.mllm.asking.dialogue import advance
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, SchemaMode, Unanswered
from autocompose.describe.mllm.sending.probe import probe


def found(server: Any) -> Dialect:
    steps = probe("m", 0.7)
    step = advance(steps)
    while not isinstance(step, Dialect):
        ask, dialect = step
        try:
            reply = server(ask, ask.body(dialect))
        except Unanswered as refused:
            reply = refused
        step = advance(steps, reply)
    return step


def word(ask: Ask) -> str:
    return json.dumps({"word": ask.schema["properties"]["word"]["enum"][0]})


def refuse(words: str) -> Unanswered:
    return Unanswered("rejected", f"400: {words}")


def test_a_server_that_returns_the_secret_word_enforces_schemas() -> None:
    assert found(lambda ask, body: Answer(word(ask))) == Dialect(SchemaMode.ENFORCED)


def test_a_word_after_reasoning_counts() -> None:
    assert found(lambda ask, body: Answer(f"<think>A word.</think>{word(ask)}")).schema is SchemaMode.ENFORCED


def test_the_word_stands_nowhere_in_the_prompt() -> None:
    def look(ask: Ask, body: dict) -> Answer:
        secret = ask.schema["properties"]["word"]["enum"][0]
        assert secret not in json.dumps(body["messages"])
        return Answer(word(ask))

    found(look)


@pytest.mark.parametrize("raw", ["hello", '{"word": "tree"}', ""])
def test_another_word_means_the_schema_was_ignored(raw: str) -> None:
    assert found(lambda ask, body: Answer(raw)).schema is SchemaMode.IGNORED


def test_a_refused_schema_leads_down_the_ladder() -> None:
    def no_schema(ask: Ask, body: dict) -> Answer:
        if body.get("response_format", {}).get("type") == "json_schema":
            raise refuse("response_format not supported")
        return Answer("{}")

    def no_format(ask: Ask, body: dict) -> Answer:
        if "response_format" in body:
            raise refuse("response_format not supported")
        return Answer("{}")

    assert found(no_schema).schema is SchemaMode.OBJECT
    assert found(no_format).schema is SchemaMode.PLAIN


def test_newer_names_and_fixed_temperatures_are_found_out() -> None:
    def picky(ask: Ask, body: dict) -> Answer:
        if "max_tokens" in body:
            raise refuse("Unsupported parameter: use 'max_completion_tokens' instead")
        if "temperature" in body:
            raise refuse("Unsupported value: 'temperature' does not support 0.7")
        return Answer(word(ask))

    assert found(picky) == Dialect(SchemaMode.ENFORCED, "max_completion_tokens", temperature=False)


def test_a_server_that_refuses_everything_is_given_up() -> None:
    def never(ask: Ask, body: dict) -> Answer:
        raise refuse("no")

    with pytest.raises(AnnotationError, match="refuses even a plain question"):
        found(never)
