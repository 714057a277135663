"""One score from two: the model's cosine and the symbolic search's, added with weights that belong to the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autocompose.core.errors import CheckpointError, InputError

CARD_KEY = "fusion"  # of a model's card


@dataclass(frozen=True)
class Weights:
    """The weights of the two scores. ``runs/fusion.sh`` fits them to a model (docs/symbolic.md).

    By default the symbolic score leads: cosines of a gallery differ by a few tenths, so that 10 times as much decides
    between poses that fulfil a text about equally well, whatever the model has learned about texts.

    :param cosine: of the model's cosine; ``symbolic``: of the symbolic score, which is at most 0.
    """

    cosine: float = 10.0
    symbolic: float = 1.0

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Weights:
        """The weights that a model's card states under ``fusion``, or the default.

        :raises CheckpointError: they are not two finite numbers from 0.
        """
        stated = card.get(CARD_KEY)
        if stated is None:
            return cls()
        values = [stated.get(key) for key in ("cosine", "symbolic")] if isinstance(stated, Mapping) else []
        if len(values) != 2 or not all(_weight(value) for value in values):
            raise CheckpointError(
                f"model.json: card.{CARD_KEY} = {stated!r}: expected cosine and symbolic, two numbers from 0"
            )
        return cls(*(float(value or 0) for value in values))

    def record(self) -> dict[str, float]:
        """For the card."""
        return asdict(self)


def _weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def fuse(cosines: np.ndarray, symbolic_scores: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Both scores of the same candidates -> one.

    :param cosines, symbolic_scores: equal shapes, such as ``(N,)``; higher is better.
    :return: that shape, float32, higher is better.
    :raises InputError: the shapes differ.
    """
    cosines, symbolic_scores = np.asarray(cosines), np.asarray(symbolic_scores)
    if cosines.shape != symbolic_scores.shape:
        raise InputError(f"fuse: cosines {cosines.shape} and symbolic scores {symbolic_scores.shape} must agree")
    weights = weights or Weights()
    return (weights.cosine * cosines + weights.symbolic * symbolic_scores).astype(np.float32)
