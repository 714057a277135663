"""The weight of a sum, fitted: the slow way gives the same; and vectors that are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import StorageError
from autocompose.evaluate.embedding import WEIGHTS, fit_text_weight
from autocompose.evaluate.metrics import QueryRows
from autocompose.model.embedders.vector_cache import VectorCache


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.75, 1.0])
def test_the_weight_that_made_the_targets_is_found(truth: float) -> None:
    rng = np.random.default_rng(1)
    references, texts = rng.normal(size=(2, 60, 24))
    length = np.linalg.norm(references, axis=1, keepdims=True), np.linalg.norm(texts, axis=1, keepdims=True)
    targets = (1 - truth) * references / length[0] + truth * texts / length[1] + rng.normal(size=(60, 24)) * 0.3
    every = np.arange(60)
    gallery = np.concatenate([references, targets]).astype(np.float32)
    found = fit_text_weight(gallery, texts.astype(np.float32), QueryRows(every, every + 60, None))
    assert found == pytest.approx(_slow(gallery, texts, every)) and abs(found - truth) <= 0.3


def _slow(gallery: np.ndarray, texts: np.ndarray, every: np.ndarray) -> float:
    """Rank by rank, without the product's ranking."""
    best: tuple[tuple[float, ...], float] = ((-1.0,), 0.0)
    pictures = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    for weight in WEIGHTS:
        ranks = []
        for i in every:
            query = (1 - weight) * pictures[i] + weight * texts[i] / np.linalg.norm(texts[i])
            scores = pictures @ query
            scores[i] = -np.inf
            ranks.append(int((scores > scores[i + 60]).sum()))
        quality = (float(np.mean(np.array(ranks) == 0)), -float(np.median(ranks)), -abs(weight - 0.5))
        best = max(best, (quality, weight))
    return best[1]


def test_vectors_are_kept_exactly(tmp_path: Path) -> None:
    cache, rng = VectorCache(tmp_path / "deep/er/v.sqlite"), np.random.default_rng(0)
    vectors = {f"k{i}": rng.normal(size=5).astype(np.float32) for i in range(1200)}
    assert cache.get(["k0"]) == {} and cache.fact("x") == "" and not cache.path.exists()
    cache.put(vectors)
    found = VectorCache(cache.path).get([*vectors, "other"])
    assert found.keys() == vectors.keys() and all(np.array_equal(found[key], vectors[key]) for key in vectors)
    cache.remember("x", "1")
    cache.remember("x", "2")
    assert cache.fact("x") == "2"


def test_a_file_that_is_none_of_ours_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "v.sqlite").write_bytes(b"something else entirely, of no database" * 30)
    for call in (lambda c: c.get(["a"]), lambda c: c.put({"a": np.ones(2)}), lambda c: c.fact("a")):
        with pytest.raises(StorageError, match=r"v\.sqlite: vectors cannot be kept there"):
            call(VectorCache(tmp_path / "v.sqlite"))
