"""Answers of embeddings endpoints: what is right is read exactly, whatever else comes is one error."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.model.embedders.endpoint.vectors import BadVectorsError, read_tokens, read_vectors

ROWS = np.array([[1.5, -2, 0.25], [0, 0, 1e-3]], np.float32)


def packed(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


def answer(*rows: Any) -> dict[str, Any]:
    return {"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]}


def test_numbers_and_base64_in_any_order_are_read() -> None:
    given_rows = answer(ROWS[0].tolist(), packed(ROWS[1]))
    np.testing.assert_array_equal(read_vectors(given_rows, 2), ROWS)
    given_rows["data"].reverse()
    np.testing.assert_array_equal(read_vectors(given_rows, 2), ROWS)
    for entry in given_rows["data"]:
        del entry["index"]
    np.testing.assert_array_equal(read_vectors(given_rows, 2), ROWS[::-1])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "no list of vectors"),
        ({"error": {"message": "too long"}}, "too long"),
        (answer(ROWS[0].tolist()), "1 vectors for 2 inputs"),
        (answer(*ROWS.tolist(), [1, 2, 3]), "3 vectors for 2 inputs"),
        (answer([1, 2], [1, 2, 3]), r"different lengths: \[2, 3\]"),
        (answer([1, 2, float("nan")], [1, 2, 3]), "not finite"),
        (answer([1, 2, 3], packed(np.array([np.inf, 1, 2]))), "not finite"),
        (answer([0, 0, 0], [1, 2, 3]), "zero vector"),
        (answer([], [1, 2, 3]), "not one vector"),
        (answer([[1, 2], [3, 4]], [1, 2, 3]), "not one vector"),
        (answer("???", [1, 2, 3]), "neither a list of numbers nor base64"),
        (answer("AAAA", [1, 2, 3]), "neither a list of numbers nor base64"),
        (answer({"a": 1}, [1, 2, 3]), "neither a list of numbers nor base64"),
        ({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}, "has the index 0"),
        ({"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [2]}]}, "has the index 2"),
        ({"data": [{"index": 0, "embedding": [1]}, {"index": True, "embedding": [2]}]}, "has the index True"),
        ({"data": [{"index": 0, "embedding": [1]}, 7]}, "has the index None"),
    ],
)
def test_what_is_wrong_says_why(wrong: Any, why: str) -> None:
    with pytest.raises(BadVectorsError, match=why):
        read_vectors(wrong, 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries({}, optional={"index": JSON, "embedding": JSON | st.lists(st.floats(), max_size=4)})


@settings(max_examples=60)
@given(st.fixed_dictionaries({"data": st.lists(ENTRY | JSON, max_size=3), "usage": JSON}) | JSON, st.integers(0, 3))
def test_whatever_comes_is_read_or_refused(value: Any, count: int) -> None:
    assert read_tokens(value) >= 0
    try:
        found = read_vectors(value, count)
    except BadVectorsError:
        return
    assert found.shape[0] == count and np.isfinite(found).all() and found.dtype == np.float32


def test_tokens_are_believed_when_they_can_be() -> None:
    assert read_tokens({"usage": {"prompt_tokens": 12}}) == 12
    for nonsense in (None, [], {"usage": 3}, {"usage": {"prompt_tokens": -1}}, {"usage": {"prompt_tokens": True}}):
        assert read_tokens(nonsense) == 0
