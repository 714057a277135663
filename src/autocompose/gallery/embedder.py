"""What a gallery needs of a model: features of pictures and texts, their composition, and a fingerprint."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from autocompose.core.errors import CheckpointError
from autocompose.core.files import read_json
from autocompose.core.several import is_one, several
from autocompose.model.bundled import model_folder
from autocompose.model.fingerprint import stated_fingerprint

if TYPE_CHECKING:
    from autocompose.model.embed import Picture
    from autocompose.model.model import Model


_STATED = {"sha256": str, "encoder": dict}  # what every model.json holds


class Embedder(Protocol):
    """Features are un-normalised ``(N, D)`` float32; a composition is normalised."""

    fingerprint: str

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """``(N, D)`` of RGB pictures."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` of texts."""

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Features ``(N, D)`` of pictures and N texts -> ``(N, D)`` of the pictures that are asked for."""


class TextCache:
    """Features of texts, computed once. Threads may share it.

    :param embed: texts -> un-normalised features ``(N, D)``.
    :param most: how many texts are kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, embed: Callable[[list[str]], np.ndarray], most: int = 2048) -> None:
        self._embed, self._most = embed, most
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` of N texts."""
        with self._lock:
            known = {text: self._kept[text] for text in texts if text in self._kept}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, self._embed(new), strict=True))
        with self._lock:
            for text, features in known.items():
                self._kept[text] = features
                self._kept.move_to_end(text)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return np.stack([known[text] for text in texts])


class RunFolder:
    """The model of a run folder, loaded when it is first used.

    :param folder: written by training (``model.json`` and ``model.safetensors``), or ``small``.
    :raises CheckpointError: a file is missing or does not fit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = model_folder(folder)
        self.fingerprint = fingerprint(self.folder)
        self._texts = TextCache(lambda texts: self.model.encode_texts(texts))

    def __reduce__(self) -> tuple[type[RunFolder], tuple[Path]]:
        """Another process loads the model itself."""
        return RunFolder, (self.folder,)

    @cached_property
    def model(self) -> Model:
        """The loaded model."""
        from autocompose.model.checkpoint import load_model

        return load_model(self.folder)

    def embed_images(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised features of pictures (RGB, or paths); ``(D,)`` of a single one."""
        return self.model.encode_images(images)

    def embed_texts(self, texts: str | Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised features of texts; ``(D,)`` of a single one."""
        features = self._texts(several(texts))
        return features[0] if is_one(texts) else features

    def compose(self, images: np.ndarray, texts: str | Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised predictions from un-normalised features ``(N, D)`` of pictures and N texts.

        A single picture ``(D,)`` with a single text gives ``(D,)``.
        """
        return self.model.compose_features(images, self.embed_texts(texts))


def fingerprint(folder: Path) -> str:
    """Hash of a run folder's weights and configuration (as its ``model.json`` states them; no weights are read).

    :raises CheckpointError: no such file.
    """
    path = model_folder(folder) / "model.json"
    if not path.exists():
        raise CheckpointError(f"{path}: model file not found; name a folder that training has written")
    info = read_json(path)
    if not isinstance(info, dict) or not all(isinstance(info.get(key), kind) for key, kind in _STATED.items()):
        raise CheckpointError(f"{path}: states no sha256 and encoder; expected what training has written")
    return stated_fingerprint(info)
