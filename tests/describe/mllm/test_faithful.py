"""Faithful and unfaithful wordings of lists of movements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autocompose.describe.mllm.judging.faithful import named, unfaithful

HERE = Path(__file__).parent
L_ARM, R_ARM, L_LEG = ("left", "arm"), ("right", "arm"), ("left", "leg")


def _verdicts(name: str) -> list[tuple[dict[str, Any], str | None]]:
    records = [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]
    return [(r, unfaithful(r["wording"], [tuple(m) for m in r["movements"]])) for r in records]


def test_a_real_models_wordings_are_accepted() -> None:
    """34 wordings that the check of version 1 refused; at least 32 of them keep their list."""
    refused = [record["wording"] for record, wrong in _verdicts("rejected_wordings.jsonl") if wrong]
    assert len(refused) <= 2, refused


def test_planted_unfaithful_wordings_are_refused() -> None:
    """A dropped or added part, an exchanged side, a reversed direction."""
    verdicts = _verdicts("planted_wordings.jsonl")
    assert len(verdicts) >= 120
    assert {record["kind"] for record, _ in verdicts} == {
        "dropped part", "added part", "exchanged side", "reversed direction",
    }  # fmt: skip
    accepted = [record["wording"] for record, wrong in verdicts if not wrong]
    assert len(accepted) <= 3, accepted


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Raise the left arm and drop the right one.", None),
        ("Raise your left arm, right in front of you, and lower the right.", None),
        ("Raise your left arm.", "the right arm is missing"),
        ("Raise your right arm and lower the left.", "the left arm: down contradicts the list"),
    ],
)
def test_ellipsis(text: str, wrong: str | None) -> None:
    assert unfaithful(text, [("left arm", "raise it"), ("right arm", "lower it")]) == wrong


def test_parts_implied_by_others() -> None:
    moves = [("left leg", "bring it in and set the foot next to the right one")]
    assert unfaithful("Feet next to each other: bring the left leg in.", moves) is None
    assert unfaithful("Lift both feet.", moves) == "the right leg is not in the list"


def test_sides_left_out() -> None:
    assert named("raise the left arm, then the right one").left_out == {R_ARM}
    assert named("no bend left in it").limbs == set()
    assert named("bend the left knee and arm").limbs == {L_LEG}
