"""Baselines that a model must beat: one input alone, no learning, chance; and the ceiling with perfect poses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from autocompose.core.records import Question
from autocompose.evaluate.metrics import GROUP_RECALL_AT, RECALL_AT, QueryRows, Ranks, rank_scores
from autocompose.model.model import Model
from autocompose.train.loop import Metrics, run
from autocompose.train.runs import Encoded


class OneInput(nn.Module):
    """A composer that sees only one of its inputs; the other is replaced by its training mean.

    :param composer: (image features, text features) -> normalised prediction.
    :param image, text: ``(D,)`` mean that stands in for that input; give exactly one.
    """

    image: Tensor | None
    text: Tensor | None

    def __init__(self, composer: nn.Module, image: Tensor | None = None, text: Tensor | None = None) -> None:
        super().__init__()
        assert (image is None) != (text is None), "replace exactly one input"
        self.composer = composer
        self.register_buffer("image", image)
        self.register_buffer("text", text)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """Normalised prediction ``(B, D)``."""
        images = image_features if self.image is None else self.image.expand_as(image_features)
        texts = text_features if self.text is None else self.text.expand_as(text_features)
        return self.composer(images, texts)


def train_one_input(kept: str, encoded: Encoded, composer: nn.Module, model: Model, folder: Path) -> Model:
    """Train a composer on one input, with the budget of the full one.

    :param kept: ``image`` or ``text``: the input that it sees.
    :param model: whose encoder ``encoded`` comes from.
    :return: that encoder with the trained composer.
    """
    if kept == "image":
        alone = OneInput(composer, text=encoded.texts.nanmean(0))
    else:
        alone = OneInput(composer, image=encoded.images.plain.mean(0))
    baseline = Model(model.encoder, alone)  # type: ignore[arg-type]

    def validate() -> Metrics:
        return encoded.metrics(baseline)

    run(encoded.stage(alone), encoded.settings.loop, folder / kept, validate, "baseline")
    alone.eval()
    return baseline


def chance(queries: Sequence[Question], n_gallery: int) -> dict[str, float]:
    """Expected recalls, in percent, of a random ranking (the reference removed)."""
    recalls = {f"recall_at{k}": 100 * min(1.0, k / (n_gallery - 1)) for k in RECALL_AT}
    sizes = np.array([len(set(q.group) - {q.reference}) for q in queries])
    recalls |= {f"group_recall_at{k}": 100 * float(np.minimum(1, k / sizes).mean()) for k in GROUP_RECALL_AT}
    return {**recalls, "median_rank": n_gallery / 2}


def symbolic_ranks(queries: Sequence[Question], joints: np.ndarray, rows: QueryRows) -> Ranks:
    """Parse each text and look for the claimed change in the true poses ``joints`` (N, 22, 3) of the gallery."""
    from autocompose.describe.audit.measure import Poses
    from autocompose.evaluate.symbolic import rank_all

    return rank_scores(rank_all([q.text for q in queries], rows.reference.tolist(), Poses(joints)), rows)


def ceiling_ranks(joints: np.ndarray, rows: QueryRows) -> Ranks:
    """Compare the pair codes of reference and candidate with those of reference and target, on true poses."""
    from autocompose.bodies.points import normal_points
    from autocompose.describe.rules.codes.pair_codes import pair_levels, pair_measures, pair_values
    from autocompose.evaluate.symbolic import ceiling

    measures = pair_measures(normal_points(joints))
    codes = {int(r): pair_levels(pair_values(measures[:, [r]], measures)).T for r in np.unique(rows.reference)}
    scores = [ceiling(codes[int(r)], codes[int(r)][t]) for r, t in zip(rows.reference, rows.target, strict=True)]
    return rank_scores(np.stack(scores), rows)


def summary(ranks: Ranks, clusters: np.ndarray) -> dict[str, Any]:
    """Metrics with intervals; JSON-able."""
    return {**ranks.metrics(), "ci95": ranks.ci95(clusters), "n_queries": len(ranks.gallery)}
