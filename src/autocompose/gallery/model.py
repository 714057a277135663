"""What a gallery needs of a model: features of pictures and texts, their composition, and a fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from autocompose.core.errors import CheckpointError
from autocompose.core.store import read_json, value_hash


class Embedder(Protocol):
    """Features are un-normalised ``(N, D)`` float32; a composition is normalised."""

    fingerprint: str

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """``(N, D)`` of RGB pictures."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` of texts."""

    def compose(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """``(N, D)`` and ``(N, D)`` -> ``(N, D)`` normalised prediction of the picture that is asked for."""


class RunFolder:
    """The model of a run folder, loaded when it is first used.

    :param folder: written by training (``model.json`` and ``model.safetensors``).
    :raises CheckpointError: a file is missing or does not fit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._model: Embedder | None = None
        self.fingerprint = fingerprint(self.folder)

    def __getstate__(self) -> dict[str, object]:
        """Another process loads the model itself."""
        return {**self.__dict__, "_model": None}

    @property
    def model(self) -> Embedder:
        """The loaded model."""
        if self._model is None:
            from autocompose.model.checkpoint import load_model

            self._model = load_model(self.folder)  # type: ignore[assignment]  # the fingerprint is ours
        return self._model  # type: ignore[return-value]

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """``(N, D)`` un-normalised features of RGB pictures."""
        return self.model.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised features of texts."""
        return self.model.embed_texts(texts)

    def compose(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """``(N, D)`` normalised predictions."""
        return self.model.compose(images, texts)


def fingerprint(folder: Path) -> str:
    """Hash of a run folder's weights and configuration (as its ``model.json`` states them; no weights are read).

    :raises CheckpointError: no such file.
    """
    path = Path(folder) / "model.json"
    if not path.exists():
        raise CheckpointError(f"{path}: model file not found; name a folder that training has written")
    info = read_json(path)
    return value_hash([info.get("sha256"), info.get("encoder"), info.get("composer")])[:16]
