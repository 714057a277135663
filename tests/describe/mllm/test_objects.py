from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.describe.mllm.judging.objects import NoObjectError, after_reasoning, final_object
from tests.describe.mllm.wild import ANSWER, READ


def found(text: str) -> object:
    try:
        return final_object(text, "movements")[0]
    except NoObjectError:
        return None


WITHOUT_MARK = ("a draft before", "drafts in", "without its", "gpt-oss without", "think inside", "said twice")


@pytest.mark.parametrize("name", [name for name in READ if not any(part in name for part in WITHOUT_MARK)])
def test_a_cut_text_never_gives_the_draft_nor_half_an_answer(name: str) -> None:
    raw, whole = READ[name], found(ANSWER)
    for cut in range(0, len(raw), max(1, len(raw) // 300)):
        value = found(raw[:cut])
        assert value in (None, whole) or not value.get("movements")  # type: ignore[attr-defined]


def test_marks_inside_a_whole_object_are_words() -> None:
    said = json.dumps({"movements": [{"part": "head", "change": "do not </think> about it"}]})
    assert found(said) == json.loads(said)


@given(st.text(alphabet="{}[]\"\\':,/*<>think ab\n", max_size=80))
def test_no_text_whatever_breaks_the_reader(text: str) -> None:
    assert isinstance(after_reasoning(text), str)
    found(text)


MANY = 200_000
LONG = {
    "starts": '{"' * MANY,
    "nested": '{"a":' * MANY,
    "escapes": '{"' + '\\"' * MANY,
    "marks": "<think>" * MANY,
    "half marks": "<think" * MANY,
    "escaped marks": "&lt;think" * MANY,
    "marks with long names": "<" + "a_" * MANY,
    "spaced marks": "< " * MANY,
    "details": "<details reasoning>" * (MANY // 10),
    "half details": "<details reasoning" * (MANY // 10),
    "fences": "```think" * MANY,
    "broken": '{"a"}' * (MANY // 20),
    "space": "{" + " " * MANY,
    "comments": "/*" * MANY,
    "comments inside": '{"a":/*' * MANY,
    "space inside": '{"a":1 ' + " " * MANY + "x}",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_work_grows_with_the_length_only(text: str) -> None:
    assert found(text) is None  # quadratic work would take minutes
