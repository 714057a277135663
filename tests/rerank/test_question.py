"""Questions about candidates: shuffling is undone, answers are checked, faults change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autocompose.core.errors import ConfigError
from autocompose.describe.mllm.asking.dialogue import advance
from autocompose.describe.mllm.asks import Answer, Ask, Unanswered
from autocompose.rerank.pictures import Shown, grid
from autocompose.rerank.prompts import BUILT_IN, Prompts, load_prompts
from autocompose.rerank.question import Query, Reply, Verdict, ordered, shuffled, steps_of, verdict
from autocompose.rerank.settings import Recipe, Reranker
from tests.rerank.fakes import reranker

TINY = Image.new("RGB", (8, 8), "white")


def query(count: int = 6, reference: bool = True) -> Query:
    return Query("Raise it.", Shown(TINY) if reference else None, (Shown(TINY),) * count, f"query {count}")


def replied(model: Reranker, asked: Query, *answers: str | Answer | Unanswered) -> tuple[Verdict, list[Ask]]:
    """The verdict when the questions are answered with these, one after the other, and the questions."""
    queue, asks, replies = list(answers), [], []
    for steps in steps_of(asked, model):
        step: Ask | Reply = advance(steps)
        while isinstance(step, Ask):
            asks.append(step)
            reply = queue.pop(0)
            step = advance(steps, Answer(reply) if isinstance(reply, str) else reply)
        replies.append(step)
    assert not queue
    return verdict(asked, model, replies), asks


@given(st.text(max_size=8), st.integers(0, 3), st.integers(2, 20), st.data())
def test_numbers_name_the_candidates_that_are_shown_there(
    name: str, seed: int, count: int, data: st.DataObject
) -> None:
    shown = shuffled(name, seed, count)
    assert sorted(shown) == list(range(count))
    assert shown == shuffled(name, seed, count)
    numbers = data.draw(st.lists(st.integers(1, count), max_size=count))
    order = ordered([shown[n - 1] for n in numbers], count)
    assert sorted(order) == list(range(count))
    named = list(dict.fromkeys(shown[n - 1] for n in numbers))
    assert list(order[: len(named)]) == named
    rest = [place for place in range(count) if place not in named]
    assert list(order[len(named) :]) == rest


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_an_answer_decides_the_order(numbers: list[int]) -> None:
    asked, model = query(), reranker()
    shown = shuffled(asked.name, 0, 6)
    result, asks = replied(model, asked, json.dumps({"best": numbers}))
    assert result == Verdict(ordered([shown[n - 1] for n in numbers], 6))
    assert len(asks) == 1


@pytest.mark.parametrize(
    "answer",
    [
        '```json\n{"best": [2]}\n```',
        '<think>{"best": [5]}</think>{"best": [2]}',
        'Sure: {"best": [2,],}',
        '{"best": ["2"]}',
    ],
)
def test_slips_of_form_do_not_matter(answer: str) -> None:
    asked = query()
    assert replied(reranker(), asked, answer)[0].order[0] == shuffled(asked.name, 0, 6)[1]


@pytest.mark.parametrize(
    ("answers", "why", "line"),
    [
        (['{"best": []}'], "none fits", ""),
        (['{"best": [7]}', '{"best": [0]}', '{"best": [-1]}'], "schema", "-1"),
        (["I can't help with that."] * 2, "refused", "neutral comparison"),
        ([Answer("", refusal="no")] * 2, "refused", "neutral comparison"),
        ([Answer('{"best": [1', "length")] * 2, "length", "was cut off"),
        ([Answer("", "content_filter")] * 2, "filtered", "neutral comparison"),
        (['{"best": "1"}', "1", '{"order": [1]}'], "schema", "could not be used"),
        ([Unanswered("rejected", "too large")], "rejected", ""),
    ],
)
def test_without_a_usable_answer_nothing_changes(answers: list[Any], why: str, line: str) -> None:
    result, asks = replied(reranker(), query(), *answers)
    assert result.order == tuple(range(6))
    assert result.unchanged == why
    assert len(asks) == len(answers)
    assert len({ask.key for ask in asks}) == len(asks)
    assert why in ("none fits", "rejected") or line in asks[-1].text or "7 is not among" in asks[1].text


def test_a_wrong_answer_is_asked_again_with_the_reason() -> None:
    result, asks = replied(reranker(), query(), '{"best": [9]}', '{"best": [3]}')
    assert not result.unchanged
    assert "9 is not among the candidates 1 to 6" in asks[1].text
    longer = replied(reranker(), query(), Answer("{", "length"), '{"best": [3]}')[1]
    assert longer[1].max_tokens == 2 * longer[0].max_tokens


@given(st.text(max_size=60))
def test_no_answer_breaks_it(text: str) -> None:
    asked, model = query(), reranker()
    (steps,) = steps_of(asked, model)
    step: Ask | Reply = advance(steps)
    while isinstance(step, Ask):
        step = advance(steps, Answer(text))
    assert sorted(verdict(asked, model, [step]).order) == list(range(6))


def test_single_answers_sort_and_those_without_keep_their_place() -> None:
    model, asked = reranker(way="single"), query(5)
    answers = [
        '{"fulfils": "no", "sure": 10}', Unanswered("rejected", "x"), '{"fulfils": "yes", "sure": 60}',
        '{"fulfils": "yes", "sure": 90}', '{"fulfils": "no", "sure": 95}',
    ]  # fmt: skip
    result, asks = replied(model, asked, *answers)
    assert result.order == (3, 1, 2, 0, 4)
    assert result.failed == ("rejected",)
    assert not result.unchanged
    assert len(asks) == 5
    nothing = replied(model, asked, *[Unanswered("rejected", "x")] * 5)[0]
    assert nothing == Verdict((0, 1, 2, 3, 4), "rejected", ("rejected",) * 5)


def test_equal_scores_stay_in_order_and_impossible_ones_are_asked_again() -> None:
    model = reranker(way="single")
    assert replied(model, query(3), *['{"fulfils": "yes", "sure": 50}'] * 3)[0].order == (0, 1, 2)
    wrong, right = '{"fulfils": "maybe", "sure": 50}', '{"fulfils": "no", "sure": 50}'
    result, asks = replied(
        model, query(2), wrong, right, '{"fulfils": "yes", "sure": 150}', '{"fulfils": "yes", "sure": 1}'
    )
    assert result.order == (1, 0)
    assert "expected 0 to 100" in asks[3].text


def test_the_picture_of_a_grid() -> None:
    colours = ["red", "lime", "blue", "cyan", "magenta", "yellow", "navy"]
    picture = grid([Image.new("RGB", (40, 40), colour) for colour in colours], 40)
    assert picture.size == (5 * 48 - 8, 2 * (16 + 48) - 8)
    assert [picture.getpixel((n % 5 * 48 + 20, n // 5 * 64 + 36)) for n in range(7)] == [
        Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours
    ]
    dark = picture.crop((0, 0, 40, 16)).convert("L").getextrema()
    assert dark[0] < 64  # a number stands there


def test_a_query_without_reference_shows_none() -> None:
    (ask,) = replied(reranker(), query(reference=False), '{"best": []}')[1]
    assert len(ask.pictures) == 1
    assert "Limbs are tinted" not in ask.text
    assert replied(reranker(seed=1), query(), '{"best": []}')[1][0].text.startswith("Reference:")


def test_prompts_are_versioned(tmp_path: Path) -> None:
    for path in (BUILT_IN / "v1").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copy = load_prompts(str(tmp_path))
    assert copy.hash == load_prompts("v1").hash
    (tmp_path / "grid.md").write_text("Choose.")
    assert Prompts(tmp_path).hash != copy.hash
    (tmp_path / "user.toml").write_text("[user]\n")
    with pytest.raises(ConfigError, match=r"user.toml: \[user\] grid is missing"):
        replied(reranker(prompts=str(tmp_path)), query())
    (tmp_path / "single.md").unlink()
    with pytest.raises(ConfigError, match=r"single.md is missing"):
        load_prompts(str(tmp_path))
    with pytest.raises(ConfigError, match="built-in prompt sets: v1"):
        load_prompts("v0")


def test_settings_survive_the_way_to_another_process() -> None:
    made = reranker(way="single", top=7, prices=None)
    assert Reranker.of(json.loads(json.dumps(made.record()))) == made
    with pytest.raises(ConfigError, match="top"):
        Recipe.parse({"model": "m", "top": 21}, "test")


def test_an_estimate_counts_requests_and_pictures() -> None:
    grids, singles = (reranker(way=way, size=512).estimate([10, 10]) for way in ("grid", "single"))
    assert (grids.requests, singles.requests) == (2, 20)
    assert 2 * 11 * 600 <= grids.prompt_tokens < singles.prompt_tokens
    assert grids.dollars == 0  # on this machine
