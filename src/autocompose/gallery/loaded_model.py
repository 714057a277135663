"""Adapter: a loaded model as a gallery uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from autocompose.core.errors import InputError
from autocompose.gallery.embedder import Embedder, TextCache, open_embedder

if TYPE_CHECKING:
    from autocompose.model.embed import Picture
    from autocompose.model.model import Model


class LoadedModel:
    """A gallery's interface to a model in memory.

    :param model: what ``autocompose.load`` or training gives.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.fingerprint, self.folder = model, model.fingerprint, model.folder
        self.card: Mapping[str, Any] = model.card
        self.name = str(model.folder.resolve()) if model.folder else ""
        self._texts = TextCache(model.encode_texts)

    def __reduce__(self) -> tuple[type[LoadedModel], tuple[Any]]:
        """Another process gets the weights."""
        return LoadedModel, (self.model,)

    def embed_images(self, images: Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised features of pictures."""
        return self.model.encode_images(images)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised features of texts; each is computed once."""
        return self._texts(texts)

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised predictions from un-normalised features ``(N, D)`` of pictures and N texts."""
        return self.model.compose_features(images, self._texts(texts))


def as_embedder(model: Embedder | Model | str | Path) -> Embedder:
    """A model, or the name of one, as a gallery uses it.

    :raises CheckpointError: there is no model of that name; InputError: not a model.
    """
    if isinstance(model, (str, Path)):
        return open_embedder(model)
    if hasattr(model, "compose_features"):
        return LoadedModel(cast("Model", model))
    if hasattr(model, "embed_images"):
        return cast(Embedder, model)
    raise InputError(f"model: a {type(model).__name__}; expected a run folder, or a model from autocompose.load")
