"""Exchanging left and right in texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.describe.reading.parse import parse
from autocompose.describe.side_words import swap_sides, without_false_sides

SENTENCES = [
    json.loads(line)["text"]
    for name in ("sentences", "heldout")
    for line in (Path(__file__).parent / "reading" / f"{name}.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("Raise your left hand.", "Raise your right hand."),
        ("LEFT arm up, Right arm down", "RIGHT arm up, Left arm down"),
        ("your left-hand side", "your right-hand side"),
        ("lean leftwards, then rightward", "lean rightwards, then leftward"),
        ("turn clockwise", "turn counterclockwise"),
        ("turn anti-clockwise", "turn clockwise"),
        ("turn counter-clockwise", "turn clockwise"),
        ("put your L hand up", "put your R hand up"),
        ("the leftmost foot", "the rightmost foot"),
        ("left/right", "right/left"),
        ("turn right at the end", "turn left at the end"),
        ("move it to the right then up", "move it to the left then up"),
        ("turn left and right", "turn right and left"),
        ("your right one is too low", "your left one is too low"),
        ("all right hands up", "all left hands up"),
    ],
)
def test_sides_are_exchanged(text: str, swapped: str) -> None:
    assert swap_sides(text) == swapped


@pytest.mark.parametrize(
    "text",
    [
        "bend it to a right angle",
        "both knees at right angles, right-angled",
        "stand upright",
        "all right, now relax",
        "that's right",
        "do it right away",
        "what is left is the smile",
        "nothing left to change",
        "the leftovers are bright",
        "hold the hand right behind your head",
        "your knee right above the ankle",
        "she left the room",
        "with the right posture",
        "copyright",
        "go with your fist right next to your ear",
    ],
)
def test_words_that_are_no_sides_stay(text: str) -> None:
    assert swap_sides(text) == text


@pytest.mark.parametrize("text", SENTENCES)
def test_claims_of_the_swapped_text_are_the_swapped_claims(text: str) -> None:
    swapped = [claim.swapped() for claim in parse(text)]
    assert parse(swap_sides(text)) == swapped
    assert [c.swapped() for c in swapped] == parse(text)


WORDS = st.sampled_from(
    (Path(__file__).parent / "reading" / "swap_words.txt").read_text("utf-8").split(),
)


@given(st.lists(WORDS, max_size=14).map(" ".join))
@settings(max_examples=500, deadline=None)
def test_twice_gives_the_text_back(text: str) -> None:
    assert swap_sides(swap_sides(text)) == text


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_text_survives(text: str) -> None:
    swapped = swap_sides(text)
    assert len(swapped.split()) == len(text.split())
    assert isinstance(parse(text), list)


def test_false_sides_vanish_but_right_angles_stay() -> None:
    assert " ".join(without_false_sides("right away, at a right angle").split()) == "away, at a right angle"
