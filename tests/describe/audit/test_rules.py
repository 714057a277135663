"""The audit and the rule pipeline know nothing of each other, and yet agree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autocompose.describe.audit import Poses, Verdict, judge_pair
from autocompose.describe.reading import parse
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe_pairs
from autocompose.describe.side_words import swap_sides
from tests.describe.audit.poses import random_joints

N = 80


def _texts(bank: str) -> tuple[Poses, Poses, list[tuple[int, str]]]:
    joints = random_joints(2 * N, 3)
    a, b = joints[:N], joints[N:]
    options = RuleOptions.parse({"rotation": False, "bank": bank})
    texts = describe_pairs(a, b, seed=1, n_texts=2, options=options)
    return Poses(a), Poses(b), [(row, text) for row, wordings in enumerate(texts) for text in wordings]


@pytest.mark.parametrize("bank", ["coach", "human", "independent"])
def test_rule_texts_are_supported_and_swapped_ones_are_not(bank: str) -> None:
    a, b, texts = _texts(bank)
    assert len(texts) > N
    told, swapped = Counter[Verdict](), Counter[Verdict]()
    for row, text in texts:
        told.update(j.verdict for j in judge_pair(parse(text), a.row(row), b.row(row)))
        other = judge_pair(parse(swap_sides(text)), a.row(row), b.row(row))
        swapped.update(j.verdict for j in other if j.claim.sided)
    checked = told.total() - told[Verdict.UNCHECKABLE]
    assert told[Verdict.SUPPORTED] / checked > 0.98
    assert checked / told.total() > 0.98
    assert swapped[Verdict.SUPPORTED] / swapped.total() < 0.6


def test_rule_texts_of_unchanged_poses_are_not_supported() -> None:
    a, b, texts = _texts("coach")
    changes = Counter[Verdict]()
    for row, text in texts:
        still = judge_pair(parse(text), b.row(row), b.row(row))
        changes.update(
            j.verdict
            for j in still
            if j.claim.how == "move" and j.claim.action in ("up", "down", "left", "right", "bend", "forward")
        )
    assert changes.total() > N
    assert changes[Verdict.CONTRADICTED] / changes.total() > 0.9, changes
    assert np.isfinite(a.joints).all()
