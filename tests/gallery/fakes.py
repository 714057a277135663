"""A model that needs no weights: pictures become coarse colours, texts become random directions of their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.gallery.storage.vectors import normalise
from autocompose.model.embedders.embedder import Embedder
from tests.fixtures.corpora import picture

DIM = 48


class FakeModel(Embedder):
    """Keeps count of what it is asked to embed."""

    def __init__(self, fingerprint: str = "fake") -> None:
        self.fingerprint = fingerprint
        self.card: dict[str, object] = {}
        self.pictures = 0
        self.texts = 0

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.pictures += len(images)
        small = [np.asarray(i.resize((4, 4), Image.Resampling.BOX), np.float32).ravel() for i in images]
        return np.array(small, np.float32) - 100

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += len(texts)
        seeds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:4], "big") for t in texts]
        return np.array([np.random.default_rng(s).normal(0, 50, DIM) for s in seeds], np.float32)

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return normalise(images + self.embed_texts(texts))


class CrashingModel(FakeModel):
    """Dies like a killed process would, after so many pictures."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        if self.pictures >= self.after:
            raise KeyboardInterrupt
        return super().embed_images(images)


def photos(root: Path, n: int, start: int = 0) -> Path:
    """``n`` different small pictures in two folders."""
    for i in range(start, start + n):
        path = root / ("a" if i % 2 else "b") / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(path)
    return root
