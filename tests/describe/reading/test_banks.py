"""Every phrase of every rule bank is understood."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace

import pytest

from autocompose.describe.reading import parse
from autocompose.describe.rules.bank import BANKS, Bank, Wordings, load_bank

MEANINGS = {
    "up": "up", "down": "down", "left": "left", "right": "right", "front": "forward", "back": "backward",
    "bend": "bend", "fold": "bend", "unbend": "straighten", "straighten": "straighten", "out": "apart", "in": "closer",
    "apart": "apart", "together": "closer", "turn_around": "turn-around", "turn_left": "turn-left",
    "turn_right": "turn-right", "lean_front": "lean-forward", "lean_back": "lean-backward", "lean_left": "lean-left",
    "lean_right": "lean-right", "twist_left": "turn-left", "twist_right": "turn-right", "head_left": "turn-left",
    "head_right": "turn-right", "chin_down": "lean-forward", "chin_up": "lean-backward", "is_folded": "bent",
    "is_square": "right-angle", "is_straight": "straight", "is_near": "near", "is_joined": "near",
    "is_flat": "horizontal", "is_upright": "vertical", "is_floor": "on-floor", "is_shoulder_width": "shoulder-width",
    "is_level": "level", "is_above": "above", "is_below": "below", "is_before": "in-front", "is_behind": "behind",
}  # fmt: skip
ALSO = {"bent": {"bend"}, "straight": {"straighten"}, "straighten": {"straight"}, "bend": {"bent"},
        "near": {"closer"}, "closer": {"near"}, "shoulder-width": {"apart"}, "right-angle": {"bent"},
        "lean-forward": {"forward", "down"}, "lean-backward": {"backward"}, "lean-left": {"left"},
        "lean-right": {"right"}, "turn-left": {"left"}, "turn-right": {"right"}}  # fmt: skip
PAIRED = ("apart", "together", "is_joined", "is_shoulder_width")


def _meaning(category: str) -> str:
    """The action of a category, degrees left out."""
    return next(
        action for name, action in sorted(MEANINGS.items(), key=lambda m: -len(m[0])) if category.startswith(name)
    )


def _part(category: str, determiner: str) -> str:
    if category.startswith(PAIRED):
        return f"{determiner} hands"
    limb = "knee" if category.startswith(("bend", "fold", "unbend", "straighten", "is_")) else "hand"
    limb = "thigh" if category in ("is_flat", "is_upright") else limb
    return f"{determiner} left {limb}"


def sentences(bank: Bank) -> Iterator[tuple[str, str]]:
    """Category and a sentence for every phrase, with every degree word and frame."""
    for category, wordings in bank.wordings.items():
        if bank.many == category.startswith(PAIRED):
            for phrase in (p for group in wordings.groups for p in group):
                yield category, f"{phrase.verb} {phrase.rest(_part(category, bank.determiner))}"
    for category, groups in bank.clauses.items():
        yield from ((category, clause) for group in groups for clause in group)
    for category, groups in bank.states.items():
        if bank.many == category.startswith(PAIRED):
            for state in (s for group in groups for s in group):
                filled = state.replace("{y}", f"{bank.determiner} right elbow")
                x = _part(category, bank.determiner)
                yield from ((category, f.replace("{x}", x).replace("{state}", filled)) for f in bank.frames)


def misunderstood(bank: Bank) -> list[str]:
    """Sentences without the claim that their category means."""
    found = []
    for category, text in sentences(bank):
        action = _meaning(category)
        if not {c.action for c in parse(text)} & ({action} | ALSO.get(action, set())):
            found.append(f"{category}: {text}")
    return found


@pytest.mark.parametrize("name", BANKS)
@pytest.mark.parametrize("many", [False, True])
def test_every_phrase_is_understood(name: str, many: bool) -> None:
    assert misunderstood(load_bank(name, "your", many)) == []


def test_a_phrase_that_is_not_understood_is_found() -> None:
    bank = load_bank("coach", "your", False)
    raising = bank.wordings["up"].groups[0][0]

    def with_only(verb: str) -> Bank:
        one = copy(bank)
        one.wordings, one.clauses, one.states = {"up": Wordings([[replace(raising, verb=verb)]], [])}, {}, {}
        return one

    assert misunderstood(with_only("heave")) == []
    assert misunderstood(with_only("frobnicate")) == ["up: frobnicate your left hand"]
