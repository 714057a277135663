"""Fitting the weight of the cosine."""

from __future__ import annotations

import numpy as np
import pytest

from autocompose.core.errors import InputError
from autocompose.evaluate.metrics import QueryRows
from autocompose.train.fusion.best_weight import GRID, fit, hits


def _questions(cosine: float, symbolic: float, n: int = 1500) -> tuple[np.ndarray, np.ndarray, QueryRows]:
    """Targets drawn with probabilities in proportion to exp(cosine x + symbolic y)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.1, (n, 40)), -rng.gamma(2, 2, (n, 40))
    logits = cosine * x + symbolic * y
    logits[:, 0] = -np.inf  # the reference
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    groups = tuple(np.unique([*rng.integers(1, 40, 6), t]) for t in targets)
    return x, y, QueryRows(np.zeros(n, np.int64), targets, groups)


@pytest.mark.parametrize("cosine", [0.0, 16.0])
def test_the_weight_that_drew_the_targets_is_found(cosine: float) -> None:
    found = GRID.index(fit(*_questions(cosine, 1)).cosine)
    assert abs(found - GRID.index(cosine)) <= 2  # of 16


def test_the_largest_weight_where_poses_say_nothing() -> None:
    x, y, rows = _questions(60, 0)
    assert fit(x, y, rows).cosine >= 64


def test_kinds_of_text_count_alike() -> None:
    many, few = _questions(20, 0.2, 1200), _questions(0, 1, 300)
    both = [np.concatenate(pair) for pair in zip(many[:2], few[:2], strict=True)]
    assert many[2].groups is not None and few[2].groups is not None
    rows = QueryRows(
        np.zeros(1500, np.int64),
        np.concatenate([many[2].target, few[2].target]),
        many[2].groups + few[2].groups,
    )
    kinds = np.repeat([0, 1], [1200, 300])
    assert fit(*both, rows, kinds).cosine < fit(*both, rows).cosine


def test_hits_by_the_obvious_loop() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(30, 50))
    groups = tuple(np.arange(q, q + 8) for q in range(30))
    rows = QueryRows(np.arange(30), np.arange(30) + rng.integers(1, 8, 30), groups)
    for q, (in_group, in_ten) in enumerate(hits(scores, rows).T):
        order = [i for i in np.argsort(-scores[q]) if i != q]
        assert in_ten == (rows.target[q] in order[:10])
        assert in_group == (next(i for i in order if i in groups[q]) == rows.target[q])


def test_bad_input() -> None:
    x, y, rows = _questions(1, 1, 20)
    with pytest.raises(InputError, match="fusion: cosines"):
        fit(x, y[:, :5], rows)
