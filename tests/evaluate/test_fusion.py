"""Adding two scores."""

from __future__ import annotations

import numpy as np
import pytest

from autocompose.core.errors import CheckpointError, InputError
from autocompose.evaluate.fusion import Weights, fuse


def test_both_scores_are_added() -> None:
    fused = fuse(np.array([0.5, -1]), np.array([-2, 0]), Weights(4, 2))
    assert fused.dtype == np.float32
    np.testing.assert_array_equal(fused, [-2, -4])
    with pytest.raises(InputError, match="must agree"):
        fuse(np.zeros(3), np.zeros(4))


def test_weights_come_from_the_card() -> None:
    assert Weights.of({}) == Weights()
    assert Weights.of({"fusion": {"cosine": 3, "symbolic": 1, "keys": "auto"}}) == Weights(3, 1)
    assert Weights.of({"fusion": Weights(7.5).record()}) == Weights(7.5)
    for wrong in (7, {"cosine": 1}, {"cosine": "1", "symbolic": 1}, {"cosine": -1, "symbolic": 1}):
        with pytest.raises(CheckpointError, match="expected cosine and symbolic"):
            Weights.of({"fusion": wrong})
