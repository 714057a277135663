"""Spread over wordings against a slow, obvious version."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.core.errors import CorpusError
from autocompose.evaluate.metrics import Ranks
from autocompose.evaluate.robust.measures import Measures, compare_measures, joined
from autocompose.evaluate.robust.wordings import pair_labels, wording_measures

Query = tuple[str, str, str]
QUERIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["up", "raise", "lift"])), max_size=30
)


def slow(queries: list[Query], hits: list[bool]) -> dict[tuple[str, str, int], tuple[float, float, float, float]]:
    """(reference, target, repetition) -> mean, worst, best and deviation; only with two wordings or more."""
    groups: dict[tuple[str, str, int], list[float]] = {}
    for i, (reference, target, text) in enumerate(queries):
        repetition = queries[:i].count((reference, target, text))
        groups.setdefault((reference, target, repetition), []).append(float(hits[i]))
    return {
        key: (statistics.fmean(values), min(values), max(values), statistics.pstdev(values))
        for key, values in groups.items()
        if len(values) > 1
    }


@given(QUERIES, st.data())
def test_the_slow_version(queries: list[Query], data: st.DataObject) -> None:
    ranks = data.draw(st.lists(st.integers(0, 12), min_size=len(queries), max_size=len(queries)))
    clusters = np.array([query[0] for query in queries], dtype=object)
    measures = wording_measures(queries, Ranks(np.array(ranks, np.int64)), clusters)
    for name, places in (("recall_at1", 1), ("recall_at10", 10)):
        expected = slow(queries, [rank < places for rank in ranks])
        if not expected:
            assert measures is None
            continue
        assert measures is not None
        assert measures.clusters.tolist() == [key[0] for key in expected]
        for i, what in enumerate(("mean", "worst", "best", "deviation")):
            assert measures.values[f"{name}_{what}"] == pytest.approx([value[i] for value in expected.values()])


def test_another_seed_is_no_wording() -> None:
    queries = [("a", "b", "up"), ("a", "b", "raise"), ("a", "b", "up"), ("a", "b", "raise")]
    assert pair_labels(queries).tolist() == [0, 0, 1, 1]


def test_no_pair_with_several_wordings() -> None:
    assert wording_measures([("a", "b", "up"), ("b", "a", "up")], Ranks(np.array([0, 0])), np.array([0, 1])) is None


def test_a_value_that_no_unit_has_takes_no_part() -> None:
    nan = float("nan")
    measures = Measures({"some": np.array([1.0, nan, 0.0]), "none": np.full(3, nan)}, np.array([0, 1, 2]))
    summary = measures.summary()
    assert summary["some"] == 50.0
    assert summary["n"] == {"some": 2, "none": 0}
    assert "none" not in summary
    assert "none" not in summary["ci95"]


def test_differences_are_of_units_that_both_runs_have() -> None:
    nan = float("nan")
    clusters = np.arange(4)
    first = Measures({"a": np.array([0.0, nan, 0.5, 1.0]), "b": np.full(4, nan)}, clusters)
    second = Measures({"a": np.array([1.0, 1.0, nan, 1.0]), "b": np.ones(4)}, clusters)
    differences = compare_measures(first, second)
    assert list(differences) == ["a"]
    assert differences["a"].value == pytest.approx(50)  # of the first and the last unit
    with pytest.raises(CorpusError, match="4 and 8 units"):
        compare_measures(first, joined([second, second]))
