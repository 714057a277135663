"""Pictures, texts and compositions of a corpus through any embedder, each once: what is known is read from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from autocompose.core.errors import InputError
from autocompose.core.files import value_hash
from autocompose.core.fingerprint import remembered
from autocompose.core.log import track
from autocompose.evaluate.metrics import QueryRows, rank_rows
from autocompose.model.embedders.embedder import BALANCED, Embedder, RefusedInputsError, weighted_sum
from autocompose.model.embedders.vector_cache import VectorCache

WEIGHTS = [step / 20 for step in range(21)]
CHUNK = 64  # inputs that a killed run may have to embed again


class CorpusEmbedding:
    """Features of one embedder on one corpus.

    :param folder: where the vectors are kept, with the consent to send pictures; None keeps nothing.
    """

    def __init__(self, embedder: Embedder, folder: Path | None) -> None:
        self.embedder, self.folder = embedder, folder
        self._cache = VectorCache(folder / f"vectors-{embedder.fingerprint}.sqlite") if folder else None
        if self._cache and embedder.destination:
            if embedder.consent:
                self._cache.remember("destination", embedder.destination)
            embedder.consent = self._cache.fact("destination") == embedder.destination

    def pictures(self, paths: Sequence[Path]) -> np.ndarray:
        """``(N, D)`` un-normalised features of picture files.

        :raises ImageError: one cannot be opened; InputError: the model has no features for it.
        """
        keys = [value_hash(["picture", content]) for content in self._contents(paths)]
        return self._each(keys, lambda rows: self.embedder.embed_images([paths[i] for i in rows]), paths)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised features of texts."""
        keys = [value_hash(["text", text, self.embedder.query_settings]) for text in texts]
        return self._each(keys, lambda rows: self.embedder.embed_texts([texts[i] for i in rows]), texts)

    def together(self, paths: Sequence[Path], texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised: each picture composed with its text by the model itself."""
        settings, contents = self.embedder.query_settings, self._contents(paths)
        pairs = zip(contents, texts, strict=True)
        keys = [value_hash(["composition", content, text, settings]) for content, text in pairs]

        def compose(rows: Sequence[int]) -> np.ndarray:
            return self.embedder.compose_pictures([paths[i] for i in rows], [texts[i] for i in rows])

        return self._each(keys, compose, paths)

    def _contents(self, paths: Sequence[Path]) -> list[str]:
        return remembered(paths, self.folder) if self.folder else [str(path) for path in paths]

    def _each(
        self, keys: list[str], make: Callable[[Sequence[int]], np.ndarray], names: Sequence[object]
    ) -> np.ndarray:
        """The vector of each key, made in chunks and kept as they come."""
        known = self._cache.get(dict.fromkeys(keys)) if self._cache else {}
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            if key not in known:
                first.setdefault(key, row)
        rows = list(first.values())
        for start in track(range(0, len(rows), CHUNK), "embedding"):
            part = rows[start : start + CHUNK]
            try:
                vectors = make(part)
            except RefusedInputsError as error:
                row, why = next(iter(error.reasons.items()))
                raise InputError(f"{names[part[row]]}: refused by {self.embedder.name} ({why}); leave it out") from None
            made = {keys[row]: vector for row, vector in zip(part, vectors, strict=True)}
            if self._cache:
                self._cache.put(made)
            known |= made
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, self.embedder.dim), np.float32)


def fit_text_weight(gallery: np.ndarray, texts: np.ndarray, rows: QueryRows) -> float:
    """The weight of the text with the highest group recall@1 (without groups recall@1) of a weighted sum.

    Of equals, that with the lower median rank, then that nearer to one half.

    :param gallery: ``(N, D)`` features of pictures. :param texts: ``(Q, D)`` those of the queries' texts.
    """

    def quality(weight: float) -> tuple[float, float, float]:
        metrics = rank_rows(weighted_sum(gallery[rows.reference], texts, weight), gallery, rows).metrics()
        return metrics.get("group_recall_at1", metrics["recall_at1"]), -metrics["median_rank"], -abs(weight - BALANCED)

    return max(WEIGHTS, key=quality)
